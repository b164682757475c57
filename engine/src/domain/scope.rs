//! What a token may do.

use std::collections::BTreeSet;

macro_rules! scopes {
    ($($name:ident = $code:literal,)*) => {
        /// A scope, by the name that keys are minted with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scope { $( #[doc = $code] $name, )* }

        impl Scope {
            /// Every scope there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

scopes! {
    PaymentsCreate = "payments:create",
    PaymentsRead = "payments:read",
    PosCreate = "pos:create",
    PosRead = "pos:read",
    PosCancel = "pos:cancel",
    PosPrint = "pos:print",
    TerminalsRead = "terminals:read",
    TerminalsManage = "terminals:manage",
    TransactionsRead = "transactions:read",
    TransactionsTip = "transactions:tip",
    TransactionsVoid = "transactions:void",
    MerchantRead = "merchant:read",
    ApiKeysManage = "api_keys:manage",
    SandboxManage = "sandbox:manage",
}

/// The scopes of a token.
pub type ScopeSet = BTreeSet<Scope>;

impl Scope {
    /// Reads a name back.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scope| scope.code() == code)
    }

    /// What a key gets when it is minted without a list: the least that a checkout needs (seed 000).
    pub fn defaults() -> ScopeSet {
        [Self::PaymentsCreate, Self::PaymentsRead].into()
    }

    /// What the till's own credential may ask for; the partner's allowlist applies on top.
    pub fn of_terminal() -> ScopeSet {
        [
            Self::PosCreate,
            Self::PosRead,
            Self::PosCancel,
            Self::PosPrint,
            Self::TransactionsTip,
            Self::TransactionsVoid,
        ]
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back() {
        for scope in Scope::ALL {
            assert_eq!(Scope::from_code(scope.code()), Some(*scope));
        }
        assert_eq!(Scope::from_code("*"), None);
    }
}

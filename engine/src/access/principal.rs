//! Who is asking, after authentication.

use protocol::id::{ApiKeyId, MerchantId, TerminalId};

use crate::domain::scope::{Scope, ScopeSet};

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A merchant's software, with an API key.
    Merchant {
        /// The merchant.
        merchant_id: MerchantId,
        /// The key.
        key_id: ApiKeyId,
        /// What the key may do.
        scopes: ScopeSet,
    },
    /// A till, with its device key.
    Terminal {
        /// Whose it is.
        merchant_id: MerchantId,
        /// The terminal.
        terminal_id: TerminalId,
    },
    /// Who runs the engine.
    Operator,
}

impl Principal {
    /// The merchant on whose behalf it asks; `None` for the operator.
    pub const fn merchant_id(&self) -> Option<MerchantId> {
        match self {
            Self::Merchant { merchant_id, .. } | Self::Terminal { merchant_id, .. } => {
                Some(*merchant_id)
            }
            Self::Operator => None,
        }
    }

    /// What its credential may do. The operator's has no scopes: its operations need none.
    pub fn scopes(&self) -> ScopeSet {
        match self {
            Self::Merchant { scopes, .. } => scopes.clone(),
            Self::Terminal { .. } => Scope::of_terminal(),
            Self::Operator => ScopeSet::new(),
        }
    }
}

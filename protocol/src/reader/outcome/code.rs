//! How a table of codes is made.
//!
//! Owns the way between a code on the wire and its name. A code without a name is `Unknown`.

/// Makes an enum of the listed codes; what is not listed is `Unknown`, which means failed.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident: $raw:ty { $($(#[$item_doc:meta])* $item:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$item_doc])* $item,)*
            /// A code that is not listed; means failed.
            Unknown($raw),
        }

        impl $name {
            /// The code on the wire.
            pub const fn code(self) -> $raw {
                match self {
                    $(Self::$item => $code,)*
                    Self::Unknown(code) => code,
                }
            }
        }

        impl From<$raw> for $name {
            fn from(code: $raw) -> Self {
                match code {
                    $($code => Self::$item,)*
                    code => Self::Unknown(code),
                }
            }
        }

        impl $name {
            /// Every code that has a name, in the order of the table.
            pub const LISTED: &[$raw] = &[$($code,)*];
        }
    };
}

pub(super) use codes;

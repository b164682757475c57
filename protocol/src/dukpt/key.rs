//! How a scheme's key types are made.
//!
//! Owns what every key type keeps: it is made from bytes of a right length, and never shown.

/// Makes newtypes around `$inner`, which says what lengths there are and clears itself.
macro_rules! keys {
    ($inner:ident; $($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name($inner);

        impl TryFrom<&[u8]> for $name {
            type Error = DukptError;

            /// Takes a key of a length that the scheme has.
            fn try_from(bytes: &[u8]) -> Result<Self, DukptError> {
                $inner::try_from(bytes).map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    )*};
}

pub(super) use keys;

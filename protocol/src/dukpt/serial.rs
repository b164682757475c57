//! Key serial numbers as bytes: what both schemes have in common.
//!
//! Owns length, order and form. Which bytes are what is the scheme's: [`super::tdes::Ksn`] and
//! [`super::aes::Ksn`] say where the counter stands and which counters are used.

use std::fmt;

use super::DukptError;

/// A key serial number of `N` bytes: which base key, which device, and which of its keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SerialNumber<const N: usize>([u8; N]);

impl<const N: usize> SerialNumber<N> {
    /// Bytes of a key serial number.
    pub const LENGTH: usize = N;

    /// Wraps the bytes.
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn bytes(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> TryFrom<&[u8]> for SerialNumber<N> {
    type Error = DukptError;

    fn try_from(bytes: &[u8]) -> Result<Self, DukptError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| DukptError::KsnLength)
    }
}

impl<const N: usize> fmt::Display for SerialNumber<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02X}"))
    }
}

impl<const N: usize> fmt::Debug for SerialNumber<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Ksn({self})")
    }
}

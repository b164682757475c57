//! What a till signs outside of its link: that it gives its identity back.

use crate::id::{IncarnationId, TerminalId};

/// What the device's key signs to release a terminal: bound to the engine's life and to a time, so
/// that the signature is good for one engine and one moment, and to a purpose, so that it is never
/// a hello.
pub fn release_bytes(
    incarnation: IncarnationId,
    terminal_id: TerminalId,
    signed_at_ms: i64,
) -> Vec<u8> {
    let mut bytes = b"tillway release v1\0".to_vec();
    bytes.extend_from_slice(&incarnation.bytes());
    bytes.extend_from_slice(&terminal_id.bytes());
    bytes.extend_from_slice(&signed_at_ms.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_signed_is_in_the_bytes() {
        let bytes = |engine: u8, terminal: u8, at: i64| {
            release_bytes(
                IncarnationId::from_bytes([engine; 16]),
                TerminalId::from_bytes([terminal; 16]),
                at,
            )
        };
        let first = bytes(1, 2, 3);
        assert!(first.starts_with(b"tillway release v1\0"));
        assert_eq!(first.len(), 19 + 16 + 16 + 8);
        for other in [bytes(9, 2, 3), bytes(1, 9, 3), bytes(1, 2, 9)] {
            assert_ne!(first, other);
        }
    }
}

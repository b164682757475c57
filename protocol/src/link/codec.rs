//! MessagePack with named fields, capped before decoding.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest frame either side accepts. Card data is below 2 KiB, a receipt below 16 KiB.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Why bytes from the other side are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than [`FRAME_BYTES_MAX`]; not looked at.
    #[error("frame of {0} bytes is larger than the limit")]
    TooLarge(usize),
    /// Not MessagePack, not of this type, or with bytes behind it. The text is not kept: it could
    /// quote card data.
    #[error("frame is not a message of this protocol")]
    Malformed,
}

/// The bytes of a message. Structs become maps, so that a newer field can be skipped.
///
/// # Errors
/// [`DecodeError::TooLarge`] when the message would be refused by the other side.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, DecodeError> {
    let bytes = rmp_serde::to_vec_named(message).map_err(|_| DecodeError::Malformed)?;
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(DecodeError::TooLarge(bytes.len()));
    }
    Ok(bytes)
}

/// Reads a message.
///
/// # Errors
/// [`DecodeError`]; the caller closes the link.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(DecodeError::TooLarge(bytes.len()));
    }
    let mut rest = bytes;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    // The deepest message has six levels; hostile nesting must not reach the stack.
    deserializer.set_max_depth(32);
    let message = T::deserialize(&mut deserializer).map_err(|_| DecodeError::Malformed)?;
    if rest.is_empty() {
        Ok(message)
    } else {
        Err(DecodeError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Handshake, HandshakeReply, ToAgent, ToEngine};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            drop(decode::<ToAgent>(&bytes));
            drop(decode::<ToEngine>(&bytes));
            drop(decode::<Handshake>(&bytes));
            drop(decode::<HandshakeReply>(&bytes));
        }

        #[test]
        fn damaged_messages_never_panic(at in 0usize..200, value: u8, cut in 0usize..200) {
            let mut bytes = encode(&ToAgent::Ping).unwrap();
            bytes.extend(encode(&sample()).unwrap());
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            let kept = bytes.len().saturating_sub(cut);
            drop(decode::<ToEngine>(bytes.get(..kept).unwrap_or_default()));
        }
    }

    fn sample() -> ToEngine {
        ToEngine::Accept {
            pos_id: "pos_01h2xcejqtf2nbrexx3vqjhp41".parse().unwrap(),
        }
    }

    #[test]
    fn trailing_bytes_and_giant_frames_are_refused() {
        let mut bytes = encode(&sample()).unwrap();
        assert_eq!(decode::<ToEngine>(&bytes), Ok(sample()));
        bytes.push(0xC0);
        assert_eq!(decode::<ToEngine>(&bytes), Err(DecodeError::Malformed));
        let giant = vec![0x81; FRAME_BYTES_MAX + 1];
        assert_eq!(
            decode::<ToEngine>(&giant),
            Err(DecodeError::TooLarge(FRAME_BYTES_MAX + 1))
        );
        // An array that claims four billion elements must not be believed.
        assert!(decode::<ToEngine>(&[0xDD, 0xFF, 0xFF, 0xFF, 0xFF]).is_err());
    }
}

//! Messages of the link, in both directions and before it is up.

use std::fmt::Debug;

use protocol::link::{
    DecodeError, FRAME_BYTES_MAX, Handshake, HandshakeReply, ToAgent, ToEngine, decode, encode,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::corpus::link_messages;
use super::property::{decodes_again, keeps_secrets};

pub(super) const WORDS: &[&[u8]] = &[
    b"\xA6pos_id",
    b"\xAAattempt_id",
    b"\xA6amount",
    b"\xA5minor",
    b"\xA8currency\xA3USD",
    b"pos_01h2xcejqtf2nbrexx3vqjhp41",
    b"\xC0",
    b"\xC4\x04",
    b"\xC5\xFF\xFF",
    b"\xC6\xFF\xFF\xFF\xFF",
    b"\xDB\xFF\xFF\xFF\xFF",
    b"\xDD\xFF\xFF\xFF\xFF",
    b"\xDF\xFF\xFF\xFF\xFF",
    b"\xD3\x80\0\0\0\0\0\0\0",
    b"4761739001010010",
];

/// A message that is read can be written, unless its canonical form is above the frame's limit.
fn message<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) {
    match decode::<T>(data) {
        Ok(message) => {
            if encode(&message) == Err(DecodeError::Malformed) {
                panic!("what was read has no wire form");
            }
            if encode(&message).is_ok() {
                let encode = |message: &T| encode(message).expect("it was encoded before");
                decodes_again(&message, encode, decode::<T>);
            }
            // What is logged of a message must not be card data; texts are the engine's own.
            drop(format!("{message:?}"));
        }
        Err(DecodeError::TooLarge(length)) => {
            assert!(length == data.len() && length > FRAME_BYTES_MAX);
        }
        Err(error) => keeps_secrets(&error, data),
    }
}

pub(super) fn to_agent(data: &[u8]) {
    message::<ToAgent>(data);
}

pub(super) fn to_engine(data: &[u8]) {
    message::<ToEngine>(data);
}

pub(super) fn handshake(data: &[u8]) {
    message::<Handshake>(data);
    message::<HandshakeReply>(data);
}

pub(super) fn to_agent_seeds() -> Vec<Vec<u8>> {
    link_messages("to_agent")
}

pub(super) fn to_engine_seeds() -> Vec<Vec<u8>> {
    link_messages("to_engine")
}

pub(super) fn handshake_seeds() -> Vec<Vec<u8>> {
    let mut seeds = link_messages("handshake");
    seeds.extend(link_messages("reply"));
    seeds
}

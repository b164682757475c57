//! Blocks and halves of triple-DES keys.
//!
//! Owns the single cipher call; which key and which block is the derivation's.

use des::TdesEde2;
use des::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use super::{BLOCK_LENGTH, HALF_LENGTH, KEY_LENGTH};

pub(super) fn cipher(key: &[u8; KEY_LENGTH]) -> TdesEde2 {
    TdesEde2::new(key.into())
}

pub(super) fn encrypt_block(cipher: &TdesEde2, block: [u8; BLOCK_LENGTH]) -> [u8; BLOCK_LENGTH] {
    let mut block = block.into();
    cipher.encrypt_block(&mut block);
    block.into()
}

pub(super) fn decrypt_block(cipher: &TdesEde2, block: &mut [u8; BLOCK_LENGTH]) {
    cipher.decrypt_block(block.into());
}

pub(super) fn halves(key: &[u8; KEY_LENGTH]) -> ([u8; HALF_LENGTH], [u8; HALF_LENGTH]) {
    let [a, b, c, d, e, f, g, h, right @ ..] = *key;
    ([a, b, c, d, e, f, g, h], right)
}

pub(super) fn join(left: [u8; HALF_LENGTH], right: [u8; HALF_LENGTH]) -> [u8; KEY_LENGTH] {
    let mut key = [0; KEY_LENGTH];
    key.iter_mut()
        .zip(left.into_iter().chain(right))
        .for_each(|(target, source)| *target = source);
    key
}

pub(super) fn xor<const N: usize>(mut left: [u8; N], right: [u8; N]) -> [u8; N] {
    left.iter_mut()
        .zip(right)
        .for_each(|(target, source)| *target ^= source);
    left
}

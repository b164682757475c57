//! Card data under a derived key: CBC with a zero vector, whatever the block cipher.
//!
//! Owns chaining and padding. Plain text is cleared when dropped and never left behind in freed
//! memory.

use zeroize::Zeroizing;

use super::DukptError;

/// CBC encryption with a zero vector, after zero padding; `encrypt_block` encrypts one block.
pub(super) fn encrypt_chained<const N: usize>(
    plain: &[u8],
    encrypt_block: impl Fn([u8; N]) -> [u8; N],
) -> Vec<u8> {
    let mut previous = [0; N];
    let mut sealed = Vec::with_capacity(plain.len().next_multiple_of(N));
    for chunk in plain.chunks(N) {
        let mut block = previous;
        block
            .iter_mut()
            .zip(chunk)
            .for_each(|(target, source)| *target ^= source);
        previous = encrypt_block(block);
        sealed.extend(previous);
    }
    sealed
}

/// Reverses [`encrypt_chained`]; `decrypt_block` decrypts one block in place.
pub(super) fn decrypt_chained<const N: usize>(
    sealed: &[u8],
    decrypt_block: impl Fn(&mut [u8; N]),
) -> Result<Zeroizing<Vec<u8>>, DukptError> {
    let (blocks, []) = sealed.as_chunks::<N>() else {
        return Err(DukptError::PartialBlock);
    };
    let mut previous = [0; N];
    // The capacity is exact: growing would leave card data behind in freed memory.
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    for block in blocks {
        let mut opened = Zeroizing::new(*block);
        decrypt_block(&mut opened);
        plain.extend(opened.iter().zip(previous).map(|(byte, mask)| byte ^ mask));
        previous = *block;
    }
    Ok(plain)
}

//! Bytes as choices: how a target makes inputs for a machine out of the fuzzer's bytes.

/// Hands out bytes from the front; zeros when they are used up.
#[derive(Debug, Clone)]
pub(super) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    pub(super) fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A number that is small most of the time, up to a few hours in milliseconds.
    pub(super) fn duration_ms(&mut self) -> u64 {
        let byte = u64::from(self.byte());
        match byte {
            0..=127 => byte,
            128..=239 => (byte - 127) * 250,
            _ => (byte - 239) * 1_000_000,
        }
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// As many bytes as the next byte says, or fewer at the end.
    pub(super) fn short(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.take(length)
    }

    /// As many bytes as the next two bytes say, or fewer at the end.
    pub(super) fn long(&mut self) -> &'a [u8] {
        let length = usize::from(u16::from_le_bytes(self.array()));
        self.take(length)
    }

    pub(super) fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(super) const fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Cuts `bytes` into pieces whose sizes follow from a hash of them: the same bytes, the same cuts.
pub(super) fn pieces(bytes: &[u8]) -> Vec<&[u8]> {
    let mut state = u64::from(super::property::crc32c(&[bytes])) | 1;
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let length = match (state >> 33) % 8 {
            0..=3 => 1,
            4 | 5 => 1 + usize::try_from((state >> 40) % 16).unwrap_or(0),
            _ => 1 + usize::try_from((state >> 40) % 300).unwrap_or(0),
        };
        let (piece, later) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = later;
    }
    pieces
}

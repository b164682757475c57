//! The file that says which database this is: the id of its log, for ever, and of its incarnation,
//! which changes when a copy is restored. Must never change the former.

use protocol::id::IncarnationId;

use super::OpenError;
use super::disk::{self, Disk, read_whole};
use super::frame::{CRC, LogId};

/// Name of the file.
pub(crate) const FILE: &str = "identity";
const MAGIC: [u8; 8] = *b"TWID\x01\0\0\0";
const LENGTH: usize = 44;

/// Who a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The first incarnation's id; part of every checksum in the log.
    pub(crate) log: LogId,
    /// The current incarnation.
    pub(crate) incarnation: IncarnationId,
}

impl Identity {
    fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.log);
        bytes.extend_from_slice(&self.incarnation.bytes());
        bytes.extend_from_slice(&CRC.checksum(&bytes).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (covered, stored) = bytes.split_last_chunk::<4>()?;
        let ids = covered.strip_prefix(&MAGIC)?;
        let (log, incarnation) = ids.split_first_chunk::<16>()?;
        let intact = CRC.checksum(covered).to_le_bytes() == *stored;
        let incarnation = IncarnationId::from_bytes(incarnation.try_into().ok()?);
        intact.then_some(Self {
            log: *log,
            incarnation,
        })
    }

    /// Reads the identity; `None` when there is no such file.
    ///
    /// # Errors
    /// [`OpenError::Corrupt`] when the file is not one of ours.
    pub(crate) fn read(disk: &dyn Disk) -> Result<Option<Self>, OpenError> {
        let read = |file: Box<dyn disk::DiskFile>| read_whole(file.as_ref(), 4096);
        match disk.open_read_only(FILE).and_then(read) {
            Ok(bytes) => Self::decode(&bytes)
                .map(Some)
                .ok_or_else(|| OpenError::Corrupt {
                    file: FILE.to_owned(),
                    offset: 0,
                    reason: "not an identity of this version".to_owned(),
                }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(OpenError::io(FILE, &error)),
        }
    }

    /// Writes the identity durably.
    ///
    /// # Errors
    /// [`OpenError::Io`].
    pub(crate) fn write(self, disk: &dyn Disk) -> Result<(), OpenError> {
        disk::replace(disk, FILE, &self.encode()).map_err(|error| OpenError::io(FILE, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_survive_the_round_trip_and_no_flipped_bit() {
        let incarnation = IncarnationId::from_bytes([2; 16]);
        let identity = Identity {
            log: [1; 16],
            incarnation,
        };
        let mut bytes = identity.encode();
        assert_eq!(
            (Identity::decode(&bytes), bytes.len()),
            (Some(identity), LENGTH)
        );
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Identity::decode(&bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

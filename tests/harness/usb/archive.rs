//! Writes the archive that a Linux kernel unpacks as its first file system (cpio, "newc").

use std::io::{self, Write};

const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;

/// An archive under construction.
pub(super) struct Archive<W> {
    out: W,
    entries: u32,
}

impl<W: Write> Archive<W> {
    pub(super) const fn new(out: W) -> Self {
        Self { out, entries: 0 }
    }

    /// Adds a directory; its parents come first.
    pub(super) fn directory(&mut self, path: &str) -> io::Result<()> {
        self.entry(path, DIRECTORY | 0o755, &[])
    }

    /// Adds a file.
    pub(super) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entry(path, REGULAR | mode, content)
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entries += 1;
        let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let length = u32::try_from(content.len()).map_err(too_large)?;
        let name_length = u32::try_from(path.len() + 1).map_err(too_large)?;
        // Inode, mode, owner, group, links, time, size, two device numbers twice, name, checksum.
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            length,
            0,
            0,
            0,
            0,
            name_length,
            0,
        ];
        let mut header = "070701".to_owned();
        for field in fields {
            header.push_str(&format!("{field:08X}"));
        }
        header.push_str(path);
        header.push('\0');
        self.padded(header.as_bytes())?;
        self.padded(content)
    }

    /// Everything begins at a multiple of four; a header has 110 bytes, so that padding a whole
    /// header with its name keeps to it.
    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        let missing = bytes.len().next_multiple_of(4) - bytes.len();
        self.out.write_all(&[0; 3][..missing])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_begin_at_multiples_of_four() {
        let mut archive = Archive::new(Vec::new());
        archive.directory("bin").unwrap();
        archive.file("bin/sh", 0o755, b"12345").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let mut at = 0;
        for (name, length) in [("bin", 0_usize), ("bin/sh", 5), ("TRAILER!!!", 0)] {
            assert_eq!(&bytes[at..at + 6], b"070701", "{name}");
            assert_eq!(&bytes[at + 110..at + 110 + name.len()], name.as_bytes());
            at += (110 + name.len() + 1).next_multiple_of(4) + length.next_multiple_of(4);
        }
        assert_eq!(at, bytes.len());
    }
}

//! A pseudo-terminal in raw mode under a stable name: the device's end of a serial cable.
//!
//! Never blocks: what the host does not take in time is lost, as on a cable that nobody reads.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;
use tokio::io::unix::AsyncFd;

/// The device's end.
#[derive(Debug)]
pub struct Pty {
    master: AsyncFd<OwnedFd>,
    /// Held open so that reading does not fail between two visits of the host.
    _slave: OwnedFd,
    link: PathBuf,
}

impl Pty {
    /// Opens a pseudo-terminal and makes `link` point to the host's end.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the system has no pseudo-terminal left or the link cannot be made.
    pub fn open(link: &Path) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let slave = rustix::fs::open(
            name.as_c_str(),
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let mut attributes = rustix::termios::tcgetattr(&slave)?;
        attributes.make_raw();
        rustix::termios::tcsetattr(&slave, OptionalActions::Now, &attributes)?;
        let status = rustix::fs::fcntl_getfl(&master)?;
        rustix::fs::fcntl_setfl(&master, status | OFlags::NONBLOCK)?;
        point(link, Path::new(&*name.to_string_lossy()))?;
        Ok(Self {
            master: register(master)?,
            _slave: slave,
            link: link.to_owned(),
        })
    }

    /// Waits for bytes of the host; gives how many were put into `buffer`.
    ///
    /// # Errors
    /// When the pseudo-terminal fails.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.master.readable().await?;
            let attempt = ready.try_io(|master| Ok(rustix::io::read(master, &mut *buffer)?));
            if let Ok(result) = attempt {
                return result;
            }
        }
    }

    /// Gives bytes to the host; tells how many were taken.
    ///
    /// # Errors
    /// When the pseudo-terminal fails.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(self.master.get_ref(), rest) {
                Ok(count) => taken += count,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(taken)
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // A link that another run has replaced meanwhile is gone or dangling either way.
        drop(fs::remove_file(&self.link));
    }
}

#[expect(
    deprecated,
    reason = "sound for an OwnedFd, which keeps its descriptor; the successor needs unsafe code"
)]
fn register(master: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(master)
}

/// Replaces `link` in one step, so that a host never finds it missing.
fn point(link: &Path, target: &Path) -> io::Result<()> {
    let mut fresh = link.as_os_str().to_owned();
    fresh.push(".new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(target, &fresh)?;
    fs::rename(&fresh, link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[tokio::test(flavor = "current_thread")]
    async fn bytes_pass_both_ways_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("reader.pty");
        let pty = Pty::open(&link).unwrap();
        let mut host = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&link)
            .unwrap();
        let every_byte: Vec<u8> = (0..=255).collect();
        host.write_all(&every_byte).unwrap();
        let mut heard = Vec::new();
        let mut buffer = [0; 64];
        while heard.len() < every_byte.len() {
            let count = pty.read(&mut buffer).await.unwrap();
            heard.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(heard, every_byte);
        assert_eq!(pty.write(&every_byte).unwrap(), 256);
        let mut answer = vec![0; 256];
        host.read_exact(&mut answer).unwrap();
        assert_eq!(answer, every_byte);

        let again = Pty::open(&link).unwrap();
        assert!(fs::read_link(&link).unwrap().exists());
        drop(again);
        assert!(!link.exists());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_host_that_does_not_read_loses_bytes_and_blocks_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let pty = Pty::open(&dir.path().join("printer.pty")).unwrap();
        let flood = vec![0x55; 1 << 20];
        assert!(pty.write(&flood).unwrap() < flood.len());
    }
}

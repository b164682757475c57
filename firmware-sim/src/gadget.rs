//! A device file of a USB gadget: the device's end of a USB cable, on a machine that can be one.
//!
//! `/dev/ttyGS0` (a serial line), `/dev/hidg0` (reports) and `/dev/g_printer0` (a printer's bytes)
//! are read and written alike. What the host does not take waits, because a gadget's driver takes
//! one report at a time; beyond a bound it is lost, as on a cable that nobody reads.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::termios::OptionalActions;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// As much as is heard at once, and as much as is said at once: a report.
const READ_LENGTH: usize = 4_096;
const REPORT_LENGTH: usize = 64;
/// How much waits for the host. The longest answer of a reader is a few dozen reports; with more
/// than this waiting, nobody has read for long, and what is newest is lost: what a host finds when
/// it comes back begins with a whole frame.
const SAYS_MAX: usize = 256;

/// An open device file; closed when dropped.
#[derive(Debug)]
pub struct Gadget {
    says: mpsc::Sender<Vec<u8>>,
    tasks: [JoinHandle<()>; 2],
}

impl Gadget {
    /// Opens a device file; what a host says goes into `heard` with the number of the port.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(
        path: &Path,
        place: usize,
        heard: mpsc::Sender<(usize, Vec<u8>)>,
    ) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        if let Ok(mut attributes) = rustix::termios::tcgetattr(&file) {
            attributes.make_raw();
            rustix::termios::tcsetattr(&file, OptionalActions::Now, &attributes)?;
        }
        let file = Arc::new(register(file.into())?);
        let (says, to_say) = mpsc::channel(SAYS_MAX);
        let tasks = [
            tokio::spawn(listen(Arc::clone(&file), place, heard)),
            tokio::spawn(speak(file, to_say)),
        ];
        Ok(Self { says, tasks })
    }

    /// Has bytes said; false when they are lost, because the host has let go or does not read.
    pub fn write(&self, bytes: Vec<u8>) -> bool {
        self.says.try_send(bytes).is_ok()
    }
}

impl Drop for Gadget {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn listen(file: Arc<AsyncFd<OwnedFd>>, place: usize, heard: mpsc::Sender<(usize, Vec<u8>)>) {
    let mut buffer = vec![0; READ_LENGTH];
    while let Ok(mut ready) = file.readable().await {
        match ready.try_io(|file| Ok(rustix::io::read(file, &mut *buffer)?)) {
            // Nothing to read and nothing to wait for: nobody is at the other end.
            Ok(Ok(0)) => return,
            Ok(Ok(count)) => {
                let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                if heard.send((place, bytes)).await.is_err() {
                    return;
                }
            }
            Ok(Err(error)) => {
                tracing::info!(%error, "the host has let go");
                return;
            }
            Err(_would_block) => {}
        }
    }
}

async fn speak(file: Arc<AsyncFd<OwnedFd>>, mut to_say: mpsc::Receiver<Vec<u8>>) {
    while let Some(bytes) = to_say.recv().await {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let Ok(mut ready) = file.writable().await else {
                return;
            };
            let part = rest.get(..REPORT_LENGTH).unwrap_or(rest);
            match ready.try_io(|file| Ok(rustix::io::write(file, part)?)) {
                Ok(Ok(count)) => rest = rest.get(count..).unwrap_or_default(),
                Ok(Err(error)) => {
                    tracing::info!(%error, "the host has let go");
                    return;
                }
                Err(_would_block) => {}
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "sound for an OwnedFd, which keeps its descriptor; the successor needs unsafe code"
)]
fn register(file: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pty::Pty;

    #[tokio::test(flavor = "current_thread")]
    async fn what_waits_is_bounded_and_what_was_taken_arrives_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gadget");
        let host = Pty::open(&path).unwrap();
        let (heard_tx, mut heard) = mpsc::channel(4);
        let gadget = Gadget::open(&path, 3, heard_tx).unwrap();
        assert_eq!(host.write(b"ask").unwrap(), 3);
        assert_eq!(heard.recv().await, Some((3, b"ask".to_vec())));
        // Nobody reads: this thread is the only one, and does not wait.
        let report = |number: usize| vec![u8::try_from(number % 251).unwrap(); REPORT_LENGTH];
        let taken = (0..SAYS_MAX * 2)
            .filter(|number| gadget.write(report(*number)))
            .count();
        assert_eq!(taken, SAYS_MAX);
        let expected: Vec<u8> = (0..taken).flat_map(report).collect();
        let mut said = Vec::new();
        let mut buffer = [0; READ_LENGTH];
        while said.len() < expected.len() {
            let count = host.read(&mut buffer).await.unwrap();
            said.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(said, expected);
        assert!(gadget.write(b"again".to_vec()), "there is room again");
    }
}

//! A device file that is read and written without blocking the thread.
//!
//! A printer without paper holds a write for minutes and a HID device may hold it for seconds;
//! neither stops the rest of the agent, nor the reading of the same device.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;

/// How writes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// The driver says when it takes no more: usblp, terminals.
    Direct,
    /// The driver waits whatever it is told, hidraw: on a thread.
    Threaded,
}

/// An open device file, locked against other agents.
#[derive(Debug)]
pub(super) struct Node {
    file: AsyncFd<Arc<OwnedFd>>,
    writing: Writing,
    under_way: Option<JoinHandle<io::Result<usize>>>,
}

impl Node {
    /// Opens and locks `path`. Must be called within a runtime.
    pub(super) fn open(path: &Path, writing: Writing) -> Result<Self, Errno> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // The system cannot wait for every file; one where it cannot is no port of ours.
        let file = register(Arc::new(file)).map_err(|_| Errno::NOTSUP)?;
        Ok(Self {
            file,
            writing,
            under_way: None,
        })
    }
}

#[expect(
    deprecated,
    reason = "sound for an OwnedFd, which keeps its descriptor; the successor needs unsafe code"
)]
fn register(file: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    AsyncFd::new(file)
}

impl AsyncRead for Node {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut readiness = ready!(self.file.poll_read_ready(context))?;
            let attempt = readiness.try_io(|file| {
                let count = rustix::io::retry_on_intr(|| {
                    rustix::io::read(file.get_ref(), buffer.initialize_unfilled())
                })?;
                Ok(count)
            });
            if let Ok(result) = attempt {
                return Poll::Ready(result.map(|count| buffer.advance(count)));
            }
        }
    }
}

impl AsyncWrite for Node {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.writing == Writing::Threaded {
            return self.poll_threaded(context, bytes);
        }
        loop {
            let mut readiness = ready!(self.file.poll_write_ready(context))?;
            let attempt = readiness.try_io(|file| {
                Ok(rustix::io::retry_on_intr(|| {
                    rustix::io::write(file.get_ref(), bytes)
                })?)
            });
            if let Ok(result) = attempt {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Node {
    /// The caller repeats the same bytes until they are written, as all writers of tokio do.
    fn poll_threaded(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let under_way = self.under_way.get_or_insert_with(|| {
            let file = Arc::clone(self.file.get_ref());
            let bytes = bytes.to_vec();
            tokio::task::spawn_blocking(move || {
                Ok(rustix::io::retry_on_intr(|| {
                    rustix::io::write(&*file, &bytes)
                })?)
            })
        });
        let ended = ready!(Pin::new(under_way).poll(context));
        self.under_way = None;
        Poll::Ready(ended.unwrap_or_else(|error| Err(io::Error::other(error))))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::device::tests::PseudoTerminal;

    #[tokio::test]
    async fn both_ways_of_writing_carry_the_same_bytes() {
        for writing in [Writing::Direct, Writing::Threaded] {
            let mut terminal = PseudoTerminal::raw();
            let mut node = Node::open(&terminal.path, writing).unwrap();
            node.write_all(b"\x01report\n\x00").await.unwrap();
            assert_eq!(terminal.read(9), b"\x01report\n\x00", "{writing:?}");
            terminal.write(b"\x02answer\r");
            let mut heard = [0; 8];
            node.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"\x02answer\r");
        }
    }

    #[tokio::test]
    async fn nobody_else_gets_a_device_that_is_open() {
        let terminal = PseudoTerminal::raw();
        let first = Node::open(&terminal.path, Writing::Direct).unwrap();
        let second = Node::open(&terminal.path, Writing::Direct);
        assert_eq!(second.err(), Some(Errno::WOULDBLOCK));
        drop(first);
        assert!(Node::open(&terminal.path, Writing::Direct).is_ok());
    }

    #[tokio::test]
    async fn what_cannot_be_waited_for_is_refused() {
        let refused = Node::open(Path::new("/dev/null"), Writing::Direct);
        assert_eq!(refused.err(), Some(Errno::NOTSUP));
    }
}

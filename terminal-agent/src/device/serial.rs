//! A serial line: RS-232, USB CDC, a pseudo-terminal behind a symbolic link.
//!
//! Always raw, 8 data bits, no parity, 1 stop bit, and exclusive.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::fs::{Mode, OFlags};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_serial::{ClearBuffer, ErrorKind, SerialPort, SerialStream};

use super::endpoint::{Endpoint, FlowControl, Role};
use super::fault::PortFault;

/// An open line.
#[derive(Debug)]
pub(super) struct SerialLine {
    stream: SerialStream,
}

/// What a serial line shows beside its data.
pub(super) trait Wire: Send {
    /// Whether the device makes the host wait.
    fn is_busy(&mut self) -> io::Result<bool>;

    /// Bytes that the system has taken and not sent; none, where it does not say.
    fn unsent_bytes(&mut self) -> usize;
}

struct ModemLines {
    port: serialport::TTYPort,
    /// Whether the device's busy wire leads to DSR.
    has_busy_wire: bool,
}

impl Wire for ModemLines {
    fn is_busy(&mut self) -> io::Result<bool> {
        if !self.has_busy_wire {
            return Ok(false);
        }
        let is_ready = self.port.read_data_set_ready();
        is_ready.map(|is_ready| !is_ready).map_err(io::Error::from)
    }

    fn unsent_bytes(&mut self) -> usize {
        let count = self.port.bytes_to_write().unwrap_or(0);
        usize::try_from(count).unwrap_or(usize::MAX)
    }
}

/// Opens the line at `path`. A printer's wire is watched: it has little room once it is busy.
pub(super) fn open(
    path: &Path,
    endpoint: &Endpoint,
) -> Result<(SerialLine, Option<Box<dyn Wire>>), PortFault> {
    let flow = match endpoint.flow {
        FlowControl::RtsCts => tokio_serial::FlowControl::Hardware,
        FlowControl::None | FlowControl::XonXoff | FlowControl::DtrDsr => {
            tokio_serial::FlowControl::None
        }
    };
    let builder = tokio_serial::new(path.to_string_lossy(), endpoint.baud).flow_control(flow);
    let port = serialport::TTYPort::open(&builder)
        .map_err(|error| refusal(&error, path, &endpoint.root))?;
    let failed = |error: &dyn std::fmt::Display| PortFault::Failed {
        port: path.display().to_string(),
        reason: error.to_string(),
    };
    let wire: Option<Box<dyn Wire>> = match endpoint.role {
        Role::Reader => None,
        Role::Printer => {
            let mut lines = ModemLines {
                port: port.try_clone_native().map_err(|error| failed(&error))?,
                has_busy_wire: endpoint.flow == FlowControl::DtrDsr,
            };
            lines.is_busy().map_err(|_| PortFault::NoModemLines {
                path: path.to_owned(),
            })?;
            Some(Box::new(lines))
        }
    };
    // What a device said to nobody belongs to no conversation.
    port.clear(ClearBuffer::Input)
        .map_err(|error| failed(&error))?;
    let stream = SerialStream::try_from(port).map_err(|error| failed(&error))?;
    Ok((SerialLine { stream }, wire))
}

/// The library keeps few of the system's reasons apart; the others are asked for once more.
fn refusal(error: &tokio_serial::Error, path: &Path, root: &Path) -> PortFault {
    use rustix::io::Errno;
    let known = match error.kind() {
        ErrorKind::NoDevice => Some(Errno::BUSY),
        ErrorKind::Io(io::ErrorKind::NotFound) => Some(Errno::NOENT),
        ErrorKind::Io(io::ErrorKind::PermissionDenied) => Some(Errno::ACCESS),
        ErrorKind::Io(_) | ErrorKind::InvalidInput | ErrorKind::Unknown => {
            let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            rustix::fs::open(path, flags, Mode::empty()).err()
        }
    };
    match known {
        Some(errno) => PortFault::of_open(errno, path, root),
        None => PortFault::Failed {
            port: path.display().to_string(),
            reason: error.to_string(),
        },
    }
}

impl Drop for SerialLine {
    fn drop(&mut self) {
        // Closing a line waits up to 30 s for a device that does not take what is left (setserial's
        // closing_wait), and nothing else would move meanwhile. A device that has gone cannot be
        // cleared, and need not be.
        drop(self.stream.clear(ClearBuffer::Output));
    }
}

impl AsyncRead for SerialLine {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for SerialLine {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    /// Nothing: waiting until the line is drained would block the thread.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::device::endpoint::Place;
    use crate::device::tests::PseudoTerminal;

    fn endpoint(path: &Path, flow: FlowControl) -> Endpoint {
        Endpoint {
            role: Role::Printer,
            place: Place::Path(path.to_owned()),
            kind: None,
            baud: 38_400,
            flow,
            root: PathBuf::from("/"),
        }
    }

    #[tokio::test]
    async fn a_line_that_is_open_is_in_use_for_everybody_else() {
        let terminal = PseudoTerminal::new();
        let endpoint = endpoint(&terminal.path, FlowControl::None);
        let first = open(&terminal.path, &endpoint).unwrap();
        let refused = open(&terminal.path, &endpoint).err().unwrap();
        assert_eq!(refused.code(), "PORT_IN_USE");
        drop(first);
        assert!(open(&terminal.path, &endpoint).is_ok());
    }

    #[tokio::test]
    async fn a_port_without_modem_lines_says_so() {
        let terminal = PseudoTerminal::new();
        let endpoint = endpoint(&terminal.path, FlowControl::DtrDsr);
        let refused = open(&terminal.path, &endpoint).err().unwrap();
        assert_eq!(refused.code(), "PORT_NO_MODEM_LINES");
    }

    #[tokio::test]
    async fn what_is_missing_is_told_from_what_is_no_line() {
        let path = Path::new("/nonexistent/tty");
        let refused = open(path, &endpoint(path, FlowControl::None))
            .err()
            .unwrap();
        assert_eq!(refused.code(), "PORT_NOT_FOUND");
        let path = Path::new("/dev/null");
        let refused = open(path, &endpoint(path, FlowControl::None))
            .err()
            .unwrap();
        assert_eq!(refused.code(), "PORT_FAILED");
    }
}

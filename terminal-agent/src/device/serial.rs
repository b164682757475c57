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

use super::endpoint::{Endpoint, FlowControl};
use super::fault::PortFault;

/// An open line.
#[derive(Debug)]
pub(super) struct SerialLine {
    stream: SerialStream,
}

/// The lines beside the data.
#[derive(Debug)]
pub(super) struct ModemLines {
    port: serialport::TTYPort,
}

impl ModemLines {
    /// Whether DSR is on: the device takes data.
    pub(super) fn is_ready(&mut self) -> io::Result<bool> {
        self.port.read_data_set_ready().map_err(io::Error::from)
    }
}

/// Opens the line at `path`, with its modem lines where they make the host wait.
pub(super) fn open(
    path: &Path,
    endpoint: &Endpoint,
) -> Result<(SerialLine, Option<ModemLines>), PortFault> {
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
    let lines = match endpoint.flow {
        FlowControl::DtrDsr => {
            let port = port.try_clone_native().map_err(|error| failed(&error))?;
            let mut lines = ModemLines { port };
            lines.is_ready().map_err(|_| PortFault::NoModemLines {
                path: path.to_owned(),
            })?;
            Some(lines)
        }
        FlowControl::None | FlowControl::XonXoff | FlowControl::RtsCts => None,
    };
    // What a device said to nobody belongs to no conversation.
    port.clear(ClearBuffer::Input)
        .map_err(|error| failed(&error))?;
    let stream = SerialStream::try_from(port).map_err(|error| failed(&error))?;
    Ok((SerialLine { stream }, lines))
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
    use crate::device::endpoint::{Place, Role};
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

//! The command line's end of the control socket. Blocking: one command, one connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::control::message::{Line, encode_line};
use crate::control::socket_path;

/// The longest line that is read: a status with many open transactions.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// Why the agent does not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No agent runs on this state directory.
    #[error("no agent is running here: start `terminal-agent run`")]
    NotRunning,
    /// This user may not speak to it.
    #[error("the agent's socket may not be opened by this user")]
    Forbidden,
    /// It did not answer in time.
    #[error("the agent did not answer in time")]
    TimedOut,
    /// It went away, or said what is no answer.
    #[error("the agent has gone away")]
    Gone,
}

pub(crate) struct Client {
    reader: BufReader<UnixStream>,
}

impl Client {
    pub(crate) fn connect(state_dir: &Path) -> Result<Self, ClientError> {
        let stream =
            UnixStream::connect(socket_path(state_dir)).map_err(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => ClientError::Forbidden,
                _ => ClientError::NotRunning,
            })?;
        Ok(Self {
            reader: BufReader::new(stream),
        })
    }

    pub(crate) fn say(&mut self, line: &Line) -> Result<(), ClientError> {
        let line = encode_line(line);
        self.reader
            .get_mut()
            .write_all(line.as_bytes())
            .map_err(|_| ClientError::Gone)
    }

    /// The next line: an answer or an event.
    pub(crate) fn hear(&mut self, patience: Duration) -> Result<Value, ClientError> {
        self.reader
            .get_ref()
            .set_read_timeout(Some(patience))
            .map_err(|_| ClientError::Gone)?;
        let mut line = Vec::new();
        let read = (&mut self.reader)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line);
        match read {
            Ok(0) => Err(ClientError::Gone),
            Ok(_) => serde_json::from_slice(&line).map_err(|_| ClientError::Gone),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Err(ClientError::TimedOut)
            }
            Err(_) => Err(ClientError::Gone),
        }
    }

    /// The answer to the line with this number; events before it go to `event`.
    pub(crate) fn answer(
        &mut self,
        id: u64,
        patience: Duration,
        mut event: impl FnMut(Value),
    ) -> Result<Value, ClientError> {
        loop {
            let line = self.hear(patience)?;
            if line.get("event").is_some() {
                event(line);
            } else if line.get("id").and_then(Value::as_u64) == Some(id) {
                return Ok(line);
            }
        }
    }
}

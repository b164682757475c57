//! The control socket: one JSON command a line in, one JSON answer a line out.
//!
//! Owns lines and their bound. What a command does is the device's business.
//!
//! ```text
//! → {"device":"reader","command":"present","arguments":{"card":"visa","way":"tap"}}
//! ← {"ok":true}
//! → {"device":"all","command":"status"}
//! ← {"ok":true,"status":{"reader":{"phase":"polling", …}}}
//! ← {"ok":false,"error":"no device \"toaster\""}
//! ```

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use crate::device::{ControlError, ControlRequest};

/// Bounds a line in both directions; a command has less than 200 bytes.
pub const LINE_LENGTH_MAX: usize = 8_192;
/// How long the command line waits for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A command with the way back for its answer.
#[derive(Debug)]
pub struct Asked {
    /// The command, or why the line is none.
    pub request: Result<ControlRequest, ControlError>,
    /// Takes the answer.
    pub reply: oneshot::Sender<Value>,
}

/// The answer to a command that was carried out, or was not.
pub fn answer(outcome: Result<Value, ControlError>) -> Value {
    match outcome {
        Ok(Value::Null) => json!({ "ok": true }),
        Ok(status) => json!({ "ok": true, "status": status }),
        Err(error) => json!({ "ok": false, "error": error.to_string() }),
    }
}

/// Serves one connection until it closes or sends a line that is too long.
///
/// # Errors
/// When the connection breaks.
pub async fn serve(stream: UnixStream, asked: mpsc::Sender<Asked>) -> io::Result<()> {
    let (input, mut output) = stream.into_split();
    let mut input = tokio::io::BufReader::new(input);
    let bound = u64::try_from(LINE_LENGTH_MAX).unwrap_or(u64::MAX);
    loop {
        let mut line = Vec::new();
        let count = (&mut input)
            .take(bound)
            .read_until(b'\n', &mut line)
            .await?;
        if count == 0 {
            return Ok(());
        }
        let is_too_long = count == LINE_LENGTH_MAX && !line.ends_with(b"\n");
        let request = if is_too_long {
            Err(ControlError::TooLong {
                length_max: LINE_LENGTH_MAX,
            })
        } else {
            parse(&line)
        };
        let (reply, answered) = oneshot::channel();
        if asked.send(Asked { request, reply }).await.is_err() {
            return Ok(());
        }
        let Ok(answer) = answered.await else {
            return Ok(());
        };
        output.write_all(format!("{answer}\n").as_bytes()).await?;
        if is_too_long {
            return Ok(());
        }
    }
}

/// Reads one line.
///
/// # Errors
/// [`ControlError::Malformed`].
pub fn parse(line: &[u8]) -> Result<ControlRequest, ControlError> {
    serde_json::from_slice(line).map_err(|error| ControlError::Malformed {
        reason: error.to_string(),
    })
}

/// Sends one command from the command line and gives the answer.
///
/// # Errors
/// When nobody listens on `socket`, or the answer does not come or is no JSON.
pub fn ask(socket: &Path, request: &ControlRequest) -> io::Result<Value> {
    let mut stream = BlockingStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let line = serde_json::to_string(request)?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut answer = String::new();
    let bound = u64::try_from(LINE_LENGTH_MAX).unwrap_or(u64::MAX);
    BufReader::new(stream.take(bound)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

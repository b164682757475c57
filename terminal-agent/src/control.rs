//! The local socket through which a cashier's program speaks to a running agent.
//!
//! Line-delimited JSON on a Unix socket in the state directory; who may open it is decided by the
//! directory and the socket's mode. Carries lines; what they mean is decided by the agent machine.

pub mod message;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;

use message::{Answer, LINE_BYTES_MAX, Line, encode_line, parse};

/// Connections at a time. Arbitrary, bounded.
const CONNECTIONS_MAX: usize = 32;
/// Lines that wait for a client; one that does not read them is disconnected.
const OUTBOUND_MAX: usize = 256;

/// After a connection that could not be accepted: file descriptors come back when somebody else
/// lets go of one, which nothing tells.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Names one connection of one run of the agent.
pub type ConnectionId = u64;

/// What the socket reports.
#[derive(Debug)]
pub enum ControlEvent {
    /// Somebody connected; lines for them go in here.
    Opened(ConnectionId, mpsc::Sender<String>),
    /// They said this.
    Line(ConnectionId, Box<Line>),
    /// They are gone.
    Closed(ConnectionId),
}

/// Where the socket of a state directory is.
pub fn socket_path(state_dir: &Path) -> PathBuf {
    state_dir.join("control.sock")
}

/// Makes the socket. The caller holds the state directory's lock, so a socket that is there
/// belongs to nobody.
///
/// # Errors
/// What the system says.
pub fn bind(state_dir: &Path) -> io::Result<UnixListener> {
    let path = socket_path(state_dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Serves connections until nobody listens to `events` any more.
pub async fn run<E: Send + 'static>(
    listener: UnixListener,
    events: mpsc::Sender<E>,
    wrap: fn(ControlEvent) -> E,
) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connection: ConnectionId = 0;
    // A closed semaphore ends the loop; nobody closes it.
    while let Ok(permit) = Arc::clone(&free).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: it passes, but not at once.
                tracing::warn!(%error, "control connection not accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if events.is_closed() {
            return;
        }
        connection = connection.saturating_add(1);
        let events = events.clone();
        let id = connection;
        tokio::spawn(async move {
            serve(id, stream, &events, wrap).await;
            drop(events.send(wrap(ControlEvent::Closed(id))).await);
            drop(permit);
        });
    }
}

async fn serve<E>(
    id: ConnectionId,
    stream: UnixStream,
    events: &mpsc::Sender<E>,
    wrap: fn(ControlEvent) -> E,
) {
    let (lines_tx, lines) = mpsc::channel(OUTBOUND_MAX);
    let (reader, writer) = stream.into_split();
    let opened = wrap(ControlEvent::Opened(id, lines_tx.clone()));
    if events.send(opened).await.is_err() {
        return;
    }
    let reading = async {
        read(id, reader, events, wrap, &lines_tx).await;
        // What was asked for is still answered after the client has closed its side.
        drop(lines_tx);
        drop(events.send(wrap(ControlEvent::Closed(id))).await);
    };
    tokio::join!(reading, write(writer, lines));
}

async fn read<E>(
    id: ConnectionId,
    reader: OwnedReadHalf,
    events: &mpsc::Sender<E>,
    wrap: fn(ControlEvent) -> E,
    answers: &mpsc::Sender<String>,
) {
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut reader = BufReader::new(reader);
    loop {
        let mut bytes = Vec::new();
        let mut line = (&mut reader).take(limit.saturating_add(1));
        match line.read_until(b'\n', &mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let is_whole = bytes.last() == Some(&b'\n');
        let line = bytes.trim_ascii();
        if line.is_empty() && is_whole {
            continue;
        }
        let refused = match parse(line) {
            Ok(line) => {
                let line = wrap(ControlEvent::Line(id, Box::new(line)));
                if events.send(line).await.is_err() {
                    return;
                }
                continue;
            }
            Err(bad) => Answer::refused(None, "BAD_REQUEST", bad.to_string()),
        };
        // Behind a line without an end nothing can be understood.
        if answers.send(encode_line(&refused)).await.is_err() || !is_whole {
            return;
        }
    }
}

async fn write(mut writer: OwnedWriteHalf, mut lines: mpsc::Receiver<String>) {
    while let Some(line) = lines.recv().await {
        if writer.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next_line(client: &mut BufReader<UnixStream>) -> Option<String> {
        let mut line = String::new();
        let count = client.read_line(&mut line).await.unwrap();
        (count > 0).then_some(line)
    }

    #[tokio::test]
    async fn lines_come_in_answers_go_out_and_hostile_ones_end_the_connection() {
        let directory = tempfile::tempdir().unwrap();
        let path = socket_path(directory.path());
        // What an agent that was killed has left behind.
        std::fs::write(&path, "").unwrap();
        let listener = bind(directory.path()).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let (events_tx, mut events) = mpsc::channel(16);
        let server = tokio::spawn(run(listener, events_tx, |event| event));

        let mut client = BufReader::new(UnixStream::connect(&path).await.unwrap());
        let Some(ControlEvent::Opened(id, lines)) = events.recv().await else {
            panic!("not opened");
        };
        let said = b"\n{\"id\":7,\"command\":\"status\"}\nnonsense\n";
        client.get_mut().write_all(said).await.unwrap();
        let line = events.recv().await;
        let is_status = |line: &Line| *line == Line::Status { id: 7 };
        assert!(
            matches!(&line, Some(ControlEvent::Line(from, line)) if *from == id && is_status(line)),
            "{line:?}"
        );
        let refused = next_line(&mut client).await.unwrap();
        assert!(refused.contains("BAD_REQUEST"), "{refused}");
        lines.send("answer\n".to_owned()).await.unwrap();
        assert_eq!(next_line(&mut client).await.unwrap(), "answer\n");

        // A line without an end, longer than any line may be.
        let endless = vec![b' '; LINE_BYTES_MAX + 10];
        client.get_mut().write_all(&endless).await.unwrap();
        let refused = next_line(&mut client).await.unwrap();
        assert!(refused.contains("BAD_REQUEST"), "{refused}");
        assert!(matches!(events.recv().await, Some(ControlEvent::Closed(from)) if from == id));
        drop(lines);
        assert_eq!(next_line(&mut client).await, None);
        server.abort();
    }
}

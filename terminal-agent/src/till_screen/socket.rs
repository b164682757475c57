//! The till's end of the control socket: connects, again and again, and carries lines.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Event;
use crate::control::message::Heard;
use crate::control::socket_path;
use crate::machine::till::{Absence, Input};

/// The longest line that is read: a status with many open transactions.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Lines that wait for the agent.
const OUTBOUND_MAX: usize = 64;
/// How long until the next try. A cashier who has started the agent looks at the screen; nothing
/// tells a client that somebody listens again.
const RETRY: Duration = Duration::from_millis(500);

/// Connects until nobody listens to `events` any more.
pub(super) async fn run(state_dir: PathBuf, events: mpsc::Sender<Event>) {
    loop {
        let absence = connect(&state_dir, &events).await;
        let absent = Event::Machine(Input::Absent(absence));
        if events.send(absent).await.is_err() {
            return;
        }
        sleep(RETRY).await;
    }
}

async fn connect(state_dir: &Path, events: &mpsc::Sender<Event>) -> Absence {
    let stream = match UnixStream::connect(socket_path(state_dir)).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Absence::Forbidden,
        Err(_) => return Absence::NotRunning,
    };
    let (reader, writer) = stream.into_split();
    let (lines_tx, lines) = mpsc::channel(OUTBOUND_MAX);
    if events.send(Event::Opened(lines_tx)).await.is_ok() {
        // Whichever ends first ends both: half a connection is none.
        tokio::select! {
            () = read(reader, events) => {}
            () = write(writer, lines) => {}
        }
    }
    Absence::NotRunning
}

async fn read(reader: OwnedReadHalf, events: &mpsc::Sender<Event>) {
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let read = (&mut reader)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .await;
        if !matches!(read, Ok(1..)) || line.last() != Some(&b'\n') {
            return;
        }
        if let Some(heard) = Heard::parse(&line) {
            let heard = Event::Machine(Input::Heard(Box::new(heard)));
            if events.send(heard).await.is_err() {
                return;
            }
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

//! A serial port that is opened again whenever it disappears.
//!
//! Works with anything that looks like a terminal: RS-232, USB CDC, a pseudo-terminal behind a
//! symbolic link. An end of file is a disconnect, never a reason to read again at once.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_serial::{ClearBuffer, SerialPort, SerialPortBuilderExt, SerialStream};

/// First delay before the port is tried again.
const REOPEN_DELAY_MS_MIN: u64 = 100;
/// Longest delay: how long a technician waits after plugging it in.
const REOPEN_DELAY_MS_MAX: u64 = 2_000;
/// How long one write may take. A printer that is busy holds the line for a second or two.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of one read; a reader frame is below 4 KiB.
const READ_BYTES: usize = 4_096;
/// Writes that wait for the port.
const WRITES_MAX: usize = 256;

/// Which port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSettings {
    /// Device path.
    pub path: PathBuf,
    /// Bits per second.
    pub baud: u32,
}

/// What a port reports.
#[derive(Debug)]
pub enum PortEvent {
    /// It is open; writes go in here until it closes.
    Opened(mpsc::Sender<Vec<u8>>),
    /// Bytes came.
    Bytes(Vec<u8>),
    /// So many bytes have gone to the system.
    Written(usize),
    /// It is gone.
    Closed,
}

/// Keeps a port open until nobody listens to `events` any more.
pub async fn run<E>(settings: PortSettings, events: mpsc::Sender<E>, wrap: fn(PortEvent) -> E) {
    let mut delay_ms = REOPEN_DELAY_MS_MIN;
    let mut is_reported = false;
    while !events.is_closed() {
        match open(&settings.path, settings.baud) {
            Ok(stream) => {
                tracing::info!(path = %settings.path.display(), "port open");
                (delay_ms, is_reported) = (REOPEN_DELAY_MS_MIN, false);
                let error = converse(stream, &events, wrap).await;
                tracing::warn!(path = %settings.path.display(), %error, "port closed");
                if events.send(wrap(PortEvent::Closed)).await.is_err() {
                    return;
                }
            }
            Err(error) if !is_reported => {
                is_reported = true;
                tracing::warn!(path = %settings.path.display(), %error, "port does not open");
            }
            Err(_) => {}
        }
        sleep(Duration::from_millis(delay_ms)).await;
        delay_ms = delay_ms.saturating_mul(2).min(REOPEN_DELAY_MS_MAX);
    }
}

fn open(path: &Path, baud: u32) -> io::Result<SerialStream> {
    let stream = tokio_serial::new(path.to_string_lossy(), baud).open_native_async()?;
    // What a device said to nobody belongs to no conversation.
    stream.clear(ClearBuffer::Input)?;
    Ok(stream)
}

async fn converse<E>(
    stream: SerialStream,
    events: &mpsc::Sender<E>,
    wrap: fn(PortEvent) -> E,
) -> io::Error {
    let (writes_tx, writes) = mpsc::channel(WRITES_MAX);
    if events
        .send(wrap(PortEvent::Opened(writes_tx)))
        .await
        .is_err()
    {
        return io::ErrorKind::BrokenPipe.into();
    }
    let (reader, writer) = tokio::io::split(stream);
    tokio::select! {
        error = read(reader, events, wrap) => error,
        error = write(writer, writes, events, wrap) => error,
    }
}

async fn read<E>(
    mut port: ReadHalf<SerialStream>,
    events: &mpsc::Sender<E>,
    wrap: fn(PortEvent) -> E,
) -> io::Error {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match port.read(&mut buffer).await {
            Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                if events.send(wrap(PortEvent::Bytes(bytes))).await.is_err() {
                    return io::ErrorKind::BrokenPipe.into();
                }
            }
            Err(error) => return error,
        }
    }
}

async fn write<E>(
    mut port: WriteHalf<SerialStream>,
    mut writes: mpsc::Receiver<Vec<u8>>,
    events: &mpsc::Sender<E>,
    wrap: fn(PortEvent) -> E,
) -> io::Error {
    while let Some(bytes) = writes.recv().await {
        // No flush: it would block the thread until the line is drained.
        let written = timeout(WRITE_TIMEOUT, port.write_all(&bytes));
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(_) => return io::ErrorKind::TimedOut.into(),
        }
        if events
            .send(wrap(PortEvent::Written(bytes.len())))
            .await
            .is_err()
        {
            break;
        }
    }
    io::ErrorKind::BrokenPipe.into()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::symlink;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// The device's end of a pseudo-terminal, and where the agent's end is.
    fn pseudo_terminal() -> (File, PathBuf) {
        let device: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&device).unwrap();
        unlockpt(&device).unwrap();
        let name = ptsname(&device, Vec::new()).unwrap();
        (
            File::from(device),
            PathBuf::from(name.into_string().unwrap()),
        )
    }

    async fn opened(events: &mut mpsc::Receiver<PortEvent>) -> mpsc::Sender<Vec<u8>> {
        match events.recv().await {
            Some(PortEvent::Opened(writes)) => writes,
            other => panic!("not opened: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_port_behind_a_link_carries_bytes_disappears_and_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("reader");
        let (mut device, name) = pseudo_terminal();
        symlink(&name, &path).unwrap();
        let (events_tx, mut events) = mpsc::channel(16);
        let settings = PortSettings {
            path: path.clone(),
            baud: 115_200,
        };
        let agent = tokio::spawn(run(settings, events_tx, |event| event));

        let writes = opened(&mut events).await;
        device.write_all(b"\x00\x0D\x11\x13\xFF").unwrap();
        let mut heard = Vec::new();
        while heard.len() < 5 {
            match events.recv().await {
                Some(PortEvent::Bytes(bytes)) => heard.extend(bytes),
                other => panic!("no bytes: {other:?}"),
            }
        }
        assert_eq!(
            heard, b"\x00\x0D\x11\x13\xFF",
            "a serial line changes nothing"
        );
        writes.send(b"\n\x03".to_vec()).await.unwrap();
        assert!(matches!(events.recv().await, Some(PortEvent::Written(2))));
        let mut said = [0; 2];
        device.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"\n\x03");

        drop(device);
        let closed = events.recv().await;
        assert!(matches!(closed, Some(PortEvent::Closed)), "{closed:?}");
        assert!(
            writes.is_closed(),
            "nothing is written for an earlier opening"
        );
        let (device, name) = pseudo_terminal();
        std::fs::remove_file(&path).unwrap();
        symlink(&name, &path).unwrap();
        opened(&mut events).await;
        drop(device);
        agent.abort();
    }
}

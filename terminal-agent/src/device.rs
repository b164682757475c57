//! Ports to the devices: found, opened, watched, and opened again when they come back.
//!
//! They carry bytes and know no device's language. A port that is away costs one look every other
//! second; one that is silent costs nothing.
//!
//! [`endpoint`] is what a configuration says, [`listing`] and [`sysfs`] find the device file,
//! `open` opens it, [`fault`] says why not, [`survey`] shows a technician all there is.

mod backoff;
pub mod endpoint;
pub mod fault;
mod framing;
pub mod holder;
pub mod listing;
mod node;
mod open;
pub mod permission;
mod serial;
pub mod survey;
pub mod sysfs;
mod tcp;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use backoff::Backoff;
use endpoint::{Endpoint, Role};
use fault::{PortFault, PortHealth};
use framing::Framing;
pub use open::{Located, locate};
use open::{OpenPort, Stream};
use serial::ModemLines;

/// Bytes of one read; a reader frame is below 4 KiB.
const READ_BYTES: usize = 4_096;
/// Writes that wait for the port.
const WRITES_MAX: usize = 256;
/// How long a reader may take to accept one write: its frames are short and it never makes the
/// host wait.
const READER_WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a printer may: longer than the print machine waits for a person, who brings paper.
const PRINTER_WRITE_PATIENCE: Duration = Duration::from_secs(20 * 60);
/// How often a write that hangs looks whether anybody still wants it.
const HUNG_WRITE_LOOK: Duration = Duration::from_secs(1);
/// How often the modem lines are looked at while bytes wait for them, and only then.
const MODEM_LINES_LOOK: Duration = Duration::from_millis(50);
/// Between two reads of a USB printer that had nothing to say.
const NOTHING_SAID_PAUSE: Duration = Duration::from_millis(100);
/// The gap within a frame (card-reader.md §1): what has not come by then does not come.
const FRAME_GAP: Duration = Duration::from_millis(250);

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
    /// It is otherwise than before.
    Health(PortHealth),
}

/// Keeps a port open until nobody listens to `events` any more.
pub async fn run<E>(endpoint: Endpoint, events: mpsc::Sender<E>, wrap: fn(PortEvent) -> E) {
    let wake_ups = WakeUps::default();
    Port::new(endpoint, events, wrap, wake_ups).run().await;
}

/// How often a port's task has come to run: what an idle port costs.
#[derive(Debug, Clone, Default)]
struct WakeUps(Arc<AtomicU64>);

impl WakeUps {
    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Port<E> {
    endpoint: Endpoint,
    events: mpsc::Sender<E>,
    wrap: fn(PortEvent) -> E,
    health: PortHealth,
    wake_ups: WakeUps,
}

/// Nobody listens any more.
struct Abandoned;

impl<E> Port<E> {
    fn new(
        endpoint: Endpoint,
        events: mpsc::Sender<E>,
        wrap: fn(PortEvent) -> E,
        wake_ups: WakeUps,
    ) -> Self {
        Self {
            endpoint,
            events,
            wrap,
            health: PortHealth::Starting,
            wake_ups,
        }
    }

    async fn run(mut self) {
        let mut backoff = Backoff::new();
        // Ends with an error only.
        while self.attempt(&mut backoff).await.is_ok() {
            sleep(Duration::from_millis(backoff.next_ms())).await;
            self.wake_ups.add();
        }
    }

    /// Opens the port and serves it until it is lost.
    async fn attempt(&mut self, backoff: &mut Backoff) -> Result<(), Abandoned> {
        if self.events.is_closed() {
            return Err(Abandoned);
        }
        let port = match open::open(&self.endpoint).await {
            Ok(port) => port,
            Err(fault) => return self.become_faulty(fault).await,
        };
        let name = port.name.clone();
        let open = PortHealth::Open { port: name.clone() };
        self.become_healthy(open).await?;
        let (error, has_heard) = self.converse(port).await;
        if has_heard {
            backoff.reset();
        }
        self.tell(PortEvent::Closed).await?;
        let reason = reason_of(&error);
        self.become_faulty(PortFault::Lost { port: name, reason })
            .await
    }

    async fn become_faulty(&mut self, fault: PortFault) -> Result<(), Abandoned> {
        // Compared before the holder is looked for: that is done once.
        let health = PortHealth::Faulty(fault.clone());
        if self.health == health {
            return Ok(());
        }
        self.health = health;
        let shown = PortHealth::Faulty(fault.with_holder());
        shown.log(self.endpoint.role);
        self.tell(PortEvent::Health(shown)).await
    }

    async fn become_healthy(&mut self, health: PortHealth) -> Result<(), Abandoned> {
        self.health = health.clone();
        health.log(self.endpoint.role);
        self.tell(PortEvent::Health(health)).await
    }

    async fn tell(&self, event: PortEvent) -> Result<(), Abandoned> {
        let sent = self.events.send((self.wrap)(event)).await;
        sent.map_err(|_| Abandoned)
    }

    /// Gives why it ended, and whether the device has said anything.
    async fn converse(&self, port: OpenPort) -> (io::Error, bool) {
        let (writes_tx, writes) = mpsc::channel(WRITES_MAX);
        if self.tell(PortEvent::Opened(writes_tx)).await.is_err() {
            return (io::ErrorKind::BrokenPipe.into(), false);
        }
        let is_framed = !matches!(port.framing, Framing::Raw);
        let (reader, writer) = tokio::io::split(port.stream);
        let mut listening = Listening {
            port: reader,
            framing: port.framing,
            nothing_is_the_end: port.nothing_is_the_end,
            has_heard: false,
        };
        let mut saying = Saying {
            port: writer,
            is_framed,
            lines: port.lines.map(DataSetReady::Lines),
            patience: match self.endpoint.role {
                Role::Reader => READER_WRITE_PATIENCE,
                Role::Printer => PRINTER_WRITE_PATIENCE,
            },
            writes,
        };
        let error = tokio::select! {
            error = listening.run(self) => error,
            error = saying.run(self) => error,
        };
        (error, listening.has_heard)
    }
}

/// What the system says, or what its silence means.
fn reason_of(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the other end has hung up".to_owned(),
        io::ErrorKind::TimedOut => "it does not take what is written".to_owned(),
        io::ErrorKind::BrokenPipe => "it does not keep up with what is written".to_owned(),
        _ => error.to_string(),
    }
}

struct Listening {
    port: ReadHalf<Box<dyn Stream>>,
    framing: Framing,
    nothing_is_the_end: bool,
    has_heard: bool,
}

impl Listening {
    async fn run<E>(&mut self, task: &Port<E>) -> io::Error {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = self.port.read(&mut buffer);
            let read = if self.framing.is_partial() {
                match timeout(FRAME_GAP, read).await {
                    Ok(read) => read,
                    Err(_) => {
                        task.wake_ups.add();
                        self.framing.abandon();
                        continue;
                    }
                }
            } else {
                read.await
            };
            task.wake_ups.add();
            let count = match read {
                Ok(0) if self.nothing_is_the_end => return io::ErrorKind::UnexpectedEof.into(),
                Ok(0) => {
                    sleep(NOTHING_SAID_PAUSE).await;
                    continue;
                }
                Ok(count) => count,
                Err(error) => return error,
            };
            self.has_heard = true;
            let bytes = self.framing.hear(buffer.get(..count).unwrap_or_default());
            if !bytes.is_empty() && task.tell(PortEvent::Bytes(bytes)).await.is_err() {
                return io::ErrorKind::BrokenPipe.into();
            }
        }
    }
}

/// Whether the device takes data, by a line beside them.
enum DataSetReady {
    Lines(ModemLines),
    #[cfg(test)]
    Trial(Box<dyn FnMut() -> io::Result<bool> + Send>),
}

impl DataSetReady {
    fn is_on(&mut self) -> io::Result<bool> {
        match self {
            Self::Lines(lines) => lines.is_ready(),
            #[cfg(test)]
            Self::Trial(trial) => trial(),
        }
    }
}

struct Saying {
    port: WriteHalf<Box<dyn Stream>>,
    is_framed: bool,
    lines: Option<DataSetReady>,
    patience: Duration,
    writes: mpsc::Receiver<Vec<u8>>,
}

impl Saying {
    async fn run<E>(&mut self, task: &Port<E>) -> io::Error {
        while let Some(bytes) = self.writes.recv().await {
            task.wake_ups.add();
            let count = bytes.len();
            if let Err(error) = self.write(bytes).await {
                return error;
            }
            if task.tell(PortEvent::Written(count)).await.is_err() {
                break;
            }
        }
        // The machine has let go of this opening.
        io::ErrorKind::BrokenPipe.into()
    }

    async fn write(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let pieces = if self.is_framed {
            framing::reports(&bytes).map_err(io::Error::other)?
        } else {
            vec![bytes]
        };
        for piece in pieces {
            self.wait_until_ready().await?;
            self.write_piece(&piece).await?;
        }
        Ok(())
    }

    /// Bounded by the machine, which gives a port up that takes nothing: no patience of its own.
    async fn wait_until_ready(&mut self) -> io::Result<()> {
        let Some(lines) = &mut self.lines else {
            return Ok(());
        };
        while !lines.is_on()? {
            if self.writes.is_closed() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            sleep(MODEM_LINES_LOOK).await;
        }
        Ok(())
    }

    async fn write_piece(&mut self, piece: &[u8]) -> io::Result<()> {
        // No flush: it would block the thread until the line is drained.
        let written = self.port.write_all(piece);
        tokio::pin!(written);
        let mut waited = Duration::ZERO;
        while waited < self.patience {
            match timeout(HUNG_WRITE_LOOK, &mut written).await {
                Ok(result) => return result,
                Err(_) if self.writes.is_closed() => return Err(io::ErrorKind::BrokenPipe.into()),
                Err(_) => waited = waited.saturating_add(HUNG_WRITE_LOOK),
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

#[cfg(test)]
mod tests;

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
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use backoff::Backoff;
use endpoint::{Endpoint, Role};
use fault::{PortFault, PortHealth};
use framing::Framing;
pub use open::{Located, locate};
use open::{OpenPort, Stream};
use serial::Wire;

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
/// How often a serial line is looked at while the device makes bytes wait, and only then: waiting
/// for the wire or an empty line (TIOCMIWAIT, tcdrain) would hold a thread that nobody can wake.
const WIRE_LOOK: Duration = Duration::from_millis(50);
/// Between two reads of a USB printer that had nothing to say: such a read comes back at once, and
/// to read again at once would be a busy loop.
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
    /// The device's busy wire changed, where the port has one and the configuration says so. Not
    /// busy after opening.
    Busy(bool),
    /// So many bytes have gone to the system; of a serial printer, onto the line.
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
struct WakeUps(watch::Sender<u64>);

impl WakeUps {
    fn add(&self) {
        self.0.send_modify(|count| *count = count.saturating_add(1));
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
            wire: port.wire,
            is_busy: false,
            baud: self.endpoint.baud,
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

struct Saying {
    port: WriteHalf<Box<dyn Stream>>,
    is_framed: bool,
    wire: Option<Box<dyn Wire>>,
    is_busy: bool,
    baud: u32,
    patience: Duration,
    writes: mpsc::Receiver<Vec<u8>>,
}

impl Saying {
    async fn run<E>(&mut self, task: &Port<E>) -> io::Error {
        loop {
            let done = tokio::select! {
                bytes = self.writes.recv() => match bytes {
                    Some(bytes) => self.write(bytes, task).await,
                    // The machine has let go of this opening.
                    None => Err(io::ErrorKind::BrokenPipe.into()),
                },
                () = sleep(WIRE_LOOK), if self.is_busy => self.look(task).await,
            };
            task.wake_ups.add();
            if let Err(error) = done {
                return error;
            }
        }
    }

    /// A busy device is still written to: the machine holds data back when it hears of it, and
    /// knows which questions are answered all the same.
    async fn write<E>(&mut self, bytes: Vec<u8>, task: &Port<E>) -> io::Result<()> {
        let count = bytes.len();
        let pieces = if self.is_framed {
            framing::reports(&bytes).map_err(io::Error::other)?
        } else {
            vec![bytes]
        };
        self.look(task).await?;
        for piece in pieces {
            self.write_piece(&piece).await?;
        }
        self.drain(count, task).await?;
        self.look(task).await?;
        let told = task.tell(PortEvent::Written(count)).await;
        told.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Tells the machine when the busy wire has changed.
    async fn look<E>(&mut self, task: &Port<E>) -> io::Result<()> {
        let Some(wire) = &mut self.wire else {
            return Ok(());
        };
        let is_busy = wire.is_busy()?;
        if is_busy == self.is_busy {
            return Ok(());
        }
        self.is_busy = is_busy;
        let told = task.tell(PortEvent::Busy(is_busy)).await;
        told.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Waits until what was written is on the line. The system takes thousands of bytes at once;
    /// a printer that says that it is busy has room for a few dozen.
    async fn drain<E>(&mut self, count: usize, task: &Port<E>) -> io::Result<()> {
        let mut pause = time_on_the_line(count, self.baud);
        let mut waited = Duration::ZERO;
        while self
            .wire
            .as_mut()
            .is_some_and(|wire| wire.unsent_bytes() > 0)
        {
            if self.writes.is_closed() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            if waited >= self.patience {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sleep(pause).await;
            waited = waited.saturating_add(pause);
            pause = WIRE_LOOK;
            self.look(task).await?;
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

/// With start and stop bit a byte is ten bits.
fn time_on_the_line(bytes: usize, baud: u32) -> Duration {
    let bits = u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(10);
    let time = Duration::from_secs(1).saturating_mul(bits) / baud.max(1);
    time.clamp(Duration::from_millis(1), WIRE_LOOK)
}

#[cfg(test)]
mod tests;

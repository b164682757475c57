//! Stands between a real agent and both of its neighbours, the reader and the engine, passes
//! everything on, and notes when it passed.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use firmware_sim::pty::Pty;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// As much as a pseudo-terminal gives at once.
const READ_LENGTH: usize = 4_096;

/// From where to where, as the agent sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    FromReader,
    ToReader,
    FromEngine,
    ToEngine,
}

/// Bytes that passed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passed {
    pub(crate) way: Way,
    /// When the agent was given them, or had given them.
    pub(crate) at: Instant,
    pub(crate) count: usize,
}

type Log = Arc<Mutex<Vec<Passed>>>;

/// A relay at work on a thread of its own.
#[derive(Debug)]
pub(crate) struct Relay {
    log: Log,
    /// Where the agent finds the engine.
    pub(crate) address: SocketAddr,
}

impl Relay {
    /// Stands before the engine at `engine` and the reader whose cable ends at `reader`; the
    /// agent's end of a new cable is at `plug`.
    ///
    /// # Errors
    /// When one of them is not there.
    pub(crate) fn start(engine: &str, reader: &Path, plug: &Path) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let log = Log::default();
        let (listener, pty, from_reader, to_reader) = runtime.block_on(async {
            let port = OpenOptions::new().read(true).write(true).clone();
            let (from_reader, to_reader) = (port.open(reader).await?, port.open(reader).await?);
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            io::Result::Ok((listener, Arc::new(Pty::open(plug)?), from_reader, to_reader))
        })?;
        let relay = Self {
            log: Arc::clone(&log),
            address: listener.local_addr()?,
        };
        let engine = engine.to_owned();
        let thread = std::thread::Builder::new().name("relay".to_owned());
        thread.spawn(move || {
            runtime.block_on(async {
                tokio::spawn(carry_from_reader(
                    from_reader,
                    Arc::clone(&pty),
                    Arc::clone(&log),
                ));
                tokio::spawn(carry_to_reader(pty, to_reader, Arc::clone(&log)));
                while let Ok((agent, _)) = listener.accept().await {
                    tokio::spawn(carry_link(agent, engine.clone(), Arc::clone(&log)));
                }
            });
        })?;
        Ok(relay)
    }

    /// What has passed since this was last asked.
    pub(crate) fn take(&self) -> Vec<Passed> {
        std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn note(log: &Log, way: Way, count: usize) {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    let at = Instant::now();
    log.push(Passed { way, at, count });
}

async fn carry_from_reader(mut reader: File, agent: Arc<Pty>, log: Log) -> io::Result<()> {
    let mut buffer = [0; READ_LENGTH];
    loop {
        let count = reader.read(&mut buffer).await?;
        note(&log, Way::FromReader, count);
        agent.write(&buffer[..count])?;
    }
}

async fn carry_to_reader(agent: Arc<Pty>, mut reader: File, log: Log) -> io::Result<()> {
    let mut buffer = [0; READ_LENGTH];
    loop {
        let count = agent.read(&mut buffer).await?;
        note(&log, Way::ToReader, count);
        reader.write_all(&buffer[..count]).await?;
        reader.flush().await?;
    }
}

async fn carry_link(agent: TcpStream, engine: String, log: Log) -> io::Result<()> {
    let engine = TcpStream::connect(engine).await?;
    agent.set_nodelay(true)?;
    engine.set_nodelay(true)?;
    let (from_agent, to_agent) = agent.into_split();
    let (from_engine, to_engine) = engine.into_split();
    let up = carry(from_agent, to_engine, Way::ToEngine, &log);
    let down = carry(from_engine, to_agent, Way::FromEngine, &log);
    tokio::select! {
        ended = up => ended,
        ended = down => ended,
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: Way,
    log: &Log,
) -> io::Result<()> {
    let mut buffer = [0; READ_LENGTH];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        note(log, way, count);
        to.write_all(&buffer[..count]).await?;
    }
}

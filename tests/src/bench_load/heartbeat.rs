//! The floor of idle links: as many bare TCP connections, with as many pings of the same size at the
//! same instants, each answered; and at the serving end nothing but that. It is a process of its own
//! (this program again), so that its cost is measured as the engine's is.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use engine::agent_link::pulse::{Beat, Pulse};
use engine::domain::time::Timestamp;
use harness::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::machine;

/// A ping of a link with the WebSocket's header; the answer is the same, and no mask.
const PING: [u8; 7] = *b"\x82\x05\xa4ping";
/// Connections that wait to be accepted.
const BACKLOG: u32 = 4_096;

/// Serves until its parent closes its standard input: pings every connection, and takes the answers.
///
/// # Errors
/// When it cannot listen.
pub(crate) fn serve() -> io::Result<()> {
    let runtime = runtime()?;
    let begun = Instant::now();
    runtime.block_on(async move {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((std::net::Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = socket.listen(BACKLOG)?;
        println!("{}", listener.local_addr()?);
        tokio::spawn(accept(listener, begun));
        tokio::task::spawn_blocking(|| io::stdin().read_line(&mut String::new())).await??;
        Ok(())
    })
}

async fn accept(listener: TcpListener, begun: Instant) {
    for number in 1.. {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        tokio::spawn(async move { beat(stream, number, begun).await.ok() });
    }
}

async fn beat(mut stream: TcpStream, number: u64, begun: Instant) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let now = || Timestamp(i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX));
    let mut pulse = Pulse::begin(number, now());
    pulse.welcome();
    let mut answer = [0; PING.len()];
    loop {
        let pause_ms = pulse.poll_deadline().since_ms(now());
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        if pulse.beat(now()) == Some(Beat::Ping) {
            stream.write_all(&PING).await?;
            stream.read_exact(&mut answer).await?;
            pulse.hear(now());
        }
    }
}

/// The other process, and connections to it.
#[derive(Debug)]
pub(crate) struct Floor {
    child: Child,
    /// While it is there, the thread of the answering end is.
    _stays: oneshot::Sender<()>,
}

impl Floor {
    /// Opens so many connections, which answer from a thread of their own.
    ///
    /// # Errors
    /// When they do not come up.
    pub(crate) fn open(count: usize) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--serve-heartbeats")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut address)?;
        }
        let (stays, ends) = oneshot::channel::<()>();
        let floor = Self {
            child,
            _stays: stays,
        };
        let open = Arc::new(AtomicUsize::new(0));
        let (runtime, all) = (runtime()?, Arc::clone(&open));
        std::thread::Builder::new()
            .name("echoes".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::spawn(connect(address.trim().to_owned(), count, all));
                    // Until the other end is dropped.
                    ends.await.ok();
                });
            })?;
        let is_open = || (open.load(Ordering::Relaxed) == count).then_some(());
        until("bare connections", is_open)
            .ok_or_else(|| io::Error::other("not all bare connections came up"))?;
        Ok(floor)
    }

    /// Processor time that the serving end took within so long, seconds.
    pub(crate) fn cpu_s(&self, time: Duration) -> f64 {
        let before_s = machine::cpu_s(self.child.id());
        std::thread::sleep(time);
        machine::cpu_s(self.child.id()) - before_s
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

async fn connect(address: String, count: usize, open: Arc<AtomicUsize>) {
    for _ in 0..count {
        let Ok(stream) = TcpStream::connect(&address).await else {
            return;
        };
        open.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move { echo(stream).await.ok() });
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut ping = [0; PING.len()];
    loop {
        stream.read_exact(&mut ping).await?;
        stream.write_all(&ping).await?;
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

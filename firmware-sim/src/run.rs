//! The loop that gives the device machines bytes, time and hands.
//!
//! Owns sockets, pseudo-terminals and order: one input at a time. It never decides anything that
//! a device machine could.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::control::{self, Asked};
use crate::device::{ControlError, ControlRequest, Device};
use crate::gadget::Gadget;
use crate::network::Network;
use crate::pty::Pty;
use crate::script::Script;

/// Bounds what waits for the loop; arbitrary.
const QUEUE_LENGTH: usize = 64;
/// As much as a pseudo-terminal gives at once.
const READ_LENGTH: usize = 4_096;

/// The control socket in the simulator's directory.
pub fn control_socket(dir: &Path) -> PathBuf {
    dir.join("control.sock")
}

/// A device and how hosts reach it.
pub struct Plugged {
    /// The name in control commands, and of its pseudo-terminal (`NAME.pty`).
    pub name: &'static str,
    /// The machine.
    pub device: Box<dyn Device>,
    /// Other ways to it.
    pub reach: Reach,
}

/// How a device is reached besides its pseudo-terminal.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// At this address of the network; `DIR/NAME.tcp` says at which port.
    pub network: Option<SocketAddr>,
    /// Through this device file of a USB gadget.
    pub gadget: Option<PathBuf>,
}

struct Port {
    name: &'static str,
    device: Box<dyn Device>,
    cable: Cable,
}

/// The way to the host, which can be pulled and put back.
struct Cable {
    path: PathBuf,
    /// Which port it is of.
    place: usize,
    heard: mpsc::Sender<(usize, Vec<u8>)>,
    reach: Reach,
    plugged: Option<(Arc<Pty>, JoinHandle<()>)>,
    network: Option<Network>,
    gadget: Option<Gadget>,
}

impl Cable {
    fn plug_in(&mut self) -> io::Result<()> {
        if self.plugged.is_none() {
            let pty = Arc::new(Pty::open(&self.path)?);
            let listener = listen(Arc::clone(&pty), self.place, self.heard.clone());
            self.plugged = Some((pty, tokio::spawn(listener)));
        }
        if let Some(path) = &self.reach.gadget {
            self.gadget = Some(Gadget::open(path, self.place, self.heard.clone())?);
        }
        if let Some(address) = self.reach.network
            && self.network.is_none()
        {
            let network = Network::open(address, self.place, self.heard.clone())?;
            // The same port again when the cable is put back.
            self.reach.network = Some(network.address());
            let text = format!("{}\n", network.address());
            fs::write(self.path.with_extension("tcp"), text)?;
            self.network = Some(network);
        }
        Ok(())
    }

    /// The host sees its end hang up.
    fn unplug(&mut self) {
        if let Some((_, listener)) = self.plugged.take() {
            listener.abort();
        }
        self.network = None;
        self.gadget = None;
    }
}

enum Input {
    Host { port: usize, bytes: Vec<u8> },
    Asked(Asked),
    Time,
    Stop,
}

/// Runs the devices in `dir` until a termination signal comes.
///
/// The control socket appears last: once it is there, everything else is too.
///
/// # Errors
/// When the pseudo-terminals, links or the socket cannot be made, or fail later.
pub async fn run(
    dir: &Path,
    devices: Vec<Plugged>,
    script: Script,
    clock: Clock,
) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let (host_tx, mut host_rx) = mpsc::channel(QUEUE_LENGTH);
    let ports = plug_in(dir, devices, &host_tx)?;
    let socket = Socket::bind(control_socket(dir))?;
    let (asked_tx, mut asked_rx) = mpsc::channel(QUEUE_LENGTH);
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut bench = Bench { ports, script };
    tracing::info!(dir = %dir.display(), "devices are plugged in");
    loop {
        let deadline_ms = bench.poll_deadline();
        let sleep = async {
            match deadline_ms {
                Some(deadline_ms) => tokio::time::sleep(clock.until(deadline_ms)).await,
                None => std::future::pending().await,
            }
        };
        let input = tokio::select! {
            Some((port, bytes)) = host_rx.recv() => Input::Host { port, bytes },
            Some(asked) = asked_rx.recv() => Input::Asked(asked),
            accepted = socket.listener.accept() => {
                let (stream, _) = accepted?;
                tokio::spawn(serve(stream, asked_tx.clone()));
                continue;
            }
            () = sleep => Input::Time,
            _ = terminated.recv() => Input::Stop,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                Input::Stop
            }
        };
        if !bench.handle(clock.now_ms(), input)? {
            return Ok(());
        }
    }
}

fn plug_in(
    dir: &Path,
    devices: Vec<Plugged>,
    host_tx: &mpsc::Sender<(usize, Vec<u8>)>,
) -> io::Result<Vec<Port>> {
    let mut ports = Vec::new();
    for (place, plugged) in devices.into_iter().enumerate() {
        let Plugged {
            name,
            device,
            reach,
        } = plugged;
        let mut cable = Cable {
            path: dir.join(format!("{name}.pty")),
            place,
            heard: host_tx.clone(),
            reach,
            plugged: None,
            network: None,
            gadget: None,
        };
        cable.plug_in()?;
        ports.push(Port {
            name,
            device,
            cable,
        });
    }
    Ok(ports)
}

async fn listen(pty: Arc<Pty>, port: usize, host_tx: mpsc::Sender<(usize, Vec<u8>)>) {
    let mut buffer = vec![0; READ_LENGTH];
    loop {
        match pty.read(&mut buffer).await {
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                if host_tx.send((port, bytes)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(%error, port, "pseudo-terminal failed");
                return;
            }
        }
    }
}

async fn serve(stream: tokio::net::UnixStream, asked_tx: mpsc::Sender<Asked>) {
    if let Err(error) = control::serve(stream, asked_tx).await {
        tracing::debug!(%error, "control connection broke");
    }
}

struct Bench {
    ports: Vec<Port>,
    script: Script,
}

impl Bench {
    fn poll_deadline(&self) -> Option<u64> {
        let devices = self.ports.iter().map(|port| port.device.poll_deadline());
        devices.chain([self.script.poll_deadline()]).flatten().min()
    }

    /// Gives whether to go on.
    fn handle(&mut self, now_ms: u64, input: Input) -> io::Result<bool> {
        match input {
            Input::Host { port, bytes } => {
                if let Some(port) = self.ports.get_mut(port) {
                    let answers = port.device.hear(now_ms, &bytes);
                    port.send(answers)?;
                }
            }
            Input::Asked(Asked { request, reply }) => {
                let outcome = match request {
                    Ok(request) => self.control(now_ms, &request)?,
                    Err(error) => Err(error),
                };
                // Who asked may have gone.
                drop(reply.send(control::answer(outcome)));
            }
            Input::Time => {}
            Input::Stop => return Ok(false),
        }
        for port in &mut self.ports {
            let was_attached = port.device.is_attached();
            let answers = port.device.tick(now_ms);
            if !was_attached && port.device.is_attached() {
                port.cable.plug_in()?;
            }
            port.send(answers)?;
            if !port.device.is_attached() {
                port.cable.unplug();
            }
        }
        self.follow_script(now_ms)?;
        Ok(true)
    }

    fn follow_script(&mut self, now_ms: u64) -> io::Result<()> {
        while let Some(request) = self.script.next_due(now_ms, self.reader_phase()) {
            if let Err(error) = self.control(now_ms, &request)? {
                tracing::warn!(%error, command = request.command, "script step failed");
            }
        }
        Ok(())
    }

    fn reader_phase(&self) -> &'static str {
        let reader = self.ports.iter().find(|port| port.name == "reader");
        reader.map_or("absent", |port| port.device.phase())
    }

    fn control(
        &mut self,
        now_ms: u64,
        request: &ControlRequest,
    ) -> io::Result<Result<Value, ControlError>> {
        if request.device == "all" && request.command == "status" {
            return Ok(Ok(self.status()));
        }
        let found = self
            .ports
            .iter_mut()
            .find(|port| port.name == request.device);
        let Some(port) = found else {
            let name = request.device.clone();
            return Ok(Err(ControlError::UnknownDevice { name }));
        };
        match request.command.as_str() {
            "unplug" => {
                port.cable.unplug();
                return Ok(Ok(Value::Null));
            }
            "plug-in" => {
                port.cable.plug_in()?;
                // What that means to the reader is its business; a printer does not know the word.
                let plugged_in = ControlRequest::new(port.name, "plug-in");
                if let Ok(answers) = port.device.control(now_ms, &plugged_in) {
                    port.send(answers)?;
                }
                return Ok(Ok(Value::Null));
            }
            _ => {}
        }
        match port.device.control(now_ms, request) {
            Ok(answers) => {
                port.send(answers)?;
                Ok(Ok(Value::Null))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn status(&self) -> Value {
        let devices = self.ports.iter();
        let entries: Map<_, _> = devices
            .map(|port| (port.name.to_owned(), port.device.status()))
            .collect();
        Value::Object(entries)
    }
}

impl Port {
    fn send(&self, answers: Vec<Vec<u8>>) -> io::Result<()> {
        // What a device says into a pulled cable is lost.
        let Some((pty, _)) = &self.cable.plugged else {
            return Ok(());
        };
        for bytes in answers {
            if let Some(gadget) = &self.cable.gadget {
                if !gadget.write(bytes) {
                    tracing::warn!(device = self.name, "host does not read; bytes are lost");
                }
                continue;
            }
            let network = self.cable.network.as_ref();
            if network.is_some_and(|network| network.write(&bytes)) {
                continue;
            }
            let taken = pty.write(&bytes)?;
            if taken < bytes.len() {
                tracing::warn!(device = self.name, "host does not read; bytes are lost");
            }
        }
        Ok(())
    }
}

/// A Unix socket that goes away with its owner.
struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    fn bind(path: PathBuf) -> io::Result<Self> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        Ok(Self { listener, path })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests;

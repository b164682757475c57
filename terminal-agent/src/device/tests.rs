//! Ports on pseudo-terminals: pulled, put back elsewhere, hung, silent.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::reader::frame::Response;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::OptionalActions;

use super::endpoint::{FlowControl, Place, PortKind, UsbSelector};
use super::sysfs::tests::Machine;
use super::*;

/// The device's end of a pseudo-terminal, and where the agent's end is.
pub(super) struct PseudoTerminal {
    device: File,
    pub(super) path: PathBuf,
}

impl PseudoTerminal {
    /// As the system makes it.
    pub(super) fn new() -> Self {
        let device: OwnedFd =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&device).unwrap();
        unlockpt(&device).unwrap();
        let name = ptsname(&device, Vec::new()).unwrap();
        Self {
            device: File::from(device),
            path: PathBuf::from(name.into_string().unwrap()),
        }
    }

    /// One that changes no byte, as a HID or printer node.
    pub(super) fn raw() -> Self {
        let terminal = Self::new();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let host = rustix::fs::open(&terminal.path, flags, Mode::empty()).unwrap();
        let mut attributes = rustix::termios::tcgetattr(&host).unwrap();
        attributes.make_raw();
        rustix::termios::tcsetattr(&host, OptionalActions::Now, &attributes).unwrap();
        terminal
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.device.write_all(bytes).unwrap();
    }

    pub(super) fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.device.read_exact(&mut bytes).unwrap();
        bytes
    }
}

fn endpoint(place: Place) -> Endpoint {
    Endpoint {
        role: Role::Reader,
        place,
        kind: None,
        baud: 115_200,
        flow: FlowControl::None,
        root: PathBuf::from("/"),
    }
}

/// A port's task, and what it says.
struct Agent {
    events: mpsc::Receiver<PortEvent>,
    wake_ups: WakeUps,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Agent {
    fn start(endpoint: Endpoint) -> Self {
        let (events_tx, events) = mpsc::channel(16);
        let wake_ups = WakeUps::default();
        let port = Port::new(endpoint, events_tx, |event| event, wake_ups.clone());
        Self {
            events,
            wake_ups,
            task: tokio::spawn(port.run()),
        }
    }

    async fn next(&mut self) -> PortEvent {
        self.events.recv().await.unwrap()
    }

    async fn opened(&mut self) -> (String, mpsc::Sender<Vec<u8>>) {
        let port = match self.next().await {
            PortEvent::Health(PortHealth::Open { port }) => port,
            other => panic!("not open: {other:?}"),
        };
        match self.next().await {
            PortEvent::Opened(writes) => (port, writes),
            other => panic!("not opened: {other:?}"),
        }
    }

    async fn fault(&mut self) -> PortFault {
        match self.next().await {
            PortEvent::Health(PortHealth::Faulty(fault)) => fault,
            other => panic!("no fault: {other:?}"),
        }
    }

    async fn hears(&mut self, expected: &[u8]) {
        let mut heard = Vec::new();
        while heard.len() < expected.len() {
            match self.next().await {
                PortEvent::Bytes(bytes) => heard.extend(bytes),
                PortEvent::Written(_) => {}
                other => panic!("no bytes: {other:?}"),
            }
        }
        assert_eq!(heard, expected);
    }

    async fn closes(&mut self) {
        assert!(matches!(self.next().await, PortEvent::Closed));
        assert_eq!(self.fault().await.code(), "PORT_LOST");
    }

    fn wake_ups(&self) -> u64 {
        *self.wake_ups.0.borrow()
    }

    async fn wakes_up_to(&self, count: u64) {
        let mut counted = self.wake_ups.0.subscribe();
        counted.wait_for(|now| *now >= count).await.unwrap();
    }
}

#[tokio::test]
async fn a_port_behind_a_link_carries_bytes_disappears_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("reader");
    let mut terminal = PseudoTerminal::new();
    symlink(&terminal.path, &path).unwrap();
    let mut agent = Agent::start(endpoint(Place::Path(path.clone())));

    let (name, writes) = agent.opened().await;
    assert_eq!(Path::new(&name), path);
    terminal.write(b"\x00\x0D\x11\x13\xFF");
    // A serial line changes nothing.
    agent.hears(b"\x00\x0D\x11\x13\xFF").await;
    writes.send(b"\n\x03".to_vec()).await.unwrap();
    assert!(matches!(agent.next().await, PortEvent::Written(2)));
    assert_eq!(terminal.read(2), b"\n\x03");

    drop(terminal);
    agent.closes().await;
    assert!(
        writes.is_closed(),
        "nothing is written for an earlier opening"
    );
    assert_eq!(agent.fault().await.code(), "PORT_NOT_FOUND");
    let terminal = PseudoTerminal::new();
    std::fs::remove_file(&path).unwrap();
    symlink(&terminal.path, &path).unwrap();
    agent.opened().await;
}

#[tokio::test]
async fn a_usb_device_comes_back_under_another_name_and_is_opened_there() {
    let machine = Machine::new();
    let selector = UsbSelector {
        vendor: 0x0ACD,
        product: None,
        serial: Some("A1".to_owned()),
    };
    let mut agent = Agent::start(Endpoint {
        root: machine.path().to_owned(),
        ..endpoint(Place::Usb(selector))
    });
    assert_eq!(agent.fault().await.code(), "PORT_NOT_FOUND");
    // Another reader of the same make is none of ours.
    let other = PseudoTerminal::new();
    machine.plug("1-2", "0acd", "3810", "B2");
    machine.add_port("1-2", "tty", "ttyACM1", &other.path);

    for (socket, name) in [("1-1", "ttyACM0"), ("1-4", "ttyACM7")] {
        let mut terminal = PseudoTerminal::new();
        machine.plug(socket, "0acd", "3810", "A1");
        machine.add_port(socket, "tty", name, &terminal.path);
        let (opened, _writes) = agent.opened().await;
        assert_eq!(Path::new(&opened), machine.path().join("dev").join(name));
        terminal.write(b"!");
        agent.hears(b"!").await;
        machine.pull(socket);
        drop(terminal);
        agent.closes().await;
        assert_eq!(agent.fault().await.code(), "PORT_NOT_FOUND");
    }
}

#[tokio::test]
async fn a_port_that_somebody_else_has_is_reported_and_taken_when_it_is_free() {
    let terminal = PseudoTerminal::new();
    let place = Place::Path(terminal.path.clone());
    let mut first = Agent::start(endpoint(place.clone()));
    let _held = first.opened().await;
    let mut second = Agent::start(endpoint(place));
    assert_eq!(second.fault().await.code(), "PORT_IN_USE");
    first.task.abort();
    drop(first);
    second.opened().await;
}

/// What an idle port costs is counted, not timed: one wake-up for what happens, none for time.
#[tokio::test]
async fn a_port_wakes_up_for_what_happens_and_for_nothing_else() {
    let mut terminal = PseudoTerminal::new();
    let mut agent = Agent::start(endpoint(Place::Path(terminal.path.clone())));
    let (_, writes) = agent.opened().await;
    assert_eq!(agent.wake_ups(), 0);
    terminal.write(b"hello");
    agent.hears(b"hello").await;
    assert_eq!(agent.wake_ups(), 1);
    writes.send(b"x".to_vec()).await.unwrap();
    assert!(matches!(agent.next().await, PortEvent::Written(1)));
    assert_eq!(agent.wake_ups(), 2);
    // A pulled cable is read once; the rest is looks at growing intervals.
    drop(terminal);
    agent.closes().await;
    assert_eq!(agent.wake_ups(), 3);
    assert_eq!(agent.fault().await.code(), "PORT_NOT_FOUND");
    assert_eq!(agent.wake_ups(), 4);
}

#[tokio::test]
async fn a_write_that_hangs_stops_neither_the_reading_nor_the_agent() {
    let mut terminal = PseudoTerminal::raw();
    let mut agent = Agent::start(Endpoint {
        role: Role::Printer,
        kind: Some(PortKind::UsbPrinter),
        ..endpoint(Place::Path(terminal.path.clone()))
    });
    let (_, writes) = agent.opened().await;
    // More than any pseudo-terminal takes: the printer is out of paper.
    let page = vec![0x55; 1 << 20];
    writes.send(page.clone()).await.unwrap();
    for _ in 0..3 {
        terminal.write(b"\x14");
        assert!(matches!(agent.next().await, PortEvent::Bytes(bytes) if bytes == b"\x14"));
    }
    // Paper is brought.
    let reading = std::thread::spawn(move || terminal.read(page.len()));
    assert!(matches!(agent.next().await, PortEvent::Written(count) if count == 1 << 20));
    assert_eq!(reading.join().unwrap(), vec![0x55; 1 << 20]);
}

#[tokio::test]
async fn a_hung_write_ends_when_the_machine_gives_the_port_up() {
    let terminal = PseudoTerminal::raw();
    let mut agent = Agent::start(Endpoint {
        role: Role::Printer,
        ..endpoint(Place::Path(terminal.path.clone()))
    });
    let (_, writes) = agent.opened().await;
    writes.send(vec![0x55; 1 << 20]).await.unwrap();
    drop(writes);
    agent.closes().await;
    agent.opened().await;
}

#[tokio::test]
async fn hid_reports_carry_the_frames_of_a_reader() {
    let mut terminal = PseudoTerminal::raw();
    let mut agent = Agent::start(Endpoint {
        kind: Some(PortKind::Hid),
        ..endpoint(Place::Path(terminal.path.clone()))
    });
    let (_, writes) = agent.opened().await;
    let long = Response::new(2, 0, vec![7; 150]).unwrap().encode();
    writes.send(long.clone()).await.unwrap();
    assert!(matches!(agent.next().await, PortEvent::Written(count) if count == long.len()));
    let said = terminal.read(3 * 64);
    let ids: Vec<_> = said.chunks(64).map(|report| report[0]).collect();
    assert_eq!(ids, [2, 3, 4]);
    terminal.write(&said);
    agent.hears(&long).await;
    // A frame that breaks off is forgotten; the next one is heard.
    terminal.write(&said[..100]);
    let ping = Response::bare(0x18, 0).encode();
    let reports = framing::reports(&ping).unwrap();
    // One wake-up for the piece, one for giving it up.
    let beginning = agent.wake_ups();
    agent.wakes_up_to(beginning + 2).await;
    terminal.write(&reports.concat());
    agent.hears(&ping).await;
}

/// A wire whose looks are counted; busy while `busy_looks` has some left.
#[derive(Clone, Default)]
struct TrialWire {
    looks: Arc<AtomicU64>,
    busy_looks: Arc<AtomicU64>,
    unsent: Arc<AtomicU64>,
}

/// One less; whether there was one.
fn take(count: &AtomicU64) -> bool {
    let less = |count: u64| count.checked_sub(1);
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        .is_ok()
}

impl Wire for TrialWire {
    fn is_busy(&mut self) -> io::Result<bool> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        Ok(take(&self.busy_looks))
    }

    fn unsent_bytes(&mut self) -> usize {
        usize::from(take(&self.unsent))
    }
}

#[tokio::test]
async fn the_machine_hears_of_the_busy_wire_and_it_is_looked_at_only_while_that_matters() {
    let (host, mut device) = tokio::io::duplex(64);
    let (_, writer) = tokio::io::split(Box::new(host) as Box<dyn Stream>);
    let wire = TrialWire::default();
    let (writes_tx, writes) = mpsc::channel(4);
    let mut saying = Saying {
        port: writer,
        is_framed: false,
        wire: Some(Box::new(wire.clone())),
        is_busy: false,
        baud: 38_400,
        patience: PRINTER_WRITE_PATIENCE,
        writes,
    };
    let (events_tx, mut events) = mpsc::channel(4);
    let place = Place::Path(PathBuf::from("/dev/null"));
    let port = Port::new(
        endpoint(place),
        events_tx,
        |event| event,
        WakeUps::default(),
    );
    let talk = async {
        let looks = || wire.looks.load(Ordering::Relaxed);
        // Ready: looked at before and after.
        writes_tx.send(b"text".to_vec()).await.unwrap();
        assert!(matches!(events.recv().await, Some(PortEvent::Written(4))));
        assert_eq!(looks(), 2);
        // Busy from now on for three looks. A question goes out all the same, and what the
        // system has not sent yet is waited for.
        wire.busy_looks.store(3, Ordering::Relaxed);
        wire.unsent.store(1, Ordering::Relaxed);
        writes_tx.send(b"ask?".to_vec()).await.unwrap();
        assert!(matches!(events.recv().await, Some(PortEvent::Busy(true))));
        assert!(matches!(events.recv().await, Some(PortEvent::Written(4))));
        assert_eq!(looks(), 5);
        assert!(matches!(events.recv().await, Some(PortEvent::Busy(false))));
        assert_eq!(looks(), 6);
        let mut said = [0; 8];
        device.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"textask?");
        drop(writes_tx);
    };
    let (ended, ()) = tokio::join!(saying.run(&port), talk);
    assert_eq!(ended.kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(
        wire.looks.load(Ordering::Relaxed),
        6,
        "nothing is looked at for nobody"
    );
}

#[test]
fn bytes_take_their_time_on_the_line() {
    for (bytes, baud, ms) in [
        (56, 38_400, 14),
        (0, 9_600, 1),
        (56, 0, 50),
        (1 << 20, 9_600, 50),
    ] {
        assert_eq!(
            time_on_the_line(bytes, baud).as_millis(),
            ms,
            "{bytes} at {baud}"
        );
    }
}

#[tokio::test]
async fn a_network_printer_is_connected_again_when_it_comes_back() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut agent = Agent::start(Endpoint {
        role: Role::Printer,
        ..endpoint(Place::Tcp(address.to_string()))
    });
    let (name, writes) = agent.opened().await;
    assert_eq!(name, format!("tcp {address}"));
    let (mut printer, _) = listener.accept().await.unwrap();
    writes.send(b"\x10\x04\x01".to_vec()).await.unwrap();
    let mut asked = [0; 3];
    printer.read_exact(&mut asked).await.unwrap();
    printer.write_all(b"\x16").await.unwrap();
    agent.hears(b"\x16").await;
    // Switched off: first the connection goes, then nobody answers.
    drop((printer, listener));
    agent.closes().await;
    assert_eq!(agent.fault().await.code(), "PORT_UNREACHABLE");
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    agent.opened().await;
    drop(listener);
}

//! Ports as a shop has them: two readers on one machine told apart by serial number, a reader that
//! comes back under another name, a reader behind HID reports, a printer on the network, and a
//! service manager that wants to hear from the agent.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use firmware_sim::device::ControlRequest;
use harness::shop::{Devices, Lane, Shop, Till};
use harness::wait::{PATIENCE, until};
use serde_json::{Value, json};

use crate::check::{directory, good};

/// A machine's `dev` and `sys`, made up of files.
struct Machine {
    root: PathBuf,
}

impl Machine {
    fn new(root: PathBuf) -> Self {
        for directory in ["dev", "sys/bus/usb/devices", "sys/class/tty"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        Self { root }
    }

    /// Puts a reader into a USB socket; the system calls its port `name`.
    fn plug(&self, socket: &str, serial: &str, name: &str, port: &Path) {
        let device = self.root.join("sys/devices/usb1").join(socket);
        let entry = device.join(format!("{socket}:1.0/tty/{name}"));
        fs::create_dir_all(&entry).unwrap();
        for (name, text) in [
            ("idVendor", "0acd"),
            ("idProduct", "3810"),
            ("serial", serial),
        ] {
            fs::write(device.join(name), format!("{text}\n")).unwrap();
        }
        symlink("../..", entry.join("device")).unwrap();
        let sys = self.root.join("sys");
        symlink(&device, sys.join("bus/usb/devices").join(socket)).unwrap();
        symlink(&entry, sys.join("class/tty").join(name)).unwrap();
        symlink(port, self.root.join("dev").join(name)).unwrap();
    }

    fn pull(&self, socket: &str, name: &str) {
        fs::remove_dir_all(self.root.join("sys/devices/usb1").join(socket)).unwrap();
        for link in ["sys/bus/usb/devices", "sys/class/tty", "dev"] {
            let name = if link.ends_with("devices") {
                socket
            } else {
                name
            };
            fs::remove_file(self.root.join(link).join(name)).unwrap();
        }
    }
}

/// An agent whose reader, and printer, the configuration names like this.
fn install(dir: &Path, engine: &str, devices: &Devices, top: &str, ports: &str) -> Till {
    let till = Till::install(dir, engine, &devices.dir).unwrap();
    let path = dir.join("agent.toml");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("[reader]").unwrap();
    let (_, after) = rest.split_once("[simulator]").unwrap();
    fs::write(&path, format!("{top}{before}{ports}\n[simulator]{after}")).unwrap();
    till
}

fn start(shop: &Shop, lane: &Lane, amount: i64) -> String {
    let sale = json!({
        "terminal_id": lane.terminal_id, "type": "sale", "amount": amount, "currency": "USD",
    });
    let started = shop.pos.post("/v1/pos/transactions", &sale);
    good(&started, 201, "start")["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn tap_and_end(shop: &Shop, lane: &Lane, pos_id: &str, amount: i64) {
    assert!(lane.devices.wait_for_reader(), "{pos_id}");
    lane.devices.present("visa", "tap").unwrap();
    let end = shop.end_of(pos_id);
    assert_eq!(end.field("status"), "approved", "{}", end.text);
    assert_eq!(
        end.data()["amount"]["total"].as_i64().unwrap_or(amount),
        amount
    );
}

fn sell(shop: &Shop, lane: &Lane, amount: i64) {
    assert!(lane.devices.wait_until_idle());
    let pos_id = start(shop, lane, amount);
    tap_and_end(shop, lane, &pos_id, amount);
}

/// What the agent says of its reader's port.
fn reader_port(till: &Till) -> Value {
    let output = till.command(&["--json", "status"]).unwrap();
    let line: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    line["data"]["ports"]["reader"].clone()
}

#[test]
fn two_readers_on_one_machine_sell_and_one_comes_back_under_another_name() {
    let dir = directory("two-readers");
    let shop = Shop::open(&dir).unwrap();
    let machine = Machine::new(dir.join("machine"));
    let top = format!("device_root = {:?}\n", machine.root.display().to_string());
    let lanes: Vec<_> = [("1-1", "A1", "ttyACM0"), ("1-2", "B2", "ttyACM1")]
        .into_iter()
        .map(|(socket, serial, name)| {
            let devices = Devices::start(&dir.join(serial).join("devices"), true).unwrap();
            machine.plug(socket, serial, name, &devices.dir.join("reader.pty"));
            let reader = format!(
                "[reader]\nusb = {{ vendor = 0x0ACD, product = \"3810\", serial = {serial:?} }}\n"
            );
            let till_dir = dir.join(serial).join("till");
            let till = install(&till_dir, shop.pos.base(), &devices, &top, &reader);
            Lane::equip(devices, till, &shop.pos, serial).unwrap()
        })
        .collect();
    let [first, second] = <[Lane; 2]>::try_from(lanes).unwrap();
    for (lane, name) in [(&first, "ttyACM0"), (&second, "ttyACM1")] {
        let port = machine.root.join("dev").join(name);
        assert_eq!(
            reader_port(&lane.till),
            json!({"state": "open", "port": port})
        );
    }
    // Both at once: each card is read by the reader that was meant.
    let sales = [(&first, 1_100), (&second, 2_200)];
    let started = sales.map(|(lane, amount)| (lane, start(&shop, lane, amount), amount));
    for (lane, pos_id, amount) in started {
        tap_and_end(&shop, lane, &pos_id, amount);
    }

    let cable = |command| {
        let request = ControlRequest::new("reader", command);
        first.devices.hands(&request).unwrap();
    };
    cable("unplug");
    machine.pull("1-1", "ttyACM0");
    let gone = until("the reader to be missed", || {
        let port = reader_port(&first.till);
        (port["code"] == "PORT_NOT_FOUND").then_some(port)
    });
    let message = gone.unwrap()["message"].to_string();
    assert!(
        message.contains("0acd:3810") && message.contains("A1"),
        "{message}"
    );
    sell(&shop, &second, 3_300);
    cable("plug-in");
    machine.plug(
        "1-4",
        "A1",
        "ttyACM7",
        &first.devices.dir.join("reader.pty"),
    );
    assert!(harness::shop::is_ready(&shop.pos, &first.terminal_id));
    assert_eq!(
        reader_port(&first.till)["port"],
        json!(machine.root.join("dev/ttyACM7"))
    );
    sell(&shop, &first, 4_400);
}

#[test]
fn hid_reports_a_network_printer_and_the_service_manager() {
    let dir = directory("hid-and-network");
    let shop = Shop::open(&dir).unwrap();
    let more = ["--reader-hid", "--printer-tcp", "127.0.0.1:0"];
    let devices = Devices::start_with(&dir.join("lane-2/devices"), true, &more).unwrap();
    let address = fs::read_to_string(devices.dir.join("printer.tcp")).unwrap();
    let ports = format!(
        "[reader]\npath = {:?}\nkind = \"hid\"\n[printer]\ntcp = {:?}\n",
        devices.dir.join("reader.pty").display().to_string(),
        address.trim(),
    );
    let till_dir = dir.join("lane-2/till");
    let mut till = install(&till_dir, shop.pos.base(), &devices, "", &ports);
    let notify = dir.join("notify");
    let manager = UnixDatagram::bind(&notify).unwrap();
    // Always listening, as systemd: the socket holds ten messages.
    let (heard_tx, heard_rx) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok(count) = manager.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            if heard_tx.send(text).is_err() {
                return;
            }
        }
    });
    let heard = || heard_rx.recv_timeout(PATIENCE).unwrap();
    for (name, value) in [
        ("NOTIFY_SOCKET", notify.display().to_string()),
        ("WATCHDOG_USEC", "200000".to_owned()),
    ] {
        till.environment.push((name.to_owned(), value));
    }
    let mut lane = Lane::equip(devices, till, &shop.pos, "Lane 2").unwrap();
    let ready = heard();
    assert!(
        ready.starts_with("READY=1\nSTATUS=terminal trm_"),
        "{ready}"
    );
    for _ in 0..3 {
        assert_eq!(heard(), "WATCHDOG=1");
    }

    sell(&shop, &lane, 5_500);
    // The payer's and the shop's copy.
    let papers = until("two papers", || (lane.devices.papers() == 2).then_some(()));
    assert!(papers.is_some());
    for command in ["unplug", "plug-in"] {
        let request = ControlRequest::new("printer", command);
        lane.devices.hands(&request).unwrap();
    }
    sell(&shop, &lane, 6_600);
    let papers = until("four papers", || (lane.devices.papers() == 4).then_some(()));
    assert!(papers.is_some());
    assert_eq!(lane.devices.violations(), 0);

    assert!(lane.till.stop());
    let last = std::iter::repeat_with(heard).find(|message| message != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
}

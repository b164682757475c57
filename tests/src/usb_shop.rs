//! The shop inside the small machine of `harness::usb`: engine, agent, and devices on USB.
//!
//! Runs as the only program of a guest without a network, a compiler or people: the hands that
//! present cards and the hands that pull cables are on serial lines.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use firmware_sim::device::ControlRequest;
use harness::api::{Answer, Api};
use harness::shop::{Devices, Engine, Till, is_ready};
use harness::wait::until;
use rustix::termios::OptionalActions;
use serde_json::{Value, json};

/// The simulator outside listens at its other end.
const HANDS: &str = "/dev/ttyS1";
/// QEMU listens at its other end.
const CABLES: &str = "/dev/ttyS2";

/// How long the other end of a serial line may take.
const LINE_PATIENCE: Duration = Duration::from_secs(10);

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed: {error}");
            for log in [
                "engine/engine.log",
                "serial/agent.log",
                "cdc/agent.log",
                "hid/agent.log",
            ] {
                let log = Path::new("/shop").join(log);
                let text = fs::read_to_string(&log).unwrap_or_default();
                println!("--- {}\n{text}", log.display());
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let engine = Engine::start(Path::new("/shop/engine"))?;
    let pos = engine.board().pos;
    on_serial_adapters(&pos)?;
    on_cdc_and_printer_class(&pos)?;
    on_hid(&pos)
}

fn step(text: &str) {
    println!("step: {text}");
}

/// A line of a serial port, as JSON both ways.
struct Line {
    writer: File,
    heard: mpsc::Receiver<Value>,
}

impl Line {
    fn open(path: &str) -> io::Result<Self> {
        let port = OpenOptions::new().read(true).write(true).open(path)?;
        let mut attributes = rustix::termios::tcgetattr(&port)?;
        attributes.make_raw();
        rustix::termios::tcsetattr(&port, OptionalActions::Now, &attributes)?;
        let lines = BufReader::new(port.try_clone()?).split(b'\n');
        let (heard_tx, heard) = mpsc::channel();
        std::thread::spawn(move || {
            // What is no JSON is noise of the time before the line was ours.
            for line in lines.map_while(Result::ok) {
                if let Ok(value) = serde_json::from_slice(line.trim_ascii())
                    && heard_tx.send(value).is_err()
                {
                    return;
                }
            }
        });
        Ok(Self {
            writer: port,
            heard,
        })
    }

    fn say(&mut self, what: &Value) -> io::Result<()> {
        self.writer.write_all(format!("{what}\n").as_bytes())
    }

    fn hear(&mut self) -> io::Result<Value> {
        let heard = self.heard.recv_timeout(LINE_PATIENCE);
        heard.map_err(|_| io::ErrorKind::TimedOut.into())
    }
}

/// What presents cards to the simulator outside.
struct Hands(Line);

impl Hands {
    fn ask(&mut self, request: &ControlRequest) -> Result<Value, String> {
        let answer = self.0.say(&json!(request)).and_then(|()| self.0.hear());
        let answer = answer.map_err(|error| error.to_string())?;
        match answer["ok"] == json!(true) {
            true => Ok(answer["status"].clone()),
            false => Err(answer.to_string()),
        }
    }

    fn wait_for_phase(&mut self, phase: &str) -> Result<(), String> {
        let status = ControlRequest::new("all", "status");
        let reached = until(&format!("the reader to be {phase}"), || {
            let status = self.ask(&status).unwrap_or_default();
            (status["reader"]["phase"] == json!(phase)).then_some(())
        });
        reached.ok_or_else(|| format!("the reader is not {phase}"))
    }

    fn present(&mut self, card: &str, way: &str) -> Result<(), String> {
        let request = ControlRequest::new("reader", "present")
            .with("card", card)
            .with("way", way);
        self.ask(&request).map(drop)
    }
}

/// What pulls the cables of emulated devices: QEMU's own control.
struct Cables {
    line: Line,
    asked: u64,
}

impl Cables {
    fn open() -> Result<Self, Box<dyn std::error::Error>> {
        let line = Line::open(CABLES)?;
        let mut cables = Self { line, asked: 0 };
        // A greeting that came before the line was raw was echoed, and may spoil the first try. A try
        // whose answer is late succeeds all the same, and then a second one is refused.
        for _ in 0..5 {
            cables.execute("qmp_capabilities", &json!({})).ok();
            if cables.execute("query-status", &json!({})).is_ok() {
                return Ok(cables);
            }
        }
        Err("QEMU does not answer".into())
    }

    fn execute(&mut self, command: &str, arguments: &Value) -> Outcome {
        self.asked += 1;
        let asked = json!({"execute": command, "arguments": arguments, "id": self.asked});
        self.line.say(&asked)?;
        loop {
            let said = self.line.hear()?;
            if said["id"] != json!(self.asked) {
                continue;
            }
            return match said.get("error") {
                Some(error) => Err(error.to_string().into()),
                None => Ok(()),
            };
        }
    }

    fn pull(&mut self, name: &str) -> Outcome {
        self.execute("device_del", &json!({"id": name}))
    }

    fn put_back(&mut self, name: &str) -> Outcome {
        let arguments = json!({
            "driver": "usb-serial", "id": name, "chardev": name, "serial": name.to_uppercase(),
        });
        self.execute("device_add", &arguments)
    }
}

fn start_sale(pos: &Api, terminal_id: &str, amount: i64) -> Answer {
    let body = json!({
        "terminal_id": terminal_id, "type": "sale", "amount": amount, "currency": "USD",
    });
    pos.post("/v1/pos/transactions", &body)
}

fn end_of(pos: &Api, pos_id: &str) -> Answer {
    let mut answer = pos.get(&format!("/v1/pos/transactions/{pos_id}?wait_s=30"));
    for _ in 0..5 {
        if !matches!(answer.field("status"), "in_progress" | "in_doubt") {
            break;
        }
        answer = pos.get(&format!("/v1/pos/transactions/{pos_id}?wait_s=30"));
    }
    answer
}

fn expect(answer: &Answer, status: &str) -> Outcome {
    match answer.field("status") == status {
        true => Ok(()),
        false => Err(format!("expected {status}: {}", answer.text).into()),
    }
}

fn reader_state(pos: &Api, terminal_id: &str) -> Value {
    let status = pos.get(&format!("/v1/terminals/{terminal_id}/status"));
    status.data()["reader"]["state"].clone()
}

fn install(dir: &Path, engine: &str, ports: &str) -> io::Result<Till> {
    let till = Till::install(dir, engine, dir)?;
    let state = dir.join("state");
    let config = format!(
        "state_dir = {:?}\n[engine]\nurl = \"{engine}\"\n{ports}",
        state.display().to_string()
    );
    fs::write(dir.join("agent.toml"), config)?;
    Ok(till)
}

/// Reader and printer behind serial adapters that QEMU emulates.
fn on_serial_adapters(pos: &Api) -> Outcome {
    let mut hands = Hands(Line::open(HANDS)?);
    let mut cables = Cables::open()?;
    step("enumerate serial adapters");
    until("the adapters", || {
        Path::new("/dev/ttyUSB1").exists().then_some(())
    })
    .ok_or("no adapters")?;
    let ports = "[reader]\npath = \"/dev/ttyUSB0\"\n[printer]\npath = \"/dev/ttyUSB1\"\n";
    let mut till = install(Path::new("/shop/serial"), pos.base(), ports)?;
    let terminal_id = till.open(pos, "Serial")?;

    step("a chip sale");
    let sale = start_sale(pos, &terminal_id, 1850);
    hands.wait_for_phase("polling")?;
    hands.present("visa", "insert")?;
    expect(&end_of(pos, sale.field("id")), "approved")?;
    hands.ask(&ControlRequest::new("reader", "remove"))?;

    step("the reader's cable is pulled while it waits for a card");
    hands.wait_for_phase("idle")?;
    let sale = start_sale(pos, &terminal_id, 900);
    hands.wait_for_phase("polling")?;
    cables.pull("reader")?;
    expect(&end_of(pos, sale.field("id")), "failed")?;
    until("the reader to be missed", || {
        (reader_state(pos, &terminal_id) == json!("absent")).then_some(())
    })
    .ok_or("the reader is not missed")?;

    step("it is put back, and sells");
    cables.put_back("reader")?;
    if !is_ready(pos, &terminal_id) {
        return Err("the reader does not come back".into());
    }
    let sale = start_sale(pos, &terminal_id, 700);
    hands.wait_for_phase("polling")?;
    hands.present("mastercard", "tap")?;
    expect(&end_of(pos, sale.field("id")), "approved")?;
    till.stop();
    Ok(())
}

/// A device that this machine is to itself: a gadget of its kernel on a made-up cable.
struct Gadget {
    dir: PathBuf,
    cable: String,
}

impl Gadget {
    /// Describes a device with one function (`acm`, `hid`, `printer`) and what sets that up.
    fn describe(
        number: u8,
        ids: [&str; 3],
        function: &str,
        sets: &[(&str, &[u8])],
    ) -> io::Result<Self> {
        let [vendor, product, serial] = ids;
        let dir = Path::new("/config/usb_gadget").join(format!("g{number}"));
        let strings = dir.join("strings/0x409");
        fs::create_dir_all(&strings)?;
        fs::create_dir_all(dir.join("configs/c.1"))?;
        let function_dir = dir.join(format!("functions/{function}.g{number}"));
        fs::create_dir_all(&function_dir)?;
        fs::write(dir.join("idVendor"), vendor)?;
        fs::write(dir.join("idProduct"), product)?;
        fs::write(strings.join("serialnumber"), serial)?;
        fs::write(strings.join("product"), function)?;
        for (name, value) in sets {
            fs::write(function_dir.join(name), value)?;
        }
        std::os::unix::fs::symlink(&function_dir, dir.join("configs/c.1/f"))?;
        Ok(Self {
            dir,
            cable: format!("dummy_udc.{number}"),
        })
    }

    fn plug_in(&self) -> io::Result<()> {
        fs::write(self.dir.join("UDC"), &self.cable)
    }

    fn unplug(&self) -> io::Result<()> {
        fs::write(self.dir.join("UDC"), "\n")
    }
}

/// A shop on gadgets: the simulator is inside.
struct OnGadgets<'a> {
    pos: &'a Api,
    devices: Devices,
    till: Till,
    terminal_id: String,
}

impl<'a> OnGadgets<'a> {
    fn open(
        name: &str,
        pos: &'a Api,
        more: &[&str],
        ports: &str,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let dir = Path::new("/shop").join(name);
        let devices = Devices::start_with(&dir.join("devices"), true, more)?;
        let mut till = install(&dir, pos.base(), ports)?;
        let terminal_id = till.open(pos, name)?;
        Ok(Self {
            pos,
            devices,
            till,
            terminal_id,
        })
    }

    fn sell(&self, card: &str, way: &str) -> Outcome {
        self.devices.wait_until_idle();
        let sale = start_sale(self.pos, &self.terminal_id, 1234);
        self.devices.wait_for_reader();
        self.devices.present(card, way)?;
        expect(&end_of(self.pos, sale.field("id")), "approved")?;
        self.devices.remove_card();
        Ok(())
    }

    /// Pulls the reader's cable while it waits for a card, and puts it back.
    fn lose_reader(&self, reader: &Gadget) -> Outcome {
        self.devices.wait_until_idle();
        let sale = start_sale(self.pos, &self.terminal_id, 900);
        self.devices.wait_for_reader();
        reader.unplug()?;
        self.devices
            .hands(&ControlRequest::new("reader", "unplug"))?;
        expect(&end_of(self.pos, sale.field("id")), "failed")?;
        until("the reader to be missed", || {
            (reader_state(self.pos, &self.terminal_id) == json!("absent")).then_some(())
        })
        .ok_or("the reader is not missed")?;
        reader.plug_in()?;
        self.devices
            .hands(&ControlRequest::new("reader", "plug-in"))?;
        match is_ready(self.pos, &self.terminal_id) {
            true => Ok(()),
            false => Err("the reader does not come back".into()),
        }
    }
}

fn on_cdc_and_printer_class(pos: &Api) -> Outcome {
    step("enumerate a CDC reader and a printer of the printer class");
    let reader = Gadget::describe(0, ["0x0acd", "0x3920", "CDC1"], "acm", &[])?;
    let printer = Gadget::describe(1, ["0x04b8", "0x0202", "PRN1"], "printer", &[])?;
    reader.plug_in()?;
    printer.plug_in()?;
    until("the printer", || {
        Path::new("/dev/usb/lp0").exists().then_some(())
    })
    .ok_or("no printer")?;
    let more = [
        "--reader-gadget",
        "/dev/ttyGS0",
        "--printer-gadget",
        "/dev/g_printer0",
    ];
    let ports = "[reader]\nusb = { vendor = \"0acd\", serial = \"CDC1\" }\n\
                 [printer]\nusb = { vendor = \"04b8\" }\n";
    let mut shop = OnGadgets::open("cdc", pos, &more, ports)?;
    let listed = shop.till.command(&["ports", "--json"])?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for name in ["CDC1", "PRN1", "/dev/ttyACM0", "/dev/usb/lp0"] {
        if !listed.contains(name) {
            return Err(format!("{name} is not listed: {listed}").into());
        }
    }

    step("a chip sale and its receipt");
    shop.sell("visa", "insert")?;
    let paper = shop.devices.paper(1).ok_or("no paper")?;
    if !paper.contains("A P P R O V E D") {
        return Err(paper.into());
    }

    step("the reader's cable is pulled and put back");
    shop.lose_reader(&reader)?;
    shop.sell("mastercard", "tap")?;

    step("the printer's cable is pulled and put back");
    shop.devices.paper(2).ok_or("no second paper")?;
    printer.unplug()?;
    shop.devices
        .hands(&ControlRequest::new("printer", "unplug"))?;
    shop.sell("visa", "tap")?;
    printer.plug_in()?;
    until("the printer", || {
        Path::new("/dev/usb/lp0").exists().then_some(())
    })
    .ok_or("no printer")?;
    shop.devices
        .hands(&ControlRequest::new("printer", "plug-in"))?;
    shop.devices
        .paper(3)
        .ok_or("the third receipt is not printed")?;
    if shop.devices.violations() != 0 {
        return Err("the printer did not understand everything".into());
    }
    shop.till.stop();
    Ok(())
}

/// Vendor-defined reports 1 to 4 of 63 bytes in both directions, as card-reader.md describes.
fn report_descriptor() -> Vec<u8> {
    let mut descriptor = vec![0x06, 0x00, 0xFF, 0x09, 0x01, 0xA1, 0x01];
    descriptor.extend([0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08, 0x95, 0x3F]);
    for id in 1..=4 {
        descriptor.extend([0x85, id, 0x09, id, 0x81, 0x02, 0x09, id, 0x91, 0x02]);
    }
    descriptor.push(0xC0);
    descriptor
}

fn on_hid(pos: &Api) -> Outcome {
    step("enumerate an HID reader");
    let sets: [(&str, &[u8]); 4] = [
        ("protocol", b"0"),
        ("subclass", b"0"),
        ("report_length", b"64"),
        ("report_desc", &report_descriptor()),
    ];
    let reader = Gadget::describe(2, ["0x0acd", "0x3820", "HID1"], "hid", &sets)?;
    reader.plug_in()?;
    let more = ["--reader-hid", "--reader-gadget", "/dev/hidg0"];
    let ports = "[reader]\nusb = { vendor = \"0acd\", serial = \"HID1\" }\n";
    let mut shop = OnGadgets::open("hid", pos, &more, ports)?;
    step("sales through reports");
    shop.sell("visa", "insert")?;
    shop.lose_reader(&reader)?;
    shop.sell("mastercard", "tap")?;
    shop.till.stop();
    Ok(())
}

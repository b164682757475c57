//! The shop inside the small machine of `harness::usb`: engine, agent, and devices on USB.
//!
//! Runs as the only program of a guest without a network, a compiler or people: the hands that
//! present cards and the hands that pull cables are on serial lines.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use firmware_sim::device::ControlRequest;
use harness::api::{Answer, Api};
use harness::shop::{Engine, Till, is_ready};
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
            for log in ["/shop/engine/engine.log", "/shop/serial/agent.log"] {
                let text = fs::read_to_string(log).unwrap_or_default();
                println!("--- {log}\n{text}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let engine = Engine::start(Path::new("/shop/engine"))?;
    let pos = engine.board().pos;
    on_serial_adapters(&pos)?;
    Ok(())
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
        // A greeting that came before the line was raw was echoed, and may spoil the first try.
        for _ in 0..5 {
            let answer = cables.execute("qmp_capabilities", &json!({}));
            if answer.is_ok() {
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

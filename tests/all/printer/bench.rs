//! The job machine on one end of a pseudo-terminal, the simulator's program on the other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use firmware_sim::control;
use firmware_sim::device::ControlRequest;
use harness::programs::Program;
use harness::wait::{PATIENCE, until};
use protocol::id::PrintJobId;
use protocol::receipt::{Align, Copy, Entry, Receipt};
use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};
use terminal_agent::machine::printer::{Input, JobState, Output, PrinterConfig, PrinterMachine};
use uuid::Uuid;

/// Time for a line: a job of [`LINES`] lines takes a second.
const LINE_MS: &str = "line-ms=10";
/// More than the machine sends ahead: a fault that strikes when the first bytes are out strikes
/// in the middle.
const LINES: usize = 100;

/// What a port reports, and at which opening.
enum Heard {
    Bytes(u64, Vec<u8>),
    Closed(u64),
}

/// Both ends.
pub struct Bench {
    pub machine: PrinterMachine,
    states: BTreeMap<PrintJobId, Vec<JobState>>,
    dir: tempfile::TempDir,
    _devices: Program,
    port: Option<File>,
    opening: u64,
    heard: mpsc::Receiver<Heard>,
    say: mpsc::Sender<Heard>,
    started: Instant,
}

/// Patience that a loaded machine does not exhaust.
pub fn config() -> PrinterConfig {
    PrinterConfig {
        answer_ms: 15_000,
        poll_ms: 200,
        ..PrinterConfig::new(48)
    }
}

/// Patience that is to be exhausted.
pub fn quick() -> PrinterConfig {
    PrinterConfig {
        answer_ms: 1_500,
        confirm_ms: 3_000,
        ..config()
    }
}

pub fn job(n: u128) -> PrintJobId {
    PrintJobId::from_uuid(Uuid::from_u128(n))
}

/// A long receipt whose lines are counted.
pub fn receipt(name: &str) -> Receipt {
    Receipt {
        copy: Copy::Customer,
        is_duplicate: false,
        entries: (0..LINES)
            .map(|line| Entry::Text {
                text: format!("{name} line {line:03}"),
                align: Align::Left,
            })
            .collect(),
    }
}

impl Bench {
    /// A printer with these settings, plugged in and idle.
    pub fn new(config: PrinterConfig, settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display().to_string();
        let mut arguments = vec!["run", "--dir", &path, "--printer", LINE_MS];
        for setting in settings {
            arguments.extend(["--printer", setting]);
        }
        let log = dir.path().join("devices.log");
        let devices = Program::start("firmware-sim", &arguments, &log).unwrap();
        let socket = dir.path().join("control.sock");
        until("the devices", || socket.exists().then_some(())).expect("they start");
        let (say, heard) = mpsc::channel();
        let mut bench = Self {
            machine: PrinterMachine::new(config),
            states: BTreeMap::new(),
            dir,
            _devices: devices,
            port: None,
            opening: 0,
            heard,
            say,
            started: Instant::now(),
        };
        bench.run_until("the printer to answer", |bench| {
            bench.machine.status().is_some()
        });
        bench
    }

    /// Gives the machine a job.
    pub fn print(&mut self, n: u128, receipt: Receipt, opens_drawer: bool) {
        let job_id = job(n);
        self.input(Input::Job {
            job_id,
            receipt,
            opens_drawer,
        });
    }

    /// Gives the machine a long job and waits until the first of it is on its way.
    pub fn begin(&mut self, n: u128) {
        self.print(n, receipt(&format!("job {n}")), false);
        self.run_until_state(n, JobState::Printing);
    }

    /// As [`Bench::begin`], and the printer has stopped with a part of it in its buffer.
    pub fn begin_and_stall(&mut self, n: u128) {
        self.hands("stall");
        self.begin(n);
        self.run_until("bytes in the buffer", |bench| {
            bench.status()["buffered_bytes"].as_u64() > Some(100)
        });
    }

    /// Does something to the printer.
    pub fn hands(&self, command: &str) {
        let request = ControlRequest::new("printer", command);
        let answer = control::ask(&self.dir.path().join("control.sock"), &request).unwrap();
        assert_eq!(answer["ok"], json!(true), "{command}: {answer}");
    }

    /// What the printer is busy with.
    pub fn status(&self) -> Value {
        let request = ControlRequest::new("all", "status");
        let answer = control::ask(&self.dir.path().join("control.sock"), &request).unwrap();
        answer["status"]["printer"].clone()
    }

    /// The texts of all papers so far, spaces of wide letters left out.
    pub fn papers(&self) -> Vec<String> {
        let paths = (1..).map(|number| self.dir.path().join(format!("paper/{number:04}.txt")));
        let texts = paths.map_while(|path: PathBuf| std::fs::read_to_string(path).ok());
        texts
            .map(|text| text.replace("D U P L I C A T E", "DUPLICATE"))
            .collect()
    }

    pub fn states(&self, n: u128) -> &[JobState] {
        self.states.get(&job(n)).map_or(&[], Vec::as_slice)
    }

    /// Runs until a job was in this state.
    pub fn run_until_state(&mut self, n: u128, state: JobState) {
        self.run_until(&format!("job {n} to be {state:?}"), |bench| {
            bench.states(n).last() == Some(&state)
        });
    }

    /// Runs both ends until the condition holds.
    pub fn run_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !condition(self) {
            let states = &self.states;
            assert!(begun.elapsed() < PATIENCE, "waited for {what}: {states:?}");
            self.step();
        }
    }

    fn step(&mut self) {
        if self.port.is_none() {
            self.open();
        }
        match self.heard.recv_timeout(Duration::from_millis(5)) {
            Ok(Heard::Bytes(opening, bytes)) if opening == self.opening => {
                self.input(Input::Bytes(&bytes));
            }
            Ok(Heard::Closed(opening)) if opening == self.opening => self.close(),
            _ => {}
        }
        let due_ms = self.machine.poll_deadline();
        if due_ms.is_some_and(|due_ms| due_ms <= self.now_ms()) {
            self.input(Input::Deadline);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap()
    }

    fn open(&mut self) {
        let path = self.dir.path().join("printer.pty");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let Ok(port) = rustix::fs::open(path, flags, Mode::empty()) else {
            return;
        };
        let port = File::from(port);
        self.opening += 1;
        listen(port.try_clone().unwrap(), self.opening, self.say.clone());
        self.port = Some(port);
        self.input(Input::PortOpened);
    }

    fn close(&mut self) {
        self.port = None;
        self.input(Input::PortClosed);
    }

    fn input(&mut self, input: Input<'_>) {
        let mut pending = Vec::new();
        self.machine.handle(self.now_ms(), input, &mut pending);
        while !pending.is_empty() {
            let mut next = Vec::new();
            for output in pending {
                self.act(output, &mut next);
            }
            pending = next;
        }
    }

    fn act(&mut self, output: Output, next: &mut Vec<Output>) {
        let now_ms = self.now_ms();
        match output {
            Output::Write(bytes) => {
                let written = self.port.as_mut().map(|port| port.write_all(&bytes));
                match written {
                    Some(Ok(())) => {
                        let written = Input::Written(bytes.len());
                        self.machine.handle(now_ms, written, next);
                    }
                    _ => self.port = None,
                }
            }
            Output::Ready { job_id } => {
                self.machine.handle(now_ms, Input::Begin { job_id }, next);
            }
            Output::JobReport { job_id, state } => {
                self.states.entry(job_id).or_default().push(state);
            }
            Output::Status(_) => {}
        }
    }
}

fn listen(mut port: File, opening: u64, say: mpsc::Sender<Heard>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4_096];
        while let Ok(count @ 1..) = port.read(&mut buffer) {
            let bytes = buffer.get(..count).unwrap_or_default().to_vec();
            if say.send(Heard::Bytes(opening, bytes)).is_err() {
                return;
            }
        }
        say.send(Heard::Closed(opening)).ok();
    });
}

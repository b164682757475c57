//! Reader and printer of a shop as a process, and the hands at them.
//!
//! Owns the simulator's directory and control socket.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use firmware_sim::control;
use firmware_sim::device::ControlRequest;
use serde_json::{Value, json};

use crate::programs::Program;
use crate::wait::until;

/// Reader and printer as a process.
#[derive(Debug)]
pub struct Devices {
    /// Their directory.
    pub dir: PathBuf,
    program: Program,
}

impl Devices {
    /// Plugs the devices in.
    ///
    /// # Errors
    /// When they do not start.
    pub fn start(dir: &Path, is_instant: bool) -> io::Result<Self> {
        Self::start_with(dir, is_instant, &[])
    }

    /// Plugs devices in whose reader encrypts in this way, a word of `firmware-sim --encryption`.
    ///
    /// # Errors
    /// When they do not start.
    pub fn start_encrypting(dir: &Path, is_instant: bool, encryption: &str) -> io::Result<Self> {
        Self::start_with(dir, is_instant, &["--encryption", encryption])
    }

    /// Plugs devices in whose reader has no keys: it would give out card data in clear.
    ///
    /// # Errors
    /// When they do not start.
    pub fn start_without_keys(dir: &Path) -> io::Result<Self> {
        Self::start_with(dir, true, &["--without-keys"])
    }

    /// As [`Devices::start`], with more arguments of the simulator's command `run`.
    ///
    /// # Errors
    /// When they do not start.
    pub fn start_with(dir: &Path, is_instant: bool, more: &[&str]) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = dir.display().to_string();
        let mut arguments = vec!["run", "--dir", &path];
        arguments.extend(more);
        if is_instant {
            arguments.push("--instant");
        }
        // A killed simulator leaves its socket behind.
        fs::remove_file(dir.join("control.sock")).ok();
        let program = Program::start("firmware-sim", &arguments, &dir.join("devices.log"))?;
        let socket = dir.join("control.sock");
        until("the devices", || socket.exists().then_some(())).ok_or(io::ErrorKind::TimedOut)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            program,
        })
    }

    /// Pulls both cables.
    pub fn unplug(&mut self) {
        self.program.kill();
    }

    /// Asks the simulator to end; true when it did so cleanly.
    pub fn stop(&mut self) -> bool {
        self.program.stop()
    }

    /// Tells the devices what the hands do.
    ///
    /// # Errors
    /// When they refuse.
    pub fn hands(&self, request: &ControlRequest) -> io::Result<Value> {
        let answer = control::ask(&self.dir.join("control.sock"), request)?;
        if answer["ok"] == json!(true) {
            Ok(answer["status"].clone())
        } else {
            Err(io::Error::other(answer["error"].to_string()))
        }
    }

    /// Presents a card: `way` is tap, insert or swipe.
    ///
    /// # Errors
    /// When there is no such card.
    pub fn present(&self, card: &str, way: &str) -> io::Result<()> {
        let request = ControlRequest::new("reader", "present")
            .with("card", card)
            .with("way", way);
        self.hands(&request).map(drop)
    }

    /// Takes an inserted card out.
    pub fn remove_card(&self) {
        self.hands(&ControlRequest::new("reader", "remove")).ok();
    }

    /// Does something to the printer.
    ///
    /// # Errors
    /// When it does not know what.
    pub fn printer(&self, command: &str) -> io::Result<()> {
        self.hands(&ControlRequest::new("printer", command))
            .map(drop)
    }

    /// What the devices are busy with.
    pub fn status(&self) -> Value {
        self.hands(&ControlRequest::new("all", "status"))
            .unwrap_or(Value::Null)
    }

    /// Waits until the reader waits for a card.
    pub fn wait_for_reader(&self) -> bool {
        self.wait_for_phase("polling")
    }

    /// Waits until the reader waits for a card in the slot, or for any card.
    pub fn wait_for_slot(&self) -> bool {
        until("the reader to wait for a chip", || {
            let status = self.status();
            let phase = status["reader"]["phase"].as_str().unwrap_or_default();
            matches!(phase, "polling" | "inserting").then_some(())
        })
        .is_some()
    }

    /// Waits until the reader has nothing to do: a card presented before that would be read for
    /// the transaction that is being stopped.
    pub fn wait_until_idle(&self) -> bool {
        self.wait_for_phase("idle")
    }

    fn wait_for_phase(&self, phase: &str) -> bool {
        until(&format!("the reader to be {phase}"), || {
            (self.status()["reader"]["phase"] == json!(phase)).then_some(())
        })
        .is_some()
    }

    /// The text of the paper number `number`, counted from 1, once it has come out.
    pub fn paper(&self, number: usize) -> Option<String> {
        let path = self.dir.join("paper").join(format!("{number:04}.txt"));
        until("paper", || fs::read_to_string(&path).ok())
    }

    /// How many pieces of paper have come out.
    pub fn papers(&self) -> usize {
        let entries = fs::read_dir(self.dir.join("paper"))
            .into_iter()
            .flatten()
            .flatten();
        entries
            .filter(|entry| entry.path().extension().is_some_and(|e| e == "txt"))
            .count()
    }

    /// Bytes or commands that the printer did not understand.
    pub fn violations(&self) -> u64 {
        self.status()["printer"]["violations"]
            .as_u64()
            .unwrap_or(u64::MAX)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.program.id()
    }
}

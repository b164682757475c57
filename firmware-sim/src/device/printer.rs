//! The receipt printer on the run loop: paper that comes off lands in a directory.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{ControlError, ControlRequest, Device};
use crate::printer::{Input, Output, PrinterMachine, Ticket, render_png, render_text};

/// The printer on the run loop.
#[derive(Debug)]
pub struct PrinterDevice {
    printer: PrinterMachine,
    paper_dir: PathBuf,
    tickets: usize,
    drawer_kicks: u64,
    last_violation: Option<String>,
}

impl PrinterDevice {
    /// Runs `printer`; each piece of paper becomes `NNNN.txt` and `NNNN.png` in `paper_dir`, where
    /// an earlier run's paper stays.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub fn new(printer: PrinterMachine, paper_dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&paper_dir)?;
        let is_text = |entry: &fs::DirEntry| entry.path().extension().is_some_and(|e| e == "txt");
        let tickets = fs::read_dir(&paper_dir)?.flatten().filter(is_text).count();
        Ok(Self {
            printer,
            paper_dir,
            tickets,
            drawer_kicks: 0,
            last_violation: None,
        })
    }

    fn handle(&mut self, now_ms: u64, input: Input<'_>) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        self.printer.handle(now_ms, input, &mut out);
        let mut answers = Vec::new();
        for output in out {
            match output {
                Output::ToHost(bytes) => answers.push(bytes),
                Output::Paper(ticket) => {
                    if let Err(error) = self.keep(&ticket) {
                        tracing::error!(%error, "paper could not be kept");
                    }
                }
                Output::DrawerKick { pin, on_ms } => {
                    tracing::info!(pin, on_ms, "drawer opens");
                    self.drawer_kicks += 1;
                }
                // A pseudo-terminal has no such wire; the status shows it.
                Output::Busy(_) => {}
                Output::Violation(what) => {
                    tracing::error!(what, "host broke a rule of the printer's language");
                    self.last_violation = Some(what);
                }
            }
        }
        answers
    }

    /// The text appears last and whole: who waits for it finds the picture too.
    fn keep(&mut self, ticket: &Ticket) -> io::Result<()> {
        self.tickets += 1;
        let name = format!("{:04}", self.tickets);
        fs::write(
            self.paper_dir.join(format!("{name}.png")),
            render_png(ticket),
        )?;
        let draft = self.paper_dir.join(format!("{name}.draft"));
        fs::write(&draft, render_text(ticket))?;
        fs::rename(draft, self.paper_dir.join(format!("{name}.txt")))
    }
}

impl Device for PrinterDevice {
    fn hear(&mut self, now_ms: u64, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.handle(now_ms, Input::HostBytes(bytes))
    }

    fn tick(&mut self, now_ms: u64) -> Vec<Vec<u8>> {
        self.handle(now_ms, Input::Deadline)
    }

    fn poll_deadline(&self) -> Option<u64> {
        self.printer.poll_deadline()
    }

    fn control(
        &mut self,
        now_ms: u64,
        request: &ControlRequest,
    ) -> Result<Vec<Vec<u8>>, ControlError> {
        let input = match request.command.as_str() {
            "paper-out" => Input::PaperOut,
            "paper-near-end" => Input::PaperNearEnd,
            "paper-in" => Input::PaperIn,
            "cover-open" => Input::CoverOpen,
            "cover-close" => Input::CoverClose,
            "cutter-jam" => Input::CutterJam,
            "cutter-clear" => Input::CutterClear,
            "head-hot" => Input::HeadHot,
            "head-cool" => Input::HeadCool,
            "paper-jam" => Input::PaperJam,
            "jam-clear" => Input::JamClear,
            "break" => Input::Break,
            "mend" => Input::Mend,
            "feed-press" => Input::FeedPress,
            "feed-release" => Input::FeedRelease,
            "drawer-open" => Input::DrawerOpen,
            "drawer-close" => Input::DrawerClose,
            "stall" => Input::Stall,
            "go-on" => Input::GoOn,
            "noise" => Input::Noise,
            "power-cycle" => Input::PowerCycle,
            "power-off" => Input::PowerOff,
            "power-on" => Input::PowerOn,
            "tear-off" => Input::TearOff,
            name => {
                return Err(ControlError::UnknownCommand {
                    name: name.to_owned(),
                });
            }
        };
        Ok(self.handle(now_ms, input))
    }

    fn phase(&self) -> &'static str {
        if self.printer.is_online() {
            "on-line"
        } else {
            "off-line"
        }
    }

    fn status(&self) -> Value {
        json!({
            "phase": self.phase(),
            "tickets": self.tickets,
            "violations": self.printer.violations(),
            "last_violation": self.last_violation,
            "drawer_kicks": self.drawer_kicks,
            "drawer_open": self.printer.is_drawer_open(),
            "busy": self.printer.is_busy(),
            "buffered_bytes": self.printer.buffered_bytes(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::PrinterConfig;

    #[test]
    fn paper_lands_in_the_directory_and_unknown_bytes_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let new = || {
            let printer = PrinterMachine::new(PrinterConfig::default());
            PrinterDevice::new(printer, dir.path().to_path_buf()).unwrap()
        };
        let mut device = new();
        device.hear(0, b"\x1b@Hello\n\x1dVB\x00");
        device.tick(1_000);
        assert!(
            fs::read_to_string(dir.path().join("0001.txt"))
                .unwrap()
                .contains("Hello")
        );
        assert!(dir.path().join("0001.png").exists());
        device.hear(1_000, b"\x1b\xff");
        assert_eq!(device.status()["violations"], 1);
        let mut device = new();
        device.hear(0, b"again\n\x1dVB\x00");
        device.tick(1_000);
        assert!(
            dir.path().join("0002.txt").exists(),
            "an earlier run's paper was overwritten"
        );
    }

    #[test]
    fn hands_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let printer = PrinterMachine::new(PrinterConfig::default());
        let mut device = PrinterDevice::new(printer, dir.path().to_path_buf()).unwrap();
        device
            .control(0, &ControlRequest::new("printer", "paper-out"))
            .unwrap();
        assert_eq!(device.phase(), "off-line");
        assert!(
            device
                .control(0, &ControlRequest::new("printer", "explode"))
                .is_err()
        );
    }
}

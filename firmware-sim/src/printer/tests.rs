//! The printer as a host and a person see it.

mod paper;
mod state;
mod wire;

use proptest::prelude::*;

use super::*;

const ASB_ON: &[u8] = b"\x1ba\x00\x1da\x0f";

struct Bench {
    printer: PrinterMachine,
    now_ms: u64,
}

impl Bench {
    fn new(config: PrinterConfig) -> Self {
        Self {
            printer: PrinterMachine::new(config),
            now_ms: 0,
        }
    }

    fn input(&mut self, input: Input<'_>) -> Vec<Output> {
        let mut out = Vec::new();
        self.printer.handle(self.now_ms, input, &mut out);
        out
    }

    fn send(&mut self, bytes: &[u8]) -> Vec<Output> {
        self.input(Input::HostBytes(bytes))
    }

    fn wait(&mut self) -> Vec<Output> {
        self.now_ms = self.printer.poll_deadline().unwrap();
        self.input(Input::Deadline)
    }
}

fn host(bytes: &[u8]) -> Output {
    Output::ToHost(bytes.to_vec())
}

fn texts(out: &[Output]) -> Vec<String> {
    out.iter()
        .filter_map(|output| match output {
            Output::Paper(ticket) => Some(render_text(ticket)),
            _ => None,
        })
        .collect()
}

fn narrow() -> PrinterConfig {
    PrinterConfig {
        columns: 24,
        ..PrinterConfig::default()
    }
}

fn json(value: &serde_json::Value) -> &str {
    value.as_str().unwrap()
}

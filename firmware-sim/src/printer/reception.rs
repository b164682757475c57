//! Bytes from the host on their way into the buffer: commands taken apart, requests in real time
//! answered at once. Prints nothing.

use super::tokenizer::{self, Parsed, Token, parse};
use super::{Output, PrinterMachine};

impl PrinterMachine {
    pub(super) fn receive(&mut self, now_ms: u64, bytes: &[u8], out: &mut Vec<Output>) {
        let mut lost: usize = 0;
        for byte in bytes {
            let is_full = self.buffered_bytes() >= self.config.buffer_bytes;
            // A full buffer still lets requests in real time through.
            let is_real_time = match self.pending.first() {
                None => *byte == 0x10,
                Some(first) => *first == 0x10,
            };
            if is_full && !is_real_time {
                lost = lost.saturating_add(1);
                continue;
            }
            self.pending.push(*byte);
            match parse(&self.pending) {
                Parsed::Incomplete => {}
                Parsed::Token(token, length) => {
                    self.pending.clear();
                    self.accept(token, length, out);
                    self.print(now_ms, out);
                }
                Parsed::Unknown(_) => {
                    let unknown = std::mem::take(&mut self.pending);
                    self.violate(format!("unknown bytes {}", hex::encode(unknown)), out);
                }
            }
        }
        if lost > 0 {
            self.violate(format!("{lost} bytes sent into a full buffer"), out);
        }
    }

    pub(super) fn accept(&mut self, token: Token, length: usize, out: &mut Vec<Output>) {
        self.scan_data(&token, out);
        if let Some(rule) = self.lacks(&token) {
            self.violate(rule, out);
            return;
        }
        match token {
            Token::RealTimeStatus(n) => {
                out.push(Output::ToHost(vec![self.sensors.real_time(n)]));
            }
            Token::RealTimeRecover(n) => self.recover(n == 2),
            Token::RealTimeDrawer { pin, on_100ms } => {
                if self.is_online() {
                    self.kick_drawer(pin, u16::from(on_100ms).saturating_mul(100), out);
                }
            }
            queued => {
                self.queue.push_back((queued, length));
                self.queued_bytes = self.queued_bytes.saturating_add(length);
            }
        }
    }

    /// Printers look for requests in real time even within the data of a command.
    pub(super) fn scan_data(&mut self, token: &Token, out: &mut Vec<Output>) {
        let within: Vec<[u8; 2]> = tokenizer::data(token)
            .windows(3)
            .filter_map(|window| match window {
                [0x10, kind @ 0x04, n @ 1..=4]
                | [0x10, kind @ 0x05, n @ 1..=2]
                | [0x10, kind @ 0x14, n @ 1] => Some([*kind, *n]),
                _ => None,
            })
            .collect();
        for [kind, n] in within {
            if kind == 0x04 {
                out.push(Output::ToHost(vec![self.sensors.real_time(n)]));
            }
            self.violate("real-time request within the data of a command", out);
        }
    }

    /// What this model does not have.
    pub(super) fn lacks(&self, token: &Token) -> Option<&'static str> {
        match token {
            Token::ProcessId(_) if !self.config.has_process_id => {
                Some("process id sent to a model without")
            }
            Token::Cut {
                is_partial: false, ..
            } if !self.config.has_full_cut => Some("full cut sent to a model without"),
            _ => None,
        }
    }
}

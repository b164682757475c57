//! What an agent said on its link, read back from the recorder's trace.

use std::collections::BTreeMap;

use protocol::link::{Handshake, ToEngine, decode};

use super::trace::{Act, Record};

/// A message that left the process.
#[derive(Debug, Clone)]
pub struct Sent {
    /// When it had left, on the recorder's clock.
    pub at: u64,
    /// What.
    pub message: Said,
}

/// What an agent says.
#[derive(Debug, Clone)]
pub enum Said {
    /// While the link opens.
    Handshake(Box<Handshake>),
    /// On an open link.
    ToEngine(Box<ToEngine>),
}

/// Everything that was said on WebSockets, in order.
pub fn messages(records: &[Record]) -> Vec<Sent> {
    let mut sockets: BTreeMap<u64, Socket> = BTreeMap::new();
    let mut sent = Vec::new();
    for record in records {
        match &record.act {
            // Another process: its sockets may have the numbers of old ones.
            Act::Start => sockets.clear(),
            Act::Send(bytes) => {
                let socket = sockets.entry(record.inode).or_default();
                // A request in plain HTTP opens a connection, also on a number used before.
                if bytes.starts_with(b"GET ") {
                    *socket = Socket::default();
                }
                socket.bytes.extend_from_slice(bytes);
                while let Some(message) = socket.next() {
                    let at = record.end;
                    sent.push(Sent { at, message });
                }
            }
            _ => {}
        }
    }
    sent
}

#[derive(Debug, Default)]
struct Socket {
    bytes: Vec<u8>,
    is_upgraded: bool,
}

impl Socket {
    fn next(&mut self) -> Option<Said> {
        if !self.is_upgraded {
            let is_request = self.bytes.starts_with(b"GET ");
            let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
            if !is_request {
                return None;
            }
            self.bytes.drain(..end + 4);
            self.is_upgraded = true;
        }
        loop {
            let (opcode, payload) = self.frame()?;
            if opcode != 2 {
                continue;
            }
            // `Handshake` and `ToEngine` have no variant name in common.
            if let Ok(message) = decode(&payload) {
                return Some(Said::ToEngine(Box::new(message)));
            }
            if let Ok(handshake) = decode(&payload) {
                return Some(Said::Handshake(Box::new(handshake)));
            }
        }
    }

    /// A whole frame from a client, unmasked (RFC 6455 §5.2).
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.bytes.get(..2)?;
        let (opcode, short) = (head[0] & 0x0F, head[1] & 0x7F);
        let wide = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let length = self.bytes.get(2..2 + wide)?;
        let length = match wide {
            0 => usize::from(short),
            _ => length
                .iter()
                .fold(0, |number, byte| number << 8 | usize::from(*byte)),
        };
        let mask_at = 2 + wide;
        let payload_at = mask_at + 4;
        let payload = self.bytes.get(payload_at..payload_at + length)?;
        let mask = &self.bytes[mask_at..payload_at];
        let masked = payload.iter().zip(mask.iter().cycle());
        let payload = masked.map(|(byte, mask)| byte ^ mask).collect();
        self.bytes.drain(..payload_at + length);
        Some((opcode, payload))
    }
}

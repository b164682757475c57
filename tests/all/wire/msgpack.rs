//! MessagePack read and written by hand, so that the snapshots do not depend on the library that
//! makes the bytes.

/// One MessagePack value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// Keys and values in order.
    Map(Vec<(Node, Node)>),
    /// Elements.
    Array(Vec<Node>),
    /// UTF-8 text.
    Text(String),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A number.
    Number(i128),
    /// True or false.
    Truth(bool),
    /// Nothing.
    Nil,
}

/// Reads one value that fills all bytes; also gives the annotated lines.
pub(super) fn read(bytes: &[u8]) -> (Node, String) {
    let mut reader = Reader {
        bytes,
        at: 0,
        lines: Vec::new(),
    };
    let node = reader.node(0);
    assert_eq!(reader.at, bytes.len(), "bytes behind the value");
    let lines: Vec<String> = reader.lines.iter().map(Line::text).collect();
    (node, lines.join("\n"))
}

/// Bytes with what they mean.
struct Line {
    depth: usize,
    digits: String,
    note: String,
}

impl Line {
    fn text(&self) -> String {
        format!(
            "{}{}  -- {}",
            "  ".repeat(self.depth),
            self.digits,
            self.note
        )
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    lines: Vec<Line>,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.bytes[self.at..self.at + count].to_vec();
        self.at += count;
        taken
    }

    fn unsigned(&mut self, count: usize) -> u64 {
        self.take(count)
            .into_iter()
            .fold(0, |value, byte| (value << 8) | u64::from(byte))
    }

    fn size(&mut self, count: usize) -> usize {
        usize::try_from(self.unsigned(count)).unwrap()
    }

    fn line(&mut self, depth: usize, from: usize, note: &str) {
        let digits = hex::encode(&self.bytes[from..self.at]);
        self.lines.push(Line {
            depth,
            digits,
            note: note.to_owned(),
        });
    }

    fn node(&mut self, depth: usize) -> Node {
        let from = self.at;
        let marker = self.take(1)[0];
        match marker {
            0x80..=0x8F => self.map(depth, from, usize::from(marker & 0x0F)),
            0xDE => {
                let count = self.size(2);
                self.map(depth, from, count)
            }
            0x90..=0x9F => self.array(depth, from, usize::from(marker & 0x0F)),
            0xDC => {
                let count = self.size(2);
                self.array(depth, from, count)
            }
            0xA0..=0xBF => self.text(depth, from, usize::from(marker & 0x1F)),
            0xD9 => {
                let count = self.size(1);
                self.text(depth, from, count)
            }
            0xC4 => {
                let count = self.size(1);
                let bytes = self.take(count);
                self.line(depth, from, &format!("{count} bytes"));
                Node::Bytes(bytes)
            }
            0xC5 => {
                let count = self.size(2);
                let bytes = self.take(count);
                self.line(depth, from, &format!("{count} bytes"));
                Node::Bytes(bytes)
            }
            0xC0 => {
                self.line(depth, from, "nil");
                Node::Nil
            }
            0xC2 | 0xC3 => {
                self.line(depth, from, if marker == 0xC3 { "true" } else { "false" });
                Node::Truth(marker == 0xC3)
            }
            _ => {
                let value = self.number(marker);
                self.line(depth, from, &value.to_string());
                Node::Number(value)
            }
        }
    }

    fn number(&mut self, marker: u8) -> i128 {
        match marker {
            0x00..=0x7F => i128::from(marker),
            0xCC => i128::from(self.unsigned(1)),
            0xCD => i128::from(self.unsigned(2)),
            0xCE => i128::from(self.unsigned(4)),
            0xCF => i128::from(self.unsigned(8)),
            0xE0..=0xFF => i128::from(marker) - 256,
            0xD0 => signed(self.unsigned(1), 8),
            0xD1 => signed(self.unsigned(2), 16),
            0xD2 => signed(self.unsigned(4), 32),
            0xD3 => signed(self.unsigned(8), 64),
            _ => panic!("marker {marker:02x} is not used by this protocol"),
        }
    }

    fn map(&mut self, depth: usize, from: usize, count: usize) -> Node {
        self.line(depth, from, &format!("map of {count}"));
        Node::Map((0..count).map(|_| self.pair(depth + 1)).collect())
    }

    /// A key and its value; a plain value stands on the line of its key.
    fn pair(&mut self, depth: usize) -> (Node, Node) {
        let before = self.lines.len();
        let pair = (self.node(depth), self.node(depth));
        if self.lines.len() == before + 2
            && let (Some(value), Some(key)) = (self.lines.pop(), self.lines.last_mut())
        {
            key.digits = format!("{} {}", key.digits, value.digits);
            key.note = format!("{} {}", key.note, value.note);
        }
        pair
    }

    fn array(&mut self, depth: usize, from: usize, count: usize) -> Node {
        self.line(depth, from, &format!("array of {count}"));
        Node::Array((0..count).map(|_| self.node(depth + 1)).collect())
    }

    fn text(&mut self, depth: usize, from: usize, count: usize) -> Node {
        let text = String::from_utf8(self.take(count)).unwrap();
        self.line(depth, from, &format!("{text:?}"));
        Node::Text(text)
    }
}

/// Two's complement of so many bits.
fn signed(value: u64, bits: u32) -> i128 {
    let value = i128::from(value);
    if value >> (bits - 1) == 1 {
        value - (1 << bits)
    } else {
        value
    }
}

/// Writes a value; numbers and texts in forms that are as long as needed, not as short as possible.
pub(super) fn write(node: &Node, out: &mut Vec<u8>) {
    match node {
        Node::Map(pairs) => {
            out.push(0xDE);
            out.extend(u16::try_from(pairs.len()).unwrap().to_be_bytes());
            for (key, value) in pairs {
                write(key, out);
                write(value, out);
            }
        }
        Node::Array(elements) => {
            out.push(0xDC);
            out.extend(u16::try_from(elements.len()).unwrap().to_be_bytes());
            elements.iter().for_each(|element| write(element, out));
        }
        Node::Text(text) => {
            out.push(0xD9);
            out.push(u8::try_from(text.len()).unwrap());
            out.extend(text.as_bytes());
        }
        Node::Bytes(bytes) => {
            out.push(0xC5);
            out.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
            out.extend(bytes);
        }
        Node::Number(value) => {
            out.push(0xD3);
            out.extend(i64::try_from(*value).unwrap().to_be_bytes());
        }
        Node::Truth(value) => out.push(if *value { 0xC3 } else { 0xC2 }),
        Node::Nil => out.push(0xC0),
    }
}

/// The value in words: ids by their kind, byte strings by their length, `clocks` without number.
pub(super) fn shape(node: &Node, clocks: &[&str]) -> String {
    match node {
        Node::Map(pairs) => {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(key, value)| match key {
                    Node::Text(key) if clocks.contains(&key.as_str()) => format!("{key} ms"),
                    Node::Text(key) => format!("{key} {}", shape(value, clocks)),
                    other => panic!("{other:?} as a key"),
                })
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Node::Array(elements) => {
            let elements: Vec<String> = elements
                .iter()
                .map(|element| shape(element, clocks))
                .collect();
            format!("[{}]", elements.join(", "))
        }
        Node::Text(text) => match text.split_once('_') {
            Some((kind, rest)) if kind.len() == 3 && rest.len() == 26 => format!("<{kind}>"),
            _ => format!("{text:?}"),
        },
        Node::Bytes(bytes) => format!("<{} bytes>", bytes.len()),
        Node::Number(value) => value.to_string(),
        Node::Truth(value) => value.to_string(),
        Node::Nil => "nil".to_owned(),
    }
}

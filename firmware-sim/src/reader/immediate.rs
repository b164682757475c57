//! Commands that the reader answers at once: identity, configuration, display, encryption.
//!
//! Owns the command table. It never reads a card.

use protocol::reader::command as group;
use protocol::reader::frame::{Command, Response};
use protocol::reader::outcome::Status;
use protocol::reader::tlv::{self, Form, TlvWriter, Tlvs};

use super::Reader;
use super::answer::padded;
use super::ending::put;
use super::transaction::response;

/// Bytes of a serial number, padded with zeros.
const SERIAL_LENGTH: usize = 15;
/// Bounds the stored configuration; arbitrary.
const CONFIGURATION_TAGS_MAX: usize = 256;
/// Tag of the response codes that the kernel knows: approval, referral, decline, reserved.
const TAG_RESPONSE_CODES: u32 = 0x00DF_EE1B;

impl Reader {
    /// Carries a valid command out.
    pub(super) fn execute(&mut self, now_ms: u64, command: &Command) {
        match (command.cmd(), command.sub()) {
            (group::CANCEL, group::CANCEL_TRANSACTION) => {
                self.cancel(now_ms);
                return;
            }
            // M/Chip stop is accepted during a read, and does nothing to these cards.
            (group::CANCEL, 0x02) => {
                self.reply_status(now_ms, group::CANCEL, Status::Ok);
                return;
            }
            _ => self.end_polling(),
        }
        if let (group::INTERFACE, group::POLL_MODE, [mode @ (0x00 | 0x01)]) =
            (command.cmd(), command.sub(), command.data())
        {
            self.reads_unasked = *mode == 0x00;
        }
        match (command.cmd(), command.sub()) {
            (group::ACTIVATE, group::ACTIVATE_TRANSACTION) => self.activate(now_ms, command),
            (group::PROMPT, _) => self.prompt_answered(now_ms, command),
            (group::CONTACT, group::CONTACT_START) => self.contact_start(now_ms, command),
            (group::CONTACT, group::CONTACT_AUTHENTICATE) => {
                self.contact_authenticate(now_ms, command);
            }
            (group::CONTACT, group::CONTACT_APPLY_HOST_RESPONSE) => {
                self.contact_apply_host_response(now_ms, command);
            }
            _ => {
                let answer = self.immediate(command);
                self.line.send(now_ms, &answer, false);
            }
        }
    }

    fn immediate(&mut self, command: &Command) -> Response {
        let cmd = command.cmd();
        let done = |data| response(cmd, Status::Ok, data);
        let bare = |status: Status| Response::bare(cmd, status.code());
        match (cmd, command.sub()) {
            (group::PING, group::PING_SUB) => bare(Status::Ok),
            (group::FIRMWARE, 0x00) => done(self.config.firmware.clone().into_bytes()),
            (group::SERIAL_NUMBER, group::SERIAL) if self.config.serial.is_empty() => {
                bare(Status::NotAllowed)
            }
            (group::SERIAL_NUMBER, group::SERIAL) => {
                done(padded(&self.config.serial, SERIAL_LENGTH))
            }
            (0x09, 0x02) => done(TlvWriter::default().clear(0xDF61, b"M\0").finish()),
            (0x09, 0x03) => {
                let text = self.config.firmware.as_bytes();
                done(TlvWriter::default().clear(0xDF62, text).finish())
            }
            (0x09, 0x20) => done(self.config.firmware.clone().into_bytes()),
            (group::INTERFACE, group::POLL_MODE) => match command.data() {
                [0x00 | 0x01] => bare(Status::Ok),
                _ => bare(Status::WrongParameter),
            },
            (group::INTERFACE, group::MESSAGE) => match command.data() {
                [message, _, _, _] => {
                    self.displayed = *message;
                    bare(Status::Ok)
                }
                _ => bare(Status::WrongParameter),
            },
            (0x0A, 0x03) | (0x0B, 0x01 | 0x02) => bare(Status::Ok),
            (group::CONFIGURATION, 0x00) => bare(self.configure(command.data())),
            (group::CONFIGURATION, 0x09) => {
                self.configuration.clear();
                bare(Status::Ok)
            }
            (0x03, 0x02) => done(self.configuration_data()),
            (group::CONTACT, 0x06) => bare(self.set_terminal_data(command.data())),
            (group::CONTACT, group::CONTACT_LAST_RESULT)
                if self.config.quirks.knows_last_result =>
            {
                match self.last_values(command.data()) {
                    Some(data) => done(data),
                    None => bare(Status::NotFound),
                }
            }
            (group::CONTACT_POWER, group::CONTACT_POWER_OFF) => bare(Status::Ok),
            (group::ENCRYPTION, group::ENCRYPTION_STATUS) => {
                let both = group::STRIPE_ENCRYPTION_ON | group::CHIP_ENCRYPTION_ON;
                done(vec![if self.config.encryption_on { both } else { 0 }])
            }
            _ if is_known(cmd) => bare(Status::UnknownSubCommand),
            _ => bare(Status::UnknownCommand),
        }
    }

    fn configure(&mut self, data: &[u8]) -> Status {
        let Ok(tlvs) = Tlvs::new(data).collect::<Result<Vec<_>, _>>() else {
            return Status::MalformedData;
        };
        if self.configuration.len() + tlvs.len() > CONFIGURATION_TAGS_MAX {
            return Status::BufferOverflow;
        }
        for tlv in tlvs {
            self.configuration.insert(tlv.tag, tlv.value.to_vec());
        }
        Status::Ok
    }

    fn configuration_data(&self) -> Vec<u8> {
        let values = self.configuration.iter();
        values
            .fold(TlvWriter::default(), |writer, (tag, value)| {
                writer.clear(*tag, value)
            })
            .finish()
    }

    /// 60-06: a count, low byte first, and that many TLVs.
    fn set_terminal_data(&mut self, data: &[u8]) -> Status {
        let [low, high, tlvs @ ..] = data else {
            return Status::MalformedData;
        };
        let announced = usize::from(u16::from_le_bytes([*low, *high]));
        let found = Tlvs::new(tlvs).filter(Result::is_ok).count();
        if Tlvs::new(tlvs).count() != found || found != announced {
            return Status::MalformedData;
        }
        if let Some(codes) = tlv::find(tlvs, TAG_RESPONSE_CODES, Form::Clear) {
            let (codes, []) = codes.as_chunks::<2>() else {
                return Status::WrongParameter;
            };
            self.response_codes = codes
                .iter()
                .copied()
                .filter(|code| *code != [0, 0])
                .collect();
        }
        Status::Ok
    }

    /// 60-13: the attribution of the last contact result and the values that were asked for.
    fn last_values(&self, tags: &[u8]) -> Option<Vec<u8>> {
        let (attribution, values) = self.last_result.split_first()?;
        // A list of tags reads as TLVs once each tag has a length of zero.
        let mut rest = tags;
        let mut wanted = Vec::new();
        while !rest.is_empty() {
            let length = (1..=rest.len().min(4)).find(|length| {
                let mut probe = rest.get(..*length).unwrap_or_default().to_vec();
                probe.push(0);
                Tlvs::new(&probe).all(|tlv| tlv.is_ok())
            })?;
            let (tag, after) = rest.split_at(length);
            wanted.push(
                tag.iter()
                    .fold(0u32, |tag, byte| tag << 8 | u32::from(*byte)),
            );
            rest = after;
        }
        let writer = TlvWriter::after(&[*attribution]);
        let tlvs = Tlvs::new(values).map_while(Result::ok);
        let chosen = tlvs.filter(|tlv| wanted.contains(&tlv.tag));
        Some(chosen.fold(writer, put).finish())
    }
}

/// Whether there are commands of this group at all.
const fn is_known(cmd: u8) -> bool {
    matches!(
        cmd,
        group::PING
            | group::INTERFACE
            | group::ACTIVATE
            | group::CONFIGURATION
            | group::CANCEL
            | group::SERIAL_NUMBER
            | group::FIRMWARE
            | group::CONTACT_POWER
            | group::CONTACT
            | group::ENCRYPTION
            | 0x03
            | 0x09
            | 0x0A
            | 0x0B
    )
}

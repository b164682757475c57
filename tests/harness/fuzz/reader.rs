//! The card reader's bytes: frames in both directions, TLVs, magstripe blocks, outcomes.

use protocol::reader::frame::{Command, CommandDecoder, Received, Response, ResponseDecoder};
use protocol::reader::hid::{self, HidDecoder, REPORT_LENGTH};
use protocol::reader::outcome::CardRead;
use protocol::reader::swipe::{Swipe, seal};
use protocol::reader::tlv::{Form, Tlv, TlvWriter, Tlvs, find};

use super::corpus::{READER_VECTORS, hex_members};
use super::input::{Choices, pieces};
use super::property::{keeps_secrets, keeps_secrets_text};

pub(super) const WORDS: &[&[u8]] = &[
    b"ViVOtech2\0",
    b"ViVOtech2\0\x60\x00\x00\x00",
    b"ViVOtech2\0\x02\x00\xFF\xFF",
    b"ViVOtech2\0\x02\x00\x10\x00",
    b"\xDF\xEE\x25\x02\x00\x02",
    b"\xDF\xEE\x25\x02\x00\x04",
    b"\xDF\xEE\x12\x0A",
    b"\xFF\xEE\x1F\x04",
    b"\xDF\xEE\x23\x82",
    b"\x5A\xA1\x08",
    b"\x57\xC1\x18",
    b"\x9F\x39\x01\x07",
    b"4761739001010010",
    b";4761739001010010=28122011234000012300?",
];

/// The first two bytes say what is done to the frame; the rest is raw.
pub(super) fn responses(data: &[u8]) {
    let whole = all_responses(&[data]);
    assert!(
        all_responses(&pieces(data)) == whole,
        "cuts change what is read"
    );
    keeps_secrets_text(&format!("{whole:?}"), data);
    for response in &whole {
        let again = all_responses(&[&response.encode()]);
        assert!(again == [response.clone()], "a response does not go round");
    }
    // As data of a frame, with noise in front that is no header.
    if let Ok(response) = Response::new(0x60, 0x00, data.to_vec()) {
        let mut bytes = b"ViVOtech2ViVO".to_vec();
        bytes.extend(response.encode());
        let mut decoder = ResponseDecoder::default();
        let mut read = decoder.decode(&bytes);
        read.extend(decoder.decode(&Response::bare(0x18, 0).encode()));
        assert!(
            read.first() == Some(&response),
            "a frame behind noise is lost"
        );
    }
}

fn all_responses(pieces: &[&[u8]]) -> Vec<Response> {
    let mut decoder = ResponseDecoder::default();
    let mut read: Vec<_> = pieces
        .iter()
        .flat_map(|piece| decoder.decode(piece))
        .collect();
    read.extend(decoder.abandon_partial());
    assert!(!decoder.is_partial());
    let dropped = usize::try_from(decoder.dropped_bytes()).expect("a small number");
    let used: usize = read.iter().map(|one| one.encode().len()).sum();
    let given: usize = pieces.iter().map(|piece| piece.len()).sum();
    assert!(
        used + dropped == given,
        "bytes are counted twice or not at all"
    );
    read
}

pub(super) fn commands(data: &[u8]) {
    let whole = all_commands(&[data]);
    assert!(
        all_commands(&pieces(data)) == whole,
        "cuts change what is read"
    );
    for received in &whole {
        if let Received::Command(command) = received {
            let again = all_commands(&[&command.encode()]);
            assert!(again == [received.clone()], "a command does not go round");
        }
    }
    let mut choices = Choices::new(data);
    let [cmd, sub] = choices.array();
    if let Ok(command) = Command::new(cmd, sub, choices.rest().to_vec()) {
        let read = all_commands(&[&command.encode()]);
        assert!(read == [Received::Command(command)]);
    }
}

fn all_commands(pieces: &[&[u8]]) -> Vec<Received> {
    let mut decoder = CommandDecoder::default();
    let mut read: Vec<_> = pieces
        .iter()
        .flat_map(|piece| decoder.decode(piece))
        .collect();
    read.extend(decoder.abandon_partial());
    assert!(!decoder.is_partial());
    read
}

/// The input as reports one after another; then as the data of a frame behind them.
pub(super) fn hid_reports(data: &[u8]) {
    let mut decoder = HidDecoder::default();
    let mut given = 0u64;
    let mut used = 0u64;
    for report in data.chunks(REPORT_LENGTH) {
        given += 1;
        let Some(frame) = decoder.decode(report) else {
            continue;
        };
        let reports = hid::encode(&frame).expect("what came in reports fits into reports");
        used += u64::try_from(reports.len()).expect("few");
        let again = reports.iter().filter_map(|report| decoder.decode(report));
        assert!(again.eq([frame]), "a frame does not go round");
    }
    keeps_secrets_text(&format!("{decoder:?}"), data);
    decoder.abandon_partial();
    assert!(
        used + decoder.dropped_reports() <= given,
        "reports are counted twice"
    );

    let Ok(response) = Response::new(0x60, 0x00, data.to_vec()) else {
        return;
    };
    let frame = response.encode();
    match hid::encode(&frame) {
        Ok(reports) => {
            let mut read = reports.iter().filter_map(|report| decoder.decode(report));
            assert!(read.next() == Some(frame), "a frame is lost");
            assert!(read.next().is_none());
        }
        Err(error) => {
            assert!(frame.len() > hid::FRAME_LENGTH_MAX, "{error}");
        }
    }
}

pub(super) fn tlvs(data: &[u8]) {
    let mut writer = TlvWriter::default();
    let mut read = Vec::new();
    for tlv in Tlvs::new(data) {
        match tlv {
            Ok(tlv) => {
                nested(tlv);
                writer = match tlv.form {
                    Form::Clear => writer.clear(tlv.tag, tlv.value),
                    Form::Masked => writer.masked(tlv.tag, tlv.value),
                    Form::Encrypted => writer.encrypted(tlv.tag, tlv.value),
                };
                read.push((tlv.tag, tlv.form, tlv.value));
            }
            Err(error) => keeps_secrets(&error, data),
        }
    }
    for (tag, form, _) in &read {
        let first = read.iter().find(|one| (one.0, one.1) == (*tag, *form));
        let expected = first.map(|(_, _, value)| *value);
        assert!(
            find(data, *tag, *form) == expected,
            "not the first of its tag"
        );
    }
    let written = writer.finish();
    let again: Vec<_> = Tlvs::new(&written)
        .map(|tlv| tlv.expect("what was written is read"))
        .map(|tlv| (tlv.tag, tlv.form, tlv.value))
        .collect();
    assert!(again == read, "tlvs do not go round");
}

fn nested(tlv: Tlv<'_>) {
    drop(format!("{tlv:?}"));
    if let Ok(inner) = tlv.nested() {
        for tlv in inner.flatten() {
            nested(tlv);
        }
    }
}

pub(super) fn swipe(data: &[u8]) {
    block(data);
    if let Some(sealed) = seal(data) {
        block(&sealed);
    }
}

fn block(bytes: &[u8]) {
    match Swipe::parse(bytes) {
        Ok(swipe) => {
            let parts = swipe.tracks.iter().flat_map(|track| {
                [track.masked, track.encrypted, track.hash]
                    .into_iter()
                    .flatten()
            });
            let length: usize = parts.map(<[u8]>::len).sum();
            assert!(length <= bytes.len(), "more parts than bytes");
            drop(format!("{:?}", swipe.tracks));
        }
        Err(error) => keeps_secrets(&error, bytes),
    }
}

pub(super) fn outcome(data: &[u8]) {
    match CardRead::parse(data) {
        Ok(read) => {
            keeps_secrets_text(&format!("{read:?}"), data);
            let is_listed = Tlvs::new(read.tlvs).all(|tlv| tlv.is_ok());
            assert!(is_listed, "broken tlvs were taken");
            if let Some(result) = read.result {
                assert_eq!(result.is_approved_online(), result.code() == 0x0002);
            }
            assert!(read.ksn.is_none_or(|ksn| matches!(ksn.len(), 10 | 12)));
        }
        Err(error) => keeps_secrets(&error, data),
    }
}

pub(super) fn response_seeds() -> Vec<Vec<u8>> {
    let mut seeds = hex_members(READER_VECTORS);
    let stream = seeds.concat();
    seeds.push(stream);
    seeds
}

/// The frames of the vectors as reports: each alone, all in a row, and with pieces missing.
pub(super) fn hid_seeds() -> Vec<Vec<u8>> {
    let frames = hex_members(READER_VECTORS);
    let reports = frames
        .iter()
        .filter_map(|frame| hid::encode(frame).ok())
        .map(|reports| reports.concat());
    let mut seeds: Vec<_> = reports.filter(|bytes| !bytes.is_empty()).collect();
    let all = seeds.concat();
    let without_every_third = all.chunks(REPORT_LENGTH).enumerate();
    let kept = without_every_third.filter(|(place, _)| place % 3 != 2);
    let broken = kept.flat_map(|(_, report)| report.to_vec()).collect();
    // Short ones tell little of their own.
    seeds.retain(|bytes| bytes.len() > REPORT_LENGTH);
    seeds.extend([all, broken]);
    seeds
}

pub(super) fn command_seeds() -> Vec<Vec<u8>> {
    response_seeds()
}

/// The data of every response among the vectors.
pub(super) fn tlv_seeds() -> Vec<Vec<u8>> {
    let mut decoder = ResponseDecoder::default();
    let responses = decoder.decode(&hex_members(READER_VECTORS).concat());
    let data = responses.into_iter().map(Response::into_data);
    let mut seeds: Vec<_> = data.filter(|data| !data.is_empty()).collect();
    // Without the attribution byte too: a sequence of its own.
    let tails: Vec<_> = seeds.iter().map(|data| data[1..].to_vec()).collect();
    seeds.extend(tails);
    seeds
}

pub(super) fn swipe_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for data in tlv_seeds() {
        if let Some(block) = find(&data, 0x00DF_EE23, Form::Clear) {
            seeds.push(block.to_vec());
            seeds.push(block[3..block.len() - 3].to_vec());
        }
    }
    seeds
}

//! The frames of the vendor's guide, and what becomes of broken ones.

use super::*;
use proptest::prelude::*;

const VECTORS: &str = include_str!("../../../vectors/idtech_neo2.json");

fn vectors() -> serde_json::Value {
    serde_json::from_str(VECTORS).unwrap()
}

fn check_command(bytes: &[u8], name: &str) {
    let frames = CommandDecoder::default().decode(bytes);
    let [Received::Command(command)] = frames.as_slice() else {
        panic!("{name}: {frames:?}");
    };
    assert_eq!(command.encode(), bytes, "{name}");
    assert_eq!(ResponseDecoder::default().decode(bytes), [], "{name}");
}

fn check_response(bytes: &[u8], name: &str) {
    let frames = ResponseDecoder::default().decode(bytes);
    let [response] = frames.as_slice() else {
        panic!("{name}: {frames:?}");
    };
    assert_eq!(response.encode(), bytes, "{name}");
}

#[test]
fn every_documented_frame_decodes_and_encodes_to_itself() {
    let vectors = vectors();
    for frame in vectors["frames"].as_array().unwrap() {
        let name = frame["name"].as_str().unwrap();
        let bytes = hex::decode(frame["hex"].as_str().unwrap()).unwrap();
        let crc = hex::decode(frame["crc16"].as_str().unwrap()).unwrap();
        // The CRC's byte order is what tells the directions apart.
        if bytes.ends_with(&crc) {
            check_response(&bytes, name);
        } else {
            check_command(&bytes, name);
        }
    }
}

#[test]
fn every_frame_of_the_flows_decodes_in_its_direction() {
    let vectors = vectors();
    let mut count = 0;
    for flow in vectors["flows"].as_array().unwrap() {
        for step in flow["steps"].as_array().unwrap() {
            let bytes = hex::decode(step["hex"].as_str().unwrap()).unwrap();
            let name = step["what"].as_str().unwrap();
            match step["dir"].as_str().unwrap() {
                ">" => check_command(&bytes, name),
                _ => check_response(&bytes, name),
            }
            count += 1;
        }
    }
    assert!(count > 20);
}

#[test]
fn a_command_with_the_other_byte_order_needs_a_tolerant_reader() {
    let mut bytes = Command::new(0x2C, 0x18, vec![]).unwrap().encode();
    let end = bytes.len();
    bytes.swap(end - 1, end - 2);
    let wrong = [Received::WrongCrc { cmd: 0x2C }];
    assert_eq!(CommandDecoder::default().decode(&bytes), wrong);
    let taken = CommandDecoder::of_either_order().decode(&bytes);
    assert!(matches!(taken.as_slice(), [Received::Command(_)]));
    *bytes.first_mut().unwrap() ^= 0x01;
    assert_eq!(CommandDecoder::of_either_order().decode(&bytes), []);
}

#[test]
fn the_crc_has_its_check_value() {
    assert_eq!(CRC.checksum(b"123456789"), 0x29B1);
}

#[test]
fn a_wrong_crc_is_told_to_the_reader_and_hidden_from_the_agent() {
    let mut bytes = Command::new(0x18, 0x01, vec![]).unwrap().encode();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(
        CommandDecoder::default().decode(&bytes),
        [Received::WrongCrc { cmd: 0x18 }]
    );
    let mut bytes = Response::bare(0x18, 0).encode();
    *bytes.last_mut().unwrap() ^= 1;
    let mut decoder = ResponseDecoder::default();
    assert_eq!(decoder.decode(&bytes), []);
    assert!(!decoder.is_partial());
    assert_eq!(decoder.dropped_bytes(), 16);
}

#[test]
fn a_frame_after_a_truncated_one_is_found() {
    let whole = Response::new(2, 0, vec![7; 40]).unwrap().encode();
    let next = Response::bare(0x18, 0);
    let mut decoder = ResponseDecoder::default();
    assert_eq!(decoder.decode(&whole[..20]), []);
    assert_eq!(decoder.decode(&next.encode()), []);
    assert_eq!(decoder.abandon_partial(), [Response::bare(0x18, 0)]);
    assert!(!decoder.is_partial());

    let mut decoder = ResponseDecoder::default();
    let mut stream = whole[..20].to_vec();
    for _ in 0..3 {
        stream.extend(next.encode());
    }
    assert_eq!(decoder.decode(&stream).len(), 3);
}

#[test]
fn an_announced_length_above_the_bound_is_skipped() {
    let mut stream = HEADER.to_vec();
    stream.extend([2, 0, 0x10, 0x01]);
    stream.extend(Response::bare(0x18, 0).encode());
    assert_eq!(
        ResponseDecoder::default().decode(&stream),
        [Response::bare(0x18, 0)]
    );
    assert!(Command::new(0, 0, vec![0; DATA_LENGTH_MAX]).is_ok());
    assert_eq!(
        Command::new(0, 0, vec![0; DATA_LENGTH_MAX + 1]),
        Err(FrameError::TooLong { length: 4097 })
    );
}

#[test]
fn debug_output_shows_no_data() {
    let response = Response::new(2, 0, b"4761739001010010".to_vec()).unwrap();
    assert_eq!(format!("{response:?}"), "Response(02, status 00, 16 bytes)");
    let mut decoder = ResponseDecoder::default();
    assert_eq!(decoder.decode(&response.encode()[..25]), []);
    assert!(!format!("{decoder:?}").contains("47"));
}

proptest! {
    #[test]
    fn responses_survive_any_cut_and_leading_noise(
        cmd: u8, status: u8,
        data in prop::collection::vec(any::<u8>(), 0..300),
        noise in prop::collection::vec(0u8..0x50, 0..40),
        cut in 1usize..40,
    ) {
        let response = Response::new(cmd, status, data).unwrap();
        let mut stream = noise;
        stream.extend(response.encode());
        stream.extend(response.encode());
        let mut decoder = ResponseDecoder::default();
        let found: Vec<_> = stream.chunks(cut).flat_map(|part| decoder.decode(part)).collect();
        prop_assert_eq!(found, vec![response.clone(), response]);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_pile_up(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)
    ) {
        let mut agent = ResponseDecoder::default();
        let mut reader = CommandDecoder::default();
        for part in &parts {
            agent.decode(part);
            reader.decode(part);
            prop_assert!(agent.scanner.pending.len() <= FRAME_LENGTH_MAX);
        }
        agent.abandon_partial();
        prop_assert!(!agent.is_partial());
    }
}

//! Card data that is sealed with a right key and is still not right: another scheme, broken
//! padding, a broken track, a stripe instead of the chip.

use firmware_sim::cards;
use firmware_sim::reader::key_register::{Encryption, KeyRegister};
use harness::hand::HandLink;
use protocol::dukpt::{DataKey, Ksn};
use protocol::link::{CardReport, ChipOutcome, Grant, HostDecision, PosStatus, ToAgent, ToEngine};
use protocol::reader::outcome::{TAG_ENTRY_MODE, TAG_KSN, TAG_SWIPE};
use protocol::reader::swipe;
use protocol::reader::tlv::TlvWriter;

use super::{Scene, concluded};

const TRIPLE_DES: Encryption = Encryption::TripleDes;
const AES: Encryption = Encryption::Aes128;

/// A card with a chip, by its track 2 and as a whole TLV.
const CHIP_CARD: &str = "visa";

/// What a reader seals with.
fn reader(encryption: Encryption) -> (Ksn, DataKey) {
    KeyRegister::demo_of(encryption, 0x40).advance().unwrap()
}

fn number() -> &'static str {
    cards::find(CHIP_CARD).unwrap().account()
}

/// Track 2 with sentinels and check character.
fn track(service_code: &str) -> Vec<u8> {
    let mut text = format!(";{}=2812{service_code}1234000012300?", number()).into_bytes();
    let check = text.iter().fold(0, |check, byte| check ^ (byte & 0x0F));
    text.push(b'0' + check);
    text
}

/// A swipe; `mark` is tag 9F39, `cipher` the status bits that name the scheme.
fn swiped(encryption: Encryption, text: &[u8], mark: Option<u8>, cipher: Option<u8>) -> Vec<u8> {
    let (ksn, key) = reader(encryption);
    let (attribution, own_cipher) = match encryption {
        Encryption::TripleDes => (0xE8, 0x00),
        Encryption::Aes128 => (0xEA, 0x10),
    };
    let length = u8::try_from(text.len()).unwrap();
    let mut data = vec![0x80, 0x02, 0, length, 0];
    data.extend([cipher.unwrap_or(own_cipher), 0x82]);
    data.extend(key.encrypt(text));
    data.extend(ksn.bytes());
    let block = swipe::seal(&data).unwrap();
    let writer = TlvWriter::after(&[attribution]).clear(TAG_SWIPE, &block);
    match mark {
        Some(mark) => writer.clear(TAG_ENTRY_MODE, &[mark]),
        None => writer,
    }
    .finish()
}

/// A tap whose account number is sealed from `plain`, under an attribution and a serial number.
fn tapped(attribution: u8, ksn: &[u8], sealed: &[u8]) -> Vec<u8> {
    TlvWriter::after(&[attribution])
        .clear(TAG_KSN, ksn)
        .encrypted(0x5A, sealed)
        .finish()
}

fn plain() -> Vec<u8> {
    hex::decode(format!("5A08{}", number())).unwrap()
}

fn send(link: &mut HandLink, grant: &Grant, data: Vec<u8>) {
    let report = CardReport {
        pos_id: grant.pos_id,
        attempt_id: grant.attempt_id,
        amount: grant.amount,
        data,
        chip_waits: false,
    };
    assert!(link.send(&ToEngine::Card(report)));
}

/// Every file of the engine, for the number as text and packed.
fn holds_number(scene: &Scene) -> Vec<String> {
    let needles = [number().as_bytes().to_vec(), hex::decode(number()).unwrap()];
    let mut places = vec![scene.engine.dir.clone()];
    let mut found = Vec::new();
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(&place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                places.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap_or_default();
            let holds = |text: &Vec<u8>| bytes.windows(text.len()).any(|window| window == text);
            if needles.iter().any(holds) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

/// The acquirer opens it, or tries to, and declines; another card may follow.
#[test]
fn what_the_acquirer_does_not_take_is_declined_and_a_good_card_may_follow() {
    let (aes_ksn, aes_key) = reader(AES);
    let (tdes_ksn, tdes_key) = reader(TRIPLE_DES);
    let mut strange_ksn = aes_ksn.bytes().to_vec();
    strange_ksn[0] ^= 1;
    let mut bad_check = track("101");
    *bad_check.last_mut().unwrap() ^= 1;
    let mut bad_padding = plain();
    bad_padding.push(1);
    let cases: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        (
            "the stripe of a chip card",
            swiped(TRIPLE_DES, &track("201"), Some(0x90), None),
            "1A",
            "use_chip",
        ),
        (
            "the stripe of a chip card, not marked",
            swiped(AES, &track("601"), None, None),
            "1A",
            "use_chip",
        ),
        (
            "a wrong check character",
            swiped(AES, &bad_check, Some(0x90), None),
            "30",
            "host_declined",
        ),
        (
            "a track of another key",
            swiped(TRIPLE_DES, &[0x41; 40], Some(0x90), None),
            "63",
            "host_declined",
        ),
        (
            "an unknown base key",
            tapped(0xE3, &strange_ksn, &aes_key.encrypt(&plain())),
            "63",
            "host_declined",
        ),
        (
            "half a block under AES",
            tapped(0xE3, aes_ksn.bytes(), &aes_key.encrypt(&plain())[..8]),
            "63",
            "host_declined",
        ),
        (
            "wrong padding under AES",
            tapped(0xE3, aes_ksn.bytes(), &aes_key.encrypt(&bad_padding)),
            "63",
            "host_declined",
        ),
        (
            "part of a block under triple DES",
            tapped(0xE1, tdes_ksn.bytes(), &tdes_key.encrypt(&plain())[..15]),
            "63",
            "host_declined",
        ),
    ];
    let mut scene = Scene::open();
    let mut link = scene.link();
    for (name, data, code, reason) in cases {
        let grant = scene.granted(&mut link, 3_600);
        send(&mut link, &grant, data);
        let answer = link.host_answer();
        assert_eq!(answer.decision, HostDecision::Declined, "{name}");
        let pos = scene.counter.read(grant.pos_id);
        let id = pos["attempts"][0]["transaction_id"].as_str().unwrap();
        let declined = scene.counter.pos.get(&format!("/v1/transactions/{id}"));
        assert_eq!(declined.field("status"), "declined", "{name}");
        assert_eq!(declined.field("response_code"), code, "{name}");
        assert_eq!(declined.field("reason"), reason, "{name}");
        scene.declined += 1;
        link.complete(&grant, ChipOutcome::Refused);
        let next = link.grant();
        assert_eq!(next.number, 2, "{name}");
        scene.finish(&mut link, &next);
    }
    // The same stripe after the chip has failed.
    let grant = scene.granted(&mut link, 3_650);
    let fallback = swiped(AES, &track("201"), Some(0x80), None);
    send(&mut link, &grant, fallback);
    assert_eq!(link.host_answer().decision, HostDecision::Approved);
    link.complete(&grant, ChipOutcome::Agreed);
    assert_eq!(concluded(&mut link, grant.pos_id), PosStatus::Approved);
    scene.sold.push(3_650);
    assert_eq!(holds_number(&scene), [""; 0]);
    scene.close();
}

/// What cannot be opened at all is seen before the acquirer is asked.
#[test]
fn what_nobody_could_open_ends_the_sale_unpaid() {
    let (aes_ksn, aes_key) = reader(AES);
    let (tdes_ksn, _) = reader(TRIPLE_DES);
    let sealed = aes_key.encrypt(&plain());
    let eleven = &aes_ksn.bytes()[..11];
    let mut cut = swiped(AES, &track("101"), Some(0x90), None);
    cut.truncate(60);
    let unsupported = "unsupported_encryption";
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "an extended scheme",
            tapped(0xE5, tdes_ksn.bytes(), &sealed),
            unsupported,
        ),
        (
            "another extended scheme",
            tapped(0xE7, aes_ksn.bytes(), &sealed),
            unsupported,
        ),
        (
            "AES under a serial number of triple DES",
            tapped(0xE3, tdes_ksn.bytes(), &sealed),
            unsupported,
        ),
        (
            "triple DES under a serial number of AES",
            tapped(0xE1, aes_ksn.bytes(), &sealed),
            unsupported,
        ),
        (
            "a serial number of eleven bytes",
            tapped(0xE3, eleven, &sealed),
            "reader_fault",
        ),
        (
            "a stripe in an unknown cipher",
            swiped(TRIPLE_DES, &track("101"), Some(0x90), Some(0x20)),
            unsupported,
        ),
        ("half a stripe", cut, "reader_fault"),
        (
            "a stripe that says chip",
            swiped(TRIPLE_DES, &track("101"), Some(0x05), None),
            "reader_fault",
        ),
        (
            "a tap that says fallback",
            [
                tapped(0xE1, tdes_ksn.bytes(), &sealed),
                TlvWriter::default().clear(TAG_ENTRY_MODE, &[0x80]).finish(),
            ]
            .concat(),
            "reader_fault",
        ),
    ];
    let mut scene = Scene::open();
    let mut link = scene.link();
    for (name, data, reason) in cases {
        let grant = scene.granted(&mut link, 3_700);
        send(&mut link, &grant, data);
        let closed = ToAgent::AttemptClosed {
            pos_id: grant.pos_id,
            attempt_id: grant.attempt_id,
        };
        assert_eq!(link.next_message(), Some(closed), "{name}");
        assert_eq!(
            concluded(&mut link, grant.pos_id),
            PosStatus::Failed,
            "{name}"
        );
        let ended = ("failed".to_owned(), reason.to_owned());
        assert_eq!(scene.status(grant.pos_id), ended, "{name}");
    }
    let grant = scene.granted(&mut link, 3_800);
    scene.finish(&mut link, &grant);
    scene.close();
}

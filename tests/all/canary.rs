//! Card numbers and secrets are searched for in everything that is left on disk.
//!
//! Every virtual card is presented in every way, under both encryptions and as a fallback, sales end
//! in every way, engine and agent log all they can, both are killed and restarted. Then no file but a secret's own may hold it, in any
//! form: card numbers as text, as packed digits on either nibble, as track 2, in hex and base64.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use engine::acquirer::base_keys::{TEST_AES_BASE_KEY, TEST_BASE_KEY};
use firmware_sim::cards::{Behaviour, CARDS, Way};
use harness::api::fresh_key;
use harness::shop::{Devices, Shop};
use serde_json::{Value, json};

/// What is searched for, by a name that may be shown: bytes with the bits of each that count.
type Needles = BTreeMap<String, Vec<(u8, u8)>>;

/// What is compared with zeros at once.
const BLOCK: usize = 4_096;
/// Findings above this number say no more.
const FINDINGS_MAX: usize = 100;

/// All forms of one card's number.
fn forms_of_number(name: &str, number: &str, expiry: &str, needles: &mut Needles) {
    let mut add = |form: &str, bytes: Vec<u8>| {
        needles.insert(format!("{name}: {form}"), exactly(&bytes));
    };
    add("text", number.as_bytes().to_vec());
    add(
        "UTF-16",
        number.bytes().flat_map(|digit| [digit, 0]).collect(),
    );
    add("hex of text", hex::encode(number).into_bytes());
    let whole = number.parse::<u64>().unwrap().to_be_bytes();
    add(
        "number in MessagePack",
        whole.into_iter().skip_while(|byte| *byte == 0).collect(),
    );
    // Track 2 of a chip and packed numbers begin alike.
    add("packed", packed(number));
    add("track 2", format!("{number}={expiry}").into_bytes());
    add("track 2 with D", format!("{number}D{expiry}").into_bytes());
    // Base64 keeps three bytes in four letters: three alignments.
    for skipped in 0..3 {
        add(
            &format!("base64 from {skipped}"),
            base64_core(&number.as_bytes()[skipped..]),
        );
    }
}

fn exactly(bytes: &[u8]) -> Vec<(u8, u8)> {
    bytes.iter().map(|byte| (*byte, 0xFF)).collect()
}

/// Digits two to a byte; an odd last one is left out.
fn packed(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().map(|digit| digit - b'0').collect();
    digits
        .chunks_exact(2)
        .map(|pair| (pair[0] << 4) | pair[1])
        .collect()
}

/// Digits two to a byte, the first one in the lower half of a byte that is not ours.
fn packed_half_later(digits: &str) -> Vec<(u8, u8)> {
    let digits: Vec<u8> = digits.bytes().map(|digit| digit - b'0').collect();
    let mut packed = vec![(digits[0], 0x0F)];
    for pair in digits[1..].chunks(2) {
        packed.push(match pair {
            [high, low] => ((high << 4) | low, 0xFF),
            _ => (pair[0] << 4, 0xF0),
        });
    }
    packed
}

/// Base64 of the whole groups of three.
fn base64_core(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let bits = three
            .iter()
            .fold(0usize, |bits, byte| (bits << 8) | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| LETTERS[(bits >> shift) & 63])
    };
    bytes.chunks_exact(3).flat_map(group).collect()
}

fn card_needles() -> Needles {
    let mut needles = Needles::new();
    for card in CARDS {
        forms_of_number(card.name, card.account(), card.expiry, &mut needles);
        // Fourteen zeros in a row: half a byte later that is any small number in eight bytes.
        if card.name != "declined" {
            let name = format!("{}: packed, half a byte later", card.name);
            needles.insert(name, packed_half_later(card.account()));
        }
    }
    needles
}

/// A secret of bytes as it is, and as text.
fn forms_of_secret(name: &str, secret: &[u8], needles: &mut Needles) {
    let mut add = |form: &str, bytes: Vec<u8>| {
        needles.insert(format!("{name}: {form}"), exactly(&bytes));
    };
    add("bytes", secret.to_vec());
    add("hex", hex::encode(secret).into_bytes());
    add("hex in capitals", hex::encode_upper(secret).into_bytes());
    for skipped in 0..3 {
        add(
            &format!("base64 from {skipped}"),
            base64_core(&secret[skipped..]),
        );
    }
    let list = secret
        .iter()
        .map(u8::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    add("as a list of numbers", list.into_bytes());
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

/// Findings as file and form; also how many bytes were looked at.
fn search(dir: &Path, needles: &Needles) -> (Vec<String>, u64) {
    let index = Index::of(needles);
    let mut paths = Vec::new();
    files(dir, &mut paths);
    let mut findings = Vec::new();
    let mut looked_at = 0;
    for path in paths {
        let bytes = fs::read(&path).unwrap();
        looked_at += u64::try_from(bytes.len()).unwrap();
        let place = path.strip_prefix(dir).unwrap_or(&path).display();
        for start in (0..bytes.len()).step_by(BLOCK) {
            let block = &bytes[start..bytes.len().min(start + BLOCK)];
            // Space that was set aside and never written; no needle begins with two zeros.
            if block == &[0; BLOCK][..block.len()] {
                continue;
            }
            for at in start..start + block.len() {
                for (name, needle) in index.at(&bytes[at..]) {
                    if is_at(needle, &bytes[at..]) && findings.len() < FINDINGS_MAX {
                        findings.push(format!("{place} at {at}: {name}"));
                    }
                }
            }
        }
    }
    (findings, looked_at)
}

/// Needles by the two bytes with which they begin.
struct Index<'a>(Vec<Vec<(&'a String, &'a Vec<(u8, u8)>)>>);

impl<'a> Index<'a> {
    fn of(needles: &'a Needles) -> Self {
        let mut table = vec![Vec::new(); 1 << 16];
        for (name, needle) in needles {
            assert!(needle.len() >= 6, "{name} is too short to be meant");
            let begins = |start: &u16| is_at(&needle[..2], &start.to_be_bytes());
            assert!(!begins(&0), "{name} begins like nothing");
            for start in (0..=u16::MAX).filter(begins) {
                table[usize::from(start)].push((name, needle));
            }
        }
        Self(table)
    }

    fn at(&self, bytes: &[u8]) -> &[(&'a String, &'a Vec<(u8, u8)>)] {
        match bytes {
            [first, second, ..] => &self.0[usize::from(u16::from_be_bytes([*first, *second]))],
            _ => &[],
        }
    }
}

fn is_at(needle: &[(u8, u8)], bytes: &[u8]) -> bool {
    bytes.len() >= needle.len()
        && needle
            .iter()
            .zip(bytes)
            .all(|((value, mask), byte)| byte & mask == *value)
}

#[test]
fn a_planted_number_is_found_in_every_form() {
    let needles = card_needles();
    let dir = tempfile::tempdir().unwrap();
    let number = CARDS[0].account();
    let amex = CARDS
        .iter()
        .find(|card| card.account().len() == 15)
        .unwrap()
        .account();
    let half_later =
        |number: &str| packed(&format!("9{number}{}", "9".repeat(1 + number.len() % 2)));
    let track = format!(";{number}=2812201000?");
    let plants: Vec<(&str, Vec<u8>)> = vec![
        ("text", format!("paid with {number}.").into_bytes()),
        ("packed", [&[1, 2][..], &packed(number), &[3]].concat()),
        ("packed odd", half_later(number)),
        ("fifteen packed", [&packed(amex)[..], &[0x6F]].concat()),
        ("fifteen packed odd", half_later(amex)),
        ("track", track.clone().into_bytes()),
        ("hex", hex::encode(number).into_bytes()),
        (
            "in a track in base64",
            base64_core(&track.as_bytes()[..track.len() / 3 * 3]),
        ),
    ];
    for (name, bytes) in plants {
        let place = dir.path().join("planted");
        fs::write(
            &place,
            [vec![0xEE; 5_000], bytes, vec![0xEE; 5_000]].concat(),
        )
        .unwrap();
        let (findings, looked_at) = search(dir.path(), &needles);
        assert!(!findings.is_empty() && looked_at > 10_000, "{name}");
    }
    fs::write(
        dir.path().join("planted"),
        "4761********0010 and 4761739001010011",
    )
    .unwrap();
    assert_eq!(search(dir.path(), &needles).0, [""; 0]);
}

/// One sale with this card; whatever comes of it is fine.
fn present(shop: &Shop, amount: i64, card: &str, way: Way) -> Value {
    shop.devices.wait_until_idle();
    let started = shop.start_sale(amount);
    assert_eq!(started.status, 201, "{}", started.text);
    let id = started.field("id").to_owned();
    assert!(shop.devices.wait_for_reader());
    shop.devices.present(card, way.word()).unwrap();
    // Cards that cannot pay leave the reader waiting for another one.
    let path = format!("/v1/pos/transactions/{id}");
    let settled = harness::wait::until("the card to be read", || {
        let pos = shop.pos.get(&path).data().clone();
        let is_over = pos["status"] != "in_progress" && pos["status"] != "in_doubt";
        let is_next = pos["attempts"].as_array().map_or(0, Vec::len) > 1;
        let phase = shop.devices.status()["reader"]["phase"].clone();
        let is_asking_again = phase == "polling" || phase == "inserting";
        (is_over || is_next || is_asking_again).then_some(())
    });
    assert!(settled.is_some(), "{card}: {}", shop.pos.get(&path).text);
    shop.devices.remove_card();
    shop.pos
        .post(&format!("{path}/cancel"), &json!({"if_too_late": "keep"}));
    shop.end_of(&id).data().clone()
}

/// A chip that cannot be read, three times, and then its stripe; gives the end.
fn fall_back(shop: &Shop) -> Value {
    shop.devices.wait_until_idle();
    let started = shop.start_sale(1_300);
    for way in ["insert", "insert", "insert", "swipe"] {
        assert!(shop.devices.wait_for_slot(), "{way}");
        shop.devices.present("bad-chip", way).unwrap();
    }
    shop.end_of(started.field("id")).data().clone()
}

#[test]
fn no_card_number_and_no_secret_is_left_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut shop = Shop::open_logging(dir.path(), Some("trace")).unwrap();
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for card in CARDS {
        for way in card.ways {
            let end = present(&shop, 1_234, card.name, *way);
            // How the first attempt ended: cards that cannot pay leave the sale to another one.
            let first = end["attempts"][0]["state"].to_string();
            *ends.entry(first).or_default() += 1;
        }
    }
    assert!(ends.len() >= 4, "too little has happened: {ends:?}");
    assert_eq!(fall_back(&shop)["status"], "approved");
    // Another reader at the same port, which encrypts under AES.
    assert!(shop.devices.stop());
    let place = shop.devices.dir.clone();
    shop.devices = Devices::start_encrypting(&place, true, "aes128").unwrap();
    assert!(shop.wait_until_ready());
    let mut paid = 0;
    for card in CARDS {
        for way in card.ways {
            if card.behaviour == Behaviour::Cooperates {
                let end = present(&shop, 1_234, card.name, *way);
                paid += usize::from(end["status"] == "approved");
            }
        }
    }
    assert!(paid >= 9, "only {paid} sales were paid under AES");
    assert_eq!(fall_back(&shop)["status"], "approved");
    // Voided; tipped; reversed because the engine dies; the agent dies; a line that nobody closes.
    let sale = present(&shop, 2_000, "visa", Way::Insert);
    let path = format!(
        "/v1/transactions/{}",
        sale["transaction_id"].as_str().unwrap()
    );
    let tip = json!({"tip_amount": 100, "currency": "USD"});
    assert_eq!(
        shop.pos
            .post(&format!("{path}/tip-adjustment"), &tip)
            .status,
        200
    );
    assert_eq!(
        shop.pos.post(&format!("{path}/void"), &json!({})).status,
        200
    );
    shop.devices.wait_until_idle();
    let started = shop.start_sale(100_083);
    shop.devices.wait_for_reader();
    shop.devices.present("mastercard", "insert").unwrap();
    let running = format!("/v1/pos/transactions/{}", started.field("id"));
    harness::wait::until("the acquirer to be asked", || {
        (shop.pos.get(&running).field("stage") == "authorizing").then_some(())
    });
    shop.engine.kill();
    shop.till.kill();
    shop.engine.restart().unwrap();
    shop.till.run().unwrap();
    assert_eq!(shop.end_of(started.field("id")).field("status"), "reversed");
    // What clients send by mistake must not be logged either.
    let number = CARDS[0].account();
    for body in [
        json!({"reference": number, "amount": number}),
        json!({ number: number }),
    ] {
        shop.pos
            .post_keyed("/v1/pos/transactions", &body, &fresh_key());
    }
    shop.pos
        .get(&format!("/v1/pos/transactions/{number}?cursor={number}"));
    shop.devices.remove_card();
    assert!(shop.wait_until_ready());
    // What goes to support is searched with the rest.
    let bundle = dir.path().join("bundle.json").display().to_string();
    let log = shop.till.dir.join("agent.log").display().to_string();
    let arguments = ["support-bundle", "--out", &bundle, "--log", &log];
    assert!(shop.till.command(&arguments).unwrap().status.success());
    assert!(fs::metadata(&bundle).unwrap().len() > 10_000);
    shop.till.stop();
    shop.engine.stop();

    let data = dir.path().join("engine").join("data");
    let operator = fs::read_to_string(data.join("operator-token"))
        .unwrap()
        .trim()
        .to_owned();
    let key_text = fs::read_to_string(dir.path().join("till/state/device-key")).unwrap();
    let device_key = hex::decode(key_text.trim()).unwrap();
    let mut needles = card_needles();
    for (name, token) in [
        ("API key", shop.pos.token()),
        ("operator token", operator.as_str()),
    ] {
        needles.insert(format!("{name}: text"), exactly(token.as_bytes()));
        let secret = token.rsplit('_').next().unwrap();
        needles.insert(format!("{name}: secret part"), exactly(secret.as_bytes()));
        if let Ok(bytes) = hex::decode(secret) {
            forms_of_secret(name, &bytes, &mut needles);
        }
    }
    forms_of_secret("device key", &device_key, &mut needles);
    for (name, key) in [
        ("base key", TEST_BASE_KEY),
        ("AES base key", TEST_AES_BASE_KEY),
    ] {
        forms_of_secret(name, &hex::decode(key).unwrap(), &mut needles);
    }
    let (findings, looked_at) = search(dir.path(), &needles);
    assert!(
        looked_at > 1_000_000,
        "only {looked_at} bytes were there to search"
    );
    let is_own = |finding: &&String| {
        finding.starts_with("engine/data/operator-token at") && finding.contains(": operator token")
            || finding.starts_with("till/state/device-key at") && finding.contains(": device key")
    };
    let (own, leaks): (Vec<&String>, Vec<&String>) = findings.iter().partition(is_own);
    assert!(
        own.len() >= 2,
        "the secrets' own files were searched too: {own:?}"
    );
    assert!(
        leaks.is_empty(),
        "{} leaks: {:#?}",
        leaks.len(),
        &leaks[..leaks.len().min(20)]
    );
}

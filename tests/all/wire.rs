//! The exact bytes of every link message, by the protocol version that it came with.
//!
//! If a test here fails, do not change the test or the snapshot: raise `VERSION`. Tills in shops
//! speak these bytes and are not updated together with the engine. A new variant or a new optional
//! field gets a new section; what is there stays as it is.

mod live;
mod msgpack;
mod sample;

use std::collections::BTreeMap;

use msgpack::Node;
use protocol::link::{Advice, HostDecision, ToAgent, VERSION, VERSION_MIN, decode};
use sample::Sample;

/// By version: sections of annotated bytes: `[name]`, then lines of hex digits with a note behind
/// `--`. A version has what it added; the rest is as before.
const SNAPSHOTS: [&str; 2] = [
    include_str!("wire/version_1.txt"),
    include_str!("wire/version_2.txt"),
];

/// Values of these fields are enums: a map there has the variant as its only key.
const ENUM_FIELDS: [&str; 4] = ["state", "choice", "request", "body"];

fn snapshot(version: u16) -> BTreeMap<String, Vec<u8>> {
    let mut sections: BTreeMap<String, String> = BTreeMap::new();
    let mut name = None;
    let text = SNAPSHOTS[usize::from(version) - 1];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(heading) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            name = Some(heading.to_owned());
            let former = sections.insert(heading.to_owned(), String::new());
            assert!(former.is_none(), "{heading} is there twice");
        } else if let Some(name) = &name {
            let digits = line.split("--").next().unwrap_or_default();
            sections
                .get_mut(name)
                .unwrap()
                .extend(digits.split_whitespace());
        }
    }
    sections
        .into_iter()
        .map(|(name, digits)| (name, hex::decode(digits).unwrap()))
        .collect()
}

/// Calls `look` with every map that is a struct, by the path of its keys.
fn structs(node: &Node, path: &str, is_enum: bool, look: &mut dyn FnMut(&str, &[(Node, Node)])) {
    match node {
        Node::Map(pairs) => {
            if !is_enum {
                look(path, pairs);
            }
            for (key, value) in pairs {
                let Node::Text(key) = key else {
                    panic!("{key:?} as a key")
                };
                let is_enum = !is_enum && ENUM_FIELDS.contains(&key.as_str());
                structs(value, &format!("{path}/{key}"), is_enum, look);
            }
        }
        Node::Array(elements) => {
            for (place, element) in elements.iter().enumerate() {
                structs(element, &format!("{path}/{place}"), false, look);
            }
        }
        _ => {}
    }
}

/// The value with the map at `path` changed.
fn changed(node: &Node, path: &str, wanted: &str, change: &dyn Fn(&mut Vec<(Node, Node)>)) -> Node {
    match node {
        Node::Map(pairs) => {
            let mut pairs: Vec<(Node, Node)> = pairs
                .iter()
                .map(|(key, value)| {
                    let Node::Text(name) = key else {
                        panic!("{key:?} as a key")
                    };
                    let inner = changed(value, &format!("{path}/{name}"), wanted, change);
                    (key.clone(), inner)
                })
                .collect();
            if path == wanted {
                change(&mut pairs);
            }
            Node::Map(pairs)
        }
        Node::Array(elements) => {
            let inner =
                |(place, element)| changed(element, &format!("{path}/{place}"), wanted, change);
            Node::Array(elements.iter().enumerate().map(inner).collect())
        }
        other => other.clone(),
    }
}

fn written(node: &Node) -> Vec<u8> {
    let mut bytes = Vec::new();
    msgpack::write(node, &mut bytes);
    bytes
}

#[test]
fn every_message_has_the_bytes_of_its_version() {
    assert_eq!(
        (VERSION_MIN, VERSION),
        (1, 2),
        "a new version needs a new snapshot beside these"
    );
    let mut sections: BTreeMap<(u16, String), Vec<u8>> = BTreeMap::new();
    for version in VERSION_MIN..=VERSION {
        let named = snapshot(version).into_iter();
        sections.extend(named.map(|(name, bytes)| ((version, name), bytes)));
    }
    let mut wrong = String::new();
    for sample in sample::all() {
        let bytes = sample.encoded();
        let expected = sections.remove(&(sample.since, sample.name.clone()));
        if expected.as_ref() != Some(&bytes) {
            let (since, lines) = (sample.since, msgpack::read(&bytes).1);
            wrong.push_str(&format!(
                "\n(version {since})\n[{}]\n{lines}\n",
                sample.name
            ));
            continue;
        }
        assert!(
            sample.is_read_from(&bytes),
            "{} does not read back",
            sample.name
        );
    }
    assert!(
        wrong.is_empty(),
        "bytes differ from the snapshots; these came out:\n{wrong}"
    );
    assert!(sections.is_empty(), "no message for {:?}", sections.keys());
}

#[test]
fn other_encoders_of_the_same_format_are_understood() {
    for sample in sample::all() {
        let (node, _) = msgpack::read(&sample.encoded());
        assert!(
            sample.is_read_from(&written(&node)),
            "{} in long forms",
            sample.name
        );
    }
}

#[test]
fn a_newer_field_is_skipped() {
    let mut tried = 0;
    for sample in sample::all() {
        let (node, _) = msgpack::read(&sample.encoded());
        let mut places = Vec::new();
        structs(&node, "", true, &mut |path, pairs| {
            places.push((path.to_owned(), is_money(pairs)));
        });
        for (path, is_money) in places {
            let newer = changed(&node, "", &path, &|pairs| {
                let value = Node::Array(vec![Node::Nil, Node::Number(-7)]);
                pairs.insert(0, (Node::Text("newer".to_owned()), value));
            });
            // An amount with something more to it is not the amount that was meant.
            let is_read = sample.is_read_from(&written(&newer));
            assert_eq!(is_read, !is_money, "{}{path}", sample.name);
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried} places");
}

#[test]
fn a_missing_field_is_refused_unless_it_is_optional() {
    let mut tried = 0;
    for sample in sample::all() {
        let (node, _) = msgpack::read(&sample.encoded());
        let mut places = Vec::new();
        structs(&node, "", true, &mut |path, pairs| {
            let keys = pairs.iter().map(|(key, _)| (path.to_owned(), key.clone()));
            places.extend(keys);
        });
        for (path, key) in places {
            let without = changed(&node, "", &path, &|pairs| {
                pairs.retain(|(other, _)| *other != key);
            });
            let Node::Text(name) = &key else {
                panic!("{key:?} as a key")
            };
            let is_optional = is_optional(&sample, &path, name);
            let is_decoded = sample.is_decoded(&written(&without));
            assert_eq!(
                is_decoded, is_optional,
                "{}{path} without {name}",
                sample.name
            );
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried} fields");
}

#[test]
fn an_unknown_variant_is_refused() {
    for bytes in [
        &b"\xa7unknown"[..],
        b"\x81\xa7unknown\xc0",
        b"\x82\xa4ping\xc0\xa4pong\xc0",
    ] {
        for sample in sample::all() {
            assert!(!sample.is_decoded(bytes), "{}", sample.name);
        }
    }
}

/// A till in a shop hears a word of a newer engine: it knows that there is advice, and not which.
#[test]
fn unknown_advice_is_still_an_answer() {
    let samples = sample::all();
    let use_chip = samples
        .iter()
        .find(|sample| sample.name == "to_agent.host_answer.use_chip")
        .unwrap();
    let (node, _) = msgpack::read(&use_chip.encoded());
    let newer = changed(&node, "", "/host_answer", &|pairs| {
        for (key, value) in pairs {
            if *key == Node::Text("advice".to_owned()) {
                *value = Node::Text("sing_a_song".to_owned());
            }
        }
    });
    let Ok(ToAgent::HostAnswer(answer)) = decode(&written(&newer)) else {
        panic!("a newer word is refused")
    };
    assert_eq!(answer.advice, Some(Advice::Other));
    assert_eq!(answer.decision, HostDecision::Declined);
}

fn is_money(pairs: &[(Node, Node)]) -> bool {
    matches!(pairs.first(), Some((Node::Text(key), _)) if key == "minor")
}

/// Fields that may be absent.
fn is_optional(sample: &Sample, path: &str, field: &str) -> bool {
    match field {
        "reference" | "request_id" if path == "/offer" => true,
        "reference" => path == "/request/request/start",
        "tip" | "transaction_id" | "kind" => path == "/concluded",
        "advice" | "currencies" => true,
        "has_simulator" => true,
        "facts" | "configuration" | "backlog" => true,
        "refused" | "reader_age_ms" => true,
        "refusal" => path == "/simulated",
        "attempt_id" => {
            path == "/attempt_ended"
                || path.starts_with("/hello/open/") && !path.ends_with("completed")
        }
        "cause" => path == "/completed",
        "known" | "has_begun" => path == "/print",
        "current" => sample.name.starts_with("to_engine.status"),
        _ => path.ends_with("/facts"),
    }
}

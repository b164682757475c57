//! The corpus: small inputs in `tests/corpus/<target>/`, kept for ever, and vectors as inputs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Target;

/// Vectors of the reader's protocol.
pub(super) const READER_VECTORS: &str = include_str!("../../../protocol/vectors/idtech_neo2.json");
/// Vectors of the printer's protocol.
pub(super) const PRINTER_VECTORS: &str = include_str!("../../../protocol/vectors/escpos.json");
/// The exact bytes of every link message.
pub(super) const LINK_VECTORS: &str = concat!(
    include_str!("../../all/wire/version_1.txt"),
    include_str!("../../all/wire/version_2.txt")
);

/// Where a target's inputs are.
pub fn directory(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name)
}

/// The inputs of a target: those of its encoders, then the files in order of their names.
///
/// # Errors
/// When a file that is there cannot be read.
pub fn inputs(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let mut inputs = (target.seeds)();
    for path in files(target)? {
        let input = fs::read(path)?;
        if !inputs.contains(&input) {
            inputs.push(input);
        }
    }
    Ok(inputs)
}

/// The files of a target in order of their names; none when it has no directory.
///
/// # Errors
/// When the directory cannot be read.
pub fn files(target: &Target) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory(target)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Keeps an input under a name that follows from its bytes.
///
/// # Errors
/// When the file cannot be written.
pub fn keep(target: &Target, kind: &str, input: &[u8]) -> io::Result<PathBuf> {
    let directory = directory(target);
    fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{kind}-{:016x}", hash(input)));
    fs::write(&path, input)?;
    Ok(path)
}

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// Every `hex` member of a file of vectors, in order.
pub(super) fn hex_members(vectors: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let value = serde_json::from_str(vectors).expect("vectors are JSON");
    collect(&value, &mut found);
    found
}

/// What the reader says in each flow of its vectors, in order.
pub(super) fn reader_flows() -> Vec<Vec<Vec<u8>>> {
    let vectors: serde_json::Value =
        serde_json::from_str(READER_VECTORS).expect("vectors are JSON");
    let flows = vectors["flows"].as_array().expect("flows");
    let answers = |flow: &serde_json::Value| {
        let steps = flow["steps"].as_array().expect("steps");
        steps
            .iter()
            .filter(|step| step["dir"] == "<")
            .map(|step| hex::decode(step["hex"].as_str().expect("a frame")).expect("hexadecimal"))
            .collect()
    };
    flows.iter().map(answers).collect()
}

fn collect(value: &serde_json::Value, found: &mut Vec<Vec<u8>>) {
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        serde_json::Value::Object(members) => {
            for (name, member) in members {
                match member.as_str() {
                    Some(text) if name == "hex" => found.extend(hex::decode(text)),
                    _ => collect(member, found),
                }
            }
        }
        _ => {}
    }
}

/// The messages of one channel of the link.
pub(super) fn link_messages(channel: &str) -> Vec<Vec<u8>> {
    let sections = LINK_VECTORS.split("\n[").skip(1);
    sections
        .filter_map(|section| section.split_once(']'))
        .filter(|(name, _)| name.split('.').next() == Some(channel))
        .map(|(_, lines)| {
            let digits: String = lines
                .lines()
                .filter(|line| !line.starts_with('#'))
                .filter_map(|line| line.split("--").next())
                .flat_map(str::split_whitespace)
                .collect();
            hex::decode(digits).expect("vectors are hexadecimal")
        })
        .collect()
}

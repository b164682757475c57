//! The support bundle: one JSON file with what support asks for, and with nothing that it must not
//! have. Everything goes through [`crate::redact`] once, as a whole, at the end.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::ports::agents_account;
use crate::clock;
use crate::config::Config;
use crate::device::survey;
use crate::{doctor, journal, redact};

/// The form of the file.
pub const SCHEMA: &str = "terminal-agent.support-bundle/v1";
/// How much of a log's end is taken.
const LOG_BYTES_MAX: u64 = 256 * 1024;
/// The largest configuration that is taken, as the agent itself has it.
const CONFIG_BYTES_MAX: u64 = 64 * 1024;

/// Collects everything.
///
/// # Errors
/// When the log file that was asked for cannot be read; in words.
pub fn collect(config_path: &Path, log: Option<&Path>) -> Result<Value, String> {
    let log = match log {
        Some(path) => {
            let lines = tail(path);
            let lines =
                lines.map_err(|error| format!("failed to read {}: {error}", path.display()))?;
            json!({"file": path, "lines": lines})
        }
        None => Value::Null,
    };
    let config = Config::read(config_path).ok();
    let report = doctor::examine(config_path, false);
    let mut bundle = json!({
        "schema": SCHEMA,
        "made_at_ms": clock::unix_ms(),
        "versions": {
            "agent": env!("CARGO_PKG_VERSION"),
            "link_protocol": protocol::link::VERSION,
            "system": system(),
        },
        "configuration": configuration(config_path),
        "doctor": report,
        "ports": config.as_ref().map(ports),
        "journal": config.as_ref().map(journal_summary),
        "log": log,
    });
    redact::redact_json(&mut bundle);
    Ok(bundle)
}

/// Writes it whole, for its owner only.
///
/// # Errors
/// What the system says; also when the file is there already.
pub fn write(path: &Path, bundle: &Value) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(bundle)?;
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&text)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn system() -> Value {
    let name = rustix::system::uname();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    json!({
        "kernel": name.release().to_string_lossy(),
        "machine": name.machine().to_string_lossy(),
        "distribution": pretty.map(|pretty| pretty.trim_matches('"')),
    })
}

/// The configuration as text: it has no secrets, and what somebody wrote there by mistake is
/// hidden with the rest.
fn configuration(path: &Path) -> Value {
    let file = std::fs::File::open(path);
    let mut text = String::new();
    let read = file.and_then(|file| file.take(CONFIG_BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => json!({"file": path, "lines": text.lines().collect::<Vec<_>>()}),
        Err(error) => json!({"file": path, "error": error.to_string()}),
    }
}

fn ports(config: &Config) -> Value {
    let root = config.device_root.as_path();
    let account = agents_account(root, Some(config));
    let endpoints = config.endpoints().unwrap_or_default();
    json!(survey::survey(root, account, &endpoints))
}

fn journal_summary(config: &Config) -> Value {
    match journal::look(&config.state_dir) {
        Ok(look) => json!({"summary": look.summary(), "open_work": look.open_work()}),
        Err(error) => json!({"error": error.to_string()}),
    }
}

/// The last lines of a file, without the piece of a line that they would begin with.
fn tail(path: &Path) -> io::Result<Vec<String>> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(LOG_BYTES_MAX);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let skipped = usize::from(start > 0);
    Ok(text.lines().skip(skipped).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: &str = "4761739001010010";

    #[test]
    fn a_bundle_has_everything_and_no_secret() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let key = "4f".repeat(32);
        std::fs::write(state.join("device-key"), &key).unwrap();
        let config = directory.path().join("agent.toml");
        let text = format!(
            "# {NUMBER}\nstate_dir = {state:?}\ndevice_root = {:?}\n[engine]\nurl = \
             \"http://127.0.0.1:1\"\n[reader]\npath = \"/dev/nothing\"\n",
            directory.path()
        );
        std::fs::write(&config, text).unwrap();
        let log = directory.path().join("agent.log");
        let lines = format!("paid with {NUMBER}\nkey {key}\ntoken tw_live_secret\n");
        std::fs::write(&log, lines).unwrap();

        let bundle = collect(&config, Some(&log)).unwrap();
        let out = directory.path().join("bundle.json");
        write(&out, &bundle).unwrap();
        assert!(write(&out, &bundle).is_err(), "nothing is overwritten");
        let text = std::fs::read_to_string(&out).unwrap();
        for secret in [NUMBER, &key, "secret"] {
            assert!(!text.contains(secret), "{secret}");
        }
        for part in [
            "versions",
            "configuration",
            "doctor",
            "ports",
            "journal",
            "log",
        ] {
            assert!(!bundle[part].is_null(), "{part}");
        }
        assert_eq!(bundle["doctor"]["schema"], "terminal-agent.doctor/v1");
        assert_eq!(bundle["log"]["lines"][0], "paid with ************0010");
    }

    #[test]
    fn only_the_end_of_a_long_log_is_taken_in_whole_lines() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("agent.log");
        let lines: Vec<_> = (0..30_000)
            .map(|number| format!("line {number:06}"))
            .collect();
        std::fs::write(&log, lines.join("\n")).unwrap();
        let tail = tail(&log).unwrap();
        assert!(tail.len() > 20_000 && tail.len() < lines.len());
        assert!(lines.ends_with(&tail));
        assert!(super::tail(&directory.path().join("nothing")).is_err());
    }
}

//! Pairing: makes the device's key, redeems a code, and remembers who this till is. How a till asks
//! a person instead is in [`device`], how it ends in [`release`].
//!
//! The private half never leaves the state directory. It is durable before the code is sent, so
//! that a lost answer can be asked for again: the engine answers the same code with the same
//! public key as it did before.

pub mod device;
pub mod release;
pub mod show;

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use protocol::id::{IncarnationId, MerchantId, TerminalId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::{EngineConfig, EngineTrust};
use crate::tls::{Authority, TlsFault, Trust};

/// How long the engine may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer of the engine that is read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Why pairing, or reading what it left behind, failed.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// There is no identity here.
    #[error("this till is not paired: run `terminal-agent pair`")]
    NotPaired,
    /// A file cannot be read or written.
    #[error("failed to {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what this program wrote.
    #[error("{0} is damaged; pair the till again with a new code")]
    Damaged(PathBuf),
    /// The operating system gave no random bytes.
    #[error("no random bytes for a key")]
    NoRandomness,
    /// The engine cannot be reached, or gave no usable answer. The same code can be tried again.
    #[error("the engine at {url} gave no usable answer: {message}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        message: String,
    },
    /// Plain text to another machine.
    #[error(
        "{0} is plain text to another machine, where anybody could listen in: use https:// \
         (docs/tls.md)"
    )]
    PlainText(String),
    /// The engine is not one that this till may believe.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// The engine refuses.
    #[error("the engine refuses: {message}")]
    Refused {
        /// Stable code.
        code: String,
        /// For people.
        message: String,
        /// For programs.
        details: serde_json::Value,
    },
    /// This till has an identity already.
    #[error(
        "this till is paired as {label} ({terminal_id}): run `terminal-agent unpair` first, or give \
         --again to pair it as the same terminal anew"
    )]
    AlreadyPaired {
        /// What people call it.
        label: String,
        /// The terminal.
        terminal_id: TerminalId,
    },
    /// A person has turned this till away.
    #[error("a person has turned this till away")]
    Denied,
    /// Nobody has approved this till.
    #[error("nobody approved this till in time: run `terminal-agent pair` again when somebody can")]
    NobodyApproved,
}

/// What every way to pair needs.
#[derive(Debug, Clone, Copy)]
pub struct Pairing<'a> {
    /// Where key and identity are.
    pub state_dir: &'a Path,
    /// The engine.
    pub engine_url: &'a str,
    /// Whom to believe that it is the engine.
    pub trust: &'a Trust,
    /// What the till calls itself.
    pub serial_number: &'a str,
}

/// Who this till is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The terminal.
    pub terminal_id: TerminalId,
    /// Its merchant.
    pub merchant_id: MerchantId,
    /// What people call the till.
    pub label: String,
    /// The engine's life at pairing.
    pub engine_incarnation: IncarnationId,
    /// Where the link goes.
    pub link_url: String,
    /// The authority whose certificates are believed, where the engine speaks TLS. Never what an
    /// answer of the engine says: what was verified before it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_ca: Option<Authority>,
}

impl Identity {
    /// Whom this till believes that it is its engine.
    pub fn trust(&self, engine: &EngineConfig) -> Trust {
        match (engine.trust, &self.engine_ca) {
            (EngineTrust::System, _) => Trust::System,
            (EngineTrust::Pinned, Some(authority)) => Trust::Pinned(authority.clone()),
            (EngineTrust::Pinned, None) => Trust::Nobody,
        }
    }
}

#[derive(Serialize)]
struct RedeemRequest<'a> {
    code: &'a str,
    public_key: String,
    serial_number: &'a str,
    agent_version: &'a str,
}

#[derive(Deserialize)]
struct Envelope {
    success: bool,
    data: Option<serde_json::Value>,
    error: Option<EnvelopeError>,
}

#[derive(Deserialize)]
struct EnvelopeError {
    code: String,
    message: String,
    #[serde(default)]
    details: serde_json::Value,
}

/// Redeems `code` and stores what the engine answers, with what was pinned of it
/// ([`crate::tls::establish`]).
///
/// # Errors
/// [`PairError`]; after [`PairError::Unreachable`] the same code can be tried again.
pub fn pair(pairing: Pairing<'_>, code: &str) -> Result<Identity, PairError> {
    let key = pairing.prepare()?;
    let request = RedeemRequest {
        code,
        public_key: hex::encode(key.verifying_key().as_bytes()),
        serial_number: pairing.serial_number,
        agent_version: env!("CARGO_PKG_VERSION"),
    };
    let identity = pairing.post("/v1/pairing/redeem", &request)?;
    pairing.become_this(identity)
}

/// Refuses when this till is somebody already: whoever it is must let it go first. `again` is for
/// the same terminal; the engine refuses another one, because the key stays the same.
///
/// # Errors
/// [`PairError::AlreadyPaired`]. What cannot be read is no identity.
pub fn check_unpaired(state_dir: &Path, again: bool) -> Result<(), PairError> {
    match load_identity(state_dir) {
        Ok(identity) if !again => Err(PairError::AlreadyPaired {
            label: identity.label,
            terminal_id: identity.terminal_id,
        }),
        _ => Ok(()),
    }
}

impl Pairing<'_> {
    /// The device's key, durable before anybody is told of it.
    fn prepare(&self) -> Result<SigningKey, PairError> {
        let url = self.engine_url;
        if !crate::link::is_loopback_url(url) && !crate::link::is_tls_url(url) {
            return Err(PairError::PlainText(url.to_owned()));
        }
        make_state_dir(self.state_dir).map_err(at("create", self.state_dir))?;
        load_or_make_key(self.state_dir)
    }

    /// Remembers what the engine has made of this till.
    fn become_this(&self, mut identity: Identity) -> Result<Identity, PairError> {
        identity.engine_ca = self.trust.pinned().cloned();
        identity.link_url = absolute(self.engine_url, &identity.link_url);
        set_foreign_journal_aside(self.state_dir, &identity)?;
        let json = serde_json::to_vec_pretty(&identity)
            .map_err(|_| PairError::Damaged(identity_path(self.state_dir)))?;
        write_durably(self.state_dir, "identity.json", &json)?;
        Ok(identity)
    }

    fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl Serialize,
    ) -> Result<T, PairError> {
        post(self.engine_url, self.trust, path, request)
    }
}

/// Makes the state directory, if it is absent, for its owner; its group may reach the control
/// socket.
///
/// # Errors
/// When it cannot be made.
pub fn make_state_dir(state_dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(state_dir)
}

/// What is open in the journal of another terminal must never be told under the new name. The
/// other terminal's engine undoes it when that terminal comes back with a new journal, or never.
fn set_foreign_journal_aside(state_dir: &Path, identity: &Identity) -> Result<(), PairError> {
    let Ok(earlier) = load_identity(state_dir) else {
        return Ok(());
    };
    if earlier.terminal_id == identity.terminal_id {
        return Ok(());
    }
    let journal = state_dir.join("journal");
    let aside = state_dir.join(format!("journal.of-{}", earlier.terminal_id));
    match std::fs::rename(&journal, &aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(at("set aside", &journal)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The engine names the path only: it cannot know under which name the till reaches it.
fn absolute(engine_url: &str, link_url: &str) -> String {
    if !link_url.starts_with('/') {
        return link_url.to_owned();
    }
    let base = engine_url.trim_end_matches('/');
    match base.strip_prefix("http") {
        // `http` becomes `ws`, `https` becomes `wss`.
        Some(rest) => format!("ws{rest}{link_url}"),
        None => format!("{base}{link_url}"),
    }
}

/// Asks the engine.
fn post<T: DeserializeOwned>(
    engine_url: &str,
    trust: &Trust,
    path: &str,
    request: &impl Serialize,
) -> Result<T, PairError> {
    let url = format!("{}{path}", engine_url.trim_end_matches('/'));
    let unreachable = |message: String| PairError::Unreachable {
        url: engine_url.to_owned(),
        message,
    };
    let agent = trust.http_client(ANSWER_TIMEOUT)?;
    let mut response = agent
        .post(&url)
        .send_json(request)
        .map_err(|error| unreachable(error.to_string()))?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    response
        .body_mut()
        .as_reader()
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut body)
        .map_err(|error| unreachable(error.to_string()))?;
    let envelope: Envelope = serde_json::from_slice(&body)
        .map_err(|_| unreachable(format!("status {status} without an answer of the engine")))?;
    match (envelope.success, envelope.data, envelope.error) {
        (true, Some(data), _) => serde_json::from_value(data)
            .map_err(|_| unreachable(format!("status {status} with half an answer"))),
        (false, _, Some(error)) => Err(PairError::Refused {
            code: error.code,
            message: error.message,
            details: error.details,
        }),
        (_, _, _) => Err(unreachable(format!("status {status} with half an answer"))),
    }
}

fn key_path(state_dir: &Path) -> PathBuf {
    state_dir.join("device-key")
}

fn identity_path(state_dir: &Path) -> PathBuf {
    state_dir.join("identity.json")
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PairError {
    let path = path.to_owned();
    move |source| PairError::Io {
        action,
        path,
        source,
    }
}

fn load_or_make_key(state_dir: &Path) -> Result<SigningKey, PairError> {
    match load_key(state_dir) {
        Err(PairError::NotPaired) => {}
        other => return other,
    }
    let mut secret = Zeroizing::new([0u8; 32]);
    getrandom::fill(secret.as_mut_slice()).map_err(|_| PairError::NoRandomness)?;
    let text = Zeroizing::new(hex::encode(secret.as_slice()));
    write_durably(state_dir, "device-key", text.as_bytes())?;
    Ok(SigningKey::from_bytes(&secret))
}

/// The private half of the device's key.
///
/// # Errors
/// [`PairError::NotPaired`] when there is none; [`PairError`].
pub fn load_key(state_dir: &Path) -> Result<SigningKey, PairError> {
    let path = key_path(state_dir);
    let text = Zeroizing::new(read(&path)?);
    let mut secret = Zeroizing::new([0u8; 32]);
    hex::decode_to_slice(text.trim_ascii(), secret.as_mut_slice())
        .map_err(|_| PairError::Damaged(path))?;
    Ok(SigningKey::from_bytes(&secret))
}

/// Who this till is.
///
/// # Errors
/// [`PairError::NotPaired`] when nobody has paired it; [`PairError`].
pub fn load_identity(state_dir: &Path) -> Result<Identity, PairError> {
    let path = identity_path(state_dir);
    serde_json::from_slice(&read(&path)?).map_err(|_| PairError::Damaged(path))
}

fn read(path: &Path) -> Result<Vec<u8>, PairError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(PairError::NotPaired),
        Err(error) => Err(at("read", path)(error)),
    }
}

/// Writes a file that nobody else may read: whole and durable, or not at all.
fn write_durably(state_dir: &Path, name: &str, bytes: &[u8]) -> Result<(), PairError> {
    let (path, new) = (state_dir.join(name), state_dir.join(format!("{name}.new")));
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(at("remove", &new)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&new)
        .map_err(at("create", &new))?;
    file.write_all(bytes).map_err(at("write to", &new))?;
    file.sync_all().map_err(at("sync", &new))?;
    std::fs::rename(&new, &path).map_err(at("replace", &path))?;
    std::fs::File::open(state_dir)
        .and_then(|directory| directory.sync_all())
        .map_err(at("sync", state_dir))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Answers each connection with the next body, and gives back the bodies of the requests.
    pub(super) fn engine(
        answers: Vec<Option<String>>,
    ) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(&stream);
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                requests.push(String::from_utf8(body).unwrap());
                if let Some(answer) = answer {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        answer.len()
                    );
                    (&stream).write_all((head + &answer).as_bytes()).unwrap();
                }
            }
            requests
        });
        (url, thread)
    }

    pub(super) const fn pairing<'a>(state_dir: &'a Path, engine_url: &'a str) -> Pairing<'a> {
        Pairing {
            state_dir,
            engine_url,
            trust: &Trust::Nobody,
            serial_number: "SN-1",
        }
    }

    #[test]
    fn a_till_that_is_somebody_must_be_let_go_first() {
        let directory = tempfile::tempdir().unwrap();
        assert!(check_unpaired(directory.path(), false).is_ok());
        std::fs::write(identity_path(directory.path()), "{}").unwrap();
        assert!(check_unpaired(directory.path(), false).is_ok(), "damaged");
        let json = r#"{"terminal_id":"trm_01h2xcejqtf2nbrexx3vqjhp41",
            "merchant_id":"mer_01h2xcejqtf2nbrexx3vqjhp41","label":"Till 1",
            "engine_incarnation":"inc_01h2xcejqtf2nbrexx3vqjhp41","link_url":"ws://127.0.0.1:1"}"#;
        std::fs::write(identity_path(directory.path()), json).unwrap();
        let refused = check_unpaired(directory.path(), false);
        assert!(
            matches!(refused, Err(PairError::AlreadyPaired { label, .. }) if label == "Till 1")
        );
        assert!(check_unpaired(directory.path(), true).is_ok());
    }

    #[test]
    fn a_lost_answer_is_asked_for_again_with_the_same_key() {
        let directory = tempfile::tempdir().unwrap();
        let good = r#"{"success":true,"data":{
            "terminal_id":"trm_01h2xcejqtf2nbrexx3vqjhp41",
            "merchant_id":"mer_01h2xcejqtf2nbrexx3vqjhp41",
            "label":"Till 1",
            "engine_incarnation":"inc_01h2xcejqtf2nbrexx3vqjhp41",
            "link_url":"ws://127.0.0.1:1/v1/agent/link"}}"#;
        let bad = r#"{"success":false,"error":{"code":"NOT_FOUND","message":"no such code",
            "details":{}}}"#;
        let (url, thread) = engine(vec![None, Some(bad.to_owned()), Some(good.to_owned())]);
        let state_dir = directory.path().join("state");
        let attempt = || pair(pairing(&state_dir, &url), "ABCD-1234");

        assert!(matches!(attempt(), Err(PairError::Unreachable { .. })));
        assert!(matches!(
            load_identity(&state_dir),
            Err(PairError::NotPaired)
        ));
        let refused = attempt().unwrap_err();
        assert!(matches!(&refused, PairError::Refused { code, .. } if code == "NOT_FOUND"));
        let identity = attempt().unwrap();
        assert_eq!(load_identity(&state_dir).unwrap(), identity);

        let requests = thread.join().unwrap();
        assert_eq!(requests[0], requests[2]);
        let key = load_key(&state_dir).unwrap();
        assert!(requests[0].contains(&hex::encode(key.verifying_key().as_bytes())));
        assert!(!requests[0].contains(&hex::encode(key.to_bytes())));
        for name in ["device-key", "identity.json"] {
            let mode = std::fs::metadata(state_dir.join(name))
                .unwrap()
                .permissions();
            assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_till_that_becomes_another_terminal_leaves_its_journal_behind() {
        let directory = tempfile::tempdir().unwrap();
        let identity = |number: u128| Identity {
            terminal_id: TerminalId::from_uuid(uuid::Uuid::from_u128(number)),
            merchant_id: MerchantId::from_uuid(uuid::Uuid::from_u128(1)),
            label: "Till".to_owned(),
            engine_incarnation: IncarnationId::from_uuid(uuid::Uuid::from_u128(1)),
            link_url: "ws://127.0.0.1:1".to_owned(),
            engine_ca: None,
        };
        let first = identity(1);
        let json = serde_json::to_vec(&first).unwrap();
        std::fs::write(identity_path(directory.path()), json).unwrap();
        let journal = directory.path().join("journal");
        std::fs::write(&journal, "open work").unwrap();
        set_foreign_journal_aside(directory.path(), &first).unwrap();
        assert!(journal.exists(), "the same terminal goes on");
        set_foreign_journal_aside(directory.path(), &identity(2)).unwrap();
        assert!(!journal.exists());
        let aside = format!("journal.of-{}", first.terminal_id);
        assert!(directory.path().join(aside).exists());
        set_foreign_journal_aside(directory.path(), &identity(3)).unwrap();
    }

    #[test]
    fn a_path_becomes_an_address_of_the_engine_that_answered() {
        for (engine, link, expected) in [
            (
                "http://127.0.0.1:7437",
                "/v1/agent/link",
                "ws://127.0.0.1:7437/v1/agent/link",
            ),
            ("https://pay.example/", "/l", "wss://pay.example/l"),
            ("http://127.0.0.1:1", "ws://[::1]:2/l", "ws://[::1]:2/l"),
        ] {
            assert_eq!(absolute(engine, link), expected);
        }
    }

    #[test]
    fn nothing_is_sent_in_plain_text_to_another_machine() {
        let directory = tempfile::tempdir().unwrap();
        for url in ["http://192.0.2.1:80", "http://engine.example", "nonsense"] {
            let result = pair(pairing(directory.path(), url), "code");
            assert!(matches!(result, Err(PairError::PlainText(_))), "{url}");
        }
        // TLS without anybody to trust is no way around it.
        let url = "https://127.0.0.1:1";
        let result = pair(pairing(directory.path(), url), "code");
        assert!(matches!(
            result,
            Err(PairError::Tls(_) | PairError::Unreachable { .. })
        ));
    }

    #[test]
    fn damaged_files_are_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(key_path(directory.path()), "zz").unwrap();
        std::fs::write(identity_path(directory.path()), "{}").unwrap();
        assert!(matches!(
            load_key(directory.path()),
            Err(PairError::Damaged(_))
        ));
        assert!(matches!(
            load_identity(directory.path()),
            Err(PairError::Damaged(_))
        ));
    }
}

//! The till shows a code, and a person approves it from a phone (RFC 8628). Asks, polls, and asks
//! anew when its time is over or the engine has forgotten it; shows nothing itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Identity, PairError, Pairing};

/// How long a till waits for a person before it gives up: a technician who went for a key.
pub const PATIENCE_S: u64 = 3_600;
/// Seconds between two questions when the engine has not said, or cannot be reached.
const INTERVAL_S: u64 = 5;
/// The longest interval that an engine may ask for.
const INTERVAL_S_MAX: u64 = 60;

/// What a technician must see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// To be typed.
    pub user_code: String,
    /// Where.
    pub url: String,
    /// The same with the code in it, for a QR symbol.
    pub url_complete: String,
    /// For how long.
    pub expires_in_s: u64,
    /// The first bytes of this till's public key, as the phone shows them too.
    pub key_fingerprint: String,
}

/// What happens while a till waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// A code to show; an earlier one does not work any more.
    Code(&'a Shown),
    /// The engine did not answer; the code may still work.
    NoAnswer(&'a str),
}

/// The till's surroundings while it waits.
pub trait Surroundings {
    /// Something to show.
    fn tell(&mut self, progress: Progress<'_>);

    /// Lets time pass.
    fn wait(&mut self, time: Duration);
}

#[derive(Serialize)]
struct AskRequest<'a> {
    public_key: String,
    serial_number: &'a str,
    agent_version: &'a str,
}

#[derive(Deserialize)]
struct Asked {
    device_code: String,
    user_code: String,
    verification_path: String,
    verification_path_complete: String,
    expires_in_s: u64,
    interval_s: u64,
}

#[derive(Serialize)]
struct PollRequest<'a> {
    device_code: &'a str,
}

#[derive(Deserialize)]
struct Polled {
    status: String,
    interval_s: Option<u64>,
    identity: Option<Identity>,
}

/// How one code came out.
enum Outcome {
    Paired(Identity),
    /// Its time is over, or the engine has forgotten it. So many seconds have passed.
    Over(u64),
}

/// Asks for a person's approval and stores what the engine answers then.
///
/// # Errors
/// [`PairError`]; [`PairError::NobodyApproved`] after `patience_s` seconds.
pub fn pair_by_approval(
    pairing: Pairing<'_>,
    patience_s: u64,
    around: &mut dyn Surroundings,
) -> Result<Identity, PairError> {
    let key = pairing.prepare()?;
    let public_key = hex::encode(key.verifying_key().as_bytes());
    let request = AskRequest {
        public_key: public_key.clone(),
        serial_number: pairing.serial_number,
        agent_version: env!("CARGO_PKG_VERSION"),
    };
    let mut waited_s: u64 = 0;
    while waited_s < patience_s {
        let asked = pairing.post::<Asked>("/v1/pairing/device", &request);
        let asked = match asked {
            Ok(asked) => asked,
            // A till that has shown a code waits for its engine to come back; one that has not is
            // told at once what is wrong with the way there.
            Err(error) if is_passing(&error, waited_s > 0) => {
                around.tell(Progress::NoAnswer(&error.to_string()));
                around.wait(Duration::from_secs(INTERVAL_S));
                waited_s = waited_s.saturating_add(INTERVAL_S);
                continue;
            }
            Err(error) => return Err(error),
        };
        around.tell(Progress::Code(&shown(
            pairing.engine_url,
            &asked,
            &public_key,
        )));
        let left_s = patience_s.saturating_sub(waited_s);
        match wait_for_person(pairing, &asked, left_s, around)? {
            Outcome::Paired(identity) => return pairing.become_this(identity),
            Outcome::Over(seconds) => waited_s = waited_s.saturating_add(seconds.max(1)),
        }
    }
    Err(PairError::NobodyApproved)
}

/// Whether it can be another answer in a while.
fn is_passing(error: &PairError, has_waited: bool) -> bool {
    match error {
        PairError::Unreachable { .. } => has_waited,
        PairError::Refused { code, .. } => {
            matches!(code.as_str(), "RATE_LIMITED" | "SERVICE_UNAVAILABLE")
        }
        _ => false,
    }
}

fn shown(engine_url: &str, asked: &Asked, public_key: &str) -> Shown {
    let base = engine_url.trim_end_matches('/');
    Shown {
        user_code: asked.user_code.clone(),
        url: format!("{base}{}", asked.verification_path),
        url_complete: format!("{base}{}", asked.verification_path_complete),
        expires_in_s: asked.expires_in_s,
        key_fingerprint: public_key.get(..8).unwrap_or_default().to_owned(),
    }
}

fn wait_for_person(
    pairing: Pairing<'_>,
    asked: &Asked,
    patience_s: u64,
    around: &mut dyn Surroundings,
) -> Result<Outcome, PairError> {
    let mut interval_s = asked.interval_s.clamp(1, INTERVAL_S_MAX);
    let mut passed_s: u64 = 0;
    // One question more than its life: an approval of the last second is heard.
    let life_s = asked.expires_in_s.saturating_add(interval_s);
    while passed_s < life_s.min(patience_s) {
        around.wait(Duration::from_secs(interval_s));
        passed_s = passed_s.saturating_add(interval_s);
        let device_code = &asked.device_code;
        let polled = pairing.post("/v1/pairing/device/poll", &PollRequest { device_code });
        let polled: Polled = match polled {
            Ok(polled) => polled,
            // The engine restarts, or is busy: an approval is stored, so that asking on is right.
            Err(error @ (PairError::Unreachable { .. } | PairError::Refused { .. })) => {
                around.tell(Progress::NoAnswer(&error.to_string()));
                interval_s = interval_s.clamp(INTERVAL_S, INTERVAL_S_MAX);
                continue;
            }
            Err(error) => return Err(error),
        };
        if let Some(asked_s) = polled.interval_s {
            interval_s = asked_s.clamp(1, INTERVAL_S_MAX);
        }
        match (polled.status.as_str(), polled.identity) {
            ("paired", Some(identity)) => return Ok(Outcome::Paired(identity)),
            ("denied", _) => return Err(PairError::Denied),
            ("expired", _) => break,
            _ => {}
        }
    }
    Ok(Outcome::Over(passed_s))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{engine, pairing};
    use super::*;

    #[derive(Default)]
    struct Recorded {
        codes: Vec<String>,
        lost: usize,
        waited_s: Vec<u64>,
    }

    impl Surroundings for Recorded {
        fn tell(&mut self, progress: Progress<'_>) {
            match progress {
                Progress::Code(shown) => self.codes.push(shown.user_code.clone()),
                Progress::NoAnswer(_) => self.lost += 1,
            }
        }

        fn wait(&mut self, time: Duration) {
            self.waited_s.push(time.as_secs());
        }
    }

    fn asked(user_code: &str) -> Option<String> {
        let url = format!("/pair?code={user_code}");
        Some(format!(
            r#"{{"success":true,"data":{{"device_code":"secret","user_code":"{user_code}",
            "verification_path":"/pair","verification_path_complete":"{url}",
            "expires_in_s":20,"interval_s":5}}}}"#
        ))
    }

    fn polled(data: &str) -> Option<String> {
        Some(format!(r#"{{"success":true,"data":{{{data}}}}}"#))
    }

    const PAIRED: &str = r#""status":"paired","identity":{
        "terminal_id":"trm_01h2xcejqtf2nbrexx3vqjhp41",
        "merchant_id":"mer_01h2xcejqtf2nbrexx3vqjhp41",
        "merchant_name":"Corner Shop",
        "label":"Till 1",
        "engine_incarnation":"inc_01h2xcejqtf2nbrexx3vqjhp41",
        "link_url":"/v1/agent/link"}"#;

    #[test]
    fn a_till_waits_through_lost_answers_and_ends_paired() {
        let directory = tempfile::tempdir().unwrap();
        let (url, thread) = engine(vec![
            asked("BCDF-GHJK"),
            polled(r#""status":"pending","interval_s":5"#),
            polled(r#""status":"slow_down","interval_s":10"#),
            None,
            polled(PAIRED),
        ]);
        let mut around = Recorded::default();
        let pairing = pairing(directory.path(), &url);
        let identity = pair_by_approval(pairing, PATIENCE_S, &mut around).unwrap();
        assert_eq!(identity.label, "Till 1");
        assert!(identity.link_url.starts_with("ws://127.0.0.1:"));
        assert_eq!(
            super::super::load_identity(directory.path()).unwrap(),
            identity
        );
        assert_eq!(around.codes, ["BCDF-GHJK"]);
        assert_eq!((around.lost, around.waited_s), (1, vec![5, 5, 10, 10]));
        let requests = thread.join().unwrap();
        assert!(requests[0].contains("SN-1"), "{requests:?}");
        assert!(requests[1].contains("secret") && requests[1] == requests[4]);
    }

    #[test]
    fn a_code_that_is_over_is_followed_by_another_until_patience_ends() {
        let directory = tempfile::tempdir().unwrap();
        let expired = || polled(r#""status":"expired""#);
        let (url, thread) = engine(vec![
            asked("BBBB-BBBB"),
            expired(),
            asked("CCCC-CCCC"),
            expired(),
        ]);
        let mut around = Recorded::default();
        let pairing = pairing(directory.path(), &url);
        let ended = pair_by_approval(pairing, 10, &mut around);
        assert!(matches!(ended, Err(PairError::NobodyApproved)), "{ended:?}");
        assert_eq!(around.codes, ["BBBB-BBBB", "CCCC-CCCC"]);
        thread.join().unwrap();
    }

    #[test]
    fn a_till_asks_on_when_there_is_no_place_yet_or_its_engine_is_away() {
        let directory = tempfile::tempdir().unwrap();
        let full = r#"{"success":false,"error":{"code":"RATE_LIMITED","message":"m"}}"#;
        let (url, thread) = engine(vec![
            Some(full.to_owned()),
            asked("BBBB-BBBB"),
            polled(r#""status":"expired""#),
            None,
            asked("CCCC-CCCC"),
            polled(PAIRED),
        ]);
        let mut around = Recorded::default();
        let pairing = pairing(directory.path(), &url);
        assert!(pair_by_approval(pairing, PATIENCE_S, &mut around).is_ok());
        assert_eq!((around.codes.len(), around.lost), (2, 2));
        thread.join().unwrap();
        let (url, thread) = engine(vec![None]);
        let pairing = super::super::tests::pairing(directory.path(), &url);
        let first = pair_by_approval(pairing, PATIENCE_S, &mut around);
        assert!(matches!(first, Err(PairError::Unreachable { .. })));
        thread.join().unwrap();
    }

    #[test]
    fn a_till_that_is_turned_away_is_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let denied = polled(r#""status":"denied""#);
        let (url, thread) = engine(vec![asked("BBBB-BBBB"), denied]);
        let pairing = pairing(directory.path(), &url);
        let ended = pair_by_approval(pairing, 60, &mut Recorded::default());
        assert!(matches!(ended, Err(PairError::Denied)));
        let nobody = super::super::load_identity(directory.path());
        assert!(matches!(nobody, Err(PairError::NotPaired)));
        thread.join().unwrap();
    }
}

//! The way to the engine: name, connection, TLS, clock, credential, protocol.
//!
//! Facts are gathered by functions that begin with `look`, verdicts are made of facts alone. Never
//! opens a link: a second one under the same identity could be taken for another till.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use protocol::certificate::day_of;
use protocol::link::{VERSION, VERSION_MIN};
use tokio_tungstenite::tungstenite::http::Uri;

use super::check::{Check, CheckId};
use super::host::{AgentFact, Running};
use crate::clock;
use crate::config::Config;
use crate::link::{host_of, is_loopback_url, port_of};
use crate::pair::{self, Identity, PairError};
use crate::tls::{self, ChainReport, TlsFault, Trust};

/// How long a name server may take.
const DNS_PATIENCE: Duration = Duration::from_secs(10);
/// How long connecting may take, for each address.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long the engine may take to say what time it is.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// Certificates are renewed by hand; a month is time enough to plan it.
const CERTIFICATE_DAYS_WARN: i64 = 30;
/// Beyond this, times on the till's screen differ from those on receipts.
const SKEW_S_WARN: i64 = 30;
/// Beyond this, certificates may be taken for ended or not begun.
const SKEW_S_FAIL: i64 = 10 * 60;
const DAY_S: i64 = 24 * 60 * 60;

/// Where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As the configuration or the identity has it.
    pub url: String,
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether it is to speak TLS.
    pub is_tls: bool,
}

impl Target {
    /// The engine of this till: where its link goes, or where it was to be paired.
    pub fn of(config: &Config, identity: Option<&Identity>) -> Option<Self> {
        let paired = identity.map(|identity| &identity.link_url);
        let url = config.engine.link_url.as_ref().or(paired);
        Self::parse(url.unwrap_or(&config.engine.url))
    }

    /// The place that a URL names; nothing when it names none.
    pub fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let is_tls = match uri.scheme_str()? {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return None,
        };
        Some(Self {
            url: url.to_owned(),
            host: host_of(&uri)?,
            port: port_of(&uri),
            is_tls,
        })
    }

    fn address(&self) -> String {
        let host = &self.host;
        let port = self.port;
        if host.contains(':') {
            return format!("[{host}]:{port}");
        }
        format!("{host}:{port}")
    }

    fn http_url(&self, path: &str) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address())
    }
}

/// Resolves the name.
///
/// # Errors
/// What the system says.
pub fn look_up(target: &Target) -> Result<Vec<SocketAddr>, String> {
    let (found_tx, found) = mpsc::channel();
    let asked = (target.host.clone(), target.port);
    // A name server that does not answer must not hold up the report.
    std::thread::spawn(move || {
        let addresses = asked.to_socket_addrs();
        found_tx
            .send(addresses.map(Iterator::collect::<Vec<_>>))
            .ok();
    });
    match found.recv_timeout(DNS_PATIENCE) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err("the name has no address".to_owned()),
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(_) => Err("no name server has answered".to_owned()),
    }
}

/// Whether the name has an address.
pub fn judge_dns(target: &Target, found: &Result<Vec<SocketAddr>, String>) -> Check {
    match found {
        Ok(addresses) => {
            let shown: Vec<_> = addresses.iter().map(|one| one.ip().to_string()).collect();
            let seen = format!("{} is {}", target.host, shown.join(", "));
            Check::pass(CheckId::NetDns, seen)
        }
        Err(error) => Check::fail(
            CheckId::NetDns,
            format!("{} has no address: {error}", target.host),
            "check the network cable and the name in engine.url; `resolvectl status` shows the \
             name server; if the shop has none, use the engine's address",
        ),
    }
}

/// Connects, and hangs up again; gives the address that answered.
///
/// # Errors
/// What each address said.
pub fn look_at_port(addresses: &[SocketAddr]) -> Result<SocketAddr, String> {
    let mut said = Vec::new();
    for address in addresses {
        match TcpStream::connect_timeout(address, CONNECT_PATIENCE) {
            Ok(_) => return Ok(*address),
            Err(error) => said.push(format!("{address}: {error}")),
        }
    }
    Err(said.join("; "))
}

/// Whether the port takes connections.
pub fn judge_tcp(found: &Result<SocketAddr, String>) -> Check {
    match found {
        Ok(address) => Check::pass(CheckId::NetTcp, format!("{address} takes connections")),
        Err(error) => Check::fail(
            CheckId::NetTcp,
            error.clone(),
            "refused: the engine does not run, or listens on another port or address; no answer: \
             a firewall in between, or the engine's machine is off",
        )
        .coded("ENGINE_UNREACHABLE"),
    }
}

/// Looks at the engine's certificate.
///
/// # Errors
/// [`TlsFault`].
pub fn look_at_tls(target: &Target, trust: &Trust) -> Result<ChainReport, TlsFault> {
    let url = target.http_url("/");
    tls::inspect(&url, trust)
}

/// Whether the engine is the one that is trusted, at `now_s` since 1970.
pub fn judge_tls(found: &Result<ChainReport, TlsFault>, now_s: i64) -> Check {
    let report = match found {
        Ok(report) => report,
        Err(fault) => {
            let remedy = tls_remedy(fault);
            return Check::fail(CheckId::NetTls, fault.to_string(), remedy).coded(fault.code());
        }
    };
    let days = report.not_after_s.saturating_sub(now_s) / DAY_S;
    let authority = report.authority.as_ref();
    let authority = authority.map(|authority| authority.fingerprint().short().to_string());
    let seen = format!(
        "{}, certificate of {} until {} ({days} days), CA {}",
        report.protocol,
        report.subject,
        day_of(report.not_after_s),
        authority.unwrap_or_else(|| "of this machine's store".to_owned()),
    );
    if days < CERTIFICATE_DAYS_WARN {
        let remedy = "renew it on the engine: `engine init --renew` (docs/tls.md); the engine \
            reloads it without a restart";
        return Check::warn(CheckId::NetTls, seen, remedy);
    }
    Check::pass(CheckId::NetTls, seen)
}

const fn tls_remedy(fault: &TlsFault) -> &'static str {
    match fault {
        TlsFault::Address(_) => "correct engine.url or engine.link_url in the configuration",
        TlsFault::Unreachable { .. } => "see net.tcp",
        TlsFault::TimedOut(_) => {
            "try again; if it stays, look for a proxy or firewall between till and engine"
        }
        TlsFault::NotTls(_) => {
            "correct the port in engine.url, or give the engine a certificate (`engine init`)"
        }
        TlsFault::NameMismatch { .. } => {
            "use a name of the certificate in engine.url and pair again, or renew the certificate \
             with this name on the engine"
        }
        TlsFault::Expired { .. } => {
            "renew it on the engine: `engine init --renew`; if it is valid by the calendar, set \
             this till's clock"
        }
        TlsFault::NotYetValid { .. } => "set this till's clock, or the engine's",
        TlsFault::WrongAuthority { .. } => {
            "if the engine was installed anew, compare the fingerprint with what `engine init` \
             has shown and pair the till again; if not, somebody else answers in its place: do \
             not pair"
        }
        TlsFault::NotPinned { .. } => "pair the till with --ca-fingerprint or --ca-file",
        TlsFault::NoAuthority(_) => {
            "install this machine's CA certificates (`sudo apt install ca-certificates`), or pair \
             with a pinned CA"
        }
        TlsFault::Failed(_) => "look at the engine's log at this moment",
    }
}

/// Asks the engine what time it is: by the `Date` of any answer. Gives its clock and this one's,
/// in seconds since 1970.
///
/// # Errors
/// Why there is no answer, or none with a date.
pub fn look_at_time(target: &Target, trust: &Trust) -> Result<(i64, i64), String> {
    let client = trust.http_client(ANSWER_PATIENCE);
    let client = client.map_err(|fault| fault.to_string())?;
    let answer = client.get(target.http_url("/healthz")).call();
    let answer = answer.map_err(|error| error.to_string())?;
    let date = answer
        .headers()
        .get("date")
        .and_then(|date| date.to_str().ok());
    let theirs = date.and_then(seconds_of_date);
    let theirs = theirs.ok_or("the engine's answer has no date")?;
    Ok((theirs, now_s()))
}

/// This machine's clock, in seconds since 1970.
pub fn now_s() -> i64 {
    i64::try_from(clock::unix_ms() / 1_000).unwrap_or(i64::MAX)
}

/// Whether the clocks agree.
pub fn judge_skew(found: &Result<(i64, i64), String>) -> Check {
    const REMEDY: &str = "set this machine's clock: `sudo timedatectl set-ntp true`; if it is \
        right, set the engine's";
    let id = CheckId::ClockSkew;
    let (theirs, ours) = match found {
        Ok(found) => *found,
        Err(error) => {
            let seen = format!("the engine does not say what time it is: {error}");
            return Check::warn(id, seen, "see net.tls; look at the engine's log");
        }
    };
    let ahead = theirs.saturating_sub(ours);
    let seen = match ahead {
        0 => "the clocks agree to the second".to_owned(),
        1.. => format!("this clock is {ahead} s behind the engine's"),
        _ => format!("this clock is {} s ahead of the engine's", -ahead),
    };
    let apart = ahead.abs();
    if apart <= SKEW_S_WARN {
        Check::pass(id, seen)
    } else if apart <= SKEW_S_FAIL {
        Check::warn(id, seen, REMEDY)
    } else {
        Check::fail(id, seen, REMEDY)
    }
}

/// Seconds since 1970 of a date as HTTP has it: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
fn seconds_of_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day: i64 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let year: i64 = words.next()?.parse().ok()?;
    let mut time = words.next()?.split(':');
    let mut number = || time.next()?.parse::<i64>().ok();
    let (hour, minute, second) = (number()?, number()?, number()?);
    let is_good =
        (1970..=9999).contains(&year) && (1..=31).contains(&day) && words.next()? == "GMT";
    let days = days_since_1970(year, i64::try_from(month).ok()?.saturating_add(1), day);
    let is_time =
        (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    (is_good && is_time).then(|| days * DAY_S + hour * 3_600 + minute * 60 + second)
}

/// Days of the Gregorian calendar; the year begins in March, so that leap days are last.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days_of_year = (153 * month + 2) / 5 + day - 1;
    // 719,468 days lie between 1 March of year 0 and 1 January 1970.
    year * 365 + year / 4 - year / 100 + year / 400 + days_of_year - 719_468
}

/// Key and identity of the till.
#[derive(Debug)]
pub struct IdentityFact {
    /// Who the till is.
    pub identity: Result<Identity, PairError>,
    /// Whether its key is good.
    pub key: Result<(), PairError>,
}

impl IdentityFact {
    /// Reads both.
    pub fn look(state_dir: &Path) -> Self {
        Self {
            identity: pair::load_identity(state_dir),
            key: pair::load_key(state_dir).map(drop),
        }
    }

    /// Whom this till believes.
    pub fn trust(&self, config: &Config) -> Trust {
        match &self.identity {
            Ok(identity) => identity.trust(&config.engine),
            Err(_) => match config.engine.trust {
                crate::config::EngineTrust::System => Trust::System,
                crate::config::EngineTrust::Pinned => Trust::Nobody,
            },
        }
    }
}

/// Whether the engine accepts this till.
pub fn judge_auth(fact: &IdentityFact, agent: &AgentFact) -> Check {
    const PAIR: &str = "pair the till: ask for a code in the console, then `sudo -u \
        terminal-agent terminal-agent pair --code …`, and restart the agent";
    let id = CheckId::EngineAuth;
    let wrong = |error: &PairError| {
        let code = match error {
            PairError::NotPaired => "NOT_PAIRED",
            PairError::Damaged(_) => "IDENTITY_DAMAGED",
            _ => "IDENTITY_UNREADABLE",
        };
        let remedy = match error {
            PairError::Io { .. } => "run this as root or as the agent's user",
            _ => PAIR,
        };
        Check::fail(id, error.to_string(), remedy).coded(code)
    };
    let identity = match (&fact.identity, &fact.key) {
        (Err(error), _) | (_, Err(error)) => return wrong(error),
        (Ok(identity), Ok(())) => identity,
    };
    let who = format!("paired as {} ({})", identity.label, identity.terminal_id);
    let Some(running) = agent.running() else {
        let seen =
            format!("{who}; whether the engine accepts it was not asked, because no agent answers");
        return Check::warn(id, seen, "start the agent and run this again");
    };
    if running.status.is_online {
        return Check::pass(id, format!("{who}; the link is up"));
    }
    let Some(fault) = &running.process.link.fault else {
        let seen = format!("{who}; the agent is connecting");
        return Check::warn(id, seen, "run this again in a few seconds");
    };
    let seen = format!("{who}; the link is down: {}", fault.message);
    Check::fail(id, seen, link_remedy(&fault.code)).coded(&fault.code)
}

fn link_remedy(code: &str) -> &'static str {
    match code {
        "LINK_REFUSED_UNAUTHORIZED" => {
            "the engine does not know this till's key: its pairing was revoked or replaced; pair \
             it again with a new code"
        }
        "LINK_REFUSED_DUPLICATE_IDENTITY" => {
            "two machines claim to be this till (a copied disk?): stop the other one, or pair \
             this one again with a new code"
        }
        "LINK_REFUSED_STALE" => "another agent with this journal is linked: stop it",
        "LINK_REFUSED_BUSY" => "the engine is starting, stopping or full: wait, then look again",
        "LINK_REFUSED_VERSION" => "see engine.version",
        "ENGINE_UNREACHABLE" => "see net.dns and net.tcp; the agent connects again by itself",
        code if code.starts_with("TLS_") => "see net.tls",
        _ => "the agent connects again by itself; if it stays, look at the engine's log",
    }
}

/// Whether both speak a common protocol.
pub fn judge_version(running: Option<&Running>) -> Check {
    let id = CheckId::EngineVersion;
    let own = format!("this agent speaks versions {VERSION_MIN} to {VERSION} of the link");
    let Some(running) = running else {
        let reason = "no agent answers, and only a link tells which version the engine speaks";
        return Check::skip(id, reason);
    };
    let link = &running.process.link;
    let is_refused = link
        .fault
        .as_ref()
        .is_some_and(|fault| fault.code == "LINK_REFUSED_VERSION");
    if is_refused {
        let remedy = "install an agent and an engine of releases that belong together";
        let seen = format!("{own}; the engine speaks none of them");
        return Check::fail(id, seen, remedy).coded("LINK_REFUSED_VERSION");
    }
    match link.version {
        Some(VERSION) => Check::pass(id, format!("link protocol {VERSION}")),
        Some(version) => Check::warn(
            id,
            format!("link protocol {version}; {own}"),
            "the engine is older than this agent: sales go on, newer features do not; update the \
             engine",
        ),
        None => Check::skip(
            id,
            "the engine has not been reached since the agent started",
        ),
    }
}

/// Whether plain text to this target stays on this machine.
pub fn judge_plain_text(target: &Target) -> Check {
    if is_loopback_url(&target.url) {
        let reason = "plain text on this machine itself, which needs no certificate";
        return Check::skip(CheckId::NetTls, reason);
    }
    let seen = format!("{} is plain text to another machine", target.url);
    let remedy = "use https:// in engine.url, and pair again (docs/tls.md)";
    Check::fail(CheckId::NetTls, seen, remedy).coded("PLAIN_TEXT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
            ("Sat, 21 Nov 2026 08:00:00 GMT", Some(1_795_248_000)),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 06 Foo 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 25:49:37 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("", None),
        ] {
            assert_eq!(seconds_of_date(text), expected, "{text}");
        }
    }
}

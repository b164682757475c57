//! `terminal-agent doctor`: looks at everything a sale needs, and says what to do.
//!
//! Each check has facts, which are gathered here, and a verdict, which is made of facts alone. What
//! an agent holds is asked of the agent: its ports and its link are never touched. Changes nothing
//! but, on request, modes of files and a socket that was left behind.
//!
//! # Layout
//! * [`check`]: the table of checks. [`report`]: the report.
//! * [`host`]: configuration, state directory, disk. [`agent`]: the running agent. [`clock`].
//!   [`queue`]: what waits.
//! * [`network`]: the way to the engine. [`link`]: whether it accepts this till.
//! * [`ports`], [`devices`]: reader and printer.

pub mod agent;
pub mod check;
pub mod clock;
pub mod devices;
pub mod host;
pub mod link;
pub mod network;
pub mod ports;
pub mod queue;
pub mod report;

use std::path::Path;

use agent::AgentFact;
use check::{Check, CheckId};
use devices::{PrinterFact, ReaderFact};
use link::IdentityFact;
use network::Target;
use ports::{Opening, PortFact};
pub use report::Report;

use crate::cli::ports::agents_account;
use crate::config::Config;
use crate::device::endpoint::{Endpoint, Role};
use crate::tls::Trust;

/// Examines the till whose configuration is at `path`; with `fixes`, also repairs what is safe to
/// repair.
pub fn examine(path: &Path, fixes: bool) -> Report {
    let config = Config::read(path);
    let mut checks = vec![host::judge_config(path, config.as_ref().err())];
    match config {
        Ok(config) => examine_till(&config, fixes, &mut checks),
        Err(_) => {
            let rest = CheckId::ALL
                .iter()
                .filter(|id| **id != CheckId::ConfigValid);
            let reason = "without a valid configuration nothing else is known";
            checks.extend(rest.map(|id| Check::skip(*id, reason)));
        }
    }
    Report::new(checks)
}

fn examine_till(config: &Config, fixes: bool, checks: &mut Vec<Check>) {
    let state_dir = config.state_dir.as_path();
    let mut agent = agent::look_at_agent(state_dir);
    examine_state(config, fixes, checks);
    let removed = fixes
        .then(|| agent::fix_socket(state_dir, &agent))
        .flatten();
    if removed.is_some() {
        agent = AgentFact::Absent {
            has_stale_socket: false,
        };
    }
    checks.push(agent::judge_agent(&agent).fixed(removed));
    checks.push(agent::judge_watchdog(&agent));
    checks.push(clock::judge_clock(clock::look_at_clock(
        &config.device_root,
    )));
    let identity = IdentityFact::look(state_dir);
    examine_network(config, &identity, checks);
    checks.push(link::judge_auth(&identity, &agent));
    checks.push(link::judge_version(agent.running()));
    examine_devices(config, &agent, checks);
    checks.push(queue::judge_queue(&queue::look_at_queue(state_dir, &agent)));
}

fn examine_state(config: &Config, fixes: bool, checks: &mut Vec<Check>) {
    let state_dir = config.state_dir.as_path();
    let mut fact = host::look_at_state(state_dir);
    let writable = host::judge_writable(state_dir, &fact);
    let exists = fact.exists;
    checks.push(writable);
    if !exists {
        let reason = "there is no state directory";
        checks.push(Check::skip(CheckId::StatePermissions, reason));
        checks.push(Check::skip(CheckId::DiskFree, reason));
        return;
    }
    let fixed = fixes
        .then(|| host::fix_permissions(state_dir, &fact))
        .flatten();
    if fixed.is_some() {
        fact = host::look_at_state(state_dir);
    }
    checks.push(host::judge_permissions(state_dir, &fact).fixed(fixed));
    checks.push(host::judge_disk(&fact));
}

fn examine_network(config: &Config, identity: &IdentityFact, checks: &mut Vec<Check>) {
    let skip = |ids: &[CheckId], reason: &str, checks: &mut Vec<Check>| {
        checks.extend(ids.iter().map(|id| Check::skip(*id, reason)));
    };
    let Some(target) = Target::of(config, identity.identity.as_ref().ok()) else {
        let url = config
            .engine
            .link_url
            .as_ref()
            .unwrap_or(&config.engine.url);
        let seen = format!("{url} names no engine");
        let remedy = "write engine.url as https://name:port in the configuration";
        checks.push(Check::fail(CheckId::NetDns, seen, remedy).coded("TLS_ADDRESS"));
        let rest = [CheckId::NetTcp, CheckId::NetTls, CheckId::ClockSkew];
        skip(&rest, "there is no engine to connect to", checks);
        return;
    };
    let addresses = network::look_up(&target);
    checks.push(network::judge_dns(&target, &addresses));
    let Ok(addresses) = addresses else {
        let rest = [CheckId::NetTcp, CheckId::NetTls, CheckId::ClockSkew];
        skip(&rest, "the engine's name has no address (net.dns)", checks);
        return;
    };
    let connected = network::look_at_port(&addresses);
    let is_connected = connected.is_ok();
    checks.push(network::judge_tcp(&connected));
    if !is_connected {
        let rest = [CheckId::NetTls, CheckId::ClockSkew];
        skip(
            &rest,
            "the engine's port takes no connection (net.tcp)",
            checks,
        );
        return;
    }
    let trust = identity.trust(config);
    let tls = examine_tls(&target, &trust);
    let is_open = tls.verdict != check::Verdict::Fail;
    checks.push(tls);
    if is_open {
        let time = clock::look_at_time(&target, &trust);
        checks.push(clock::judge_skew(&time));
    } else {
        let reason = "the engine's certificate is not believed (net.tls)";
        skip(&[CheckId::ClockSkew], reason, checks);
    }
}

fn examine_tls(target: &Target, trust: &Trust) -> Check {
    if !target.is_tls {
        return network::judge_plain_text(target);
    }
    network::judge_tls(&network::look_at_tls(target, trust), clock::now_s())
}

fn examine_devices(config: &Config, agent: &AgentFact, checks: &mut Vec<Check>) {
    let root = config.device_root.as_path();
    let account = agents_account(root, Some(config));
    // A configuration that was read has endpoints.
    let endpoints = config.endpoints().unwrap_or_default();
    let (reader, printer) = ask_devices(&endpoints, agent);
    for endpoint in &endpoints {
        let opening = opening_of(endpoint.role, &reader, &printer);
        checks.extend(PortFact::look(endpoint, root, &account, opening).judge());
    }
    checks.extend(devices::judge_reader(&reader));
    checks.extend(devices::judge_printer(&printer));
}

fn opening_of(role: Role, reader: &ReaderFact, printer: &PrinterFact) -> Opening {
    match (role, reader, printer) {
        (Role::Reader, ReaderFact::Agent { port, .. }, _)
        | (Role::Printer, _, PrinterFact::Agent { port, .. }) => Opening::Agent(port.clone()),
        (Role::Reader, ReaderFact::Asked(_), _) | (Role::Printer, _, PrinterFact::Asked(_)) => {
            Opening::Here(Ok(()))
        }
        (Role::Reader, ReaderFact::Fault(fault), _)
        | (Role::Printer, _, PrinterFact::Fault(fault)) => Opening::Here(Err(fault.clone())),
        (Role::Reader, ReaderFact::NotTried(reason), _)
        | (Role::Printer, _, PrinterFact::NotTried(reason)) => Opening::NotTried(reason),
    }
}

/// Asks the agent, or the devices themselves where nobody has them.
fn ask_devices(endpoints: &[Endpoint], agent: &AgentFact) -> (ReaderFact, PrinterFact) {
    const NO_PRINTER: &str = "this till has no printer in its configuration";
    const UNANSWERED: &str = "an agent has the ports and cannot be asked (agent.running)";
    let of_role = |role| endpoints.iter().find(|endpoint| endpoint.role == role);
    let (reader, printer) = (of_role(Role::Reader), of_role(Role::Printer));
    if let Some(running) = agent.running() {
        let printer_fact = match printer {
            Some(_) => PrinterFact::of_agent(running),
            None => PrinterFact::NotTried(NO_PRINTER),
        };
        return (ReaderFact::of_agent(running), printer_fact);
    }
    let asked = agent
        .leaves_ports_alone()
        .then(|| block_on(ask(reader.cloned(), printer.cloned())))
        .flatten();
    let (reader_fact, printer_fact) = asked.unwrap_or((
        ReaderFact::NotTried(UNANSWERED),
        PrinterFact::NotTried(UNANSWERED),
    ));
    match printer {
        Some(_) => (reader_fact, printer_fact),
        None => (reader_fact, PrinterFact::NotTried(NO_PRINTER)),
    }
}

async fn ask(reader: Option<Endpoint>, printer: Option<Endpoint>) -> (ReaderFact, PrinterFact) {
    let reader_fact = match reader {
        Some(endpoint) => match devices::ask_reader(endpoint).await {
            Ok(answers) => ReaderFact::Asked(answers),
            Err(fault) => ReaderFact::Fault(fault),
        },
        None => ReaderFact::NotTried("this till has no reader in its configuration"),
    };
    let printer_fact = match printer {
        Some(endpoint) => match devices::ask_printer(endpoint).await {
            Ok(status) => PrinterFact::Asked(status),
            Err(fault) => PrinterFact::Fault(fault),
        },
        None => PrinterFact::NotTried("this till has no printer in its configuration"),
    };
    (reader_fact, printer_fact)
}

/// Runs to its end on a runtime of its own; nothing when the system gives none.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let done = runtime.block_on(work);
    // A read of a device file that hangs must not hold up the end.
    runtime.shutdown_background();
    Some(done)
}

#[cfg(test)]
mod tests;

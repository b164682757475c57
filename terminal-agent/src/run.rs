//! `terminal-agent run`: opens everything, turns the loop, stops cleanly.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, sleep};

use crate::clock::Clock;
use crate::config::{Config, ConfigError, PrinterConfig};
use crate::control;
use crate::control::message::{LinkHealth, ProcessHealth};
use crate::device;
use crate::device::endpoint::{Endpoint, Role};
use crate::facts;
use crate::id_source;
use crate::journal::{Found, Journal, JournalError, StateLock};
use crate::link::{self, AddressError, LinkAddress, LinkIdentity};
use crate::logo;
use crate::machine::agent::{Agent, AgentConfig};
use crate::machine::printer::PrinterMachine;
use crate::machine::reader::ReaderConversation;
use crate::machine::record::{JournalEntry, JournalState};
use crate::pair::{self, Identity, PairError};
use crate::service::ServiceManager;
use crate::shell::{Event, Shell};
use crate::simulator_control::Simulator;
use crate::tls::TlsFault;

/// Events that wait for the loop. Sources wait when it is full.
const EVENTS_MAX: usize = 256;
/// How long a stop waits for a payment whose card data was sent.
const FINISH_MS_MAX: u64 = 10_000;
/// How long a stop then waits for the reader and the journal.
const SETTLE_MS_MAX: u64 = 2_000;
/// How long a journal fault may be told to the engine before the process ends. A link does not
/// report what has left, and without a journal nothing may wait for its answer.
const FAULT_DRAIN: Duration = Duration::from_millis(300);

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Key or identity.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// Journal or state directory.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The link's address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Whom to believe that it is the engine.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// The system refuses something the agent cannot do without.
    #[error("failed to {action}")]
    System {
        /// What.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The journal failed while the agent ran.
    #[error("the journal cannot be written")]
    JournalFault,
}

/// Who ended the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// SIGTERM: a service manager.
    Terminated,
    /// SIGINT: a person.
    Interrupted,
}

/// Runs until a signal or a fault.
///
/// # Errors
/// [`RunError`].
pub fn run(config: &Config) -> Result<Stopped, RunError> {
    let system = |action| move |source| RunError::System { action, source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start the runtime"))?;
    runtime.block_on(run_until_stopped(config))
}

async fn run_until_stopped(config: &Config) -> Result<Stopped, RunError> {
    let system = |action| move |source| RunError::System { action, source };
    let state_dir = config.state_dir.as_path();
    let identity = pair::load_identity(state_dir)?;
    let key = pair::load_key(state_dir)?;
    let endpoints = config.endpoints()?;
    let link_url = config.engine.link_url.as_ref();
    let address = LinkAddress::parse(link_url.unwrap_or(&identity.link_url))?;
    let address = address.trusting(&identity.trust(&config.engine))?;
    let link_address = address.url().to_owned();
    let journal = open_journal(state_dir)?;
    let listener = control::bind(state_dir).map_err(system("open the control socket"))?;
    let mut terminated = signal(SignalKind::terminate()).map_err(system("listen for signals"))?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(system("listen for signals"))?;

    let printer = config.printer.as_ref().map(printer_machine);

    let state = journal.state().clone();
    let link_identity = link_identity(config, &identity, key, &state);
    let (events_tx, mut events) = mpsc::channel(EVENTS_MAX);
    let (journal_tx, journal_thread) = spawn_journal(journal, events_tx.clone())?;
    let agent_config = AgentConfig::new(env!("CARGO_PKG_VERSION"), config.printer.is_some());
    let look = Arc::new(Notify::new());
    let mut shell = Shell::new(
        Clock::start(),
        Agent::resume(agent_config, state),
        ReaderConversation::new(config.reader.conversation()),
        printer,
        journal_tx,
        Arc::clone(&look),
    );
    tokio::spawn(facts::run(look, events_tx.clone(), Event::Facts));
    let ports = endpoints
        .into_iter()
        .map(|endpoint| (endpoint.role.name(), spawn_port(endpoint, &events_tx)));
    let mut tasks: Vec<_> = ports.collect();
    let listening = control::run(listener, events_tx.clone(), Event::Control);
    tasks.push(("control socket", tokio::spawn(listening)));
    let link = tokio::spawn(link::run(address, link_identity, events_tx, Event::Link));
    tracing::info!(terminal = %identity.terminal_id, label = identity.label, "agent running");
    let mut watch = Watch::new(ServiceManager::of_this_process(), tasks);
    shell.describe_process(process_health(&watch.service, link_address));
    watch.service.ready(&format!(
        "terminal {} ({})",
        identity.terminal_id, identity.label
    ));

    let stopped = tokio::select! {
        fault = turn(&mut shell, &mut events, &mut watch) => Err(fault),
        _ = terminated.recv() => Ok(Stopped::Terminated),
        _ = interrupted.recv() => Ok(Stopped::Interrupted),
    };
    watch.service.stopping();
    if stopped.is_ok() {
        stop(&mut shell, &mut events, &link).await;
    } else {
        sleep(FAULT_DRAIN).await;
    }
    // The journal's thread ends when nobody gives it entries or takes its answers any more.
    drop((shell, events));
    if journal_thread.join().is_err() {
        tracing::error!("the journal's thread panicked");
    }
    drop(std::fs::remove_file(control::socket_path(state_dir)));
    stopped
}

fn link_identity(
    config: &Config,
    identity: &Identity,
    key: SigningKey,
    state: &JournalState,
) -> LinkIdentity {
    let simulator = config.simulator.as_ref();
    LinkIdentity {
        terminal_id: identity.terminal_id,
        key,
        journal_id: state.journal_id().unwrap_or_else(id_source::journal_id),
        boot: state.boot(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        simulator: simulator.map(|simulator| Simulator::new(simulator.control.clone())),
    }
}

fn process_health(service: &ServiceManager, link_address: String) -> ProcessHealth {
    let watchdog = service.watchdog();
    ProcessHealth {
        process_id: std::process::id(),
        watchdog_ms: watchdog.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
        link: LinkHealth {
            address: link_address,
            ..LinkHealth::default()
        },
    }
}

/// A logo that cannot be read stops no payment: receipts are printed without it.
fn printer_machine(config: &PrinterConfig) -> PrinterMachine {
    let logo = config.logo.as_deref().and_then(|path| {
        let logo = logo::read(path, &config.plain_paper());
        logo.inspect_err(|error| {
            let source = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, source, "receipts are printed without the logo");
        })
        .ok()
    });
    PrinterMachine::new(config.machine(logo))
}

fn open_journal(state_dir: &Path) -> Result<Journal, RunError> {
    let lock = StateLock::take(state_dir)?;
    let (journal, found) = Journal::open(state_dir, lock, id_source::journal_id())?;
    match found {
        Found::Nothing => tracing::info!("new journal"),
        Found::Whole => tracing::info!(boot = journal.state().boot(), "journal open"),
        Found::Torn(bytes) => tracing::warn!(bytes, "torn tail of the journal cut off"),
        Found::Broken(aside) => {
            tracing::error!(aside = %aside.display(), "journal damaged, a new one begins");
        }
    }
    Ok(journal)
}

type JournalThread = (
    std::sync::mpsc::Sender<Vec<JournalEntry>>,
    std::thread::JoinHandle<()>,
);

/// Writing and syncing blocks, so it has a thread of its own. It stops at the first error: what a
/// failed sync has left on the disk is not known.
fn spawn_journal(
    mut journal: Journal,
    events: mpsc::Sender<Event>,
) -> Result<JournalThread, RunError> {
    let (entries_tx, entries) = std::sync::mpsc::channel::<Vec<JournalEntry>>();
    let thread = std::thread::Builder::new()
        .name("journal".to_owned())
        .spawn(move || {
            while let Ok(entries) = entries.recv() {
                let written = journal.append(&entries);
                if let Err(error) = &written {
                    tracing::error!(%error, "journal");
                }
                let is_written = written.is_ok();
                let told = events.blocking_send(Event::Journal { is_written });
                if !is_written || told.is_err() {
                    return;
                }
            }
        })
        .map_err(|source| RunError::System {
            action: "start the journal's thread",
            source,
        })?;
    Ok((entries_tx, thread))
}

fn spawn_port(endpoint: Endpoint, events: &mpsc::Sender<Event>) -> JoinHandle<()> {
    let wrap = match endpoint.role {
        Role::Reader => Event::Reader,
        Role::Printer => Event::Printer,
    };
    tokio::spawn(device::run(endpoint, events.clone(), wrap))
}

/// Tells the service manager that the agent is alive, from within the loop: a loop that hangs says
/// nothing.
struct Watch {
    service: ServiceManager,
    interval: Option<Interval>,
    /// What must be running for the agent to be of use, by name.
    tasks: Vec<(&'static str, JoinHandle<()>)>,
}

impl Watch {
    fn new(service: ServiceManager, tasks: Vec<(&'static str, JoinHandle<()>)>) -> Self {
        let interval = service.alive_interval().map(|period| {
            let mut interval = tokio::time::interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Self {
            service,
            interval,
            tasks,
        }
    }

    async fn tick(&mut self) {
        match &mut self.interval {
            Some(interval) => drop(interval.tick().await),
            None => std::future::pending().await,
        }
    }

    /// A task that has ended did so by a fault of ours: the service manager is left to notice.
    fn tell(&self) {
        match self.tasks.iter().find(|(_, task)| task.is_finished()) {
            None => self.service.alive(),
            Some((name, _)) => tracing::error!(name, "a part of the agent has ended"),
        }
    }
}

/// Turns the loop until the journal fails.
async fn turn(
    shell: &mut Shell,
    events: &mut mpsc::Receiver<Event>,
    watch: &mut Watch,
) -> RunError {
    while !shell.has_fault() {
        let goes_on = tokio::select! {
            goes_on = step(shell, events) => goes_on,
            () = watch.tick() => {
                watch.tell();
                true
            }
        };
        if !goes_on {
            break;
        }
    }
    RunError::JournalFault
}

async fn step(shell: &mut Shell, events: &mut mpsc::Receiver<Event>) -> bool {
    let wait_ms = shell.wait_ms();
    let timer = async {
        match wait_ms {
            Some(wait_ms) => sleep(Duration::from_millis(wait_ms)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        event = events.recv() => match event {
            Some(event) => shell.event(event),
            None => return false,
        },
        () = timer => shell.deadline(),
    }
    true
}

/// Lets a payment finish whose card data was sent, then lets go of link and reader.
async fn stop(shell: &mut Shell, events: &mut mpsc::Receiver<Event>, link: &JoinHandle<()>) {
    tracing::info!("stopping");
    let finished = async {
        while shell.agent().has_card_data_out() && !shell.has_fault() {
            step(shell, events).await;
        }
    };
    if tokio::time::timeout(Duration::from_millis(FINISH_MS_MAX), finished)
        .await
        .is_err()
    {
        tracing::warn!("stopping with a payment whose outcome is open: the engine reverses it");
    }
    link.abort();
    shell.hang_up();
    let settled = async {
        while !shell.agent().is_settled() && !shell.has_fault() {
            step(shell, events).await;
        }
    };
    drop(tokio::time::timeout(Duration::from_millis(SETTLE_MS_MAX), settled).await);
}

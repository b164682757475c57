//! The engine as a process: opens, serves, and shuts down in order.
//!
//! Killing it at any step is equally correct: recovery is the normal start.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{
    IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config,
};
use actix_web::dev::AppConfig;
use actix_web::{App, web};
use protocol::id::{IncarnationId, MerchantId};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::access::guard::Guard;
use crate::access::index::AccessIndex;

use crate::acquirer::simulator::{BookFileError, SimulatedAcquirer, SimulatorConfig};
use crate::actor::Surroundings;
use crate::actor::directory::{Arbiters, Directory};
use crate::agent_link::admission::Admission;
use crate::agent_link::registry::Registry;
use crate::agent_link::socket::{LinkState, Stream};
use crate::agent_link::upgrade;
use crate::clock::{SharedClock, SystemClock};
use crate::config::{self, Config, ConfigError};
use crate::domain::rejection::Rejection;
use crate::domain::token::SecretHash;
use crate::history::layered::Layered;
use crate::history::upkeep::{Remover, Upkeep, Works};
use crate::history::{History, HistoryError};
use crate::http::{AppState, Parts, configure};
use crate::id_source::SystemIds;
use crate::owner::key;
use crate::owner::merchant::Limits;
use crate::owner::request::{Answer, ArchivedRow, Reply, Request};
use crate::query::Query;
use crate::service::ServiceManager;
use crate::store::{DiskStore, OpenError, ReadFault, SharedStore, StoreConfig, StoreStats};
use crate::tls::accept::Acceptor;
use crate::tls::pair::PairFault;
use crate::tls::serving::{self, Serving};

/// Path of the agents' WebSocket.
pub const LINK_PATH: &str = "/v1/agent/link";
/// Where the simulated acquirer keeps its book, in the data directory.
pub const BOOK_FILE: &str = "acquirer.book";
/// Requests in work get this long at shutdown.
const SHUTDOWN_S: u64 = 2;
/// A connection without requests is kept for so long.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Connections that wait to be accepted. Linux cuts it to `net.core.somaxconn`, usually 4,096.
const BACKLOG: i32 = 4_096;
/// The owner's own limit on an answer of the acquirer is this much above the acquirer's: arbitrary,
/// so that it is met only when the acquirer's thread has said nothing at all.
const HOST_GRACE_MS: u64 = 15_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Exit code after a failed write or sync of the log: the process must not answer anybody.
const EXIT_STORAGE: i32 = 74;

/// Why the engine does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Configuration, data directory or operator token.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] PairFault),
    /// The store does not open.
    #[error("failed to open the database: {0}")]
    Store(#[from] OpenError),
    /// Archived rows cannot be read.
    #[error("failed to open history: {0}")]
    History(#[from] HistoryError),
    /// Committed rows cannot be read.
    #[error(transparent)]
    Read(#[from] ReadFault),
    /// The simulated acquirer does not open.
    #[error("failed to open the acquirer's book: {0}")]
    Acquirer(#[from] BookFileError),
    /// The address cannot be listened on.
    #[error("failed to listen on {listen}: {error}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The server broke down.
    #[error("server failed: {0}")]
    Serve(#[from] std::io::Error),
    /// The last checkpoint failed; the log is complete, and the next start replays it.
    #[error("failed to close the database: {0}")]
    Close(String),
}

/// Runs the engine until SIGTERM or SIGINT.
///
/// # Errors
/// [`ServerError`].
pub fn run(config: &Config) -> Result<(), ServerError> {
    raise_descriptor_limit();
    let clock: SharedClock = Arc::new(SystemClock::start());
    config::prepare_data_dir(&config.data_dir)?;
    let operator = config::operator_token(&config.data_dir, SystemIds)?;
    let operator = SecretHash::of(operator.expose().as_bytes());
    let tls = config.tls.clone().map(Serving::start).transpose()?;
    let incarnation = IncarnationId::from_uuid(SystemIds.uuid());
    let store_config = StoreConfig::new(config.data_dir.join("store"), incarnation);
    let store = DiskStore::open(config.store.over(store_config), Box::new(end_at_once))?;
    tracing::warn!(
        "the acquirer is a simulator and reader keys descend from published test keys: no real card may be read"
    );
    let hosts_clock = clock.clone();
    let acquirer = Arc::new(SimulatedAcquirer::open(
        &config.data_dir.join(BOOK_FILE),
        SimulatorConfig {
            answer_timeout_ms: config.acquirer.answer_timeout_ms,
            ..SimulatorConfig::default()
        },
        move || hosts_clock.now(),
        Box::new(end_at_once),
    )?);
    let doors = (operator, tls);
    let served = serve(config, doors, clock, store.clone(), acquirer.clone());
    acquirer.shutdown();
    store.shutdown().map_err(ServerError::Close)?;
    tell(store.stats());
    served
}

/// Every link takes a descriptor, and the usual limit of a service (1,024) is for programs that
/// still use select(2): as many as the system allows.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
}

/// What the store did in this life of the process: how many commits shared a sync, and their cost.
fn tell(stats: StoreStats) {
    let StoreStats {
        commits,
        records,
        syncs,
        bytes,
        checkpoints,
        ..
    } = stats;
    tracing::info!(
        commits,
        records,
        syncs,
        bytes,
        checkpoints,
        "store is closed"
    );
}

/// A failed write or sync: whatever memory says may not be on disk, so nobody gets another answer.
fn end_at_once(why: String) {
    tracing::error!(
        why,
        "what must be durable cannot be written; the process ends"
    );
    std::process::exit(EXIT_STORAGE);
}

fn serve(
    config: &Config,
    (operator, tls): (SecretHash, Option<Arc<Serving>>),
    clock: SharedClock,
    store: Arc<DiskStore>,
    acquirer: Arc<SimulatedAcquirer>,
) -> Result<(), ServerError> {
    let incarnation = store.incarnation();
    let rows: SharedStore = store.clone();
    let heart = rows.clone();
    let history = Arc::new(History::open(&config.data_dir)?);
    let shared: SharedStore = Arc::new(Layered::new(rows.clone(), history.clone()));
    let index = AccessIndex::load(shared.as_ref(), clock.now())?;
    let guard = Guard::new(index.clone(), operator);
    let registry = Registry::default();
    let merchants = merchants_with_open_work(&shared)?;
    let around = Surroundings {
        store: shared.clone(),
        acquirer,
        index: index.clone(),
        guard: guard.clone(),
        registry: registry.clone(),
        clock: clock.clone(),
        limits: Limits {
            tip: config.tips,
            sandbox: config.sandbox,
            host_ms: config.acquirer.answer_timeout_ms + HOST_GRACE_MS,
            host_delay_ms: config.acquirer.longest_delay_ms,
            idle_ms: u64::from(config.limits.idle_owner_s) * 1_000,
            ..Limits::default()
        },
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    actix::System::new().block_on(async move {
        let arbiters = Arbiters::default();
        let directory = Directory::start(around, arbiters.clone());
        let upkeep = if config.history.enabled {
            Some(Upkeep::start(
                Works {
                    rows,
                    history,
                    store_directory: config.data_dir.join("store"),
                    clock: clock.clone(),
                    older_than_ms: i64::from(config.history.older_than_days) * DAY_MS,
                    remover: remover(directory.clone()),
                },
                Duration::from_secs(u64::from(config.history.every_s)),
            )?)
        } else {
            None
        };
        let link = LinkState {
            directory: directory.clone(),
            index,
            incarnation,
            admission: Admission::new(threads),
            clock: clock.clone(),
        };
        let state = AppState::new(Parts {
            owners: Arc::new(directory.clone()),
            registry,
            guard,
            query: Query::new(shared, config.limits.queries_at_once),
            clock,
            ids: SystemIds,
            incarnation,
            limits: config.limits,
            tips: config.tips,
            sandbox: config.sandbox,
            tls: tls.clone(),
        });
        if let Some(tls) = tls {
            // Without a handler the signal would end the process.
            let hangup = signal(SignalKind::hangup()).ok();
            actix::spawn(serving::watch(tls, state.clock(), hangup));
        }
        // Once the server's threads have joined, which the first poll of `listen` waits for.
        actix::spawn(async move { directory.wake(merchants) });
        let service = Service::start(heart, arbiters.clone());
        let works = (upkeep, service);
        listen(config.listen, (threads, arbiters), state, link, works).await
    })
}

async fn listen(
    listen: SocketAddr,
    (workers, arbiters): (usize, Arbiters),
    state: web::Data<AppState>,
    link: LinkState,
    (upkeep, service): (Option<Upkeep>, Service),
) -> Result<(), ServerError> {
    let (closing, directory) = (state.clone(), link.directory.clone());
    let tls = state.tls();
    let listening = |error| ServerError::Listen { listen, error };
    let listener = TcpListener::bind(listen).map_err(listening)?;
    // The library's own number of connections that wait to be accepted is 128, which all tills that
    // come back at once exceed.
    rustix::net::listen(&listener, BACKLOG).map_err(|error| listening(error.into()))?;
    let address = listener.local_addr().map_err(listening)?;
    let builder = Server::build()
        .workers(workers)
        .shutdown_timeout(SHUTDOWN_S)
        .disable_signals();
    let door = Door {
        state,
        link,
        arbiters,
        closing_connections: builder.graceful_shutdown_signal(),
    };
    let (server, scheme) = match tls.map(Acceptor::new) {
        None => (
            builder.listen("engine", listener, move || door.plain())?,
            "http",
        ),
        Some(acceptor) => {
            let server = builder.listen("engine", listener, move || door.tls(acceptor.clone()))?;
            (server, "https")
        }
    };
    // Whoever reads the announcement may ask for the end at once.
    let stop = stop_signal();
    let addresses = format!("{scheme}://{address}");
    announce(&addresses);
    service.manager.ready(&addresses);
    let server = server.run();
    let handle = server.handle();
    actix::spawn(async move {
        stop.await;
        tracing::info!("stopping: new requests are refused, callers that wait are answered");
        service.stop();
        closing.close();
        // A thread that waits for an owner must not wait on this one.
        if let Some(upkeep) = upkeep {
            let stopped = tokio::task::spawn_blocking(move || upkeep.stop());
            stopped.await.ok();
        }
        // Long polls would hold the server for as long as their callers are willing to wait.
        directory.stop();
        handle.stop(true).await;
    });
    server.await?;
    tracing::info!("server has stopped");
    Ok(())
}

/// The service manager, and the task that tells it that the engine is alive.
struct Service {
    manager: Rc<ServiceManager>,
    pulse: tokio::task::JoinHandle<()>,
}

impl Service {
    fn start(store: SharedStore, arbiters: Arbiters) -> Self {
        let manager = Rc::new(ServiceManager::of_this_process());
        let attending = manager.clone();
        let pulse = actix::spawn(async move { attending.attend(store, arbiters).await });
        Self { manager, pulse }
    }

    /// What closes from here on must not be taken for dead.
    fn stop(&self) {
        self.pulse.abort();
        self.manager.stopping();
    }
}

/// What every thread of the server is given, to make its own service of it.
#[derive(Clone)]
struct Door {
    state: web::Data<AppState>,
    link: LinkState,
    arbiters: Arbiters,
    closing_connections: GracefulShutdownSignal,
}

impl Door {
    fn plain(
        &self,
    ) -> impl ServiceFactory<
        TcpStream,
        Config = (),
        Response = (),
        Error = DispatchError,
        InitError = (),
    > + use<> {
        let opened = |stream: TcpStream| async move {
            prepare(&stream);
            let peer = stream.peer_addr().ok();
            Ok((stream, Protocol::Http1, peer))
        };
        fn_service(opened).and_then(self.http())
    }

    fn tls(
        &self,
        acceptor: Acceptor,
    ) -> impl ServiceFactory<
        TcpStream,
        Config = (),
        Response = (),
        Error = DispatchError,
        InitError = (),
    > + use<> {
        let opened = move |stream: TcpStream| {
            let acceptor = acceptor.clone();
            async move {
                prepare(&stream);
                let peer = stream.peer_addr().ok();
                match acceptor.accept(stream).await {
                    Ok(stream) => Ok((stream, Protocol::Http1, peer)),
                    Err(error) => {
                        tracing::debug!(?peer, %error, "no TLS connection");
                        Err(DispatchError::Io(error))
                    }
                }
            }
        };
        fn_service(opened).and_then(self.http())
    }

    /// HTTP and links, over whatever carries bytes.
    fn http<T: Stream>(
        &self,
    ) -> impl ServiceFactory<
        (T, Protocol, Option<SocketAddr>),
        Config = (),
        Response = (),
        Error = DispatchError,
        InitError = (),
    > + use<T> {
        self.arbiters.join();
        let (link, closing_connections) = (self.link.clone(), self.closing_connections.clone());
        let app = App::new().configure(configure(self.state.clone()));
        let app = app.into_factory().map_err(|error| error.error_response());
        HttpService::build()
            .keep_alive(KEEP_ALIVE)
            .graceful_shutdown_signal(move || {
                let closing_connections = closing_connections.clone();
                async move { closing_connections.notified().await }
            })
            .upgrade(fn_service(move |(request, connection)| {
                upgrade::take::<T>(request, connection, LINK_PATH, link.clone())
            }))
            .finish(map_config(app, |()| AppConfig::default()))
    }
}

/// Two messages to a till in a row (its result and its receipts) must not wait 40 ms for the
/// acknowledgement of the first.
fn prepare(stream: &TcpStream) {
    // A connection that is broken already says so when it is read.
    stream.set_nodelay(true).ok();
}

/// The way of the upkeep to the owners: requests like any other, asked from a thread that actors
/// can be started on.
fn remover(directory: Directory) -> Remover {
    type Asked = (
        MerchantId,
        Vec<ArchivedRow>,
        oneshot::Sender<Result<usize, String>>,
    );
    let (ask, mut asked) = mpsc::channel::<Asked>(1);
    actix::spawn(async move {
        while let Some((merchant_id, rows, answer)) = asked.recv().await {
            let reply = directory.ask(merchant_id, None, Request::Retire(rows));
            // Nobody waits any more only when the upkeep is gone.
            answer.send(removed(reply.await)).ok();
        }
    });
    Box::new(move |merchant_id, rows| {
        let stops = || "the engine stops".to_owned();
        let (answer, told) = oneshot::channel();
        let sent = ask.blocking_send((merchant_id, rows, answer));
        sent.map_err(|_| stops())?;
        told.blocking_recv().map_err(|_| stops())?
    })
}

fn removed(reply: Result<Reply, Rejection>) -> Result<usize, String> {
    match reply {
        Ok(Reply::Fresh(Answer::Retired(removed))) => Ok(removed),
        Ok(_) => Err("owner gave another answer".to_owned()),
        Err(rejection) => Err(rejection.to_string()),
    }
}

/// Comes when the process is asked to end; asked from the call on, not from the first poll.
fn stop_signal() -> impl Future<Output = ()> {
    let terminated = signal(SignalKind::terminate());
    let interrupted = signal(SignalKind::interrupt());
    async move {
        // Without handlers the signals end the process at once, which is equally correct.
        let (Ok(mut terminated), Ok(mut interrupted)) = (terminated, interrupted) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    }
}

/// One line on standard output, for people and for whoever started the engine. That nobody reads
/// it is no reason to end.
fn announce(addresses: &str) {
    writeln!(std::io::stdout(), "tillway engine listening on {addresses}").ok();
    tracing::info!(addresses, "engine is ready");
}

/// Merchants whose owners have work to go on with. One seek per merchant, whatever its amount.
fn merchants_with_open_work(store: &SharedStore) -> Result<Vec<MerchantId>, ReadFault> {
    let mut merchants = Vec::new();
    let mut from = key::space(key::OPEN);
    while let Some((mark, _)) = store
        .scan(&key::space(key::OPEN), Some(&from), 1)?
        .into_iter()
        .next()
    {
        let Some(bytes) = mark
            .get(1..17)
            .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok())
        else {
            break;
        };
        let merchant_id = MerchantId::from_bytes(bytes);
        merchants.push(merchant_id);
        from = key::of_merchant(key::OPEN, merchant_id);
        // Above every mark of this merchant: space bytes are letters.
        from.push(u8::MAX);
    }
    Ok(merchants)
}

//! The embedded acquirer: a simulated host with a book of its own on disk.
//!
//! Owns the thread, the clock's reading and the file around the pure [`Line`]. An answer leaves
//! only after the book that justifies it is durable; requests that are there together share one
//! sync. A book that cannot be written any more ends the process, as the store's log does; should
//! the process go on, nothing is answered but *unknown* and *not sent*.

mod book_file;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use book_file::{BookFileError, read_book};
#[doc(hidden)]
pub use book_file::{decode_book, encode_group};

use book_file::{AppendError, BookFile};

use super::base_keys::BaseKeys;
use super::host::{BookEntry, Host, ResponseCode};
use super::line::{Fault, FaultPlan, HELD_MS, Line, Ticket};
use super::{Acquirer, AcquirerAnswer, AcquirerRequest, Answered};
use crate::domain::sandbox::HostFault;
use crate::domain::time::Timestamp;

/// How long an answer is waited for unless configured. Arbitrary, of the order that acquirers
/// name for authorizations; must stay below the longest delay that reversals reckon with.
pub const ANSWER_TIMEOUT_MS_DEFAULT: u64 = 15_000;

/// How long after a request its copy arrives, where one was asked for. Arbitrary: after the first
/// answer, and before anybody reverses.
const REPEAT_MS: u64 = 200;

/// Requests taken together at most, so that a flood does not hold the first answer back.
const GROUP_REQUESTS_MAX: usize = 256;

/// How the simulated acquirer behaves.
#[derive(Debug, Clone)]
pub struct SimulatorConfig {
    /// What the readers' keys descend from.
    pub base_keys: BaseKeys,
    /// After this long without an answer, *unknown* is answered.
    pub answer_timeout_ms: u64,
    /// How long the host takes for every answer.
    pub latency_ms: u64,
    /// Whether the book is synced before an answer leaves. Off only for measuring.
    pub durable: bool,
}

impl Default for SimulatorConfig {
    /// Durable, no latency, and the published test keys.
    fn default() -> Self {
        Self {
            base_keys: BaseKeys::published_for_tests(),
            answer_timeout_ms: ANSWER_TIMEOUT_MS_DEFAULT,
            latency_ms: 0,
            durable: true,
        }
    }
}

/// A card host within the process.
pub struct SimulatedAcquirer {
    /// Taken by the shutdown: nothing can be sent after what the thread reads last.
    orders: Mutex<Option<Sender<Order>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    faults: Mutex<FaultPlan>,
    answer_timeout_ms: u64,
}

enum Order {
    Submit {
        request: Box<AcquirerRequest>,
        fault: Option<Fault>,
        answered: Answered,
    },
    Inspect(Box<dyn FnOnce(&Host) + Send>),
}

impl SimulatedAcquirer {
    /// Opens the book at `path`, or makes it, and starts. `fatal` is called once, from the
    /// acquirer's thread and before anybody is answered, when a write or sync has failed.
    ///
    /// # Errors
    /// [`BookFileError`] when the book cannot be used or no thread can be had.
    pub fn open(
        path: &Path,
        config: SimulatorConfig,
        clock: impl Fn() -> Timestamp + Send + 'static,
        fatal: Fatal,
    ) -> Result<Self, BookFileError> {
        let (file, book) = BookFile::open(path, config.durable)?;
        let host = Host::with_book(config.base_keys, config.latency_ms, book);
        let line = Line::new(host, config.answer_timeout_ms);
        let (orders, received) = channel();
        let worker = Worker {
            line,
            file: Some(file),
            clock: Box::new(clock),
            fatal,
            callers: BTreeMap::new(),
            ticket_next: 0,
            unwritten: Vec::new(),
        };
        let thread = thread::Builder::new()
            .name("acquirer".to_owned())
            .spawn(move || worker.run(&received))?;
        Ok(Self {
            orders: Mutex::new(Some(orders)),
            thread: Mutex::new(Some(thread)),
            faults: Mutex::default(),
            answer_timeout_ms: config.answer_timeout_ms,
        })
    }

    /// The faults that requests meet from now on. Held only briefly: every request looks here.
    pub fn faults(&self) -> MutexGuard<'_, FaultPlan> {
        lock(&self.faults)
    }

    /// Looks at the host, after everything submitted before; nothing when it has been shut down.
    pub fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Host) -> T + Send + 'static,
    ) -> Option<T> {
        let (result, received) = channel();
        let order = Order::Inspect(Box::new(move |host| {
            // The only way to fail is that nobody waits for the result.
            drop(result.send(look(host)));
        }));
        self.send(order).ok()?;
        received.recv().ok()
    }

    /// Ends: what waits for an answer gets *unknown*, what is under way is lost. Returns when the
    /// thread has ended; a second call does nothing.
    pub fn shutdown(&self) {
        drop(lock(&self.orders).take());
        let Some(thread) = lock(&self.thread).take() else {
            return;
        };
        // An answer may drop the last handle: the thread cannot wait for itself.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the simulated acquirer's thread has panicked");
        }
    }

    fn send(&self, order: Order) -> Result<(), Order> {
        match lock(&self.orders).as_ref() {
            Some(orders) => orders.send(order).map_err(|error| error.0),
            None => Err(order),
        }
    }
}

impl SimulatedAcquirer {
    fn hand_over(&self, request: AcquirerRequest, fault: Option<Fault>, answered: Answered) {
        let request = Box::new(request);
        let order = Order::Submit {
            request,
            fault,
            answered,
        };
        if let Err(Order::Submit {
            request, answered, ..
        }) = self.send(order)
        {
            answered(request.action.not_sent());
        }
    }
}

impl Acquirer for SimulatedAcquirer {
    fn submit(&self, request: AcquirerRequest, answered: Answered) {
        let fault = self.faults().take(&request.action);
        self.hand_over(request, fault, answered);
    }

    fn misbehave(&self, request: AcquirerRequest, fault: HostFault, answered: Answered) {
        let late_ms = self.answer_timeout_ms.saturating_add(HELD_MS);
        let fault = match fault {
            HostFault::Delay { ms } => Fault::DelayAnswer { ms },
            HostFault::NoAnswer => Fault::LoseAnswer,
            HostFault::AnswerTwice => Fault::RepeatRequest {
                after_ms: REPEAT_MS,
            },
            HostFault::AnswerLate => Fault::DelayAnswer { ms: late_ms },
            HostFault::ActsLate => Fault::DelayRequest { ms: late_ms },
            HostFault::Declines { code } => Fault::Decline(ResponseCode::of(code)),
            HostFault::Unreachable => Fault::NotSent,
        };
        self.hand_over(request, Some(fault), answered);
    }

    fn name(&self) -> &'static str {
        "simulator"
    }
}

impl Drop for SimulatedAcquirer {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl fmt::Debug for SimulatedAcquirer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SimulatedAcquirer")
    }
}

/// A panic elsewhere leaves these plain values whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Called once with the reason when the book cannot be written any more.
pub type Fatal = Box<dyn Fn(String) + Send>;

/// What the thread owns.
struct Worker {
    line: Line,
    /// Absent once a write or a sync has failed: neither is ever tried again.
    file: Option<BookFile>,
    clock: Box<dyn Fn() -> Timestamp + Send>,
    fatal: Fatal,
    /// Who waits, and what they are told when the book fails.
    callers: BTreeMap<Ticket, (Answered, AcquirerAnswer)>,
    ticket_next: u64,
    /// What the disk had no space for; nothing is answered before it is in the book.
    unwritten: Vec<BookEntry>,
}

impl Worker {
    fn run(mut self, orders: &Receiver<Order>) {
        let mut has_company = false;
        while let Ok(first) = self.wait(orders) {
            if has_company {
                // On a busy machine those who are about to ask come first, and share the sync.
                thread::yield_now();
            }
            let mut looks = Vec::new();
            let before = self.ticket_next;
            let rest = orders.try_iter().take(GROUP_REQUESTS_MAX);
            for order in first.into_iter().chain(rest) {
                match order {
                    Order::Submit {
                        request,
                        fault,
                        answered,
                    } => self.submit(*request, fault, answered),
                    Order::Inspect(look) => looks.push(look),
                }
            }
            has_company = self.ticket_next > before.saturating_add(1);
            self.line.advance((self.clock)());
            self.answer();
            for look in looks {
                look(self.line.host());
            }
        }
        self.line.cut();
        self.answer();
    }

    /// Waits for an order or the line's deadline; an error when no order can come any more.
    fn wait(&self, orders: &Receiver<Order>) -> Result<Option<Order>, RecvTimeoutError> {
        let Some(deadline) = self.line.poll_deadline() else {
            return orders
                .recv()
                .map(Some)
                .map_err(|_| RecvTimeoutError::Disconnected);
        };
        let pause = Duration::from_millis(deadline.since_ms((self.clock)()));
        match orders.recv_timeout(pause) {
            Ok(order) => Ok(Some(order)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(RecvTimeoutError::Disconnected),
        }
    }

    fn submit(&mut self, request: AcquirerRequest, fault: Option<Fault>, answered: Answered) {
        // A host that cannot write its book takes nothing on.
        if !self.write_book() {
            answered(request.action.not_sent());
            return;
        }
        let ticket = Ticket(self.ticket_next);
        self.ticket_next += 1;
        let caller = (answered, request.action.unknown());
        self.callers.insert(ticket, caller);
        self.line.submit((self.clock)(), ticket, request, fault);
    }

    /// Makes the book durable, then passes answers on.
    fn answer(&mut self) {
        self.unwritten.extend(self.line.take_changes());
        let is_kept = self.write_book();
        while let Some(delivery) = self.line.poll_answer() {
            let Some((answered, unknown)) = self.callers.remove(&delivery.ticket) else {
                continue;
            };
            answered(if is_kept { delivery.answer } else { unknown });
        }
    }

    /// Appends what is not in the book yet; whether the book says everything that happened.
    fn write_book(&mut self) -> bool {
        let Some(file) = &mut self.file else {
            return false;
        };
        if self.unwritten.is_empty() {
            return true;
        }
        match file.append(&self.unwritten) {
            Ok(()) => {
                self.unwritten.clear();
                return true;
            }
            Err(AppendError::NoSpace(error)) => {
                tracing::warn!(%error, "no space for the simulated acquirer's book");
            }
            Err(AppendError::Broken(error)) => {
                tracing::error!(%error, "the simulated acquirer's book cannot be written");
                self.file = None;
                (self.fatal)(format!("acquirer's book: {error}"));
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;

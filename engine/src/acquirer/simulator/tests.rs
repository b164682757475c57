//! Tests of the thread and the file around the line. Time stands still unless a test moves it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::TempDir;

use super::*;
use crate::acquirer::host::{BookState, Violations};
use crate::acquirer::line::Target;
use crate::acquirer::test_card::{NOW, authorize, reverse, transaction};
use crate::acquirer::{AcquirerAnswer, AuthorizationAnswer};
use crate::domain::reversal::ReversalAnswer;

struct World {
    directory: TempDir,
    now: Arc<AtomicI64>,
}

impl World {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            now: Arc::new(AtomicI64::new(NOW.0)),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("book")
    }

    fn open(&self, durable: bool) -> SimulatedAcquirer {
        let config = SimulatorConfig {
            durable,
            ..SimulatorConfig::default()
        };
        let now = Arc::clone(&self.now);
        let clock = move || Timestamp(now.load(Ordering::SeqCst));
        SimulatedAcquirer::open(&self.path(), config, clock, Box::new(|_| {})).unwrap()
    }

    fn wait(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }
}

/// Submits, and gives where the answer arrives.
fn submit(acquirer: &SimulatedAcquirer, request: AcquirerRequest) -> Receiver<AcquirerAnswer> {
    let (answer, received) = channel();
    acquirer.submit(request, Box::new(move |given| answer.send(given).unwrap()));
    received
}

fn ask(acquirer: &SimulatedAcquirer, request: AcquirerRequest) -> AcquirerAnswer {
    submit(acquirer, request).recv().unwrap()
}

fn is_approval(answer: &AcquirerAnswer) -> bool {
    matches!(
        answer,
        AcquirerAnswer::Authorization(AuthorizationAnswer::Approved { .. })
    )
}

const UNKNOWN: AcquirerAnswer = AcquirerAnswer::Authorization(AuthorizationAnswer::Unknown);
const NOT_SENT: AcquirerAnswer = AcquirerAnswer::Authorization(AuthorizationAnswer::NotSent);
const ACKNOWLEDGED: AcquirerAnswer = AcquirerAnswer::Reversal(ReversalAnswer::Acknowledged);

#[test]
fn an_approval_is_on_disk_when_it_is_answered() {
    for durable in [true, false] {
        let world = World::new();
        let acquirer = world.open(durable);
        assert!(is_approval(&ask(&acquirer, authorize(1, 1234))));
        let [entry] = read_book(&world.path()).unwrap().try_into().unwrap();
        assert_eq!(entry.transaction_id, transaction(1));
        assert_eq!(entry.state, BookState::Authorized);
        assert_eq!(entry.last_four, Some(*b"0010"));
    }
}

#[test]
fn the_book_outlives_the_process() {
    let world = World::new();
    let first = world.open(true);
    let answer = ask(&first, authorize(1, 1234));
    assert!(is_approval(&ask(&first, authorize(2, 2000))));
    first.shutdown();
    let second = world.open(true);
    assert_eq!(ask(&second, authorize(1, 1234)), answer);
    assert_eq!(ask(&second, reverse(1, 1234, 1)), ACKNOWLEDGED);
    let standing = second.inspect(|host| host.book().standing().count());
    assert_eq!(standing, Some(1));
    let duplicates = second.inspect(|host| host.violations().duplicates);
    assert_eq!(duplicates, Some(1));
}

#[test]
fn an_answer_that_does_not_come_is_unknown_after_the_timeout() {
    let world = World::new();
    let acquirer = world.open(false);
    let lost = submit(&acquirer, authorize(1, 80));
    let held = submit(&acquirer, authorize(2, 84));
    assert!(is_approval(&ask(&acquirer, authorize(3, 1234))));
    assert!(lost.try_recv().is_err() && held.try_recv().is_err());
    world.wait(15_000);
    assert!(is_approval(&ask(&acquirer, authorize(4, 1234))));
    assert_eq!([lost.recv(), held.recv()], [Ok(UNKNOWN), Ok(UNKNOWN)]);
    assert_eq!(read_book(&world.path()).unwrap().len(), 3);
    world.wait(5_000);
    assert!(is_approval(&ask(&acquirer, authorize(5, 1234))));
    assert_eq!(read_book(&world.path()).unwrap().len(), 5);
}

#[test]
fn a_slow_answer_comes_by_itself() {
    let world = World::new();
    let config = SimulatorConfig {
        latency_ms: 1,
        ..SimulatorConfig::default()
    };
    // Each look at this clock is a millisecond later, so the thread need not be woken.
    let now = Arc::clone(&world.now);
    let clock = move || Timestamp(now.fetch_add(1, Ordering::SeqCst));
    let acquirer = SimulatedAcquirer::open(&world.path(), config, clock, Box::new(|_| {})).unwrap();
    assert!(is_approval(&ask(&acquirer, authorize(1, 1234))));
}

#[test]
fn faults_can_be_switched_while_it_runs() {
    let world = World::new();
    let acquirer = world.open(false);
    acquirer
        .faults()
        .next(1, Target::Authorizations, Fault::NotSent);
    assert_eq!(ask(&acquirer, authorize(1, 1234)), NOT_SENT);
    assert!(is_approval(&ask(&acquirer, authorize(2, 1234))));
    acquirer
        .faults()
        .switch_on(Target::Reversals, Fault::NotSent);
    let unknown = AcquirerAnswer::Reversal(ReversalAnswer::Unknown);
    assert_eq!(ask(&acquirer, reverse(2, 1234, 1)), unknown);
    acquirer.faults().clear();
    assert_eq!(ask(&acquirer, reverse(2, 1234, 2)), ACKNOWLEDGED);
}

#[test]
fn many_threads_get_their_own_answers() {
    let world = World::new();
    let acquirer = Arc::new(world.open(true));
    thread::scope(|scope| {
        for start in [0u32, 100, 200, 300] {
            let acquirer = Arc::clone(&acquirer);
            scope.spawn(move || {
                for number in start + 1..=start + 25 {
                    let minor = 1_000 + i64::from(number);
                    let answer = ask(&acquirer, authorize(number, minor));
                    let AcquirerAnswer::Authorization(AuthorizationAnswer::Approved {
                        amount, ..
                    }) = answer
                    else {
                        panic!("{answer:?}");
                    };
                    assert_eq!(amount.minor(), minor);
                }
            });
        }
    });
    assert_eq!(
        acquirer.inspect(|host| host.violations()),
        Some(Violations::default())
    );
    acquirer.shutdown();
    assert_eq!(read_book(&world.path()).unwrap().len(), 100);
}

#[test]
fn a_shutdown_answers_what_waits_and_what_comes_later() {
    let world = World::new();
    let acquirer = world.open(true);
    let waiting = submit(&acquirer, authorize(1, 80));
    acquirer.shutdown();
    acquirer.shutdown();
    assert_eq!(waiting.recv(), Ok(UNKNOWN));
    assert_eq!(ask(&acquirer, authorize(2, 1234)), NOT_SENT);
    let unknown = AcquirerAnswer::Reversal(ReversalAnswer::Unknown);
    assert_eq!(ask(&acquirer, reverse(1, 80, 1)), unknown);
    assert_eq!(acquirer.inspect(|_| ()), None);
    assert_eq!(read_book(&world.path()).unwrap().len(), 1);
    assert!(world.open(true).inspect(|_| ()).is_some());
}

#[test]
fn the_last_handle_may_be_dropped_by_an_answer() {
    let world = World::new();
    let acquirer = Arc::new(world.open(false));
    let (done, received) = channel();
    let handle = Arc::clone(&acquirer);
    let (dropped, go) = channel::<()>();
    acquirer.submit(
        authorize(1, 1234),
        Box::new(move |_| {
            go.recv().unwrap();
            drop(handle);
            done.send(()).unwrap();
        }),
    );
    drop(acquirer);
    dropped.send(()).unwrap();
    assert_eq!(received.recv(), Ok(()));
}

#[test]
fn a_book_that_cannot_be_written_ends_the_approvals() {
    let world = World::new();
    std::fs::write(world.path(), []).unwrap();
    let host = Host::new(SimulatorConfig::default().base_keys, 0);
    let (told, fatal) = channel();
    let mut worker = Worker {
        line: Line::new(host, ANSWER_TIMEOUT_MS_DEFAULT),
        file: Some(BookFile::read_only(&world.path())),
        clock: Box::new(|| NOW),
        fatal: Box::new(move |reason| told.send(reason).unwrap()),
        callers: BTreeMap::new(),
        ticket_next: 0,
        unwritten: Vec::new(),
    };
    let (answer, answers) = channel();
    let mut fatal_calls = 0;
    for (request, expected) in [
        (authorize(1, 1234), UNKNOWN),
        (authorize(2, 1234), NOT_SENT),
    ] {
        let answer = answer.clone();
        let answered = Box::new(move |given| answer.send(given).unwrap());
        worker.submit(request, None, answered);
        worker.line.advance(NOW);
        worker.answer();
        assert_eq!(answers.try_recv(), Ok(expected));
        fatal_calls += fatal.try_iter().count();
    }
    assert_eq!(fatal_calls, 1);
    assert_eq!(std::fs::metadata(world.path()).unwrap().len(), 0);
}

//! Any words in any order: what must hold all the same.

use super::*;

const WORDS: &[&str] = &[
    "up",
    "connecting",
    "welcome",
    "down",
    "ready",
    "unready",
    "offer 1",
    "offer 2",
    "tip? 1",
    "key 0",
    "key none",
    "key cancel",
    "go 1 1",
    "go 1 2",
    "go 2 3",
    "host 1 yes",
    "host 1 no",
    "host 1 none",
    "stop 1",
    "stop 2",
    "closed 1 1",
    "concluded 1 approved",
    "concluded 1 declined",
    "concluded 2 in_doubt",
    "chip",
    "tap",
    "final yes",
    "final no",
    "reader timeout",
    "reader canceled",
    "print 1",
    "print 2",
    "printer on",
    "printer off",
    "begins 1",
    "printed 1",
    "test 9",
    "begins 9",
    "held 9",
    "printed 9",
    "sale 1",
    "cancel 2",
    "answer 1",
    "deadline",
    "disk slow",
    "disk done",
    "restart",
];

/// What must hold at every output, whatever the order of events.
#[derive(Default)]
struct Watch {
    started: BTreeSet<AttemptId>,
    begun: BTreeSet<PrintJobId>,
    undecided: BTreeSet<PrintJobId>,
    approvals: u32,
    is_reading: bool,
}

impl Watch {
    fn see(&mut self, till: &Till, output: &Output) {
        let digest = |pos_id| till.agent.journal().digest(pos_id);
        match output {
            Output::Reader(ReaderRequest::Start { .. }) => {
                let reading: Vec<_> = till
                    .agent
                    .journal()
                    .open()
                    .filter(|digest| digest.state == DigestState::Reading)
                    .collect();
                assert_eq!(
                    reading.len(),
                    1,
                    "one attempt, and its intent on disk first"
                );
                let attempt_id = reading[0].attempt_id.unwrap();
                assert!(
                    self.started.insert(attempt_id),
                    "one attempt, one presentation"
                );
                assert!(
                    !self.is_reading,
                    "the reader ends one before it starts another"
                );
                self.is_reading = true;
            }
            Output::Send(ToEngine::Card(report)) => {
                let digest = digest(report.pos_id).unwrap();
                assert_eq!(digest.attempt_id, Some(report.attempt_id));
                assert_eq!(
                    digest.state,
                    DigestState::Sent,
                    "card data before the journal"
                );
            }
            Output::Send(ToEngine::Completed(completion)) => {
                let state = &digest(completion.pos_id).unwrap().state;
                assert_eq!(*state, DigestState::Completed(completion.clone()));
            }
            // A test page is in no journal.
            Output::BeginPrint(job_id) if *job_id == job(9) => {}
            Output::BeginPrint(job_id) => {
                let record = till.agent.journal().print(*job_id);
                assert_eq!(record, Some(&PrintRecord::Started));
                assert!(!self.undecided.contains(job_id), "printed twice");
                self.begun.insert(*job_id);
            }
            Output::Show(Screen::Concluded(concluded)) => {
                assert!(digest(concluded.pos_id).is_none(), "shown while it is open");
                if concluded.status == PosStatus::Approved {
                    self.approvals += 1;
                }
            }
            _ => {}
        }
    }
}

proptest::proptest! {
    #[test]
    fn the_rules_hold_in_any_order(
        steps in proptest::collection::vec((0..WORDS.len(), 0u64..3_000), 0..120),
    ) {
        let mut till = Till::new();
        let mut watch = Watch::default();
        let mut now_ms = 0;
        for words in ["up", "ready", "printer on", "offer 1"] {
            till.step(now_ms, words);
        }
        for (index, later_ms) in steps {
            now_ms += later_ms;
            let words = WORDS[index];
            if words == "disk done" && till.owed.is_empty() {
                continue;
            }
            let ends = ["tap", "final yes", "final no", "reader timeout", "reader canceled",
                "unready", "restart"];
            if ends.contains(&words) {
                watch.is_reading = false;
            }
            if words == "restart" {
                // What an engine concluded before, it must not grant again: only it remembers.
                watch.started.clear();
                watch.undecided.append(&mut watch.begun);
            }
            let shown = watch.approvals;
            for input in till.inputs(words) {
                feed_watched(&mut till, now_ms, input, &mut watch);
            }
            let may_approve = words == "concluded 1 approved" || words == "disk done";
            proptest::prop_assert!(watch.approvals == shown || may_approve, "APPROVED by itself");
            // Whatever was decided, the journal adds up to it.
            let replayed = JournalState::from_entries(&till.entries);
            proptest::prop_assert_eq!(&replayed, till.agent.journal());
        }
    }
}

fn feed_watched(till: &mut Till, now_ms: u64, input: Input, watch: &mut Watch) {
    let mut out = Vec::new();
    till.agent.handle(now_ms, input, &mut out);
    for output in out {
        if let Output::Persist(entries) = &output {
            till.owed = entries.clone();
        }
        watch.see(till, &output);
    }
    if !till.owed.is_empty() && !till.is_disk_slow {
        till.entries.append(&mut till.owed);
        feed_watched(till, now_ms, Input::Persisted, watch);
    }
}

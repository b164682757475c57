//! Rules about what is durable: the log, the rows that follow from it, keys, answers.

use std::collections::BTreeMap;

use engine::domain::idempotency::Claim;
use engine::domain::pos::PosTransaction;
use engine::owner::event::Event;
use engine::store::{KeyValue, Record};
use protocol::id::PosTransactionId;
use protocol::link::{PosStatus, decode};

use super::{Checked, fail};
use crate::simulation::history::History;

/// An answer about a POS transaction shows a committed state, never a later or another one.
pub fn answer_is_committed(history: &History, answered: &PosTransaction) -> Checked {
    match history.pos.get(&answered.id) {
        None => fail(
            "answers_hold",
            format!("{} was answered and is not stored", answered.id),
        ),
        Some(known) if known.revision < answered.revision => {
            let (known, told) = (known.revision, answered.revision);
            fail(
                "answers_hold",
                format!("{}: told {told}, stored {known}", answered.id),
            )
        }
        Some(known) if known.revision == answered.revision && known != answered => fail(
            "answers_hold",
            format!("{} was answered in another form", answered.id),
        ),
        Some(_) => Ok(()),
    }
}

/// The till says APPROVED only about what is durably approved.
pub fn approved_shown_only_after_commit(history: &History, shown: PosTransactionId) -> Checked {
    let status = history.pos.get(&shown).map(PosTransaction::status);
    if status == Some(PosStatus::Approved) {
        Ok(())
    } else {
        fail(
            "approved_shown_only_after_commit",
            format!("{shown} is {status:?}"),
        )
    }
}

/// A key is claimed only together with the effect that it stands for.
pub fn keys_are_claimed_with_effects(history: &History, claim: &Claim) -> Checked {
    if history.objects.contains(&claim.resource) {
        Ok(())
    } else {
        let what = format!(
            "a key is claimed for {:?}, which is not there",
            claim.resource
        );
        fail("keys_are_claimed_with_effects", what)
    }
}

/// One POS transaction has one final event.
pub fn one_final_event(finals: &mut BTreeMap<String, u32>, record: &Record) -> Checked {
    let Ok(event) = decode::<Event>(&record.event) else {
        return Ok(());
    };
    if event.kind != "pos_transaction.closed" {
        return Ok(());
    }
    let times = finals.entry(event.object.clone()).or_default();
    *times += 1;
    if *times == 1 {
        Ok(())
    } else {
        let what = format!("{} ended {times} times", event.object);
        fail("one_final_event", what)
    }
}

/// A started engine sees what was committed and nothing else: rows follow from the log.
pub fn rows_are_the_log(history: &History, seen: &[KeyValue]) -> Checked {
    for (key, value) in seen {
        match history.rows.get(key) {
            Some(committed) if committed == value => {}
            _ => {
                let space = key.first().copied().map(char::from);
                let what = format!("a row in space {space:?} is not what was committed");
                return fail("rows_are_the_log", what);
            }
        }
    }
    Ok(())
}

/// A started engine sees everything that was committed.
pub fn nothing_is_lost(history: &History, seen: &[KeyValue]) -> Checked {
    if seen.len() < history.rows.len() {
        let is_seen = |key: &[u8]| seen.iter().any(|(seen, _)| seen == key);
        let lost = history.rows.keys().find(|key| !is_seen(key));
        let space = lost.and_then(|key| key.first()).copied().map(char::from);
        let (left, all) = (seen.len(), history.rows.len());
        let what = format!("{left} rows of {all} are left, one of space {space:?} is not");
        return fail("nothing_is_lost", what);
    }
    Ok(())
}

//! When to cut: mostly where something is half done.

use harness::power::cut::{Cut, Mode};
use harness::power::dice::Dice;
use harness::power::history::History;
use harness::power::trace::{Act, Record};

/// Chooses `count` cuts: around changes of names (start, checkpoint, segment change, shutdown),
/// around syncs, just after an answer, and anywhere.
pub(super) fn choose(
    history: &History,
    answers: &[u64],
    count: usize,
    dice: &mut Dice,
) -> Vec<Cut> {
    let of = |wanted: fn(&Act) -> bool| -> Vec<&Record> {
        let records = history.records().iter();
        records.filter(|record| wanted(&record.act)).collect()
    };
    let names = of(|act| {
        matches!(
            act,
            Act::Create(_)
                | Act::Rename(..)
                | Act::Unlink(_)
                | Act::MakeDirectory(_)
                | Act::RemoveDirectory(_)
                | Act::SyncDirectory(_)
                | Act::Truncate(_)
                | Act::Allocate(_)
                | Act::Start
        )
    });
    let syncs = of(|act| matches!(act, Act::Sync { .. } | Act::Range));
    let writes = of(|act| matches!(act, Act::Write { .. } | Act::Zero { .. }));
    let cut = |_| {
        let instant = match dice.below(10) {
            0..=3 => around(dice, &names),
            4..=6 => around(dice, &syncs),
            7 | 8 => dice.one_of(answers).copied(),
            _ => around(dice, &writes),
        };
        let modes = [Mode::Ordered, Mode::Adversarial];
        Cut {
            instant: instant.unwrap_or(0),
            mode: *dice.one_of(&modes).unwrap_or(&Mode::Ordered),
            seed: dice.bits(),
        }
    };
    (0..count).map(cut).collect()
}

/// Just before, in the middle of, at the end of, or a little after a call.
fn around(dice: &mut Dice, records: &[&Record]) -> Option<u64> {
    let record = dice.one_of(records)?;
    let span = usize::try_from(record.end - record.begin).unwrap_or(0);
    Some(match dice.below(4) {
        0 => record.begin.saturating_sub(1),
        1 => record.begin + u64::try_from(dice.below(span)).unwrap_or(0),
        2 => record.end,
        _ => record.end + u64::try_from(dice.below(2_000_000)).unwrap_or(0),
    })
}

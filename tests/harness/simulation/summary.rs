//! What a run of many worlds came to, added up in the order of the worlds.

use std::collections::BTreeMap;
use std::fmt;

use super::ending::Report;

/// What happened, in one world or in many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// Events.
    pub events: u64,
    /// POS transactions by status and reason.
    pub outcomes: BTreeMap<String, u64>,
    /// Requests for money that left.
    pub authorizations: u64,
    /// Replayed answers.
    pub replays: u64,
    /// Callers that were turned away at a door.
    pub turned_away: u64,
    /// Pieces of paper that came out of printers.
    pub papers: u64,
    /// Approved sales whose card was read under AES.
    pub under_aes: u64,
    /// Swiped cards after which a till said that the chip is to be used.
    pub advised: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.virtual_ms += other.virtual_ms;
        self.events += other.events;
        self.authorizations += other.authorizations;
        self.replays += other.replays;
        self.turned_away += other.turned_away;
        self.papers += other.papers;
        self.under_aes += other.under_aes;
        self.advised += other.advised;
        for (outcome, times) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += times;
        }
    }

    /// POS transactions.
    pub fn transactions(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

/// The sum of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Worlds.
    pub worlds: u64,
    /// Hash over the traces of all worlds in their order.
    pub trace: u64,
    /// What happened.
    pub counts: Counts,
    /// Strikes by fault, and the worlds that had it.
    pub faults: BTreeMap<&'static str, (u64, u64)>,
}

impl Summary {
    /// Adds a world.
    pub fn add(&mut self, report: &Report) {
        self.worlds += 1;
        for byte in report.trace.to_le_bytes() {
            // FNV-1a, as the trace of a world.
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        self.counts.add(&report.counts);
        for (fault, times) in &report.faults {
            let (strikes, worlds) = self.faults.entry(fault).or_default();
            *strikes += times;
            *worlds += 1;
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        writeln!(out, "trace         {:016x}", self.trace)?;
        let (authorizations, replays) = (counts.authorizations, counts.replays);
        writeln!(out, "at acquirer   {authorizations} authorizations")?;
        let turned_away = counts.turned_away;
        writeln!(
            out,
            "callers       {replays} answers replayed; {turned_away} turned away at the door"
        )?;
        let (under_aes, advised) = (counts.under_aes, counts.advised);
        writeln!(
            out,
            "readers       {under_aes} approved under AES; {advised} swiped cards sent to the chip"
        )?;
        writeln!(out, "printers      {} pieces of paper", counts.papers)?;
        let hours = counts.virtual_ms / 3_600_000;
        writeln!(out, "virtual time  {hours} h; {} events", counts.events)?;
        writeln!(out, "outcomes")?;
        for (outcome, times) in &counts.outcomes {
            writeln!(out, "  {times:>8}  {outcome}")?;
        }
        writeln!(out, "faults        strikes   worlds")?;
        for (fault, (strikes, worlds)) in &self.faults {
            writeln!(out, "  {fault:<18} {strikes:>8} {worlds:>8}")?;
        }
        Ok(())
    }
}

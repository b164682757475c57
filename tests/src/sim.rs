//! `cargo sim`: runs seeds and says what they came to.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use harness::simulation::{self, CASES, Report, Sabotage, Setup, Summary, shrink};

/// Worlds tried to make a failing one smaller: some seconds.
const SHRINK_TRIES: u32 = 300;

/// Runs the code that ships in simulated worlds, one for each seed.
#[derive(Debug, Parser)]
#[command(name = "cargo sim")]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Runs this seed only, twice, and compares.
    #[arg(long)]
    seed: Option<u64>,
    /// Leaves out what has these numbers, as `3,7-12`.
    #[arg(long, value_parser = without)]
    without: Option<Without>,
    /// Prints everything that happens.
    #[arg(long)]
    verbose: bool,
    /// Does not look for a smaller world that fails.
    #[arg(long)]
    no_shrink: bool,
    /// Keeps a failing world in tests/seeds.txt.
    #[arg(long)]
    save: bool,
    /// Puts a deliberate bug in.
    #[arg(long, value_parser = sabotage)]
    sabotage: Option<Sabotage>,
    /// Shows for each deliberate bug which checker catches it, and in how many seeds.
    #[arg(long)]
    sabotages: bool,
    /// Goes on after a failure and counts failures by rule.
    #[arg(long)]
    keep_going: bool,
}

/// Numbers of what is left out.
type Without = std::collections::BTreeSet<u32>;

fn without(text: &str) -> Result<Without, String> {
    shrink::numbers(text)
}

impl Arguments {
    fn setup(&self, seed: u64) -> Setup {
        Setup {
            seed,
            sabotage: self.sabotage,
            without: self.without.clone().unwrap_or_default(),
            is_verbose: self.verbose && self.seed.is_some(),
        }
    }
}

fn sabotage(word: &str) -> Result<Sabotage, String> {
    Sabotage::from_word(word).ok_or_else(|| {
        let words: Vec<_> = Sabotage::ALL.iter().map(|one| one.word()).collect();
        format!("one of {}", words.join(", "))
    })
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.seed {
        _ if arguments.sabotages => sabotages(),
        Some(seed) => one(seed, &arguments),
        None => many(&arguments),
    }
}

fn one(seed: u64, arguments: &Arguments) -> ExitCode {
    let setup = arguments.setup(seed);
    let report = simulation::replay(&setup);
    let again = simulation::replay(&Setup {
        is_verbose: false,
        ..setup.clone()
    });
    println!("{report:#?}");
    if report.trace != again.trace {
        println!("FAILED: run again, the trace is {:016x}", again.trace);
        return ExitCode::FAILURE;
    }
    if report.violation.is_none() {
        return ExitCode::SUCCESS;
    }
    failed(&setup, report, arguments);
    ExitCode::FAILURE
}

/// Says how a failing world is run again, makes it smaller, and keeps it.
fn failed(setup: &Setup, report: Report, arguments: &Arguments) {
    let Some(violation) = report.violation.clone() else {
        return;
    };
    println!("seed {} FAILED: {violation}", setup.seed);
    println!("  replay: {}", setup.command());
    let mut kept = setup.clone();
    if !arguments.no_shrink {
        let all = report.choices;
        let shrunk = shrink::shrink(setup, report, SHRINK_TRIES);
        let left = shrunk.left().len();
        println!(
            "  smaller: {left} of {all} requests and faults ({} worlds tried)",
            shrunk.tried
        );
        println!("  replay: {}", shrunk.setup.command());
        kept = shrunk.setup;
    }
    if arguments.save
        && let Err(error) = save(&kept.line(&violation))
    {
        println!("  not saved: {error}");
    }
}

fn save(line: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .open(simulation::SEEDS_FILE)?;
    writeln!(file, "{line}")
}

fn many(arguments: &Arguments) -> ExitCode {
    let fresh = arguments.from..arguments.from.saturating_add(arguments.seeds);
    let began = Instant::now();
    let mut total = Summary::default();
    let mut failures: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
    let saved = simulation::saved_seeds().map(|setup| Setup {
        sabotage: arguments.sabotage,
        ..setup
    });
    for setup in saved.chain(fresh.map(|seed| arguments.setup(seed))) {
        let report = simulation::replay(&setup);
        total.add(&report);
        if let Some(violation) = &report.violation {
            failures.entry(violation.rule).or_default().push(setup.seed);
            failed(&setup, report, arguments);
            if !arguments.keep_going {
                return ExitCode::FAILURE;
            }
        }
    }
    print_total(&total, began.elapsed().as_secs_f64());
    for (rule, seeds) in &failures {
        println!("FAILED {rule}: {} seeds, first {}", seeds.len(), seeds[0]);
    }
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The table of deliberate bugs.
fn sabotages() -> ExitCode {
    let mut missed = 0u32;
    println!(
        "{:<28} {:<34} {:>5} {:>6}",
        "sabotage", "caught by", "seeds", "bound"
    );
    for case in CASES {
        let word = case.sabotage.word();
        let seeds = simulation::seeds_until_caught(case);
        let needed = seeds.map_or("MISSED".to_owned(), |seeds| seeds.to_string());
        println!(
            "{word:<28} {:<34} {needed:>5} {:>6}",
            case.rule, case.seeds_max
        );
        if seeds.is_none() {
            missed += 1;
            let others = others(case.sabotage, case.seeds_max);
            println!("  other rules that it breaks: {others:?}");
        }
    }
    println!("{} deliberate bugs, {missed} missed", CASES.len());
    if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Rules that a deliberate bug breaks first, with the first seed of each.
fn others(sabotage: Sabotage, seeds: u64) -> BTreeMap<&'static str, u64> {
    let mut rules = BTreeMap::new();
    for seed in 1..=seeds {
        let report = simulation::run(seed, Some(sabotage), false);
        if let Some(violation) = report.violation {
            rules.entry(violation.rule).or_insert(seed);
        }
    }
    rules
}

fn print_total(total: &Summary, wall_s: f64) {
    let cpu_s = cpu_s().unwrap_or(wall_s);
    let float = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let (worlds, transactions) = (total.worlds, total.counts.transactions());
    println!(
        "seeds         {worlds} in {wall_s:.1} s, {cpu_s:.1} s of a CPU ({:.0} a CPU second)",
        float(worlds) / cpu_s
    );
    println!(
        "transactions  {transactions} ({:.0} a CPU minute)",
        float(transactions) * 60.0 / cpu_s
    );
    print!("{total}");
}

/// Processor time of this process so far, in seconds; none where there is no `/proc`.
fn cpu_s() -> Option<f64> {
    /// `USER_HZ` of every Linux that this runs on.
    const TICKS_PER_S: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything; what follows it does not.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_S)
}

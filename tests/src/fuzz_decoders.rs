//! `cargo fuzz-decoders`: feeds every decoder mutated bytes and says what that came to.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use harness::fuzz::driver::{Failure, Mutations, replay, run, shrink};
use harness::fuzz::{TARGETS, Target, corpus, find};

/// An input that takes longer is a finding; the slowest good one takes some milliseconds.
const INPUT_TIME_MAX: Duration = Duration::from_secs(10);
/// How often the address space is looked at.
const RUNS_PER_LOOK: u64 = 128;
/// More than this in addition, within that many inputs, is a finding: the longest input and the
/// largest frame limit are far below.
const GROWTH_KIB_MAX: u64 = 256 * 1024;

/// Feeds every decoder mutated bytes, or runs one file.
#[derive(Debug, Parser)]
#[command(name = "cargo fuzz-decoders --")]
struct Arguments {
    /// Seconds for each target.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Mutations of each target, instead of a time.
    #[arg(long)]
    runs: Option<u64>,
    /// Only targets whose name contains this.
    #[arg(long)]
    target: Option<String>,
    /// Where mutations begin.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs this file on the one target and nothing else.
    #[arg(long, requires = "target")]
    file: Option<PathBuf>,
    /// Writes the inputs of the encoders into the corpus.
    #[arg(long)]
    write_seeds: bool,
}

/// Where the last panic was.
static PLACE: Mutex<String> = Mutex::new(String::new());

/// What the target is at, for the watch over inputs that do not end.
type AtWork = Arc<Mutex<Option<(Instant, Vec<u8>)>>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(path) = &arguments.file {
        return one_file(&arguments, path);
    }
    let wanted = arguments.target.as_deref().unwrap_or_default();
    let mut failed = 0;
    let mut total = 0;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place.unwrap_or_default();
    }));
    for target in TARGETS.iter().filter(|one| one.name.contains(wanted)) {
        if arguments.write_seeds {
            write_seeds(target);
            continue;
        }
        match fuzz(target, &arguments) {
            Ok(runs) => total += runs,
            Err(failure) => {
                failed += 1;
                tell(target, failure);
            }
        }
    }
    println!("{total} inputs, {failed} findings");
    ExitCode::from(u8::from(failed > 0))
}

fn one_file(arguments: &Arguments, path: &PathBuf) -> ExitCode {
    let name = arguments.target.as_deref().unwrap_or_default();
    let (Some(target), Ok(input)) = (find(name), fs::read(path)) else {
        eprintln!("no target {name:?}, or {} cannot be read", path.display());
        return ExitCode::FAILURE;
    };
    let before = address_space_kib();
    let outcome = run(target, &input);
    println!(
        "{} bytes, address space {} KiB more",
        input.len(),
        address_space_kib().saturating_sub(before)
    );
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("FAILED {name}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn write_seeds(target: &Target) {
    for input in (target.seeds)() {
        corpus::keep(target, "seed", &input).expect("the corpus can be written");
    }
}

fn fuzz(target: &'static Target, arguments: &Arguments) -> Result<u64, Failure> {
    let inputs = corpus::inputs(target).expect("the corpus can be read");
    let at_work = AtWork::default();
    let watch = watch(target, Arc::clone(&at_work));
    replay(target, &inputs)?;
    let mut mutations = Mutations::new(target, &inputs, arguments.seed);
    let began = Instant::now();
    let (mut runs, mut space_kib) = (0, address_space_kib());
    let mut slowest = Duration::ZERO;
    let mut looked_at = Vec::new();
    loop {
        let is_over = match arguments.runs {
            Some(runs_max) => runs >= runs_max,
            None => began.elapsed().as_secs() >= arguments.seconds,
        };
        if is_over {
            break;
        }
        let input = mutations.next_input();
        let started = Instant::now();
        set(&at_work, Some((started, input.clone())));
        run(target, &input).map_err(|message| Failure {
            input: input.clone(),
            message,
        })?;
        slowest = slowest.max(started.elapsed());
        looked_at.push(input);
        runs += 1;
        if runs % RUNS_PER_LOOK == 0 {
            let now_kib = address_space_kib();
            if now_kib.saturating_sub(space_kib) > GROWTH_KIB_MAX {
                println!("{}: the address space has grown; who asked?", target.name);
                if let Some(failure) = heaviest(target, &looked_at) {
                    return Err(failure);
                }
            }
            space_kib = now_kib;
            looked_at.clear();
        }
    }
    set(&at_work, None);
    watch.thread().unpark();
    println!(
        "{:24} {runs:>10} inputs, {:>8.0} a second, slowest {:>6.1} ms",
        target.name,
        runs as f64 / began.elapsed().as_secs_f64(),
        slowest.as_secs_f64() * 1_000.0
    );
    Ok(runs)
}

fn set(at_work: &AtWork, value: Option<(Instant, Vec<u8>)>) {
    *at_work.lock().unwrap_or_else(PoisonError::into_inner) = value;
}

/// Ends the process when an input does not end.
fn watch(target: &'static Target, at_work: AtWork) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while Arc::strong_count(&at_work) > 1 {
            let held = at_work.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((since, input)) = held.as_ref()
                && since.elapsed() > INPUT_TIME_MAX
            {
                let message = format!("takes longer than {} s", INPUT_TIME_MAX.as_secs());
                let input = input.clone();
                keep(target, &Failure { input, message });
                std::process::exit(1);
            }
            drop(held);
            std::thread::park_timeout(Duration::from_millis(500));
        }
    })
}

/// The first of these inputs that alone, in a process of its own, asks for much memory; none when
/// it took all of them.
fn heaviest(target: &Target, inputs: &[Vec<u8>]) -> Option<Failure> {
    inputs.iter().find_map(|input| {
        let said = alone(target, input);
        let kib: u64 = said.split(' ').rev().nth(2)?.parse().ok()?;
        (kib > GROWTH_KIB_MAX / 2).then(|| Failure {
            input: input.clone(),
            message: format!("asks for memory: {said}"),
        })
    })
}

/// What this program says of one input.
fn alone(target: &Target, input: &[u8]) -> String {
    let name = format!("fuzz-decoders-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let program = std::env::current_exe().expect("this program has a path");
    fs::write(&path, input).expect("the temporary directory can be written");
    let mut again = std::process::Command::new(program);
    again.args(["--target", target.name, "--file"]).arg(&path);
    let out = again.output().expect("this program runs");
    fs::remove_file(&path).expect("the file is there");
    let text = String::from_utf8_lossy(&out.stdout);
    text.lines().next().unwrap_or_default().to_owned()
}

/// The most address space that this process has ever had: counts what was reserved and not used.
fn address_space_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmPeak:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kib.unwrap_or(0)
}

fn tell(target: &Target, failure: Failure) {
    let mut failure = shrink(target, failure);
    let place = std::mem::take(&mut *PLACE.lock().unwrap_or_else(PoisonError::into_inner));
    if !place.is_empty() {
        failure.message = format!("{} ({place})", failure.message);
    }
    keep(target, &failure);
}

fn keep(target: &Target, failure: &Failure) {
    println!("FAILED {}: {}", target.name, failure.message);
    match corpus::keep(target, "crash", &failure.input) {
        Ok(path) => println!(
            "  replay: cargo fuzz-decoders --target {} --file {}",
            target.name,
            path.display()
        ),
        Err(error) => println!("  not kept ({error}): {}", hex::encode(&failure.input)),
    }
}

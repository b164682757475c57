//! What the numbers depend on, and what the kernel knows of a process. Linux only.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::measure::percentile;

/// Processor time is counted in hundredths of a second (USER_HZ, proc(5)).
const TICKS_PER_S: f64 = 100.0;
/// Steps of the fixed work: some 20 ms.
const FIXED_WORK: u64 = 10_000_000;
/// Syncs that the disk is measured with.
const SYNCS: usize = 200;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Processor time of user and system, seconds.
    pub(crate) cpu_s: f64,
    /// Of that: the system's time in threads that do little there but write and sync.
    pub(crate) sync_s: f64,
    /// Times that its threads went to sleep.
    pub(crate) sleeps: u64,
}

/// The engine's threads whose system time is that of writes and syncs.
const SYNCING: [&str; 2] = ["store-committer", "acquirer"];

/// What the process has used so far; zeros when it is gone.
pub(crate) fn usage(pid: u32) -> Usage {
    let (user_s, system_s) = times(&read(format!("/proc/{pid}/stat")));
    let mut usage = Usage {
        cpu_s: user_s + system_s,
        ..Usage::default()
    };
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    for thread in threads.into_iter().flatten().flatten() {
        let of_thread = |file: &str| {
            let text = fs::read_to_string(thread.path().join(file));
            text.unwrap_or_default()
        };
        usage.sleeps += number(&of_thread("status"), "voluntary_ctxt_switches:");
        if SYNCING.contains(&of_thread("comm").trim()) {
            usage.sync_s += times(&of_thread("stat")).1;
        }
    }
    usage
}

/// Seconds of user and system time in a `stat` of a process or thread (proc(5)).
fn times(stat: &str) -> (f64, f64) {
    // The name in parentheses may hold anything; what follows it does not.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let mut ticks = fields
        .split_whitespace()
        .skip(11)
        .map(|text| text.parse().unwrap_or(0.0));
    let mut next_s = || ticks.next().unwrap_or(0.0) / TICKS_PER_S;
    (next_s(), next_s())
}

/// Processor time of all threads that a process has now, seconds: as the scheduler counts it, in
/// nanoseconds, for what is too little to be seen in ticks.
pub(crate) fn cpu_s(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let nanoseconds: f64 = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| {
            let stat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            stat.split_whitespace().next()?.parse::<f64>().ok()
        })
        .sum();
    nanoseconds / 1e9
}

/// Resident memory in KiB: now, and at its highest.
pub(crate) fn resident_kib(pid: u32) -> (u64, u64) {
    let status = read(format!("/proc/{pid}/status"));
    (number(&status, "VmRSS:"), number(&status, "VmHWM:"))
}

/// Processor, cores, kernel and load, in one line.
pub(crate) fn describe() -> String {
    let info = read("/proc/cpuinfo".to_owned());
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease".to_owned());
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

/// How many tasks wanted to run in the last minute, on average.
pub(crate) fn load_average() -> f64 {
    let load = read("/proc/loadavg".to_owned());
    load.split(' ')
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.0)
}

/// Share of all processor time that was used so far by anybody: busy and total ticks.
pub(crate) fn processor_ticks() -> (f64, f64) {
    let stat = read("/proc/stat".to_owned());
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|text| text.parse().ok())
        .collect();
    let total: f64 = ticks.iter().sum();
    // Idle and waiting for the disk (proc(5)).
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    (total - idle, total)
}

/// Half of the syncs of 4 KiB appended to a file in `dir` take no longer than this.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn disk_sync(dir: &Path) -> io::Result<Duration> {
    let path = dir.join("sync-time");
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begun = Instant::now();
        file.write_all(&[0x5A; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    fs::remove_file(&path)?;
    times.sort_unstable();
    percentile(&times, 0.5).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// How long the same work takes now, on every processor at once, at best on the slowest: a rented
/// machine may be half as fast from one minute to the next, and its processors slower together than
/// each alone. Numbers are worth comparing only while this is the same.
pub(crate) fn fixed_work() -> Duration {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        let times = workers.into_iter().filter_map(|worker| worker.join().ok());
        times.max().unwrap_or_default()
    })
}

fn work() -> Duration {
    let once = |()| {
        let begun = Instant::now();
        let mixed = (0..FIXED_WORK).fold(1_u64, |sum, at| {
            (sum ^ at)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .rotate_left(29)
        });
        std::hint::black_box(mixed);
        begun.elapsed()
    };
    [(); 5].map(once).into_iter().min().unwrap_or_default()
}

/// Bytes written so far, by anybody, to the device that holds `dir`; zero when it is none. What the
/// kernel counts per process is of no use: with large folios a commit of 1 KiB counts as 1 MiB.
pub(crate) fn device_written(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(device) = fs::metadata(dir).map(|metadata| metadata.dev()) else {
        return 0;
    };
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = read(format!("/sys/dev/block/{major}:{minor}/stat"));
    // The seventh number is sectors of 512 bytes (Documentation/block/stat).
    let sectors = stat
        .split_whitespace()
        .nth(6)
        .and_then(|text| text.parse::<u64>().ok());
    sectors.unwrap_or(0) * 512
}

/// Bytes that the files below `dir` take on the disk.
pub(crate) fn bytes_below(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

fn read(path: String) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The number behind a name at the start of a line.
fn number(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

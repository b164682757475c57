//! The real programs as child processes: built once, logged to files, gone when dropped.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::reaper;
use crate::wait::until;

/// Directory of the built programs: the one this test or demo itself runs from.
pub fn bin_dir() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // A machine without a compiler has them somewhere.
        if let Some(dir) = std::env::var_os("TILLWAY_PROGRAMS") {
            return PathBuf::from(dir);
        }
        let own = std::env::current_exe().expect("this program has a path");
        let dir = own
            .ancestors()
            .find(|dir| dir.file_name().is_some_and(|name| name != "deps") && dir.is_dir())
            .expect("this program is in a directory")
            .to_path_buf();
        build(&dir);
        dir
    })
}

/// Builds the programs into the same target directory with the same profile.
fn build(dir: &Path) {
    let profile = match dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--bins",
            "--profile",
            profile,
        ])
        .args(["--exclude", "tillway-tests"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the programs do not build");
}

/// Sends a signal to one process.
pub fn signal(process_id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(process_id).ok().and_then(Pid::from_raw) {
        kill_process(pid, signal).ok();
    }
}

/// A running program.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    child: Child,
}

impl Program {
    /// Starts a program; its standard error goes to `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &'static str, arguments: &[&str], log: &Path) -> io::Result<Self> {
        Self::start_logging(name, arguments, log, None)
    }

    /// Starts a program that logs what this filter lets through.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_logging(
        name: &'static str,
        arguments: &[&str],
        log: &Path,
        filter: Option<&str>,
    ) -> io::Result<Self> {
        let filter = filter.map(|filter| [("RUST_LOG", filter), ("TILLWAY_LOG", filter)]);
        Self::start_in(name, arguments, log, filter.into_iter().flatten())
    }

    /// Starts a program with more in its environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_in<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        name: &'static str,
        arguments: &[&str],
        log: &Path,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let child = Command::new(bin_dir().join(name))
            .args(arguments)
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        reaper::note(child.id());
        Ok(Self { name, child })
    }

    /// The first line that it prints.
    ///
    /// # Errors
    /// When it ends before it prints one.
    pub fn first_line(&mut self) -> io::Result<String> {
        let stdout = self.child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = String::new();
        if BufReader::new(stdout).read_line(&mut line)? == 0 {
            return Err(io::Error::other(format!("{} ended at once", self.name)));
        }
        Ok(line.trim().to_owned())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it has ended; its exit code.
    pub fn end(&mut self) -> Option<i32> {
        let ended = until("program to end", || self.child.try_wait().ok().flatten());
        self.kill();
        ended.and_then(|status| status.code())
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        if self.child.wait().is_ok() {
            reaper::forget(self.child.id());
        }
    }

    /// Asks it to end, as systemd does, and waits; true when it ended by itself with code 0.
    pub fn stop(&mut self) -> bool {
        signal(self.child.id(), Signal::TERM);
        let ended = until("program to end", || self.child.try_wait().ok().flatten());
        let is_clean = ended.is_some_and(|status| status.success());
        self.kill();
        is_clean
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

//! The recorder as a library that child processes load, and the orders that it takes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::time::{ClockId, clock_gettime};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/power/record.c");

/// The library, built once; `None`, with a line that says so, on a machine without a C compiler, or
/// one that lets no process filter its own system calls.
pub fn library() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    if Command::new("cc").arg("--version").output().is_err() {
        eprintln!("power-cut tests SKIPPED: there is no C compiler (cc)");
        return None;
    }
    let dir = tempfile::Builder::new()
        .prefix("tillway-recorder-")
        .tempdir();
    let dir = dir.expect("a directory").keep();
    crate::reaper::note_directory(&dir);
    let library = dir.join("record.so");
    let built = Command::new("cc")
        .args(["-O2", "-Wall", "-Wextra", "-shared", "-fPIC"])
        .arg("-o")
        .args([&library, Path::new(SOURCE)])
        .output()
        .expect("cc runs");
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(
        built.status.success(),
        "the recorder does not build: {errors}"
    );
    let probe = Recorder::new(&dir.join("probe"));
    let tried = Command::new("true")
        .envs(probe.variables(&library))
        .status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("power-cut tests SKIPPED: system calls cannot be recorded here (seccomp)");
        return None;
    }
    Some(library)
}

/// Now, on the clock that the recorder stamps with.
pub fn monotonic_ns() -> u64 {
    let at = clock_gettime(ClockId::Monotonic);
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    part(at.tv_sec) * 1_000_000_000 + part(at.tv_nsec)
}

/// What one program's files go through: the directory, the trace, and the orders.
#[derive(Debug, Clone)]
pub struct Recorder {
    root: PathBuf,
    trace: PathBuf,
    control: PathBuf,
}

impl Recorder {
    /// Records what happens below `root`; trace and orders are kept beside it.
    pub fn new(root: &Path) -> Self {
        let beside = |extension: &str| {
            let name = root.file_name().unwrap_or_default().to_string_lossy();
            root.with_file_name(format!("{name}.{extension}"))
        };
        Self {
            root: root.to_path_buf(),
            trace: beside("trace"),
            control: beside("order"),
        }
    }

    /// The environment of a process that is to be recorded.
    ///
    /// # Panics
    /// Without a library: ask [`library`] first.
    pub fn environment(&self) -> Vec<(String, String)> {
        self.variables(library().expect("there is a recorder"))
    }

    fn variables(&self, library: &Path) -> Vec<(String, String)> {
        let text = |path: &Path| path.display().to_string();
        vec![
            ("LD_PRELOAD".to_owned(), text(library)),
            ("TILLWAY_POWER_ROOT".to_owned(), text(&self.root)),
            ("TILLWAY_POWER_TRACE".to_owned(), text(&self.trace)),
            ("TILLWAY_POWER_CONTROL".to_owned(), text(&self.control)),
            ("TILLWAY_POWER_SENDS".to_owned(), "1".to_owned()),
        ]
    }

    /// The recorded directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What was recorded.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn records(&self) -> io::Result<Vec<super::trace::Record>> {
        super::trace::read(&self.trace)
    }

    /// Gives an order, see `record.c`; it holds for the next call.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn order(&self, order: &str) -> io::Result<()> {
        let beside = self.control.with_extension("new");
        fs::write(&beside, order)?;
        fs::rename(&beside, &self.control)
    }

    /// Nothing fails any more.
    pub fn relent(&self) {
        fs::remove_file(&self.control).ok();
    }
}

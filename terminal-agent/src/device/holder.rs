//! Which process has a device file open, as far as this one may see.
//!
//! Reads `/proc` and nothing else; never opens the device: that would raise modem lines and take
//! bytes away.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::Serialize;

/// A process that has a port open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Its number.
    pub process_id: u32,
    /// Its name.
    pub program: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (process {})", self.program, self.process_id)
    }
}

/// What could be found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Use {
    /// Somebody has it open.
    InUse(Holder),
    /// Nobody has it open.
    Free,
    /// Some processes could not be looked at, and one of them may have it open.
    Unknown,
}

/// The first other process that has `node` open, if one may be seen.
pub fn find(node: &Path) -> Option<Holder> {
    match look(Path::new("/proc"), node) {
        Use::InUse(holder) => Some(holder),
        Use::Free | Use::Unknown => None,
    }
}

/// Looks through all processes but this one.
pub fn look(proc: &Path, node: &Path) -> Use {
    let Ok(node) = fs::canonicalize(node) else {
        return Use::Free;
    };
    let mut is_all_seen = true;
    let processes = fs::read_dir(proc).into_iter().flatten().flatten();
    for process in processes {
        let name = process.file_name();
        let Some(process_id) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if process_id == std::process::id() {
            continue;
        }
        match fs::read_dir(process.path().join("fd")) {
            Ok(files) => {
                let mut targets = files
                    .flatten()
                    .filter_map(|file| fs::read_link(file.path()).ok());
                if targets.any(|target| target == node) {
                    let program = fs::read_to_string(process.path().join("comm"));
                    let program = program.unwrap_or_default().trim().to_owned();
                    return Use::InUse(Holder {
                        process_id,
                        program,
                    });
                }
            }
            // It has ended meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => is_all_seen = false,
        }
    }
    if is_all_seen { Use::Free } else { Use::Unknown }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_holder_is_found_among_the_processes() {
        let proc = tempfile::tempdir().unwrap();
        let node = Path::new("/dev/null");
        let add = |id: &str, target: &str| {
            let files = proc.path().join(id).join("fd");
            fs::create_dir_all(&files).unwrap();
            symlink(target, files.join("3")).unwrap();
            fs::write(proc.path().join(id).join("comm"), "ModemManager\n").unwrap();
        };
        fs::create_dir_all(proc.path().join("sys")).unwrap();
        add("9999991", "/dev/zero");
        add(&std::process::id().to_string(), "/dev/null");
        assert_eq!(look(proc.path(), node), Use::Free);
        // Not a directory, so it cannot be looked at.
        fs::create_dir_all(proc.path().join("9999992")).unwrap();
        fs::write(proc.path().join("9999992/fd"), "").unwrap();
        assert_eq!(look(proc.path(), node), Use::Unknown);
        add("9999993", "/dev/null");
        let Use::InUse(holder) = look(proc.path(), node) else {
            panic!("not found");
        };
        assert_eq!(holder.to_string(), "ModemManager (process 9999993)");
    }
}

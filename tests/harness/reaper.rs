//! Ends what this process leaves behind. Shared shops live until the test program ends, and
//! statics are never dropped; a shell that waits for our end of a pipe to close does it, also when
//! this process is killed.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// `+ id` notes a process, `- id` forgets it, `d path` notes a directory.
const SCRIPT: &str = r#"
ids=" "; dirs=""
while read -r what it; do
  case "$what" in
    +) ids="$ids$it " ;;
    -) ids=$(printf '%s' "$ids" | sed "s/ $it / /") ;;
    d) dirs="$dirs
$it" ;;
  esac
done
for id in $ids; do kill -9 "$id"; done
printf '%s\n' "$dirs" | while read -r dir; do [ -n "$dir" ] && rm -rf -- "$dir"; done
"#;

fn say(line: &str) {
    static SHELL: OnceLock<Mutex<Child>> = OnceLock::new();
    let shell = SHELL.get_or_init(|| {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Mutex::new(shell.expect("sh runs"))
    });
    let mut shell = shell.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(stdin) = &mut shell.stdin {
        writeln!(stdin, "{line}").ok();
    }
}

/// Ends the process with this id when this one ends.
pub fn note(id: u32) {
    say(&format!("+ {id}"));
}

/// The process with this id has ended; the id may soon be somebody else's.
pub fn forget(id: u32) {
    say(&format!("- {id}"));
}

/// Removes a directory when this process ends.
pub fn note_directory(dir: &Path) {
    say(&format!("d {}", dir.display()));
}

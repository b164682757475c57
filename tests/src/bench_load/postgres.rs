//! The same durable work in PostgreSQL, where it is installed: one insert and one upsert of half a
//! kibibyte each in one synchronous transaction, which is what one commit of the engine holds.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::report::Result;

const SCHEMA: &str = "create table events (stream int, seq serial, event bytea, primary key (stream, seq)); \
     create table rows (key bigint primary key, value bytea);";
/// One durable commit of one stream.
const COMMIT: &str = "\\set stream random(1, 100000)\n\\set key random(1, 1000000)\nbegin;\n\
     insert into events (stream, event) values (:stream, decode(repeat('5a', 512), 'hex'));\n\
     insert into rows values (:key, decode(repeat('a5', 512), 'hex')) \
     on conflict (key) do update set value = excluded.value;\ncommit;\n";

/// A server of our own, ended with the value.
struct Server {
    programs: PathBuf,
    directory: tempfile::TempDir,
}

impl Server {
    /// A command of PostgreSQL. It refuses to be root, so root runs it as `postgres`.
    fn command(&self, program: &str) -> Command {
        let path = self.programs.join(program);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) -> io::Result<()> {
        let status = self.command(program).args(arguments).status()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("{program} failed: {status}")))
        }
    }

    fn place(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.place("data");
        self.run("pg_ctl", &["-D", &data, "-m", "immediate", "stop"])
            .ok();
    }
}

/// Where PostgreSQL's programs are.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists() && bin.join("pgbench").exists())
        .collect();
    found.sort();
    found.pop()
}

/// Commits with `waiters` connections for `seconds`; says so where there is no PostgreSQL.
///
/// # Errors
/// When there is one and it does not work.
pub(crate) fn measure(
    dir: &Path,
    waiters: usize,
    seconds: u64,
    result: &mut Result,
) -> io::Result<()> {
    let Some(programs) = programs() else {
        eprintln!("PostgreSQL is not installed: its part is skipped");
        return Ok(());
    };
    let directory = tempfile::tempdir_in(dir)?;
    if rustix::process::geteuid().is_root() {
        let of_postgres = Command::new("id").args(["-u", "postgres"]).output()?;
        let uid = String::from_utf8_lossy(&of_postgres.stdout);
        let uid = uid.trim().parse().map_err(io::Error::other)?;
        chown(directory.path(), Some(uid), None)?;
    }
    let server = Server {
        programs,
        directory,
    };
    let (data, socket) = (server.place("data"), server.place(""));
    fs::write(server.directory.path().join("commit.sql"), COMMIT)?;
    server.run("initdb", &["-D", &data, "-A", "trust", "-U", "bench"])?;
    let options = format!(
        "-c listen_addresses= -k {socket} -c synchronous_commit=on -c max_connections={}",
        waiters + 10
    );
    server.run("pg_ctl", &["-D", &data, "-w", "-o", &options, "start"])?;
    let base = ["-h", &socket, "-U", "bench", "-d", "postgres"];
    server.run("psql", &[&base[..], &["-q", "-c", SCHEMA]].concat())?;
    let (script, clients) = (server.place("commit.sql"), waiters.to_string());
    let seconds = seconds.to_string();
    let mut command = server.command("pgbench");
    let output = command
        .args(["-h", &socket, "-U", "bench", "-n", "-M", "prepared"])
        .args([
            "-f", &script, "-c", &clients, "-j", "2", "-T", &seconds, "postgres",
        ])
        .stdout(Stdio::piped())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rate = text
        .lines()
        .find_map(|line| line.strip_prefix("tps = "))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    let rate = rate.ok_or_else(|| io::Error::other(format!("pgbench failed: {text}")))?;
    result.insert(
        format!("postgres_{waiters}_commits_per_s"),
        json!(rate.round()),
    );
    Ok(())
}

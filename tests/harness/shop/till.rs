//! The agent of a shop as a process, and its command line.
//!
//! Owns its directory, its configuration file and its life.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use super::{Environment, is_ready, pairing_code};
use crate::api::{Answer, Api};
use crate::programs::{Program, bin_dir};

/// The agent as a process, and its command line.
#[derive(Debug)]
pub struct Till {
    /// Its directory.
    pub dir: PathBuf,
    /// What it logs; the usual when absent.
    pub log_filter: Option<String>,
    /// What its processes find in their environment besides the usual.
    pub environment: Environment,
    program: Option<Program>,
}

impl Till {
    /// Installs an agent: writes its configuration.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn install(dir: &Path, engine: &str, devices: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let quoted = |path: PathBuf| format!("{:?}", path.display().to_string());
        let config = format!(
            "state_dir = {}\n[engine]\nurl = \"{engine}\"\n[reader]\npath = {}\n[printer]\npath = {}\n[simulator]\ncontrol = {}\n",
            quoted(dir.join("state")),
            quoted(devices.join("reader.pty")),
            quoted(devices.join("printer.pty")),
            quoted(devices.join("control.sock")),
        );
        fs::write(dir.join("agent.toml"), config)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            log_filter: None,
            environment: Environment::new(),
            program: None,
        })
    }

    /// Runs one command of the agent to its end.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn command(&self, arguments: &[&str]) -> io::Result<Output> {
        self.spawnable(arguments).output()
    }

    /// Pairs as a technician does who was told this: with the fingerprint, where there is one.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn pair(&self, told: &Answer) -> io::Result<Output> {
        let mut arguments = vec!["--json", "pair", "--code", told.field("code")];
        if !told.field("ca_fingerprint").is_empty() {
            arguments.extend(["--ca-fingerprint", told.field("ca_fingerprint")]);
        }
        self.command(&arguments)
    }

    /// A command of the agent, not started.
    pub fn spawnable(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(bin_dir().join("terminal-agent"));
        command
            .arg("--config")
            .arg(self.dir.join("agent.toml"))
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the agent.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&mut self) -> io::Result<()> {
        let config = self.dir.join("agent.toml").display().to_string();
        let log = self.dir.join("agent.log");
        let arguments = ["--config", &config, "run"];
        let filter = self.log_filter.as_deref();
        let filter = filter.map(|filter| [("RUST_LOG", filter), ("TILLWAY_LOG", filter)]);
        let more = self.environment.iter();
        let more = more.map(|(name, value)| (name.as_str(), value.as_str()));
        let environment = filter.into_iter().flatten().chain(more);
        self.program = Some(Program::start_in(
            "terminal-agent",
            &arguments,
            &log,
            environment,
        )?);
        Ok(())
    }

    /// Makes a terminal, pairs the agent with it, starts it and waits until it is ready; gives the
    /// terminal's id.
    ///
    /// # Errors
    /// When the agent does not start.
    pub fn open(&mut self, pos: &Api, label: &str) -> io::Result<String> {
        let terminal = pos.post("/v1/terminals", &json!({"label": label}));
        let terminal_id = terminal.field("id").to_owned();
        let paired = self.pair(&pairing_code(pos, &terminal_id))?;
        if !paired.status.success() {
            return Err(io::Error::other(
                String::from_utf8_lossy(&paired.stdout).into_owned(),
            ));
        }
        self.run()?;
        if is_ready(pos, &terminal_id) {
            Ok(terminal_id)
        } else {
            Err(io::Error::other("the till does not become ready"))
        }
    }

    /// Kills the agent, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(program) = &mut self.program {
            program.kill();
        }
    }

    /// Whether the agent runs.
    pub fn is_running(&mut self) -> bool {
        self.program.as_mut().is_some_and(Program::is_running)
    }

    /// Waits until the agent has ended by itself; its exit code.
    pub fn end(&mut self) -> Option<i32> {
        self.program.as_mut().and_then(Program::end)
    }

    /// Asks the agent to end; true when it did so cleanly.
    pub fn stop(&mut self) -> bool {
        self.program.as_mut().is_some_and(Program::stop)
    }

    /// Its process id; 0 when it does not run.
    pub fn id(&self) -> u32 {
        self.program.as_ref().map_or(0, Program::id)
    }
}

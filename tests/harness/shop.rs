//! A whole shop: engine, simulated devices, agent, a boarded merchant with a paired till.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use firmware_sim::control;
use firmware_sim::device::ControlRequest;
use serde_json::{Value, json};
use terminal_agent::tls::Authority;

use crate::api::{Answer, Api};
use crate::programs::{Program, bin_dir};
use crate::wait::until;

/// Every scope that a POS system of the demo needs.
pub const POS_SCOPES: [&str; 12] = [
    "pos:create",
    "pos:read",
    "pos:cancel",
    "pos:print",
    "terminals:read",
    "terminals:manage",
    "transactions:read",
    "transactions:tip",
    "transactions:void",
    "merchant:read",
    "api_keys:manage",
    "sandbox:manage",
];

/// Engine configuration of tests that wait for what became of a lost request: the acquirer is given
/// seconds rather than the usual minute. More than the simulated host ever takes.
pub const QUICK_ACQUIRER: &str = "[acquirer]\nanswer_timeout_ms = 8000\nlongest_delay_ms = 14000\n";

/// What a process finds in its environment besides the usual.
pub type Environment = Vec<(String, String)>;

/// The engine as a process.
#[derive(Debug)]
pub struct Engine {
    /// Its directory.
    pub dir: PathBuf,
    /// The operator's client.
    pub operator: Api,
    environment: Environment,
    program: Program,
    listen: String,
}

impl Engine {
    /// Starts an engine whose database is in `dir`, with the configuration `engine.toml` there if
    /// there is one.
    ///
    /// # Errors
    /// When it does not start; its log says why.
    pub fn start(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Self::start_in(dir, Environment::new())
    }

    /// As [`Engine::start`], with this in its environment, also whenever it is started again.
    ///
    /// # Errors
    /// When it does not start; its log says why.
    pub fn start_in(dir: &Path, environment: Environment) -> io::Result<Self> {
        Self::start_at(dir, "127.0.0.1:0", environment)
    }

    /// As [`Engine::start`], with this text as its configuration file.
    ///
    /// # Errors
    /// When it does not start; its log says why.
    pub fn start_configured(dir: &Path, config: &str) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        fs::write(dir.join("engine.toml"), config)?;
        Self::start(dir)
    }

    /// Starts an engine that logs what this filter lets through.
    ///
    /// # Errors
    /// When it does not start; its log says why.
    pub fn start_logging(dir: &Path, log_filter: Option<&str>) -> io::Result<Self> {
        match log_filter {
            Some(filter) => Self::start_configured(dir, &format!("log_filter = {filter:?}\n")),
            None => Self::start(dir),
        }
    }

    /// Makes an authority and a certificate for `127.0.0.1`: the engine that is started in `dir` next
    /// speaks TLS. With `--renew` among the arguments: another certificate.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn init(dir: &Path, arguments: &[&str]) -> io::Result<Output> {
        fs::create_dir_all(dir)?;
        let data = dir.join("data");
        let made = Command::new(bin_dir().join("engine"))
            .args(["init", "--data-dir", &data.display().to_string()])
            .args(arguments)
            .output()?;
        if data.join("engine.toml").exists() {
            fs::copy(data.join("engine.toml"), dir.join("engine.toml"))?;
        }
        Ok(made)
    }

    /// The certificate of its authority, once there is one.
    pub fn authority(dir: &Path) -> Option<Authority> {
        Authority::read(&dir.join("data").join("tls").join("ca.pem")).ok()
    }

    fn start_at(dir: &Path, listen: &str, environment: Environment) -> io::Result<Self> {
        let data = dir.join("data").display().to_string();
        let config = dir.join("engine.toml");
        let config_path = config.display().to_string();
        let mut arguments = vec!["run", "--data-dir", &data, "--listen", listen];
        if config.exists() {
            arguments.extend(["--config", &config_path]);
        }
        let log = dir.join("engine.log");
        let variables = environment.iter().map(|(name, value)| (name, value));
        let mut program = Program::start_in("engine", &arguments, &log, variables)?;
        let line = program.first_line()?;
        let base = line.rsplit(' ').next().unwrap_or_default().to_owned();
        let token = fs::read_to_string(dir.join("data").join("operator-token"))?;
        let operator = match Self::authority(dir) {
            Some(authority) => Api::trusting(&base, token.trim(), authority),
            None => Api::new(&base, token.trim()),
        };
        let listen = base.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Self {
            dir: dir.to_path_buf(),
            operator,
            environment,
            program,
            listen,
        })
    }

    /// Boards a partner and a merchant with a key for its POS system.
    pub fn board(&self) -> Boarded {
        let operator = &self.operator;
        let partner = operator.post("/v1/partners", &json!({"name": "North Payments"}));
        let partner_id = partner.field("id").to_owned();
        let merchant = operator.post("/v1/merchants", &merchant_body(&partner_id));
        let merchant_id = merchant.field("id").to_owned();
        let key = operator.post(
            &format!("/v1/merchants/{merchant_id}/api-keys"),
            &json!({"label": "POS", "scopes": POS_SCOPES}),
        );
        Boarded {
            pos: operator.with_token(key.field("secret")),
            partner_id,
            merchant_id,
        }
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Asks it to end; true when it did so cleanly.
    pub fn stop(&mut self) -> bool {
        self.program.stop()
    }

    /// Waits until it has ended by itself.
    pub fn wait_for_end(&mut self) -> bool {
        until("the engine to end", || {
            (!self.program.is_running()).then_some(())
        })
        .is_some()
    }

    /// Waits until it has ended by itself; its exit code.
    pub fn end(&mut self) -> Option<i32> {
        self.program.end()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.program.is_running()
    }

    /// Starts it again on the same database and address.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> io::Result<()> {
        self.program.kill();
        let (dir, listen) = (self.dir.clone(), self.listen.clone());
        let environment = std::mem::take(&mut self.environment);
        *self = Self::start_at(&dir, &listen, environment)?;
        Ok(())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.program.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("engine.log")).unwrap_or_default()
    }
}

/// A merchant and who boarded it.
#[derive(Debug)]
pub struct Boarded {
    /// The POS system's client.
    pub pos: Api,
    /// The partner.
    pub partner_id: String,
    /// The merchant.
    pub merchant_id: String,
}

/// Reader and printer as a process.
#[derive(Debug)]
pub struct Devices {
    /// Their directory.
    pub dir: PathBuf,
    program: Program,
}

impl Devices {
    /// Plugs the devices in.
    ///
    /// # Errors
    /// When they do not start.
    pub fn start(dir: &Path, is_instant: bool) -> io::Result<Self> {
        Self::start_with(dir, is_instant, &[])
    }

    /// Plugs devices in whose reader encrypts in this way, a word of `firmware-sim --encryption`.
    ///
    /// # Errors
    /// When they do not start.
    pub fn start_encrypting(dir: &Path, is_instant: bool, encryption: &str) -> io::Result<Self> {
        Self::start_with(dir, is_instant, &["--encryption", encryption])
    }

    /// Plugs devices in whose reader has no keys: it would give out card data in clear.
    ///
    /// # Errors
    /// When they do not start.
    pub fn start_without_keys(dir: &Path) -> io::Result<Self> {
        Self::start_with(dir, true, &["--without-keys"])
    }

    /// As [`Devices::start`], with more arguments of the simulator's command `run`.
    ///
    /// # Errors
    /// When they do not start.
    pub fn start_with(dir: &Path, is_instant: bool, more: &[&str]) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = dir.display().to_string();
        let mut arguments = vec!["run", "--dir", &path];
        arguments.extend(more);
        if is_instant {
            arguments.push("--instant");
        }
        // A killed simulator leaves its socket behind.
        fs::remove_file(dir.join("control.sock")).ok();
        let program = Program::start("firmware-sim", &arguments, &dir.join("devices.log"))?;
        let socket = dir.join("control.sock");
        until("the devices", || socket.exists().then_some(())).ok_or(io::ErrorKind::TimedOut)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            program,
        })
    }

    /// Pulls both cables.
    pub fn unplug(&mut self) {
        self.program.kill();
    }

    /// Asks the simulator to end; true when it did so cleanly.
    pub fn stop(&mut self) -> bool {
        self.program.stop()
    }

    /// Tells the devices what the hands do.
    ///
    /// # Errors
    /// When they refuse.
    pub fn hands(&self, request: &ControlRequest) -> io::Result<Value> {
        let answer = control::ask(&self.dir.join("control.sock"), request)?;
        if answer["ok"] == json!(true) {
            Ok(answer["status"].clone())
        } else {
            Err(io::Error::other(answer["error"].to_string()))
        }
    }

    /// Presents a card: `way` is tap, insert or swipe.
    ///
    /// # Errors
    /// When there is no such card.
    pub fn present(&self, card: &str, way: &str) -> io::Result<()> {
        let request = ControlRequest::new("reader", "present")
            .with("card", card)
            .with("way", way);
        self.hands(&request).map(drop)
    }

    /// Takes an inserted card out.
    pub fn remove_card(&self) {
        self.hands(&ControlRequest::new("reader", "remove")).ok();
    }

    /// Does something to the printer.
    ///
    /// # Errors
    /// When it does not know what.
    pub fn printer(&self, command: &str) -> io::Result<()> {
        self.hands(&ControlRequest::new("printer", command))
            .map(drop)
    }

    /// What the devices are busy with.
    pub fn status(&self) -> Value {
        self.hands(&ControlRequest::new("all", "status"))
            .unwrap_or(Value::Null)
    }

    /// Waits until the reader waits for a card.
    pub fn wait_for_reader(&self) -> bool {
        self.wait_for_phase("polling")
    }

    /// Waits until the reader waits for a card in the slot, or for any card.
    pub fn wait_for_slot(&self) -> bool {
        until("the reader to wait for a chip", || {
            let status = self.status();
            let phase = status["reader"]["phase"].as_str().unwrap_or_default();
            matches!(phase, "polling" | "inserting").then_some(())
        })
        .is_some()
    }

    /// Waits until the reader has nothing to do: a card presented before that would be read for
    /// the transaction that is being stopped.
    pub fn wait_until_idle(&self) -> bool {
        self.wait_for_phase("idle")
    }

    fn wait_for_phase(&self, phase: &str) -> bool {
        until(&format!("the reader to be {phase}"), || {
            (self.status()["reader"]["phase"] == json!(phase)).then_some(())
        })
        .is_some()
    }

    /// The text of the paper number `number`, counted from 1, once it has come out.
    pub fn paper(&self, number: usize) -> Option<String> {
        let path = self.dir.join("paper").join(format!("{number:04}.txt"));
        until("paper", || fs::read_to_string(&path).ok())
    }

    /// How many pieces of paper have come out.
    pub fn papers(&self) -> usize {
        let entries = fs::read_dir(self.dir.join("paper"))
            .into_iter()
            .flatten()
            .flatten();
        entries
            .filter(|entry| entry.path().extension().is_some_and(|e| e == "txt"))
            .count()
    }

    /// Bytes or commands that the printer did not understand.
    pub fn violations(&self) -> u64 {
        self.status()["printer"]["violations"]
            .as_u64()
            .unwrap_or(u64::MAX)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.program.id()
    }
}

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

/// One more checkout: devices, a paired agent, and its place in the engine.
#[derive(Debug)]
pub struct Lane {
    /// Reader and printer.
    pub devices: Devices,
    /// The agent.
    pub till: Till,
    /// The till as the API sees it.
    pub terminal_id: String,
}

impl Lane {
    /// Opens a lane of the merchant whose client `pos` is: paired, linked and ready.
    ///
    /// # Errors
    /// When a part does not start.
    pub fn open(dir: &Path, pos: &Api, label: &str, log_filter: Option<&str>) -> io::Result<Self> {
        let devices = Devices::start(&dir.join("devices"), true)?;
        let mut till = Till::install(&dir.join("till"), pos.base(), &devices.dir)?;
        till.log_filter = log_filter.map(str::to_owned);
        Self::equip(devices, till, pos, label)
    }

    /// Opens a lane with devices that are plugged in and an agent that is installed.
    ///
    /// # Errors
    /// When the agent does not start.
    pub fn equip(devices: Devices, mut till: Till, pos: &Api, label: &str) -> io::Result<Self> {
        let terminal_id = till.open(pos, label)?;
        Ok(Self {
            devices,
            till,
            terminal_id,
        })
    }
}

fn pairing_code(pos: &Api, terminal_id: &str) -> Answer {
    let path = format!("/v1/terminals/{terminal_id}/pairing-codes");
    pos.post(&path, &json!({}))
}

/// Waits until the engine sees a till with a ready reader.
pub fn is_ready(pos: &Api, terminal_id: &str) -> bool {
    let path = format!("/v1/terminals/{terminal_id}/status");
    until("the till to be ready", || {
        let status = pos.get(&path);
        let data = status.data();
        let is_ready =
            data["availability"] == json!("ready") && data["reader"]["state"] == json!("ready");
        is_ready.then_some(())
    })
    .is_some()
}

/// A shop in a directory.
#[derive(Debug)]
pub struct Shop {
    /// The engine.
    pub engine: Engine,
    /// Reader and printer.
    pub devices: Devices,
    /// The agent.
    pub till: Till,
    /// The POS system's client.
    pub pos: Api,
    /// The partner that boarded the merchant.
    pub partner_id: String,
    /// The merchant.
    pub merchant_id: String,
    /// The till as the API sees it.
    pub terminal_id: String,
}

impl Shop {
    /// Opens a shop: everything is boarded, paired, linked and ready.
    ///
    /// # Errors
    /// When a part does not start.
    pub fn open(dir: &Path) -> io::Result<Self> {
        Self::open_logging(dir, None)
    }

    /// Opens a shop whose engine and agent log what this filter lets through.
    ///
    /// # Errors
    /// When a part does not start.
    pub fn open_logging(dir: &Path, log_filter: Option<&str>) -> io::Result<Self> {
        let engine = Engine::start_logging(&dir.join("engine"), log_filter)?;
        let boarded = engine.board();
        let lane = Lane::open(dir, &boarded.pos, "Lane 1", log_filter)?;
        Ok(Self {
            engine,
            devices: lane.devices,
            till: lane.till,
            pos: boarded.pos,
            partner_id: boarded.partner_id,
            merchant_id: boarded.merchant_id,
            terminal_id: lane.terminal_id,
        })
    }

    /// A fresh pairing code for the till.
    pub fn pairing_code(&self) -> String {
        self.pairing_answer().field("code").to_owned()
    }

    /// What a technician is told who asks for a pairing code.
    pub fn pairing_answer(&self) -> Answer {
        pairing_code(&self.pos, &self.terminal_id)
    }

    /// Waits until the engine sees the till with a ready reader.
    pub fn wait_until_ready(&self) -> bool {
        is_ready(&self.pos, &self.terminal_id)
    }

    /// The body of a sale on this till.
    pub fn sale(&self, amount: i64) -> Value {
        json!({
            "terminal_id": self.terminal_id,
            "type": "sale",
            "amount": amount,
            "currency": "USD",
        })
    }

    /// Starts a sale.
    pub fn start_sale(&self, amount: i64) -> Answer {
        self.pos.post("/v1/pos/transactions", &self.sale(amount))
    }

    /// Waits for the end of a POS transaction.
    pub fn end_of(&self, pos_id: &str) -> Answer {
        let path = format!("/v1/pos/transactions/{pos_id}?wait_s=30");
        let mut answer = self.pos.get(&path);
        for _ in 0..3 {
            let status = answer.field("status");
            if answer.status == 200 && status != "in_progress" && status != "in_doubt" {
                break;
            }
            answer = self.pos.get(&path);
        }
        answer
    }

    /// A whole sale with one tap; gives its end.
    ///
    /// # Errors
    /// When the card cannot be presented.
    pub fn tap_sale(&self, amount: i64, card: &str) -> io::Result<Answer> {
        self.devices.wait_until_idle();
        let started = self.start_sale(amount);
        if started.status != 201 {
            return Ok(started);
        }
        self.devices.wait_for_reader();
        self.devices.present(card, "tap")?;
        Ok(self.end_of(started.field("id")))
    }
}

/// A merchant to board.
pub fn merchant_body(partner_id: &str) -> Value {
    json!({
        "partner_id": partner_id,
        "name": "Corner Coffee",
        "address": ["12 High Street", "Springfield"],
        "phone": "+1 555 0100",
        "currencies": ["USD", "EUR"],
        "utc_offset_minutes": -300,
    })
}

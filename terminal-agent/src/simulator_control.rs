//! Passes faults that were asked for in test mode to the simulator of the devices.
//!
//! Only where the configuration names its control socket: a till with real devices has no such
//! section, says so in its hello, and is never asked. Knows the socket's lines (one JSON object
//! each way), not what the commands mean.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use protocol::link::{SimulatorCommand, ToEngine};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

/// How long a command may take, the wait for the reader's phase included. Below the engine's
/// patience with a silent link by far.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks at the reader's phase: the simulator answers, and reports nothing by itself.
const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// Longest answer: a status has less than 2 KiB.
const LINE_BYTES_MAX: u64 = 8 * 1024;

/// The devices are not simulated.
const NOT_SUPPORTED: &str = "not_supported";
/// The simulator did not answer, or the reader did not come as far as was waited for.
const TIMED_OUT: &str = "timed_out";

/// The simulator of this till's devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulator {
    socket: PathBuf,
}

#[derive(Serialize)]
struct Request<'a> {
    device: &'a str,
    command: &'a str,
    arguments: &'a BTreeMap<String, String>,
}

/// What is used of an answer.
#[derive(Deserialize)]
struct Reply {
    ok: bool,
    error: Option<String>,
    status: Option<Devices>,
}

#[derive(Deserialize)]
struct Devices {
    reader: Option<Device>,
}

#[derive(Deserialize)]
struct Device {
    phase: String,
}

impl Simulator {
    /// The simulator that listens on `socket`.
    pub const fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    async fn carry_out(&self, command: &SimulatorCommand) -> io::Result<Reply> {
        let mut stream = BufReader::new(UnixStream::connect(&self.socket).await?);
        while !command.wait_for.is_empty() {
            let reply = ask(&mut stream, "all", "status", &BTreeMap::new()).await?;
            let phase = reply.status.and_then(|devices| devices.reader);
            if phase.is_some_and(|reader| command.wait_for.contains(&reader.phase)) {
                break;
            }
            sleep(LOOK_PAUSE).await;
        }
        let arguments = command.arguments.iter().cloned().collect();
        ask(&mut stream, &command.device, &command.command, &arguments).await
    }
}

async fn ask(
    stream: &mut BufReader<UnixStream>,
    device: &str,
    command: &str,
    arguments: &BTreeMap<String, String>,
) -> io::Result<Reply> {
    let request = Request {
        device,
        command,
        arguments,
    };
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = String::new();
    stream.take(LINE_BYTES_MAX).read_line(&mut answer).await?;
    Ok(serde_json::from_str(&answer)?)
}

/// Carries a command out and gives what the engine is told.
pub async fn simulate(simulator: Option<&Simulator>, command: &SimulatorCommand) -> ToEngine {
    let refusal = match simulator {
        None => Some(NOT_SUPPORTED.to_owned()),
        Some(simulator) => match timeout(COMMAND_TIMEOUT, simulator.carry_out(command)).await {
            Ok(Ok(Reply { ok: true, .. })) => None,
            Ok(Ok(reply)) => Some(reply.error.unwrap_or_default()),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(TIMED_OUT.to_owned()),
        },
    };
    tracing::info!(
        fault_id = %command.fault_id,
        device = command.device,
        command = command.command,
        refusal,
        "device fault"
    );
    ToEngine::Simulated {
        fault_id: command.fault_id,
        refusal,
    }
}

#[cfg(test)]
mod tests {
    use protocol::id::FaultId;
    use tokio::net::UnixListener;
    use uuid::Uuid;

    use super::*;

    fn command(wait_for: &[&str]) -> SimulatorCommand {
        SimulatorCommand {
            fault_id: FaultId::from_uuid(Uuid::from_u128(1)),
            device: "reader".to_owned(),
            command: "present".to_owned(),
            arguments: [("card".to_owned(), "visa".to_owned())].into(),
            wait_for: wait_for.iter().map(|&phase| phase.to_owned()).collect(),
        }
    }

    /// A simulator that gives these answers; gives the lines that it was asked.
    async fn against(answers: &[&str], wait_for: &[&str]) -> (Option<String>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("control.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let simulator = Simulator::new(socket);
        let wanted = command(wait_for);
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut lines = Vec::new();
            for answer in answers {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                lines.push(line.trim().to_owned());
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.write_all(b"\n").await.unwrap();
            }
            lines
        };
        let (told, lines) = tokio::join!(simulate(Some(&simulator), &wanted), serve);
        let ToEngine::Simulated { fault_id, refusal } = told else {
            panic!("{told:?}");
        };
        assert_eq!(fault_id, wanted.fault_id);
        (refusal, lines)
    }

    const PRESENT: &str = r#"{"device":"reader","command":"present","arguments":{"card":"visa"}}"#;
    const STATUS: &str = r#"{"device":"all","command":"status","arguments":{}}"#;

    #[tokio::test]
    async fn a_command_is_passed_on_and_its_refusal_back() {
        let (refusal, lines) = against(&[r#"{"ok":true}"#], &[]).await;
        assert_eq!((refusal, lines), (None, vec![PRESENT.to_owned()]));
        let answer = r#"{"ok":false,"error":"no card \"visa\""}"#;
        let (refusal, _) = against(&[answer], &[]).await;
        assert_eq!(refusal.as_deref(), Some("no card \"visa\""));
    }

    #[tokio::test]
    async fn a_phase_is_waited_for() {
        let status =
            |phase| format!(r#"{{"ok":true,"status":{{"reader":{{"phase":"{phase}"}}}}}}"#);
        let (idle, polling) = (status("idle"), status("polling"));
        let answers = [idle.as_str(), &polling, r#"{"ok":true}"#];
        let (refusal, lines) = against(&answers, &["polling"]).await;
        assert_eq!(refusal, None);
        assert_eq!(lines, [STATUS, STATUS, PRESENT]);
    }

    #[tokio::test]
    async fn a_till_with_real_devices_refuses() {
        let told = simulate(None, &command(&[])).await;
        let refusal = Some(NOT_SUPPORTED.to_owned());
        let fault_id = command(&[]).fault_id;
        assert_eq!(told, ToEngine::Simulated { fault_id, refusal });
        let nobody = Simulator::new(PathBuf::from("/nonexistent/control.sock"));
        let told = simulate(Some(&nobody), &command(&[])).await;
        assert!(matches!(
            told,
            ToEngine::Simulated {
                refusal: Some(_),
                ..
            }
        ));
    }
}

//! The loop with a real pseudo-terminal and a real socket.

use super::*;
use crate::device::ReaderDevice;
use crate::reader::{Reader, ReaderConfig, Timing};
use protocol::money::Money;
use protocol::reader::command::{self, Activate, Interfaces};
use protocol::reader::frame::{Response, ResponseDecoder};
use std::io::{Read, Write};

fn reader() -> Plugged {
    let mut config = ReaderConfig::demo();
    config.timing = Timing::INSTANT;
    config.quirks.interface_events = false;
    config.quirks.polls_at_power_on = false;
    Plugged {
        name: "reader",
        device: Box::new(ReaderDevice::new(Reader::new(config, 0), None)),
        reach: Reach::default(),
    }
}

/// Blocks until one frame has come.
fn next_frame(host: &mut fs::File, decoder: &mut ResponseDecoder) -> Response {
    let mut buffer = [0; 256];
    loop {
        let count = host.read(&mut buffer).unwrap();
        if let Some(response) = decoder.decode(&buffer[..count]).pop() {
            return response;
        }
    }
}

/// The host's and the hands' part, on a thread of its own.
fn use_the_reader(dir: &Path) {
    let mut host = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(dir.join("reader.pty"))
        .unwrap();
    let mut decoder = ResponseDecoder::default();
    assert_eq!(next_frame(&mut host, &mut decoder).cmd(), 0x14);
    host.write_all(&command::ping().encode()).unwrap();
    assert_eq!(next_frame(&mut host, &mut decoder), Response::bare(0x18, 0));
    let activate = command::activate(Activate {
        amount: Money::new(500, "USD".parse().unwrap()),
        timeout_s: 60,
        interfaces: Interfaces::ALL,
        next_command_s: 60,
    });
    host.write_all(&activate.unwrap().encode()).unwrap();
    assert_eq!(next_frame(&mut host, &mut decoder).status(), 0x23);

    let socket = control_socket(dir);
    let ask = |request: &ControlRequest| control::ask(&socket, request).unwrap();
    let status = ask(&ControlRequest::new("all", "status"));
    assert_eq!(status["status"]["reader"]["phase"], "idle");
    let refused = ask(&ControlRequest::new("toaster", "toast"));
    assert_eq!(refused["error"], "no device \"toaster\"");
    let insert = ControlRequest::new("reader", "present")
        .with("card", "visa")
        .with("way", "insert");
    assert_eq!(ask(&insert)["ok"], true);
    let status = ask(&ControlRequest::new("all", "status"));
    assert_eq!(status["status"]["reader"]["inserted"], "visa");

    for _ in 0..2 {
        let cable = |command| ask(&ControlRequest::new("reader", command));
        assert_eq!(cable("unplug")["ok"], true);
        // Between the two the host's end hangs up: nothing, or an error, is read.
        let mut rest = Vec::new();
        host.read_to_end(&mut rest).ok();
        assert!(!dir.join("reader.pty").exists());
        assert_eq!(cable("plug-in")["ok"], true);
        host = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(dir.join("reader.pty"))
            .unwrap();
        host.write_all(&command::ping().encode()).unwrap();
        while next_frame(&mut host, &mut decoder) != Response::bare(0x18, 0) {}
    }

    let mut raw = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    raw.write_all(&vec![b'x'; control::LINE_LENGTH_MAX])
        .unwrap();
    let mut answer = String::new();
    raw.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("longer than"), "{answer}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_card_is_read_over_the_pseudo_terminal_and_the_socket() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::parse("when polling: tap visa").unwrap();
    let path = dir.path().to_owned();
    let running = run(&path, vec![reader()], script, Clock::start());
    let host_path = path.clone();
    let host = async {
        while !control_socket(&host_path).exists() {
            tokio::task::yield_now().await;
        }
        let path = host_path.clone();
        tokio::task::spawn_blocking(move || use_the_reader(&path))
            .await
            .unwrap();
    };
    tokio::select! {
        ended = running => panic!("loop ended: {ended:?}"),
        () = host => {}
    }
    assert!(!control_socket(&path).exists());
}

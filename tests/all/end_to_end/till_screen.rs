//! The cashier's screen on a pseudo-terminal: line mode and full screen, with the real agent.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use firmware_sim::device::ControlRequest;
use harness::programs::{Signal, signal};
use harness::shop::{Shop, Till};
use harness::wait::until;
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::json;

use super::{Lane, attempts, begin_sale};
use crate::check::directory;

/// A window of a terminal with a program in it.
struct Window {
    child: Child,
    keys: File,
    slave: OwnedFd,
    output: Arc<Mutex<Vec<u8>>>,
}

const SIZE: (u16, u16) = (24, 80);

/// Both ends of a terminal.
fn terminal() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
    let size = Winsize {
        ws_row: SIZE.0,
        ws_col: SIZE.1,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&slave, size).unwrap();
    (master, slave)
}

impl Window {
    fn open(till: &Till, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let (master, slave) = terminal();
        let end = || Stdio::from(slave.try_clone().unwrap());
        let mut command = till.spawnable(&[&["till"], arguments].concat());
        command.env_remove("NO_COLOR").env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        harness::reaper::note(child.id());
        let master = File::from(master);
        let output = Arc::new(Mutex::new(Vec::new()));
        let (mut reading, written) = (master.try_clone().unwrap(), output.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reading.read(&mut buffer) {
                written.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self {
            child,
            keys: master,
            slave,
            output,
        }
    }

    fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Everything that was written.
    fn written(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    /// What a person sees.
    fn seen(&self) -> String {
        let mut parser = vt100::Parser::new(SIZE.0, SIZE.1, 0);
        parser.process(&self.output.lock().unwrap());
        parser.screen().contents()
    }

    /// Waits until these words are seen.
    fn see(&self, words: &str) {
        let seen = until(&format!("the window to say {words:?}"), || {
            self.seen().contains(words).then_some(())
        });
        assert!(seen.is_some(), "{words:?} is not in\n{}", self.seen());
    }

    /// Waits until a line with these words has come after what was read before.
    fn read(&self, from: &mut usize, words: &str) {
        let found = until(&format!("the line {words:?}"), || {
            let text = self.written();
            text.get(*from..)
                .and_then(|rest| rest.find(words))
                .map(|place| *from + place + words.len())
        });
        *from = found.unwrap_or_else(|| panic!("{words:?} is not in\n{}", self.written()));
    }

    /// Waits for the end; exit code.
    fn end(&mut self) -> Option<i32> {
        let status = until("the till screen to end", || self.child.try_wait().unwrap());
        harness::reaper::forget(self.child.id());
        status.and_then(|status| status.code())
    }

    fn is_in_raw_mode(&self) -> bool {
        let attributes = tcgetattr(&self.slave).unwrap();
        !attributes.local_modes.contains(LocalModes::ICANON)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_sale_line_by_line() {
    let lane = Lane::take();
    let mut window = Window::open(&lane.till, &["--plain", "--currency", "USD"], &[]);
    let mut at = 0;
    window.read(&mut at, "engine: online | reader: ready");
    window.keys("45.00\n");
    window.read(&mut at, "== AMOUNT: USD 45.00");
    window.keys("\n");
    window.read(&mut at, "== STARTING: USD 45.00");
    window.read(&mut at, "== PRESENT CARD: USD 45.00");
    // What was pressed too often starts nothing.
    window.keys("\n\n");
    assert!(lane.devices.wait_for_reader());
    lane.devices.present("visa", "tap").unwrap();
    window.read(&mut at, "== APPROVED: USD 45.00");
    let list = lane.pos.get("/v1/pos/transactions?limit=1");
    let sale = &list.data()["items"][0];
    assert_eq!(
        (&sale["amount"], &sale["status"], &sale["origin"]),
        (&json!(4_500), &json!("approved"), &json!("till")),
        "{sale}"
    );

    window.keys("tip\n");
    window.read(&mut at, "== NEW TIP");
    window.keys("5.00\n\n");
    window.read(&mut at, "the total USD 50.00");
    let papers = lane.devices.papers();
    window.keys("print\n");
    window.read(&mut at, "The receipt is being printed.");
    assert!(lane.devices.paper(papers + 1).is_some());
    window.keys("void\n");
    window.read(&mut at, "== UNDO THIS SALE?: USD 50.00");
    window.keys("yes\n");
    window.read(&mut at, "** Undone");
    window.keys("back\n");
    window.read(&mut at, "1) USD 50.00  UNDONE (tip 5.00)  just now");

    window.keys("back\nquit\n");
    assert_eq!(window.end(), Some(0));
    assert!(!window.written().contains('\x1b'), "{}", window.written());
}

/// A reader that lets the stripe of a chip card through, and hides its service code: only the
/// acquirer sees it. Without a currency in the arguments: the engine says it.
#[test]
fn a_swiped_chip_card_is_to_be_inserted_and_everybody_says_so() {
    let shop = Shop::open(&directory("use-chip")).unwrap();
    let quirk = ControlRequest::new("reader", "quirk")
        .with("name", "refuses-early-swipe")
        .with("setting", "off");
    shop.devices.hands(&quirk).unwrap();
    let mut window = Window::open(&shop.till, &["--plain"], &[]);
    let mut at = 0;
    window.read(&mut at, "== AMOUNT: USD 0.00");
    let shows_use_chip = || {
        let shown = until("the reader's display to ask for the chip", || {
            (shop.devices.status()["reader"]["message"] == 8).then_some(())
        });
        assert!(shown.is_some(), "{}", shop.devices.status());
    };

    let pos_id = begin_sale(&shop, 3_200);
    shop.devices.present("visa", "swipe").unwrap();
    window.read(&mut at, "== DECLINED: USD 32.00");
    window.read(
        &mut at,
        "NOT PAID. This card has a chip: insert it, do not swipe.",
    );
    shows_use_chip();
    window.read(&mut at, "== USE CHIP: USD 32.00");
    assert!(shop.devices.wait_for_reader());
    window.read(&mut at, "insert it, do not swipe.");
    shop.devices.present("visa", "insert").unwrap();
    let end = shop.end_of(&pos_id);
    assert_eq!(end.field("status"), "approved", "{}", end.text);
    assert_eq!(attempts(end.data()), "declined:-, approved:-");
    window.read(&mut at, "== APPROVED: USD 32.00");
    shop.devices.remove_card();
    assert!(shop.devices.wait_until_idle() && shop.wait_until_ready());

    // The command says it, too; here the cashier gives up.
    let mut command = shop
        .till
        .spawnable(&["sale", "--amount", "3300", "--currency", "USD"]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let sale = command.spawn().unwrap();
    harness::reaper::note(sale.id());
    for number in 1..=3 {
        assert!(shop.devices.wait_for_reader(), "swipe {number}");
        shop.devices.present("visa", "swipe").unwrap();
        window.read(&mut at, "== DECLINED: USD 33.00");
    }
    let id = sale.id();
    let output = sale.wait_with_output().unwrap();
    harness::reaper::forget(id);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let words = "This card has a chip: insert it, do not swipe.";
    assert!(
        stderr.contains(&format!("declined try another: {words}")),
        "{stderr}"
    );
    assert!(
        stderr.contains(&format!("present card: {words}")),
        "{stderr}"
    );
    assert!(stdout.contains("NOT PAID (declined) USD 33.00"), "{stdout}");
    assert!(stdout.contains(&format!("what to do: {words}")), "{stdout}");
    assert_eq!(output.status.code(), Some(6));
    window.keys("quit\n");
}

#[test]
fn a_sale_of_the_pos_system_on_the_full_screen() {
    let lane = Lane::take();
    let mut window = Window::open(&lane.till, &["--currency", "USD"], &[]);
    window.see("engine: online | reader: ready");
    assert!(window.is_in_raw_mode());
    let pos_id = begin_sale(&lane, 3_200);
    window.see("PRESENT CARD");
    window.see("USD 32.00");
    window.see("█");
    lane.devices.present("visa", "insert").unwrap();
    window.see("APPROVED");
    assert_eq!(lane.end_of(&pos_id).field("status"), "approved");
    lane.devices.remove_card();
    lane.devices.printer("paper-out").unwrap();
    window.see("NO PAPER: put in a new roll");
    lane.devices.printer("paper-in").unwrap();
    window.keys("\r");
    window.see("Type the amount");

    assert!(lane.devices.wait_until_idle() && lane.wait_until_ready());
    window.keys("1250\r");
    window.see("PRESENT CARD");
    window.see("USD 12.50");
    window.keys("c");
    window.see("CANCELED");
    window.see("NOT PAID");
    window.keys("\r");
    window.see("Type the amount");
    window.keys("q");
    assert_eq!(window.end(), Some(0));
    assert!(!window.is_in_raw_mode());
    // The program's last words are still on their way when it has ended.
    let is_left = until("the screen to be given back", || {
        let written = window.written();
        let is_given_back = written.ends_with("\x1b[?25h") || written.contains("\x1b[?1049l");
        is_given_back.then_some(())
    });
    assert!(is_left.is_some(), "{:?}", window.written());
}

// Nobody is told by a signal: the screen is not the leader of the terminal's session.
#[test]
fn a_terminal_that_is_gone_ends_the_screen() {
    let lane = Lane::take();
    let (master, slave) = terminal();
    let mut command = lane.till.spawnable(&["till", "--currency", "USD"]);
    command.env("TERM", "xterm-256color");
    let end = || Stdio::from(slave.try_clone().unwrap());
    let child = command.stdin(end()).stdout(end()).stderr(end()).spawn();
    let mut child = child.unwrap();
    harness::reaper::note(child.id());
    drop((slave, command));
    let mut master = File::from(master);
    let mut screen = vt100::Parser::new(SIZE.0, SIZE.1, 0);
    let mut buffer = [0; 4096];
    while !screen.screen().contents().contains("engine: online") {
        let count = master.read(&mut buffer).unwrap();
        screen.process(&buffer[..count]);
    }
    drop(master);
    let ended = until("the screen to end", || child.try_wait().unwrap());
    let ended = ended.expect("it goes on without a terminal");
    assert!(ended.success(), "{ended:?}");
}

#[test]
fn the_terminal_is_given_back_however_the_screen_ends() {
    let lane = Lane::take();
    for (number, exit) in [(Signal::TERM, 0), (Signal::HUP, 0), (Signal::INT, 130)] {
        let environment = [("NO_COLOR", "1"), ("LC_ALL", "C")];
        let mut window = Window::open(&lane.till, &["--currency", "USD"], &environment);
        window.see("engine: online");
        assert!(window.is_in_raw_mode());
        signal(window.child.id(), number);
        assert_eq!(window.end(), Some(exit), "{number:?}");
        assert!(!window.is_in_raw_mode(), "{number:?}");
        let written = window.written();
        assert!(written.contains("\x1b[?1049l"), "{number:?}");
        assert!(written.is_ascii(), "{number:?}");
        let is_coloured = ["\x1b[38;", "\x1b[31m", "\x1b[33m", "\x1b[36m"]
            .iter()
            .any(|colour| written.contains(colour));
        assert!(!is_coloured, "{number:?}");
    }
}

#[test]
fn pipes_end_line_mode_cleanly_and_the_full_screen_wants_a_terminal() {
    let lane = Lane::take();
    let output = lane.till.command(&["till"]).unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("till --plain"), "{said}");

    let run = |stdout: Stdio, input: &[u8]| {
        let mut child = lane
            .till
            .spawnable(&["till", "--plain", "--currency", "USD"])
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input).unwrap();
        (child, stdin)
    };
    // The end of its input is its end.
    let (child, stdin) = run(Stdio::piped(), b"12.50\n\xFF\xFE\n");
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("== AMOUNT: USD 12.50"), "{said}");
    assert!(output.stderr.is_empty(), "{output:?}");

    // Nobody reads it any more.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (child, stdin) = run(writer.into(), b"");
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

//! `terminal-agent till`: the cashier's screen, full screen or line by line.
//!
//! Carries keys and lines to the till machine and its view to the terminal; decides nothing. It is
//! a client of the control socket: it can be closed and opened at any time, and nothing stops.

mod draw;
mod font;
mod full;
mod plain;
mod socket;

use std::path::PathBuf;
use std::time::Duration;

use protocol::money::Currency;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::Clock;
use crate::control::message::{Line, encode_line};
use crate::id_source;
use crate::machine::till::{Input, Key, Output, Till, TillConfig, View};

/// Events that wait for the loop. Sources wait when it is full.
const EVENTS_MAX: usize = 256;
/// How often time is looked at: countdowns show seconds.
const TICK: Duration = Duration::from_millis(250);

/// How the screen is to be.
#[derive(Debug, Clone)]
pub struct TillOptions {
    /// Where the agent's socket is.
    pub state_dir: PathBuf,
    /// The currency of typed amounts.
    pub currency: Option<Currency>,
    /// Whether payers are asked for a tip from the start.
    pub tip_prompt: bool,
    /// Line by line instead of full screen.
    pub is_plain: bool,
}

/// Why there is no screen.
#[derive(Debug, thiserror::Error)]
pub enum TillError {
    /// Full screen needs a terminal.
    #[error(
        "standard input and output are no terminal, which the full screen needs: use `till --plain`"
    )]
    NoTerminal,
    /// The system refuses.
    #[error("failed to {action}")]
    System {
        /// What.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Who ended the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The cashier, the end of the input, or a service manager.
    Quit,
    /// SIGINT or Ctrl-C.
    Interrupted,
}

/// Something that happened outside.
#[derive(Debug)]
enum Event {
    Machine(Input),
    /// The socket is open; lines go in here.
    Opened(mpsc::Sender<String>),
    /// The window has another size.
    Resized,
    /// Ctrl-C.
    Interrupt,
    /// Nobody types any more, or the terminal is gone.
    EndOfInput,
}

/// What shows a view.
trait Surface {
    /// Shows it.
    ///
    /// # Errors
    /// The terminal or the reader of the lines is gone.
    fn show(&mut self, view: &View) -> std::io::Result<()>;

    /// Whether anybody can still see it, as far as that can be asked.
    ///
    /// # Errors
    /// The terminal is gone.
    fn check(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Shows the screen until somebody ends it.
///
/// # Errors
/// [`TillError`].
pub fn run(options: &TillOptions) -> Result<Left, TillError> {
    let system = |action| move |source| TillError::System { action, source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start the runtime"))?;
    let (events_tx, events) = mpsc::channel(EVENTS_MAX);
    if options.is_plain {
        plain::spawn_input(events_tx.clone()).map_err(system("read standard input"))?;
        let mut surface = plain::Plain::new(std::io::stdout());
        runtime.block_on(turn(options, &mut surface, &events_tx, events))
    } else {
        let mut surface = full::Full::open()?;
        full::spawn_input(events_tx.clone()).map_err(system("read the keyboard"))?;
        runtime.block_on(turn(options, &mut surface, &events_tx, events))
    }
}

async fn turn(
    options: &TillOptions,
    surface: &mut dyn Surface,
    events_tx: &mpsc::Sender<Event>,
    mut events: mpsc::Receiver<Event>,
) -> Result<Left, TillError> {
    let listen = |kind| {
        signal(kind).map_err(|source| TillError::System {
            action: "listen for signals",
            source,
        })
    };
    let mut terminated = listen(SignalKind::terminate())?;
    let mut hung_up = listen(SignalKind::hangup())?;
    let mut interrupted = listen(SignalKind::interrupt())?;
    tokio::spawn(socket::run(options.state_dir.clone(), events_tx.clone()));
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut desk = Desk::new(options);
    loop {
        // A terminal that is gone is the end, and no failure: nothing runs in here.
        if desk.show(surface).is_err() {
            return Ok(Left::Quit);
        }
        let event = tokio::select! {
            event = events.recv() => event.unwrap_or(Event::EndOfInput),
            _ = ticks.tick() => Event::Machine(Input::Tick),
            _ = terminated.recv() => return Ok(Left::Quit),
            _ = hung_up.recv() => return Ok(Left::Quit),
            _ = interrupted.recv() => return Ok(Left::Interrupted),
        };
        match event {
            Event::EndOfInput => {
                drop(desk.show(surface));
                return Ok(Left::Quit);
            }
            Event::Interrupt => return Ok(Left::Interrupted),
            event => {
                if desk.event(event) {
                    return Ok(Left::Quit);
                }
            }
        }
    }
}

/// The machine and its way to the agent.
struct Desk {
    clock: Clock,
    till: Till,
    lines: Option<mpsc::Sender<String>>,
    shown: Option<View>,
}

impl Desk {
    fn new(options: &TillOptions) -> Self {
        Self {
            clock: Clock::start(),
            till: Till::new(TillConfig {
                currency: options.currency,
                tip_prompt: options.tip_prompt,
            }),
            lines: None,
            shown: None,
        }
    }

    fn show(&mut self, surface: &mut dyn Surface) -> std::io::Result<()> {
        let view = self.till.view(self.clock.now_ms());
        if self.shown.as_ref() != Some(&view) {
            surface.show(&view)?;
            self.shown = Some(view);
        }
        surface.check()
    }

    /// Takes in what happened; true when the screen is to end.
    fn event(&mut self, event: Event) -> bool {
        match event {
            Event::Opened(lines) => {
                self.lines = Some(lines);
                self.input(Input::Connected)
            }
            Event::Machine(input) => {
                if matches!(input, Input::Absent(_)) {
                    self.lines = None;
                }
                self.input(input)
            }
            Event::Resized => {
                self.shown = None;
                false
            }
            Event::Interrupt | Event::EndOfInput => true,
        }
    }

    fn input(&mut self, input: Input) -> bool {
        let mut out = Vec::new();
        let fresh = id_source::request_id();
        self.till
            .handle(self.clock.now_ms(), fresh, input, &mut out);
        let mut is_end = false;
        for output in out {
            match output {
                Output::Say(line) => self.say(&line),
                Output::Quit => is_end = true,
            }
        }
        is_end
    }

    /// A socket that does not take its lines is given up; its task connects again.
    fn say(&mut self, line: &Line) {
        let is_taken = self
            .lines
            .as_ref()
            .is_some_and(|lines| lines.try_send(encode_line(line)).is_ok());
        if !is_taken {
            self.lines = None;
        }
    }
}

/// A key of the keyboard as the machine knows it.
const fn key(input: Key) -> Event {
    Event::Machine(Input::Key(input))
}

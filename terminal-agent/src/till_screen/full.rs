//! Full screen: the terminal is taken over and given back, however the program ends.

use std::io::{self, IsTerminal};
use std::mem::ManuallyDrop;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{
    self, Event as TerminalEvent, KeyCode, KeyEventKind, KeyModifiers,
};
use tokio::sync::mpsc;

use super::draw::{Looks, draw};
use super::{Event, Surface, TillError, key};
use crate::machine::till::{Key, View};

/// A terminal that is taken over until this is dropped.
pub(super) struct Full {
    /// Never dropped: its own end says on standard error what does not work, and where that is the
    /// terminal that is gone, it panics.
    terminal: ManuallyDrop<DefaultTerminal>,
    looks: Looks,
}

impl Full {
    /// Takes the terminal over. A panic gives it back, too.
    pub(super) fn open() -> Result<Self, TillError> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(TillError::NoTerminal);
        }
        let terminal = ratatui::try_init().map_err(|source| {
            // Half of it may have been done.
            drop(ratatui::try_restore());
            TillError::System {
                action: "take over the terminal",
                source,
            }
        })?;
        Ok(Self {
            terminal: ManuallyDrop::new(terminal),
            looks: looks(|name| std::env::var(name).ok()),
        })
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        drop(self.terminal.show_cursor());
        drop(ratatui::try_restore());
    }
}

impl Surface for Full {
    fn show(&mut self, view: &View) -> io::Result<()> {
        let looks = self.looks;
        self.terminal
            .draw(|frame| draw(frame, view, looks))
            .map(drop)
    }

    /// An unchanged view writes nothing, and the keyboard's thread never learns that a terminal is
    /// gone: it would go on asking one without a pause.
    fn check(&self) -> io::Result<()> {
        rustix::termios::tcgetwinsize(io::stdout())?;
        Ok(())
    }
}

/// What the environment says the terminal can do: <https://no-color.org>, and POSIX's order of the
/// locale variables.
fn looks(variable: impl Fn(&str) -> Option<String>) -> Looks {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let locale = set("LC_ALL")
        .or_else(|| set("LC_CTYPE"))
        .or_else(|| set("LANG"))
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is_dumb = set("TERM").is_none_or(|term| term == "dumb" || term.starts_with("vt1"));
    Looks {
        has_colour: set("NO_COLOR").is_none() && !is_dumb,
        is_unicode: locale.contains("utf-8") || locale.contains("utf8"),
    }
}

/// Reads keys until the terminal is gone.
pub(super) fn spawn_input(events: mpsc::Sender<Event>) -> io::Result<()> {
    std::thread::Builder::new()
        .name("keyboard".to_owned())
        .spawn(move || {
            while let Ok(read) = event::read() {
                let Some(event) = translate(&read) else {
                    continue;
                };
                if events.blocking_send(event).is_err() {
                    return;
                }
            }
            drop(events.blocking_send(Event::EndOfInput));
        })
        .map(drop)
}

fn translate(read: &TerminalEvent) -> Option<Event> {
    let pressed = match read {
        TerminalEvent::Resize(..) => return Some(Event::Resized),
        TerminalEvent::Key(pressed) if pressed.kind == KeyEventKind::Press => pressed,
        _ => return None,
    };
    let has_control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    Some(match pressed.code {
        KeyCode::Char('c') if has_control => Event::Interrupt,
        KeyCode::Char('l') if has_control => Event::Resized,
        KeyCode::Char(_) if has_control || pressed.modifiers.contains(KeyModifiers::ALT) => {
            return None;
        }
        KeyCode::Char(letter) => key(Key::Char(letter)),
        KeyCode::Enter => key(Key::Enter),
        KeyCode::Backspace | KeyCode::Delete => key(Key::Backspace),
        KeyCode::Esc => key(Key::Escape),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_what_the_terminal_can_do() {
        for (variables, has_colour, is_unicode) in [
            (
                &[("TERM", "xterm"), ("LANG", "en_US.UTF-8")][..],
                true,
                true,
            ),
            (&[("TERM", "xterm"), ("LANG", "C")], true, false),
            (
                &[("TERM", "xterm"), ("LANG", "C.utf8"), ("NO_COLOR", "1")],
                false,
                true,
            ),
            (
                &[
                    ("TERM", "xterm"),
                    ("LC_ALL", "POSIX"),
                    ("LANG", "de_DE.UTF-8"),
                ],
                true,
                false,
            ),
            (&[("TERM", "xterm"), ("NO_COLOR", "")], true, false),
            (&[("TERM", "vt100")], false, false),
            (&[], false, false),
        ] {
            let find = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let expected = Looks {
                has_colour,
                is_unicode,
            };
            assert_eq!(looks(find), expected, "{variables:?}");
        }
    }
}

//! The shell's end of the link: what it reports, and where commands go. Never waits for it.

use tokio::sync::mpsc;

use super::Shell;
use crate::clock::Clock;
use crate::control::message::{AnswerError, WatchEvent};
use crate::link::{LinkCommand, LinkEvent};
use crate::machine::agent::Input;

impl Shell {
    pub(super) fn link_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Connecting { version, commands } => {
                self.link.next = Some(commands);
                self.link.owed_hellos = self.link.owed_hellos.saturating_add(1);
                self.process.link.version = Some(version);
                self.pump(Input::LinkConnecting { version });
            }
            LinkEvent::Up(welcome) => {
                tracing::info!(epoch = welcome.epoch, label = welcome.label, "link up");
                self.process.link.fault = None;
                self.process.link.engine_ahead_ms = ahead_ms(welcome.now_ms, Clock::wall_ms());
                self.welcomed = Some((welcome.now_ms, self.clock.now_ms()));
                // Only now can the clock be compared.
                self.look.notify_one();
                self.pump(Input::LinkUp(welcome));
                self.control
                    .tell_watchers(&WatchEvent::Link { is_online: true });
            }
            LinkEvent::Message(message) => self.pump(Input::Message(message)),
            LinkEvent::Down(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, source, "link down");
                self.process.link.fault = Some(AnswerError {
                    code: error.code().to_owned(),
                    message: source
                        .map_or_else(|| error.to_string(), |source| format!("{error}: {source}")),
                });
                self.link.commands = None;
                self.link.next = None;
                self.pump(Input::LinkDown);
                self.control
                    .tell_watchers(&WatchEvent::Link { is_online: false });
            }
        }
    }
}

/// A new connection takes over only with the hello that answers its challenge: until then the
/// machine may still speak to the one before, which must reach nobody.
#[derive(Default)]
pub(super) struct LinkSide {
    pub(super) commands: Option<mpsc::Sender<LinkCommand>>,
    pub(super) next: Option<mpsc::Sender<LinkCommand>>,
    pub(super) owed_hellos: u32,
}

/// How far another clock is ahead of this one.
fn ahead_ms(theirs_ms: u64, ours_ms: i64) -> Option<i64> {
    i64::try_from(theirs_ms).ok()?.checked_sub(ours_ms)
}

impl LinkSide {
    /// A link that does not take its messages is given up; its task connects again.
    pub(super) fn say(&mut self, command: LinkCommand) {
        let is_taken = self
            .commands
            .as_ref()
            .is_some_and(|commands| commands.try_send(command).is_ok());
        if !is_taken {
            self.commands = None;
        }
    }
}

//! What goes over a verified link, both ways, until either side ends: typed messages between the
//! socket and the terminal's actor, and the heartbeat, which is answered and sent here.

use std::time::Duration;

use actix::Addr;
use futures_util::SinkExt as _;
use protocol::link::{HandshakeReply, ToEngine, decode, encode};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::pulse::{Beat, Pulse};
use super::registry::Heard;
use super::socket::{SEND_TIMEOUT, Socket, Stream, next_frame};
use crate::actor::deliver;
use crate::actor::terminal::{LinkClosed, LinkHello, LinkSaid, Outbound, TerminalActor};
use crate::clock::SharedClock;
use crate::owner::terminal::VerifiedHello;

/// Messages that may wait for a slow socket. A till's sale has about ten; beyond this it does not
/// drain and is closed.
const OUTBOUND_MAX: usize = 256;
/// The two messages of a heartbeat as they are on the wire, the same both ways: most of what an idle
/// link carries, so they are neither encoded nor decoded each time.
const PING: &[u8] = b"\xa4ping";
const PONG: &[u8] = b"\xa4pong";

/// A link that its terminal's actor knows of.
pub(super) struct Conversation<T: Stream> {
    socket: Socket<T>,
    clock: SharedClock,
    pulse: Pulse,
    heard: Heard,
    queue: mpsc::Receiver<Outbound>,
    actor: ToActor,
}

/// The way to the actor. Whatever ends the task, the actor learns that the socket is gone.
struct ToActor {
    number: u64,
    actor: Addr<TerminalActor>,
}

impl Drop for ToActor {
    fn drop(&mut self) {
        let closed = LinkClosed {
            socket: self.number,
        };
        deliver(&self.actor, closed);
    }
}

impl<T: Stream> Conversation<T> {
    /// Tells the actor of the hello.
    pub(super) fn begin(
        socket: Socket<T>,
        actor: Addr<TerminalActor>,
        clock: SharedClock,
        hello: VerifiedHello,
    ) -> Self {
        let (number, now) = (hello.socket, clock.now());
        let (outbound, queue) = mpsc::channel(OUTBOUND_MAX);
        let heard = Heard::from(now);
        let link = LinkHello {
            outbound,
            heard: heard.clone(),
            hello,
        };
        deliver(&actor, link);
        Self {
            socket,
            clock,
            pulse: Pulse::begin(number, now),
            heard,
            queue,
            actor: ToActor { number, actor },
        }
    }

    /// Carries messages both ways until either side ends; the socket is then to be closed.
    pub(super) async fn run(mut self) -> Socket<T> {
        let timer = sleep(self.pause());
        tokio::pin!(timer);
        loop {
            let goes_on = tokio::select! {
                first = self.queue.recv() => match first {
                    Some(first) => self.send_all(first).await,
                    None => false,
                },
                frame = next_frame(&mut self.socket) => match frame {
                    Some(frame) => self.hear(&frame).await,
                    None => false,
                },
                () = timer.as_mut() => {
                    let goes_on = self.beat().await;
                    timer.as_mut().reset(Instant::now() + self.pause());
                    goes_on
                }
            };
            if !goes_on {
                return self.socket;
            }
        }
    }

    /// Until something may be due. What is heard meanwhile makes it no earlier: the timer stays.
    fn pause(&self) -> Duration {
        let due = self.pulse.poll_deadline();
        Duration::from_millis(due.since_ms(self.clock.now()))
    }

    /// Takes what the agent says; false when it is no message and the link must end.
    async fn hear(&mut self, frame: &[u8]) -> bool {
        let now = self.clock.now();
        let counts = self.pulse.hear(now);
        if counts {
            self.heard.note(now);
        }
        let message = match frame {
            PING => Ok(ToEngine::Ping),
            PONG => Ok(ToEngine::Pong),
            frame => decode(frame),
        };
        match message {
            Ok(ToEngine::Pong) => true,
            Ok(ToEngine::Ping) => !counts || self.say(PONG).await,
            Ok(message) => {
                let socket = self.actor.number;
                deliver(&self.actor.actor, LinkSaid { socket, message });
                true
            }
            Err(error) => {
                let socket = self.actor.number;
                tracing::warn!(socket, %error, "agent sent something that is no message");
                false
            }
        }
    }

    /// Does what is due; false when the link is lost.
    async fn beat(&mut self) -> bool {
        match self.pulse.beat(self.clock.now()) {
            Some(Beat::Ping) => self.say(PING).await,
            Some(Beat::Lost) => false,
            None => true,
        }
    }

    async fn say(&mut self, frame: &'static [u8]) -> bool {
        let frame = bytes::Bytes::from_static(frame);
        self.feed(Message::Binary(frame)).await && self.flush().await
    }

    /// Sends what is ready together with one write.
    async fn send_all(&mut self, first: Outbound) -> bool {
        let mut next = Some(first);
        while let Some(outbound) = next {
            let frame = match &outbound {
                Outbound::Handshake(reply) => {
                    if matches!(**reply, HandshakeReply::Welcome(_)) {
                        self.pulse.welcome();
                    }
                    encode(reply.as_ref())
                }
                Outbound::Message(message) => encode(message.as_ref()),
            };
            let is_taken = match frame {
                Ok(frame) => self.feed(Message::binary(frame)).await,
                Err(error) => {
                    tracing::error!(%error, "message was not sent");
                    false
                }
            };
            if !is_taken {
                return false;
            }
            next = self.queue.try_recv().ok();
        }
        self.flush().await
    }

    /// Puts a message with those that leave at the next flush.
    async fn feed(&mut self, message: Message) -> bool {
        let patience = self.patience();
        is_done(timeout(patience, self.socket.feed(message)).await)
    }

    async fn flush(&mut self) -> bool {
        let patience = self.patience();
        is_done(timeout(patience, self.socket.flush()).await)
    }

    /// How long a frame may take to leave. Nothing is heard meanwhile: no longer than until the link
    /// is lost.
    fn patience(&self) -> Duration {
        let lost_ms = self.pulse.lost_at().since_ms(self.clock.now());
        SEND_TIMEOUT.min(Duration::from_millis(lost_ms))
    }
}

fn is_done<E>(sent: Result<Result<(), E>, tokio::time::error::Elapsed>) -> bool {
    matches!(sent, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use protocol::link::ToAgent;

    use super::*;

    #[test]
    fn a_heartbeat_is_the_same_as_if_it_were_encoded() {
        for (frame, to_engine, to_agent) in [
            (PING, ToEngine::Ping, ToAgent::Ping),
            (PONG, ToEngine::Pong, ToAgent::Pong),
        ] {
            assert_eq!(encode(&to_engine).unwrap(), frame);
            assert_eq!(encode(&to_agent).unwrap(), frame);
        }
    }
}

//! Buffered commands, carried out one by one at the pace of the paper.

use super::page::Effect;
use super::tokenizer::Token;
use super::{Output, PrinterMachine, status};

impl PrinterMachine {
    pub(super) fn print(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        while self.is_online() && !self.is_stalled && now_ms >= self.busy_until_ms {
            let Some((token, length)) = self.queue.pop_front() else {
                return;
            };
            if matches!(token, Token::Cut { .. }) && self.fails_to_cut() {
                self.queue.push_front((token, length));
                return;
            }
            self.queued_bytes = self.queued_bytes.saturating_sub(length);
            if self.execute(token, out) == Effect::Fed {
                self.busy_until_ms = now_ms.saturating_add(self.config.line_ms);
            }
        }
    }

    pub(super) fn fails_to_cut(&mut self) -> bool {
        let fails = self.is_cutter_jammed && self.page.is_at_line_start();
        self.sensors.has_cutter_error |= fails;
        fails
    }

    pub(super) fn execute(&mut self, token: Token, out: &mut Vec<Output>) -> Effect {
        match token {
            Token::Initialise => {
                self.page.initialise();
                self.automatic_status = 0;
            }
            Token::AutomaticStatus(items) => {
                self.automatic_status = items;
                self.reported.clear();
                self.report(out);
            }
            Token::TransmitPaper => {
                out.push(Output::ToHost(vec![self.sensors.paper_reply()]));
            }
            Token::TransmitDrawer => {
                out.push(Output::ToHost(vec![self.sensors.drawer_reply()]));
            }
            Token::Identify(n) => {
                out.push(Output::ToHost(status::identification(
                    n,
                    &self.config.model,
                )));
            }
            Token::ProcessId(id) => {
                out.push(Output::ToHost(
                    [&[0x37, 0x22], id.as_slice(), &[0]].concat(),
                ));
            }
            Token::Drawer { pin, on_2ms } => {
                self.kick_drawer(pin, u16::from(on_2ms).saturating_mul(2), out);
            }
            Token::Cut { feed_dots, .. } => {
                if self.page.is_at_line_start() {
                    out.push(Output::Paper(self.page.cut(feed_dots)));
                    return Effect::Fed;
                }
                self.violate("cut within a line", out);
            }
            printing => match self.page.execute(printing) {
                Ok(effect) => return effect,
                Err(rule) => self.violate(rule, out),
            },
        }
        Effect::None
    }
}

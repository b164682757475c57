//! Scripts: what the customer's hands do, and when.
//!
//! Owns the text form and the order of steps. It never looks at bytes; it waits for the reader's
//! phase and for time, and gives out control commands.
//!
//! ```text
//! # one step a line, carried out in order
//! when polling: tap visa
//! when wait-host, after 500: remove
//! after 2000: printer paper-out
//! fault wrong-crc next-final
//! quirk stray-answer after
//! unplug
//! repeat
//! ```

use crate::cards::Way;
use crate::device::ControlRequest;

/// Bounds a script; arbitrary.
const STEPS_MAX: usize = 1_000;

/// Why a text is not a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// A line cannot be understood.
    #[error("line {line} cannot be understood: {text:?}")]
    Line {
        /// Counted from one.
        line: usize,
        /// The line.
        text: String,
    },
    /// Too many steps.
    #[error("script has more than {STEPS_MAX} steps")]
    TooLong,
    /// A script that only repeats would never let go.
    #[error("a repeated script must wait for a phase or for time")]
    NeverWaits,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Control(ControlRequest),
    Repeat,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    /// The reader's phase that the step waits for.
    phase: Option<String>,
    /// How long after the phase was reached, or after the step before.
    after_ms: u64,
    action: Action,
}

/// A script and how far it has come.
#[derive(Debug, Clone, Default)]
pub struct Script {
    steps: Vec<Step>,
    position: usize,
    /// Since when the present step's condition holds.
    holds_since_ms: Option<u64>,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// [`ScriptError`] with the line that cannot be understood.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut steps = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let step = parse_step(text).ok_or_else(|| ScriptError::Line {
                line,
                text: text.to_owned(),
            })?;
            steps.push(step);
        }
        if steps.len() > STEPS_MAX {
            return Err(ScriptError::TooLong);
        }
        let repeats = steps.iter().any(|step| step.action == Action::Repeat);
        let waits = |step: &Step| step.after_ms > 0;
        if repeats && !steps.iter().any(|step| waits(step) || step.phase.is_some()) {
            return Err(ScriptError::NeverWaits);
        }
        Ok(Self {
            steps,
            ..Self::default()
        })
    }

    /// Gives the next step when it is due. To be called again until it gives nothing.
    pub fn next_due(&mut self, now_ms: u64, phase: &str) -> Option<ControlRequest> {
        // Each round passes one step, so a script that only repeats ends the search here.
        for _ in 0..=self.steps.len() {
            let step = self.steps.get(self.position)?;
            let holds = step.phase.as_deref().is_none_or(|wanted| wanted == phase);
            if !holds {
                self.holds_since_ms = None;
                return None;
            }
            let since_ms = *self.holds_since_ms.get_or_insert(now_ms);
            if now_ms < since_ms.saturating_add(step.after_ms) {
                return None;
            }
            self.holds_since_ms = None;
            match &step.action {
                Action::Control(request) => {
                    self.position += 1;
                    return Some(request.clone());
                }
                Action::Repeat => self.position = 0,
            }
        }
        None
    }

    /// When the present step is due, once its phase is reached.
    pub fn poll_deadline(&self) -> Option<u64> {
        let step = self.steps.get(self.position)?;
        let since_ms = self.holds_since_ms?;
        Some(since_ms.saturating_add(step.after_ms))
    }

    /// Whether every step was carried out.
    pub fn is_over(&self) -> bool {
        self.position >= self.steps.len()
    }
}

fn parse_step(text: &str) -> Option<Step> {
    let mut step = Step {
        phase: None,
        after_ms: 0,
        action: Action::Repeat,
    };
    let action = match text.split_once(':') {
        None => text,
        Some((conditions, action)) => {
            for condition in conditions.split(',') {
                match words(condition).as_slice() {
                    ["when", phase] => step.phase = Some((*phase).to_owned()),
                    ["after", ms] => step.after_ms = ms.parse().ok()?,
                    _ => return None,
                }
            }
            action
        }
    };
    step.action = parse_action(&words(action))?;
    Some(step)
}

fn parse_action(words: &[&str]) -> Option<Action> {
    let request = match words {
        ["repeat"] => return Some(Action::Repeat),
        ["remove" | "reset" | "clear-faults" | "unplug" | "plug-in"] => {
            ControlRequest::new("reader", words.first()?)
        }
        ["fault", fault] => ControlRequest::new("reader", "fault").with("fault", fault),
        ["quirk", name, setting] => ControlRequest::new("reader", "quirk")
            .with("name", name)
            .with("setting", setting),
        ["fault", fault, scope] => ControlRequest::new("reader", "fault")
            .with("fault", fault)
            .with("scope", scope),
        ["printer", command] => ControlRequest::new("printer", command),
        [way, card] => {
            let way = Way::from_word(way)?;
            ControlRequest::new("reader", "present")
                .with("card", card)
                .with("way", way.word())
        }
        _ => return None,
    };
    Some(Action::Control(request))
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_wait_for_phase_and_time_in_order() {
        let text = "# demo\nwhen polling: tap visa\n\nwhen wait-host, after 500: remove\nrepeat";
        let mut script = Script::parse(text).unwrap();
        assert_eq!(script.next_due(0, "idle"), None);
        let tap = script.next_due(10, "polling").unwrap();
        assert_eq!(
            (tap.command.as_str(), tap.argument("card")),
            ("present", Ok("visa"))
        );
        assert_eq!(script.next_due(10, "polling"), None);
        assert_eq!(script.poll_deadline(), None);
        assert_eq!(script.next_due(100, "wait-host"), None);
        assert_eq!(script.poll_deadline(), Some(600));
        assert_eq!(script.next_due(550, "idle"), None);
        assert_eq!(script.next_due(560, "wait-host"), None);
        assert_eq!(
            script.next_due(1_060, "wait-host").unwrap().command,
            "remove"
        );
        assert!(script.next_due(1_100, "polling").is_some());
        assert!(!script.is_over());
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for text in [
            "throw visa",
            "when: tap visa",
            "after soon: remove",
            "tap",
            "tap visa now please",
            ": ",
        ] {
            let script = format!("remove\n{text}");
            let error = Script::parse(&script).unwrap_err();
            assert!(matches!(error, ScriptError::Line { line: 2, .. }), "{text}");
        }
        assert_eq!(
            Script::parse("remove\nrepeat").unwrap_err(),
            ScriptError::NeverWaits
        );
        let long = "remove\n".repeat(STEPS_MAX + 1);
        assert_eq!(Script::parse(&long).unwrap_err(), ScriptError::TooLong);
    }

    #[test]
    fn a_script_ends() {
        let mut script = Script::parse("fault mute always\nprinter paper-out").unwrap();
        assert_eq!(script.next_due(0, "idle").unwrap().arguments.len(), 2);
        assert_eq!(script.next_due(0, "idle").unwrap().device, "printer");
        assert_eq!(script.next_due(0, "idle"), None);
        assert!(script.is_over());
    }
}

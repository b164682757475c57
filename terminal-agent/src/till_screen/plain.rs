//! Line mode: for screen readers, scripts and terminals that cannot do better. Says what has
//! changed, and takes whole lines. Ends with its input, and when nobody reads its output.

use std::io::{self, BufRead, Write};

use tokio::sync::mpsc;

use super::{Event, Surface};
use crate::machine::till::{Input, Key, View};

/// Reads lines until there are no more.
pub(super) fn spawn_input(events: mpsc::Sender<Event>) -> io::Result<()> {
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            for line in io::stdin().lock().split(b'\n') {
                let Ok(line) = line else {
                    break;
                };
                let line = String::from_utf8_lossy(&line).into_owned();
                let typed = Event::Machine(Input::Typed(line));
                if events.blocking_send(typed).is_err() {
                    return;
                }
            }
            drop(events.blocking_send(Event::EndOfInput));
        })
        .map(drop)
}

/// Writes lines.
pub(super) struct Plain<W> {
    output: W,
    shown: Shown,
}

/// What was said last, in the parts that are said when they change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Shown {
    scene: Vec<String>,
    notice: Option<String>,
    health: Vec<String>,
    choices: Vec<String>,
}

impl<W: Write> Plain<W> {
    pub(super) fn new(output: W) -> Self {
        Self {
            output,
            shown: Shown::default(),
        }
    }
}

impl<W: Write> Surface for Plain<W> {
    fn show(&mut self, view: &View) -> io::Result<()> {
        let next = shown(view);
        let last = std::mem::replace(&mut self.shown, next.clone());
        let mut text = String::new();
        let mut say = |lines: &[String]| {
            for line in lines {
                text.push_str(line);
                text.push('\n');
            }
        };
        let is_other_scene = next.scene != last.scene;
        if next.health != last.health {
            say(&next.health);
        }
        if is_other_scene {
            say(&next.scene);
        }
        if next.notice != last.notice
            && let Some(notice) = &next.notice
        {
            say(std::slice::from_ref(notice));
        }
        if is_other_scene || next.choices != last.choices {
            say(&next.choices);
        }
        self.output.write_all(text.as_bytes())?;
        self.output.flush()
    }
}

fn shown(view: &View) -> Shown {
    let amount = view.amount.map(|amount| format!(": {amount}"));
    let headline = format!("== {}{}", view.headline, amount.unwrap_or_default());
    let mut scene = vec![headline];
    let lines = view.lines.iter().chain(&view.details);
    scene.extend(lines.filter(|line| !line.is_empty()).cloned());
    scene.extend(
        view.choices
            .iter()
            .map(|choice| format!("  {}) {}", choice.key, choice.text)),
    );
    let mut health = view
        .alerts
        .iter()
        .map(|alert| format!("!! {alert}"))
        .collect::<Vec<_>>();
    health.push(match view.label.as_str() {
        "" => format!("-- {}", view.health),
        label => format!("-- {label} | {}", view.health),
    });
    let listed: Vec<char> = view.choices.iter().map(|choice| choice.key).collect();
    let actions = view
        .actions
        .iter()
        .filter(|item| !matches!(item.key, Key::Char(key) if listed.contains(&key)));
    let choices = actions
        .map(|item| match item.key {
            Key::Enter => format!("[Enter] {}", item.label),
            Key::Escape | Key::Backspace => format!("[{}] {}", item.word, item.label),
            Key::Char(key) => format!("[{key}] {}", item.label),
        })
        .collect::<Vec<_>>()
        .join("  ");
    Shown {
        scene,
        notice: view.notice.as_ref().map(|(_, text)| format!("** {text}")),
        health,
        choices: vec![format!("   {choices}")],
    }
}

//! Draws a view into a window of any size from 40 by 15 up. Words say everything that colours say.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::font;
use crate::machine::till::{ActionItem, Choice, Key, Tone, View};

/// The smallest window in which everything has its place.
const WIDTH_MIN: u16 = 40;
const HEIGHT_MIN: u16 = 15;
/// From this height of the sale's part on the headline is large, too.
const HEAD_LARGE: u16 = 14;
/// Below this height headline and label share a row.
const HEAD_LOW: u16 = 12;

/// Rows that the sale has in any case: title, headline, amount, what to do.
const HEAD_MIN: u16 = 6;

/// What the terminal can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Looks {
    /// Whether colours may be used.
    pub(super) has_colour: bool,
    /// Whether more than ASCII may be used.
    pub(super) is_unicode: bool,
}

impl Looks {
    const fn block(self) -> char {
        if self.is_unicode { '█' } else { '#' }
    }

    const fn rule(self) -> char {
        if self.is_unicode { '─' } else { '-' }
    }

    fn style(self, tone: Tone) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if !self.has_colour {
            return style;
        }
        match tone {
            Tone::Neutral => style,
            Tone::Busy => style.fg(Color::Cyan),
            Tone::Attention => style.fg(Color::Yellow),
            Tone::Good => style.fg(Color::Green),
            Tone::Bad => style.fg(Color::Red),
            Tone::Unknown => style.fg(Color::Magenta),
        }
    }

    /// Texts are written with dashes and dots that an old terminal does not have.
    fn text(self, text: &str) -> String {
        if self.is_unicode {
            return text.to_owned();
        }
        text.chars()
            .map(|letter| match letter {
                '–' | '—' => '-',
                '…' => '.',
                letter if letter.is_ascii() => letter,
                _ => '?',
            })
            .collect()
    }
}

/// Draws everything. The parts at the bottom are sure of their place: what is broken, how the
/// devices are, and the keys.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, looks: Looks) {
    let area = frame.area();
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        draw_tiny(frame, view, looks, area);
        return;
    }
    let width = usize::from(area.width);
    let foot_max = usize::from(area.height.saturating_sub(HEAD_MIN));
    let foot = foot(view, looks, width, foot_max);
    let foot_height = u16::try_from(foot.len()).unwrap_or(area.height);
    let head_height = area.height.saturating_sub(foot_height);
    let head = head(view, looks, width, usize::from(head_height));
    let top = Rect::new(area.x, area.y, area.width, head_height);
    let bottom = Rect::new(
        area.x,
        area.y.saturating_add(head_height),
        area.width,
        foot_height,
    );
    frame.render_widget(Paragraph::new(head), top);
    frame.render_widget(Paragraph::new(foot), bottom);
}

/// A window that is too small for the layout still says the state, the amount and what is broken.
fn draw_tiny(frame: &mut Frame<'_>, view: &View, looks: Looks, area: Rect) {
    let mut lines = vec![headline(view, looks)];
    lines.extend(view.amount.map(|amount| Line::from(amount.to_string())));
    lines.extend(wrapped(&view.alerts, usize::from(area.width), looks));
    lines.extend(wrapped(&view.lines, usize::from(area.width), looks));
    lines.extend(actions(&view.actions, usize::from(area.width), looks));
    frame.render_widget(Paragraph::new(lines), area);
}

fn headline(view: &View, looks: Looks) -> Line<'static> {
    let text = format!(" {} ", looks.text(&view.headline));
    let style = looks.style(view.tone).add_modifier(Modifier::REVERSED);
    Line::from(Span::styled(text, style))
}

/// The sale: headline, amount, what to do. Cut at the bottom if there is no room.
fn head(view: &View, looks: Looks, width: usize, height: usize) -> Vec<Line<'static>> {
    let mut texts = wrapped(&view.lines, width.saturating_sub(2), looks);
    let details = wrapped(&view.details, width.saturating_sub(2), looks);
    let choices = choice_lines(view, looks, width);
    let notice = notice_lines(view, looks, width);
    let small = usize::from(view.amount.is_some()) + usize::from(view.seconds_left.is_some());
    let rest = texts.len() + choices.len() + notice.len();
    // The texts come first; letters are large where there is room beside them.
    let is_low = height < usize::from(HEAD_LOW);
    let free = height.saturating_sub(rest + small + if is_low { 1 } else { 2 });
    let mut lines = vec![];
    let is_tall = height >= usize::from(HEAD_LARGE) && view.tone != Tone::Neutral;
    let needs_rows = view.amount.map_or(0, |_| font::ROWS + 1);
    let large_headline = (is_tall && free >= needs_rows + font::ROWS)
        .then(|| enlarged(&view.headline, width, 1, looks))
        .flatten();
    let mut free = free;
    match large_headline {
        Some(rows) => {
            free = free.saturating_sub(font::ROWS + 1);
            lines.push(title(view, looks, width, true));
            lines.push(Line::default());
            let style = looks.style(view.tone);
            lines.extend(
                rows.into_iter()
                    .map(|row| Line::from(Span::styled(row, style))),
            );
        }
        None if is_low => lines.push(title(view, looks, width, true)),
        None => {
            lines.push(title(view, looks, width, false));
            lines.push(headline(view, looks));
        }
    }
    if let Some(amount) = view.amount {
        lines.extend(amount_lines(amount, looks, width, free));
    }
    if let Some(seconds) = view.seconds_left {
        lines.push(Line::from(format!(" {seconds} s left")));
    }
    if free > font::ROWS + 1 {
        lines.push(Line::default());
    }
    if lines.len() + rest + details.len() <= height {
        texts.extend(details);
    }
    lines.extend(texts);
    lines.extend(choices);
    lines.extend(notice);
    lines.truncate(height);
    lines
}

fn choice_lines(view: &View, looks: Looks, width: usize) -> Vec<Line<'static>> {
    let line = |choice: &Choice| {
        let text = format!("  {}  {}", choice.key, looks.text(&choice.text));
        Line::from(Span::styled(cut(&text, width), bold()))
    };
    view.choices.iter().map(line).collect()
}

fn notice_lines(view: &View, looks: Looks, width: usize) -> Vec<Line<'static>> {
    let notice = view.notice.iter().flat_map(|(tone, text)| {
        let style = looks.style(*tone);
        let lines = wrap(&looks.text(&format!("> {text}")), width.saturating_sub(2));
        lines
            .into_iter()
            .map(move |line| Line::from(Span::styled(format!(" {line}"), style)))
    });
    notice.collect()
}

/// The amount, as large as it fits, and always as text too.
fn amount_lines(
    amount: protocol::money::Money,
    looks: Looks,
    width: usize,
    free: usize,
) -> Vec<Line<'static>> {
    let text = Line::from(Span::styled(format!(" {amount}"), bold()));
    let number = amount.decimal();
    let rows = (free >= font::ROWS)
        .then(|| enlarged(&number, width, 2, looks).or_else(|| enlarged(&number, width, 1, looks)))
        .flatten();
    let Some(rows) = rows else {
        return vec![text];
    };
    let mut lines = vec![];
    if free > font::ROWS {
        lines.push(Line::default());
    }
    lines.extend(
        rows.into_iter()
            .map(|row| Line::from(Span::styled(row, bold()))),
    );
    lines.push(text);
    lines
}

fn enlarged(text: &str, width: usize, scale: usize, looks: Looks) -> Option<Vec<String>> {
    let rows = font::large(text, width.saturating_sub(2), scale, looks.block())?;
    Some(rows.into_iter().map(|row| format!(" {row}")).collect())
}

/// Whose till this is; beside it the headline as text when it is drawn large below.
fn title(view: &View, looks: Looks, width: usize, has_headline: bool) -> Line<'static> {
    let text = match view.label.as_str() {
        "" => " Tillway".to_owned(),
        label => format!(" Tillway - {}", looks.text(label)),
    };
    if !has_headline {
        return Line::from(cut(&text, width));
    }
    let mut line = headline(view, looks);
    let right = width.saturating_sub(line.width() + 1);
    let label = cut(&text, right);
    line.spans.push(Span::raw(format!("{label:>right$}")));
    line
}

/// What is broken, how the devices are, and the keys.
fn foot(view: &View, looks: Looks, width: usize, height_max: usize) -> Vec<Line<'static>> {
    let keys = actions(&view.actions, width, looks);
    let health = wrapped(
        std::slice::from_ref(&view.health),
        width.saturating_sub(1),
        looks,
    );
    let room = height_max
        .saturating_sub(keys.len() + health.len() + 1)
        .max(1);
    let texts = view
        .alerts
        .iter()
        .map(|alert| looks.text(&format!("! {alert}")));
    let mut alerts: Vec<String> = texts
        .clone()
        .flat_map(|alert| wrap(&alert, width.saturating_sub(2)))
        .collect();
    // With many alerts and little room each keeps its first words.
    if alerts.len() > room {
        alerts = texts.take(room).collect();
    }
    let style = looks
        .style(Tone::Attention)
        .add_modifier(Modifier::REVERSED);
    let bar = |alert: String| {
        let text = format!(" {alert:<width$}");
        Line::from(Span::styled(cut(&text, width), style))
    };
    let mut lines: Vec<Line<'static>> = alerts.into_iter().map(bar).collect();
    let rule: String = std::iter::repeat_n(looks.rule(), width).collect();
    lines.push(Line::from(rule));
    lines.extend(health);
    lines.extend(keys);
    lines
}

/// Every key with what it does, side by side.
fn actions(items: &[ActionItem], width: usize, looks: Looks) -> Vec<Line<'static>> {
    let mut lines: Vec<Vec<Span<'static>>> = vec![vec![]];
    let mut used = 0;
    for item in items {
        let name = match item.key {
            Key::Enter => "Enter".to_owned(),
            Key::Escape => "Esc".to_owned(),
            Key::Backspace => "Backspace".to_owned(),
            Key::Char(letter) => letter.to_string(),
        };
        // Rows of a list show their own keys.
        if item.word.is_empty() {
            continue;
        }
        let (key, label) = (
            format!(" [{name}]"),
            format!(" {} ", looks.text(&item.label)),
        );
        let needed = key.chars().count() + label.chars().count();
        if used > 0 && used + needed > width {
            lines.push(vec![]);
            used = 0;
        }
        used += needed;
        if let Some(line) = lines.last_mut() {
            line.push(Span::styled(key, bold()));
            line.push(Span::raw(label));
        }
    }
    lines.into_iter().map(Line::from).collect()
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn wrapped(texts: &[String], width: usize, looks: Looks) -> Vec<Line<'static>> {
    texts
        .iter()
        .filter(|text| !text.is_empty())
        .flat_map(|text| wrap(&looks.text(text), width))
        .map(|text| Line::from(format!(" {text}")))
        .collect()
}

/// Breaks a text between words; a word that is longer than a line is cut into lines.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        let used = lines.last().map_or(0, |line| line.chars().count());
        if used > 0 && used + 1 + word.len() > width {
            lines.push(String::new());
        } else if used > 0
            && let Some(line) = lines.last_mut()
        {
            line.push(' ');
        }
        while word.len() > width {
            let rest = word.split_off(width);
            if let Some(line) = lines.last_mut() {
                line.extend(word);
            }
            lines.push(String::new());
            word = rest;
        }
        if let Some(line) = lines.last_mut() {
            line.extend(word);
        }
    }
    lines
}

fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

#[cfg(test)]
mod tests;

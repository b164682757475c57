//! Tells on the terminal what happens, and keeps count of what did not go as it should.

use harness::api::Answer;
use serde_json::Value;

/// The teller.
#[derive(Debug, Default)]
pub(crate) struct Narrator {
    steps: usize,
    failures: Vec<String>,
}

impl Narrator {
    /// A heading.
    pub(crate) fn title(&self, text: &str) {
        println!("\n{text}\n{}", "=".repeat(text.chars().count()));
    }

    /// A numbered step.
    pub(crate) fn step(&mut self, text: &str) {
        self.steps += 1;
        println!("\n{}. {text}", self.steps);
    }

    /// A sentence.
    pub(crate) fn say(&self, text: &str) {
        println!("   {text}");
    }

    /// An HTTP call and its answer; what is wrong with it is noted.
    pub(crate) fn call(&mut self, line: &str, body: Option<&Value>, answer: &Answer, status: u16) {
        let body = body
            .map(|body| format!(" {}", clip(&body.to_string())))
            .unwrap_or_default();
        println!("   → {line}{body}");
        println!("   ← {} {}", answer.status, clip(&answer.text));
        self.expect(&format!("{line} answers {status}"), answer.status == status);
    }

    /// Notes a failure unless the claim holds.
    pub(crate) fn expect(&mut self, claim: &str, holds: bool) {
        if !holds {
            println!("   ✗ {claim}");
            self.failures.push(claim.to_owned());
        }
    }

    /// Shows a value that should be another one.
    pub(crate) fn expect_same(&mut self, what: &str, found: &str, wanted: &str) {
        self.expect(
            &format!("{what} is {wanted:?} (found {found:?})"),
            found == wanted,
        );
    }

    /// Paper as it came out.
    pub(crate) fn paper(&self, text: &str) {
        for line in text.lines() {
            println!("      {line}");
        }
    }

    /// The sum of it all.
    pub(crate) fn verdict(&self) {
        if self.failures.is_empty() {
            println!("\nEvery answer was as it should be.");
        } else {
            println!("\n{} of the expectations failed:", self.failures.len());
            for failure in &self.failures {
                println!("   ✗ {failure}");
            }
        }
    }

    /// Whether nothing was wrong.
    pub(crate) fn is_good(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Long answers are shown by their beginning.
fn clip(text: &str) -> String {
    const SHOWN: usize = 300;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

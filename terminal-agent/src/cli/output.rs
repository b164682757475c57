//! Where a command's result goes: text or one line of JSON. A reader that has gone (`| head`) is
//! no failure, and is written to no more.

use std::io::Write;

use serde::Serialize;
use serde_json::json;

use super::Exit;

/// Standard output of one command.
pub(super) struct Output<'a> {
    stdout: &'a mut dyn Write,
    is_json: bool,
    is_gone: bool,
}

impl<'a> Output<'a> {
    pub(super) fn new(stdout: &'a mut dyn Write, is_json: bool) -> Self {
        Self {
            stdout,
            is_json,
            is_gone: false,
        }
    }

    /// A result, in the form that was asked for.
    pub(super) fn result<T: Serialize>(&mut self, value: &T, text: &str) {
        if self.is_json {
            let line = crate::control::message::encode_line(&json!({
                "success": true,
                "data": value,
            }));
            self.write(&line);
        } else {
            self.write(text);
        }
    }

    /// Something that happens before the result: a line of JSON, or text that must be seen.
    pub(super) fn event<T: Serialize>(&mut self, value: &T, text: &str) {
        if self.is_json {
            let line = crate::control::message::encode_line(value);
            self.write(&line);
        } else {
            self.write(text);
        }
    }

    /// Something to read while the command waits; not part of the result.
    pub(super) fn progress(&mut self, text: &str) {
        if !self.is_json {
            complain(text);
        }
    }

    /// A failure: to people on standard error, to programs as JSON.
    pub(super) fn fail(&mut self, exit: Exit, code: &str, message: &str) -> Exit {
        if self.is_json {
            let line = crate::control::message::encode_line(&json!({
                "success": false,
                "error": {"code": code, "message": message},
            }));
            self.write(&line);
        } else {
            complain(&format!("{message} ({code})"));
        }
        exit
    }

    fn write(&mut self, text: &str) {
        if self.is_gone {
            return;
        }
        let written = self
            .stdout
            .write_all(text.as_bytes())
            .and_then(|()| self.stdout.flush());
        self.is_gone = written.is_err();
    }
}

fn complain(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // Nobody is left to complain to.
    drop(writeln!(stderr, "terminal-agent: {text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone(usize);

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            self.0 += 1;
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_written_to_once() {
        let mut gone = Gone(0);
        let mut output = Output::new(&mut gone, true);
        output.result(&1, "one");
        output.result(&2, "two");
        assert_eq!(gone.0, 1);
    }
}

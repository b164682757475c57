//! A reader that asks the till for a choice.

use super::*;
use protocol::reader::prompt::{Mode, display, pin};

fn ask(bench: &mut Bench, question: &Response) {
    bench.feed(Input::Bytes(&question.encode()));
}

#[test]
fn questions_are_answered_and_shown_and_stop_nothing() {
    let menu = [(1, "ONE"), (2, "TWO")];
    for (question, answer, shown) in [
        (
            display(Mode::Language, 30, &menu).unwrap(),
            Some("0801"),
            Some(Progress::LanguageChosen),
        ),
        (
            display(Mode::Menu, 30, &menu).unwrap(),
            Some("0101"),
            Some(Progress::ApplicationChosen),
        ),
        (
            display(Mode::Keys, 30, &menu).unwrap(),
            Some("0245"),
            Some(Progress::Message),
        ),
        (
            display(Mode::Message, 0, &menu).unwrap(),
            None,
            Some(Progress::Message),
        ),
        (display(Mode::Clear, 0, &[]).unwrap(), None, None),
        (pin(), Some("00"), Some(Progress::PinSkipped)),
    ] {
        let mut bench = Bench::started();
        ask(&mut bench, &question);
        let sent: Vec<_> = bench
            .commands
            .iter()
            .map(|command| hex::encode(command.data()))
            .collect();
        assert_eq!(sent, answer.into_iter().collect::<Vec<_>>(), "{question:?}");
        let progress = shown.map(Event::Progress);
        assert_eq!(bench.take_events(), Vec::from_iter(progress));
        assert!(bench.take_commands().iter().all(|(cmd, _)| *cmd == 0x61));
        bench.hear_vector(CHIP, 2);
        assert_eq!(bench.take_commands(), [AUTHENTICATE]);
    }
}

#[test]
fn a_question_that_comes_when_nothing_runs_is_not_answered() {
    let question = display(Mode::Language, 30, &[(1, "ONE")]).unwrap();
    let mut bench = Bench::ready();
    ask(&mut bench, &question);
    assert_eq!(bench.take_commands(), []);
    let mut bench = Bench::waiting_for_host();
    ask(&mut bench, &question);
    assert_eq!(bench.take_commands(), []);
    let mut bench = Bench::started();
    bench.conversation.config.switches.answers_prompts = false;
    ask(&mut bench, &question);
    assert_eq!(
        (bench.take_commands(), bench.take_events()),
        (vec![], vec![])
    );
}

//! Questions about the till, and configurations told to it.

use super::*;

#[test]
fn a_question_is_answered_after_a_look_and_never_touches_the_reader() {
    check(
        "idle",
        UP,
        &[
            (5_000, "ask 7", "look"),
            (5_001, "facts 40", "send reported 7 reader free aged 5001"),
            (65_000, "facts 40", ""),
        ],
    );
    check(
        "a card is being read: the reader is left alone",
        READING,
        &[
            (1_500, "ask 7", "look"),
            (1_501, "facts 40", "send reported 7 reader held aged 1501"),
            (2_000, "chip", "persist sent; send card 1150"),
        ],
    );
    check(
        "two at a time, and none outlives its link",
        UP,
        &[
            (10, "ask 1", "look"),
            (11, "ask 2", "look"),
            (
                12,
                "facts 40",
                "send reported 1 reader free aged 12; send reported 2 reader free aged 12",
            ),
            (13, "ask 3", "look"),
            (14, "down", ""),
            (15, "up", "hello [] []"),
            (16, "facts 40", ""),
        ],
    );
}

#[test]
fn a_configuration_is_journaled_before_it_is_applied_and_survives_a_restart() {
    let mut till = check(
        "told while nothing runs",
        UP,
        &[
            (
                10,
                "configure 3 Welcome",
                "persist configured; configured 3",
            ),
            (11, "configure 3 Welcome", ""),
        ],
    );
    assert_eq!(till.agent.configuration_version(), 3);
    let idle_text = |till: &Till| till.agent.settings().idle_text.clone();
    assert_eq!(idle_text(&till).as_deref(), Some("Welcome"));
    till.step(20, "restart");
    assert_eq!(till.agent.configuration_version(), 3);
    assert_eq!(idle_text(&till).as_deref(), Some("Welcome"));
    assert_eq!(till.step(21, "up"), "hello [] []");
    assert_eq!(
        till.step(22, "configure 4 Hello"),
        "persist configured; configured 4"
    );
    assert_eq!(idle_text(&till).as_deref(), Some("Hello"));
}

#[test]
fn a_running_sale_is_not_disturbed_by_a_configuration() {
    let till = check(
        "told while a card is read: applied at the end",
        READING,
        &[
            (1_500, "configure 3 Welcome", ""),
            (2_000, "chip", "persist sent; send card 1150"),
            (3_000, "host 1 yes", "reader arc 00"),
            (
                4_000,
                "final yes",
                "persist completed Agreed; send completed Agreed",
            ),
            (
                5_000,
                "concluded 1 approved",
                "persist concluded; persist configured; show Approved; configured 3",
            ),
        ],
    );
    assert_eq!(till.agent.configuration_version(), 3);
}

#[test]
fn what_this_agent_does_not_know_is_refused_and_changes_nothing() {
    let mut till = check(
        "an unknown setting",
        UP,
        &[
            (
                10,
                "configure 3 Welcome",
                "persist configured; configured 3",
            ),
            (11, "configure 4 ?", ""),
            (12, "ask 1", "look"),
            (
                13,
                "facts 40",
                "send reported 1 reader free aged 13 refused 4",
            ),
        ],
    );
    assert_eq!(till.agent.configuration_version(), 3);
    let report = till.agent.configuration_report().unwrap();
    let refused = report.refused.unwrap();
    assert_eq!(refused.version, 4);
    assert!(refused.reason.contains("no setting"), "{}", refused.reason);
    // The engine takes it back.
    till.step(20, "configure 5 Back");
    assert_eq!(till.agent.configuration_report().unwrap().refused, None);
}

#[test]
fn what_nobody_cares_about_is_not_said() {
    let mut till = check("up", UP, &[]);
    let mut statuses = |now_ms: u64, words: &str| {
        let mut out = Vec::new();
        for input in till.inputs(words) {
            till.agent.handle(now_ms, input, &mut out);
        }
        let is_status = |output: &&Output| matches!(output, Output::Send(ToEngine::Status(_)));
        out.iter().filter(is_status).count()
    };
    for (now_ms, words, expected) in [
        (100, "facts 40", 1),
        (60_000, "facts 40", 0),
        (120_000, "facts 49", 0),
        (180_000, "facts 50", 1),
        (240_000, "facts 45", 0),
    ] {
        assert_eq!(statuses(now_ms, words), expected, "{words} at {now_ms}");
    }
}

#[test]
fn the_version_is_told_as_soon_as_it_is_in_force() {
    let mut till = check("up", UP, &[]);
    let mut out = Vec::new();
    for input in till.inputs("configure 3 Welcome") {
        till.agent.handle(10, input, &mut out);
    }
    till.agent.handle(11, Input::Persisted, &mut out);
    let applied: Vec<u64> = out
        .iter()
        .filter_map(|output| match output {
            Output::Send(ToEngine::Status(status)) => status.configuration.as_ref(),
            _ => None,
        })
        .map(|report| report.applied)
        .collect();
    assert_eq!(applied, [3]);
}

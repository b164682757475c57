//! Sales that others began, and sales that go on while the agent is away.

use super::*;

#[test]
fn a_sale_of_the_pos_system_takes_the_screen_and_no_press_meant_for_another_sale() {
    let mut desk = Desk::ready();
    desk.keys("99");
    desk.screen(Screen::Preparing {
        pos_id: pos(7),
        amount: usd(4_000),
    });
    assert_eq!(desk.till.view(desk.now_ms).amount, Some(usd(4_000)));
    desk.keys("\n");
    desk.screen(Screen::Concluded(concluded(7, PosStatus::Approved)));
    assert_eq!(desk.headline(), "APPROVED");
    desk.keys("\n\n");
    assert_eq!(desk.till.view(0).amount, Some(usd(0)));
    assert!(desk.asked().is_empty());
}

#[test]
fn what_runs_is_followed_from_the_status_and_what_ended_before_is_not_shown() {
    let mut running = status();
    running.open = vec![pos(7)];
    running.screen = Screen::Authorizing { pos_id: pos(7) };
    let mut desk = Desk::new();
    desk.connect(running);
    assert_eq!(desk.headline(), "ASKING THE BANK");

    for screen in [
        Screen::Concluded(concluded(7, PosStatus::Approved)),
        Screen::PresentCard {
            pos_id: pos(7),
            amount: usd(1),
            attempt: 1,
            advice: None,
        },
        Screen::AttemptClosed { pos_id: pos(7) },
    ] {
        let mut ended = status();
        ended.screen = screen;
        let mut desk = Desk::new();
        desk.connect(ended);
        assert_eq!(desk.headline(), "AMOUNT");
    }
}

#[test]
fn an_agent_that_goes_away_leaves_the_sale_unknown_until_it_is_back() {
    let run = || {
        let mut desk = Desk::ready();
        desk.start(1);
        desk.screen(Screen::Authorizing { pos_id: pos(1) });
        desk.input(Input::Absent(Absence::NotRunning));
        assert_eq!(desk.headline(), "NOT KNOWN");
        assert!(desk.text().contains("AGENT NOT RUNNING"), "{}", desk.text());
        desk.said.clear();
        desk
    };
    // It ended meanwhile.
    let mut desk = run();
    let mut ended = status();
    ended.screen = Screen::Concluded(concluded(1, PosStatus::Approved));
    desk.connect(ended);
    assert_eq!(desk.headline(), "APPROVED");

    // It ended, and something else was on the screen since.
    let mut desk = run();
    desk.connect(status());
    assert_eq!(desk.headline(), "NOT KNOWN YET");
    desk.answer_recent(vec![RecentSale {
        concluded: concluded(1, PosStatus::Approved),
        undone: Undone::No,
        age_ms: 5,
    }]);
    assert_eq!(desk.headline(), "APPROVED");

    // The agent has restarted and waits for the engine's word.
    let mut desk = run();
    let mut restarted = status();
    restarted.open = vec![pos(1)];
    desk.connect(restarted);
    assert_eq!(desk.headline(), "NOT KNOWN YET");
    desk.screen(Screen::Concluded(concluded(1, PosStatus::Reversed)));
    assert_eq!(desk.headline(), "UNDONE");

    // Nobody here knows it any more.
    let mut desk = run();
    desk.connect(status());
    for _ in 0..30 {
        desk.pass(1_000);
        if desk
            .said
            .iter()
            .any(|line| matches!(line, Line::Status { .. }))
        {
            desk.answer_status(status());
        }
    }
    assert_eq!(desk.headline(), "NOT KNOWN HERE");
    assert!(desk.text().contains(&pos(1).to_string()), "{}", desk.text());
}

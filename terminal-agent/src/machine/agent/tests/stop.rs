//! Attempts that end without card data: by hand, by time, by the reader.

use super::*;

/// The engine has granted before it heard of the cancel, and takes it only of that attempt.
#[test]
fn the_cashiers_cancel_holds_against_a_go_that_crosses_it() {
    check(
        "between accept and go",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (
                100,
                "key cancel",
                "persist ended CashierCanceled; send ended CashierCanceled; done",
            ),
            (
                101,
                "go 1",
                "persist ended CashierCanceled; send ended CashierCanceled",
            ),
            (102, "go 1", "send ended CashierCanceled"),
        ],
    );
    check(
        "between hello and welcome",
        CHIP_SENT,
        &[
            (3_000, "down", ""),
            (4_000, "connecting", "hello [1 Sent] []"),
            (
                4_001,
                "key cancel",
                "reader Cancel; persist completed Aborted CashierCanceled; done",
            ),
            (4_002, "welcome", "send completed Aborted CashierCanceled"),
            (
                4_003,
                "go 1 2",
                "persist ended CashierCanceled; send ended CashierCanceled",
            ),
        ],
    );
}

#[test]
fn attempts_that_end_before_card_data() {
    for (event, expected) in [
        (
            "reader timeout",
            "persist ended CustomerTimeout; send ended CustomerTimeout",
        ),
        (
            "reader removed",
            "persist ended CardRemoved; send ended CardRemoved",
        ),
        (
            "reader offline",
            "persist ended OfflineNotAllowed; send ended OfflineNotAllowed",
        ),
        (
            "final yes",
            "persist ended OfflineNotAllowed; send ended OfflineNotAllowed",
        ),
        (
            "unready",
            "persist ended ReaderFault; send ended ReaderFault",
        ),
        (
            "key cancel",
            "reader Cancel; persist ended CashierCanceled; send ended CashierCanceled; done",
        ),
        ("closed 1", "reader Cancel; persist concluded"),
        ("closed 1 9", ""),
        ("down", "reader Cancel; persist ended LinkLost"),
    ] {
        check(event, READING, &[(2_000, event, expected)]);
    }
}

#[test]
fn a_grant_is_one_presentation_for_its_time() {
    let mut till = check(
        "a grant expires on the monotonic clock",
        READING,
        &[
            (60_999, "deadline", ""),
            (
                61_000,
                "deadline",
                "reader Cancel; persist ended CustomerTimeout; send ended CustomerTimeout",
            ),
            (61_001, "chip", "reader Cancel"),
        ],
    );
    assert_eq!(till.agent.poll_deadline(), None);
    assert_eq!(till.step(61_002, "reader canceled"), "");
    check(
        "card data of an expired grant is not sent",
        READING,
        &[(
            61_000,
            "chip",
            "reader Cancel; persist ended CustomerTimeout; send ended CustomerTimeout",
        )],
    );
    check(
        "an attempt is one card presentation: repeated, it is told again",
        READING,
        &[
            (
                2_000,
                "reader timeout",
                "persist ended CustomerTimeout; send ended CustomerTimeout",
            ),
            (2_001, "go 1", "send ended CustomerTimeout"),
        ],
    );
    check(
        "a card that was read while the stop was on its way is discarded",
        READING,
        &[
            (
                2_000,
                "stop 1",
                "reader Cancel; persist ended Stopped; send ended Stopped",
            ),
            (2_001, "tap", ""),
        ],
    );
}

/// Found by `the_rules_hold_in_any_order`.
#[test]
fn a_late_word_of_the_reader_does_not_meet_the_next_attempt() {
    for late in ["final yes", "tap", "reader timeout", "reader canceled"] {
        check(
            "it came before the reader was touched",
            UP,
            &[
                (0, "offer 1", "persist accepted; send accept"),
                (0, "disk slow", ""),
                (0, "go 1 2", "persist intent"),
                (0, late, ""),
                (0, "disk done", "reader start 60000"),
                (1, "go 1 1", "send reject Busy"),
            ],
        );
    }
}

//! Attempts: from the offer to the card's last word.

use super::*;

#[test]
fn a_contactless_sale() {
    check(
        "APPROVED is shown on the conclusion only",
        TAP_SENT,
        &[
            (
                3_000,
                "host 1 yes",
                "persist completed Agreed; send completed Agreed",
            ),
            (
                3_100,
                "concluded 1 approved",
                "persist concluded; show Approved",
            ),
            (3_200, "concluded 1 approved", ""),
        ],
    );
    check(
        "a decline waits for another card",
        TAP_SENT,
        &[
            (
                3_000,
                "host 1 no",
                "persist completed Refused; send completed Refused",
            ),
            (4_000, "go 1 2", "persist intent; reader start 60000"),
            (
                5_000,
                "stop 1",
                "reader Cancel; persist ended Stopped; send ended Stopped",
            ),
            (5_100, "reader canceled", ""),
            (
                6_000,
                "concluded 1 declined",
                "persist concluded; show Declined",
            ),
        ],
    );
    check(
        "no usable answer is no payment",
        TAP_SENT,
        &[(
            3_000,
            "host 1 none",
            "persist completed Refused; send completed Refused",
        )],
    );
}

#[test]
fn what_to_do_differently_is_said_until_the_next_card_is_read() {
    check(
        "the stripe of a chip card",
        TAP_SENT,
        &[
            (
                3_000,
                "host 1 chip",
                "persist completed Refused; send completed Refused; show declined UseChip",
            ),
            (
                4_000,
                "go 1 2",
                "persist intent; reader start 60000 UseChip; show present UseChip",
            ),
            // What the reader has to say is shown; that it waits for a card is said with the advice.
            (4_100, "progress use_chip", ""),
            (4_200, "progress present_card", "show present UseChip"),
            (4_300, "progress card_detected", ""),
            (5_000, "tap", "persist sent; send card 1150"),
            (5_100, "progress present_card", ""),
        ],
    );
    check(
        "an ordinary decline",
        TAP_SENT,
        &[
            (
                3_000,
                "host 1 no",
                "persist completed Refused; send completed Refused",
            ),
            (4_000, "go 1 2", "persist intent; reader start 60000"),
            (4_200, "progress present_card", ""),
        ],
    );
}

#[test]
fn a_chip_sale() {
    for (rule, script) in [
        (
            "the chip agrees",
            vec![
                (3_000, "host 1 yes", "reader arc 00"),
                (
                    4_000,
                    "final yes",
                    "persist completed Agreed; send completed Agreed",
                ),
                (
                    5_000,
                    "concluded 1 approved",
                    "persist concluded; show Approved",
                ),
            ],
        ),
        (
            "the chip refuses after the approval",
            vec![
                (3_000, "host 1 yes", "reader arc 00"),
                (
                    4_000,
                    "final no",
                    "persist completed Refused; send completed Refused",
                ),
            ],
        ),
        (
            "the chip is told the decline",
            vec![
                (3_000, "host 1 no", "reader arc 05"),
                (
                    4_000,
                    "final no",
                    "persist completed Refused; send completed Refused",
                ),
            ],
        ),
        (
            "a declined card that is pulled is declined all the same",
            vec![
                (3_000, "host 1 no", "reader arc 05"),
                (
                    4_000,
                    "reader removed",
                    "persist completed Refused; send completed Refused",
                ),
            ],
        ),
        (
            "the chip's approval without the acquirer's counts for nothing",
            vec![
                (3_000, "host 1 none", "reader HostUnreachable"),
                (
                    4_000,
                    "final yes",
                    "persist completed Refused; send completed Refused",
                ),
            ],
        ),
        (
            "pulled after the approval",
            vec![
                (3_000, "host 1 yes", "reader arc 00"),
                (
                    4_000,
                    "reader removed",
                    "persist completed Aborted CardRemoved; send completed Aborted CardRemoved",
                ),
            ],
        ),
        (
            "pulled before the answer, which is then answered by what is known",
            vec![
                (
                    3_000,
                    "reader removed",
                    "persist completed Aborted CardRemoved; send completed Aborted CardRemoved",
                ),
                (4_000, "host 1 yes", "send completed Aborted CardRemoved"),
            ],
        ),
        (
            "the reader is unplugged",
            vec![(
                3_000,
                "unready",
                "persist completed Aborted ReaderFault; send completed Aborted ReaderFault",
            )],
        ),
        (
            "the cancel key after the data was sent",
            vec![(
                3_000,
                "key cancel",
                "reader Cancel; persist completed Aborted CashierCanceled; send completed Aborted CashierCanceled; done",
            )],
        ),
        (
            "the engine's stop after the data was sent",
            vec![(
                3_000,
                "stop 1",
                "reader Cancel; persist completed Aborted Stopped; send completed Aborted Stopped",
            )],
        ),
        (
            "an answer to another attempt means nothing, a repeated one changes nothing",
            vec![
                (3_000, "host 2 yes", ""),
                (3_000, "host 1 yes", "reader arc 00"),
                (3_000, "host 1 yes", ""),
            ],
        ),
    ] {
        check(rule, CHIP_SENT, &script);
    }
}

#[test]
fn nothing_starts_late() {
    check(
        "a go within the window of the last word",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (5_000, "go 1", "persist intent; reader start 60000"),
        ],
    );
    check(
        "a go after the window",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (5_001, "go 1", "send reject TooLate"),
            (5_002, "tip? 1", "send reject TooLate"),
        ],
    );
    check(
        "a word that nobody was told is not what a go answers",
        CHIP_SENT,
        &[
            (3_000, "down", ""),
            (4_000, "connecting", "hello [1 Sent] []"),
            (
                8_000,
                "reader removed",
                "persist completed Aborted CardRemoved",
            ),
            (8_500, "welcome", "send completed Aborted CardRemoved"),
            (9_001, "go 1 2", "send reject TooLate"),
        ],
    );
    check(
        "a go for something unknown",
        UP,
        &[(0, "go 1", "send reject TooLate")],
    );
    check(
        "the journal takes longer than the window",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (0, "disk slow", ""),
            (4_000, "go 1", "persist intent"),
            (
                9_001,
                "disk done",
                "persist ended Stopped; send reject TooLate",
            ),
        ],
    );
    check(
        "a start of an earlier boot",
        UP,
        &[
            (0, "sale 1", "persist requested; send request 1"),
            (1, "restart", ""),
            (1, "up", "hello [] []; send request 1"),
            (1, "ready", ""),
            (2, "ordered 1", "send reject TooLate"),
        ],
    );
    check(
        "a start of a minute ago",
        UP,
        &[
            (0, "sale 1", "persist requested; send request 1"),
            (60_001, "ordered 1", "send reject TooLate"),
        ],
    );
}

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
fn one_at_a_time_and_only_with_a_reader() {
    check(
        "busy while something is live",
        READING,
        &[
            (2_000, "offer 2", "send reject Busy"),
            (2_000, "go 1", ""),
            (2_000, "go 1 2", "send reject Busy"),
            (2_000, "sale 1", "refused TERMINAL_BUSY"),
        ],
    );
    check(
        "one whose window has passed keeps nobody away",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (5_000, "offer 2", "send reject Busy"),
            (5_001, "offer 2", "persist accepted; send accept"),
            (5_002, "offer 1", "send accept"),
            (5_003, "go 1", "send reject Busy"),
        ],
    );
    for (event, rule) in [("unready", "absent"), ("plaintext", "not encrypting")] {
        check(
            rule,
            UP,
            &[
                (0, "offer 1", "persist accepted; send accept"),
                (1, event, ""),
                (2, "go 1", "send reject ReaderNotReady"),
                (6_000, "offer 2", "send reject ReaderNotReady"),
            ],
        );
    }
    check(
        "the next start waits until the reader has ended the last one",
        READING,
        &[
            (
                2_000,
                "stop 1",
                "reader Cancel; persist ended Stopped; send ended Stopped",
            ),
            (
                2_001,
                "concluded 1 reversed",
                "persist concluded; show Reversed",
            ),
            (2_002, "offer 2", "persist accepted; send accept"),
            (2_003, "go 2 2", "persist intent"),
            (2_900, "reader canceled", "reader start 59103"),
        ],
    );
    check(
        "a reader that does not end is not waited for",
        READING,
        &[
            (
                2_000,
                "stop 1",
                "reader Cancel; persist ended Stopped; send ended Stopped",
            ),
            (2_100, "go 1 2", "persist intent"),
            (
                7_100,
                "deadline",
                "persist ended Stopped; send reject TooLate",
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

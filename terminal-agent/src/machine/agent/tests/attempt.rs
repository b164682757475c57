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
fn a_chip_that_says_no_last_word() {
    for (rule, script) in [
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
    ] {
        check(rule, CHIP_SENT, &script);
    }
}

//! What keeps an attempt from starting, and what one that runs keeps out.

use super::*;

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

//! Lost links, restarts and slow disks.

use super::*;

#[test]
fn the_link_breaks() {
    check(
        "nothing sent: the reader stops, the digest says so, and another card may be tried",
        READING,
        &[
            (2_000, "down", "reader Cancel; persist ended LinkLost"),
            (2_001, "reader canceled", ""),
            (90_000, "up", "hello [1 Ended(LinkLost)] []"),
            (91_000, "go 1 2", "persist intent; reader start 60000"),
        ],
    );
    check(
        "card data sent: the answer is waited for",
        CHIP_SENT,
        &[
            (3_000, "down", ""),
            (4_000, "up", "hello [1 Sent] []"),
            (5_000, "host 1 yes", "reader arc 00"),
        ],
    );
    check(
        "completed while the link was down: the digest carries it",
        CHIP_SENT,
        &[
            (3_000, "host 1 yes", "reader arc 00"),
            (3_001, "down", ""),
            (4_000, "final yes", "persist completed Agreed"),
            (5_000, "up", "hello [1 Completed Agreed] []"),
            (
                6_000,
                "concluded 1 approved",
                "persist concluded; show Approved",
            ),
        ],
    );
    check(
        "completed between hello and welcome: said after the welcome",
        CHIP_SENT,
        &[
            (3_000, "down", ""),
            (4_000, "connecting", "hello [1 Sent] []"),
            (
                4_001,
                "reader removed",
                "persist completed Aborted CardRemoved",
            ),
            (4_002, "welcome", "send completed Aborted CardRemoved"),
        ],
    );
    check(
        "the engine knows nothing of it",
        CHIP_SENT,
        &[
            (3_000, "down", ""),
            (4_000, "up", "hello [1 Sent] []"),
            (4_001, "closed 1", "reader Cancel; persist concluded"),
            (4_002, "down", ""),
            (4_003, "up", "hello [] []"),
        ],
    );
}

#[test]
fn the_agent_restarts() {
    for (rule, start, script) in [
        (
            "with an intent but nothing sent",
            READING,
            [
                (2_000, "restart", ""),
                (0, "up", "hello [1 Ended(AgentRestarted)] []"),
                (0, "stop 1", "send ended AgentRestarted"),
            ],
        ),
        (
            "after card data was sent: nobody knows what the card did",
            CHIP_SENT,
            [
                (2_000, "restart", ""),
                (0, "up", "hello [1 Lost] []"),
                (
                    1,
                    "host 1 yes",
                    "persist completed Aborted AgentRestarted; send completed Aborted AgentRestarted",
                ),
            ],
        ),
        (
            "accepted, not yet begun: the hello is its last word",
            UP,
            [
                (0, "offer 1", "persist accepted; send accept"),
                (2_000, "restart", ""),
                (0, "up", "hello [1 Accepted] []"),
            ],
        ),
    ] {
        check(rule, start, &script);
    }
    check(
        "completed: the digest carries it, and the engine concludes",
        TAP_SENT,
        &[
            (
                3_000,
                "host 1 yes",
                "persist completed Agreed; send completed Agreed",
            ),
            (3_001, "restart", ""),
            (0, "up", "hello [1 Completed Agreed] []"),
            (0, "ready", ""),
            (6_000, "offer 2", "send reject Busy"),
            (
                6_001,
                "concluded 1 approved",
                "persist concluded; show Approved",
            ),
            (6_002, "restart", ""),
            (0, "up", "hello [] []"),
        ],
    );
}

#[test]
fn persist_then_act() {
    check(
        "the reader is not touched before the intent is on disk; a stop that came meanwhile counts",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (0, "disk slow", ""),
            (1, "go 1", "persist intent"),
            (2, "stop 1", ""),
            (3, "deadline", ""),
            (
                4,
                "disk done",
                "reader start 59997; reader Cancel; persist ended Stopped; send ended Stopped",
            ),
        ],
    );
    check(
        "card data is not sent before the journal has it",
        READING,
        &[
            (2_000, "disk slow", ""),
            (2_000, "tap", "persist sent"),
            (2_001, "host 1 yes", ""),
            (2_002, "disk slow", ""),
        ],
    );
    check(
        "a failed journal undoes the decision, stops the reader, and begins nothing",
        READING,
        &[
            (2_000, "disk slow", ""),
            (2_000, "tap", "persist sent"),
            (2_001, "sale 1", ""),
            (
                2_002,
                "disk failed",
                "show OutOfOrder; fault; refused JOURNAL_FAULT",
            ),
            (2_003, "offer 2", "send reject JournalFault"),
            (2_004, "up", "hello [1 Reading] []"),
        ],
    );
    check(
        "a request that was sent has an unknown outcome",
        UP,
        &[
            (0, "sale 1", "persist requested; send request 1"),
            (1, "disk slow", ""),
            (2, "void 2", "persist requested"),
            (
                3,
                "disk failed",
                "refused OUTCOME_UNKNOWN; refused JOURNAL_FAULT; show OutOfOrder; fault",
            ),
        ],
    );
    check(
        "a failed intent is refused, the reader untouched",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (0, "disk slow", ""),
            (1, "go 1", "persist intent"),
            (
                2,
                "disk failed",
                "send reject JournalFault; show OutOfOrder; fault",
            ),
        ],
    );
}

#[test]
fn conclusions_of_what_is_no_longer_open() {
    check(
        "what was in doubt has ended; nothing is shown twice",
        TAP_SENT,
        &[
            (
                3_000,
                "concluded 1 in_doubt",
                "persist concluded; show InDoubt",
            ),
            (4_000, "concluded 1 in_doubt", ""),
            (5_000, "concluded 1 reversed", "show Reversed"),
            (6_000, "concluded 1 reversed", ""),
            (7_000, "concluded 1 approved", ""),
        ],
    );
}

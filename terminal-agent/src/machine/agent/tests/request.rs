//! What the till asks for itself, tips, and print jobs.

use super::*;

#[test]
fn tips() {
    let tip = r#"send tip Amount(Money { minor: 200, currency: USD })"#;
    check(
        "chosen, and said again when the engine asks again",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (1, "tip? 1", ""),
            (2, "key 2", "refused INVALID_TIP"),
            (3, "key typed", "refused INVALID_TIP"),
            (29_000, "tip? 1", ""),
            (30_000, "key 1", &format!("{tip}; done")),
            (30_001, "tip? 1", tip),
            (31_000, "go 1", "persist intent; reader start 60000"),
        ],
    );
    check(
        "none, by choice or by time; or the prompt is left",
        UP,
        &[
            (0, "key none", "refused NOTHING_RUNNING"),
            (0, "offer 1", "persist accepted; send accept"),
            (1, "tip? 1", ""),
            (2, "key none", "send tip None; done"),
            (10_000, "offer 2", "persist accepted; send accept"),
            (10_001, "tip? 2", ""),
            (40_001, "deadline", "send tip TimedOut"),
            (50_000, "offer 3", "persist accepted; send accept"),
            (50_001, "tip? 3", ""),
            (
                50_002,
                "key cancel",
                "persist ended CashierCanceled; send ended CashierCanceled; done",
            ),
        ],
    );
    check(
        "chosen while the link was down",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (1, "tip? 1", ""),
            (2, "down", ""),
            (3, "key 1", "done"),
            (4, "up", "hello [1 Accepted] []"),
            (5, "tip? 1", tip),
        ],
    );
}

#[test]
fn requests_of_the_till() {
    check(
        "journaled before it is sent, repeated until answered",
        UP,
        &[
            (0, "sale 1", "persist requested; send request 1"),
            (1, "sale 2", "refused TERMINAL_BUSY"),
            (2, "sale 1 999", "refused REQUEST_CONFLICT"),
            (3, "down", ""),
            (4, "sale 1", ""),
            (5, "up", "hello [] []; send request 1"),
            (6, "answer 1", "persist answered; answered; answered"),
            (7, "answer 1", ""),
            (8, "ordered 1", "persist accepted; send accept"),
        ],
    );
    check(
        "without a link nothing begins, except to cancel what is open",
        READING,
        &[
            (2_000, "down", "reader Cancel; persist ended LinkLost"),
            (2_001, "void 1", "refused ENGINE_UNREACHABLE"),
            (2_002, "sale 1", "refused ENGINE_UNREACHABLE"),
            (2_003, "cancel 2", "persist requested"),
            (9_000, "cancel 3", "refused NOTHING_RUNNING"),
            (9_001, "up", "hello [1 Ended(LinkLost)] []; send request 2"),
        ],
    );
    check(
        "amounts",
        UP,
        &[
            (0, "sale 1 0", "refused INVALID_AMOUNT"),
            (0, "sale 1 -5", "refused INVALID_AMOUNT"),
        ],
    );
}

#[test]
fn prints() {
    let given = r#"printer 1; send print Queued { held_by: "" }"#;
    let begins = "persist printstarted; begin 1; send print Printing";
    check(
        "printed once, however often it is asked for",
        UP,
        &[
            (0, "print 1", given),
            (0, "print 1", r#"send print Queued { held_by: "" }"#),
            (0, "begins 2", ""),
            (1, "begins 1", begins),
            (1, "print 1", "send print Printing"),
            (2, "print 2", r#"send print Queued { held_by: "" }"#),
            (
                3,
                "printed 1",
                "persist print ended Printed; send print Printed; printer 2; send print Queued { held_by: \"\" }",
            ),
            (
                3,
                "begins 2",
                "persist printstarted; begin 2; send print Printing",
            ),
            (4, "print 1", "send print Printed"),
            (5, "restart", ""),
            (0, "up", "hello [] [Printed, Unknown]"),
            (1, "print 1", "send print Printed"),
            (2, "print 2", "send print Unknown"),
            (
                3,
                "knows 1",
                "hello [] [Printed, Unknown]; persist printknown",
            ),
            (4, "up", "hello [] [Unknown]"),
        ],
    );
    check(
        "an end that the engine knows is forgotten; one that it does not know is not",
        UP,
        &[
            (0, "print 1", given),
            (1, "begins 1", begins),
            (2, "print 2 1", r#"send print Queued { held_by: "" }"#),
            (
                3,
                "printed 1",
                "persist print ended Printed; send print Printed; printer 2; send print Queued { held_by: \"\" }",
            ),
            (
                4,
                "print 3 1",
                r#"persist printknown; send print Queued { held_by: "" }"#,
            ),
            (5, "print 3 1", r#"send print Queued { held_by: "" }"#),
            (6, "connecting", "hello [] []"),
        ],
    );
}

#[test]
fn prints_that_have_not_begun_and_those_that_have() {
    let given = r#"printer 1; send print Queued { held_by: "" }"#;
    let begins = "persist printstarted; begin 1; send print Printing";
    check(
        "nothing begins while the printer is not there",
        UP,
        &[
            (0, "printer off", ""),
            (
                0,
                "print 1",
                r#"send print Queued { held_by: "printer_absent" }"#,
            ),
            (1, "printer on", given),
        ],
    );
    check(
        "what it has told to have begun, and its journal does not know, is not begun again",
        UP,
        &[
            (
                0,
                "begun 1",
                "persist print ended Unknown; send print Unknown",
            ),
            (1, "print 1", "send print Unknown"),
            (
                1,
                "print 2",
                r#"printer 2; send print Queued { held_by: "" }"#,
            ),
            (2, "begun 2", r#"send print Queued { held_by: "" }"#),
        ],
    );
    check(
        "what the printer has not begun is printed after a restart",
        UP,
        &[
            (0, "print 1", given),
            (1, "restart", ""),
            (0, "up", "hello [] []"),
            (0, "printer on", ""),
            (1, "print 1", given),
            (2, "begins 1", begins),
        ],
    );
}

#[test]
fn test_pages() {
    let given = r#"printer 1; send print Queued { held_by: "" }"#;
    check(
        "printed beside a sale, journaled nowhere and told to nobody else",
        UP,
        &[
            (0, "offer 1", "persist accepted; send accept"),
            (0, "test 9", "printer 9"),
            (1, "begins 9", "begin 9"),
            (2, "test 8", "refused PRINTER_BUSY"),
            (3, "print 1", r#"send print Queued { held_by: "" }"#),
            (4, "printed 9", &format!("test Printed; {given}")),
            (5, "test 8", "refused PRINTER_BUSY"),
            (6, "printed 9", ""),
        ],
    );
    check(
        "who asked is told once what a person has to do",
        UP,
        &[
            (0, "test 9", "printer 9"),
            (1, "held 9", r#"test Queued { held_by: "no_paper" }"#),
            (2, "held 9", ""),
            (3, "begins 9", "begin 9"),
            (4, "printed 9", ""),
            (5, "test 8", "printer 8"),
            (6, "printed 8", "test Printed"),
            (7, "up", "hello [] []"),
        ],
    );
    check(
        "not without a printer's port",
        UP,
        &[
            (0, "printer off", ""),
            (1, "test 9", "refused PRINTER_ABSENT"),
        ],
    );
}

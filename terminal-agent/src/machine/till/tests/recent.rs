//! The list of the last sales, and what can still be done with one.

use super::*;

#[test]
fn the_last_sales_are_listed_and_changed() {
    let mut desk = Desk::ready();
    let recent = |number, status| RecentSale {
        concluded: concluded(number, status),
        undone: Undone::No,
        age_ms: 180_000,
    };
    desk.answer_recent(vec![
        recent(2, PosStatus::Declined),
        recent(1, PosStatus::Approved),
    ]);
    desk.keys("l");
    let view = desk.till.view(desk.now_ms);
    let rows: Vec<_> = view
        .choices
        .iter()
        .map(|choice| choice.text.as_str())
        .collect();
    assert_eq!(
        rows,
        [
            "USD 12.50  DECLINED  3 min ago",
            "USD 12.50  APPROVED  3 min ago"
        ]
    );
    desk.keys("1");
    assert_eq!(desk.headline(), "DECLINED");
    desk.keys("tv");
    assert!(desk.asked().is_empty());
    desk.keys("b2t250");
    assert_eq!(desk.headline(), "NEW TIP");
    desk.keys("\n");
    let line = desk.take(|line| matches!(line, Line::Tip { .. }));
    assert!(
        matches!(&line, Line::Tip { pos_id, tip, .. } if *pos_id == pos(1) && *tip == usd(250)),
        "{line:?}"
    );
    let adjusted = AnswerData::TipAdjusted {
        request_id: RequestId::from_uuid(Uuid::from_u128(0)),
        transaction_id: TransactionId::from_uuid(Uuid::from_u128(1_001)),
        total: usd(1_500),
    };
    desk.answer(Answer::good(line.id(), adjusted));
    assert_eq!(desk.till.view(desk.now_ms).amount, Some(usd(1_500)));
    assert!(
        desk.text().contains("Tip USD 2.50 is in it"),
        "{}",
        desk.text()
    );
    desk.keys("t9999\n");
    let line = desk.take(|line| matches!(line, Line::Tip { .. }));
    desk.refuse(&line, "TIP_LIMIT_EXCEEDED");
    assert!(
        desk.text().contains("above what the shop allows"),
        "{}",
        desk.text()
    );
    desk.keys("m");
    assert!(matches!(
        desk.asked()[..],
        [Line::Print {
            copy: Copy::Merchant,
            ..
        }]
    ));
    desk.keys("bbq");
    assert!(desk.has_quit);
}

#[test]
fn an_agent_that_has_restarted_does_not_empty_the_list() {
    let mut desk = Desk::ready();
    let recent = |number, age_ms| RecentSale {
        concluded: concluded(number, PosStatus::Declined),
        undone: Undone::No,
        age_ms,
    };
    desk.answer_recent(vec![recent(2, 60_000), recent(1, 120_000)]);
    desk.input(Input::Absent(Absence::NotRunning));
    desk.connect(status());
    desk.answer_recent(vec![recent(3, 0), recent(2, 60_000)]);
    let ids: Vec<_> = desk
        .till
        .recent
        .iter()
        .map(|(_, sale)| sale.concluded.pos_id)
        .collect();
    assert_eq!(ids, [pos(3), pos(2), pos(1)]);
}

//! Lists: pages, cursors, filters.

use serde_json::Value;

use super::world::{T0, World, every_scope, pos};
use crate::domain::time::Timestamp;

fn ids(data: &Value) -> Vec<String> {
    data["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["reference"].as_str().unwrap().to_owned())
        .collect()
}

#[actix_web::test]
async fn pages_are_walked_by_cursor() {
    let world = World::new();
    let token = world.token(1, every_scope());
    for number in 0..7 {
        world.put_pos(&pos(
            number,
            Timestamp(T0.0 + i64::try_from(number).unwrap()),
        ));
    }
    let mut cursor: Option<String> = None;
    let mut found = Vec::new();
    for expected_more in [true, true, false] {
        let after = cursor.take().map(|cursor| format!("&cursor={cursor}"));
        let path = format!("/v1/pos/transactions?limit=3{}", after.unwrap_or_default());
        let data = world.get(&token, &path).await.data();
        assert_eq!(data["object"], "list");
        assert_eq!(data["has_more"], expected_more);
        found.extend(ids(&data));
        cursor = data["next_cursor"].as_str().map(str::to_owned);
    }
    assert_eq!(cursor, None);
    let expected: Vec<String> = (0..7)
        .rev()
        .map(|number| format!("order {number}"))
        .collect();
    assert_eq!(found, expected);

    let stranger = world.token(2, every_scope());
    let data = world.get(&stranger, "/v1/pos/transactions").await.data();
    assert!(ids(&data).is_empty());
}

#[actix_web::test]
async fn filters_bound_the_list() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let hour = 3_600_000;
    for number in 0..5 {
        let at = Timestamp(T0.0 + hour * i64::try_from(number).unwrap());
        world.put_pos(&pos(number, at));
    }
    let found = async |query: &str| {
        let path = format!("/v1/pos/transactions?{query}");
        ids(&world.get(&token, &path).await.data())
    };
    let one = super::super::view::instant(T0.plus_ms(3_600_000));
    let three = super::super::view::instant(T0.plus_ms(3 * 3_600_000));
    assert_eq!(
        found(&format!("created_from={one}&created_to={three}")).await,
        ["order 3", "order 2", "order 1"]
    );
    assert_eq!(found("reference=order%202").await, ["order 2"]);
    assert_eq!(found("status=approved").await, [""; 0]);
    assert_eq!(found("status=in_progress&limit=1").await, ["order 4"]);
}

#[actix_web::test]
async fn a_cursor_of_another_question_is_refused() {
    let world = World::new();
    let token = world.token(1, every_scope());
    for number in 0..3 {
        world.put_pos(&pos(number, T0));
    }
    let data = world
        .get(&token, "/v1/pos/transactions?limit=1")
        .await
        .data();
    let cursor = data["next_cursor"].as_str().unwrap().to_owned();
    let good = format!("/v1/pos/transactions?limit=2&cursor={cursor}");
    assert_eq!(ids(&world.get(&token, &good).await.data()).len(), 2);
    for bad in [
        format!("/v1/pos/transactions?status=approved&cursor={cursor}"),
        format!("/v1/transactions?cursor={cursor}"),
        "/v1/pos/transactions?cursor=zz".to_owned(),
        "/v1/pos/transactions?cursor=".to_owned(),
    ] {
        let got = world.get(&token, &bad).await;
        assert_eq!(got.status, 422, "{bad}");
        assert_eq!(got.error()["details"]["field"], "cursor");
    }
    for (bad, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("status=completed", "status"),
        ("terminal_id=x", "terminal_id"),
        ("created_from=yesterday", "created_from"),
        ("colour=red", "colour"),
        ("limit=1&limit=2", "limit"),
    ] {
        let got = world
            .get(&token, &format!("/v1/pos/transactions?{bad}"))
            .await;
        assert_eq!(got.status, 422, "{bad}");
        assert_eq!(got.error()["details"]["field"], field, "{bad}");
    }
}

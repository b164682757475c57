//! Lists: pages, cursors, filters.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::world;
use crate::check::{board, good, refused};

#[test]
fn pages_are_complete_without_repeats_and_newest_come_first() {
    let world = world();
    let merchant = board(world.operator(), None);
    let mut made = Vec::new();
    for number in 0..23 {
        let body = json!({"label": format!("Lane {number}")});
        made.push(
            merchant
                .api
                .post("/v1/terminals", &body)
                .field("id")
                .to_owned(),
        );
    }
    for limit in [1, 5, 23, 100] {
        let mut cursor = String::new();
        let mut seen: Vec<String> = Vec::new();
        loop {
            let page = merchant
                .api
                .get(&format!("/v1/terminals?limit={limit}{cursor}"));
            let data = good(&page, 200, "page");
            let items = data["items"].as_array().unwrap();
            assert!(items.len() <= limit);
            assert_eq!(data["has_more"], json!(data["next_cursor"].is_string()));
            seen.extend(
                items
                    .iter()
                    .map(|one| one["id"].as_str().unwrap().to_owned()),
            );
            match data["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen.len(), made.len(), "limit {limit}");
        let distinct: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(distinct, made.iter().collect(), "limit {limit}");
        assert!(
            seen.is_sorted() || seen.iter().rev().is_sorted(),
            "limit {limit}: no order"
        );
    }
    let page = merchant.api.get("/v1/terminals");
    assert_eq!(
        good(&page, 200, "default")["items"]
            .as_array()
            .unwrap()
            .len(),
        23
    );
}

#[test]
fn a_cursor_belongs_to_its_filters() {
    let world = world();
    let _till = world.till();
    for amount in [1_201, 1_202] {
        let sale = world.shop.tap_sale(amount, "visa").unwrap();
        assert_eq!(sale.field("status"), "approved");
    }
    for list in ["/v1/pos/transactions", "/v1/transactions"] {
        let page = world.api.get(&format!("{list}?status=approved&limit=1"));
        let data = good(&page, 200, list);
        assert_eq!(data["has_more"], true, "{list}");
        let cursor = data["next_cursor"].as_str().unwrap();
        let next = world
            .api
            .get(&format!("{list}?limit=2&status=approved&cursor={cursor}"));
        good(&next, 200, "the same filters with another limit");
        for other in ["", "&status=declined", "&status=approved&reference=x"] {
            let answer = world
                .api
                .get(&format!("{list}?limit=1&cursor={cursor}{other}"));
            let details = refused(&answer, 422, "VALIDATION_ERROR", other);
            assert_eq!(details["field"], "cursor", "{other}");
        }
        let answer = world.api.get(&format!("/v1/terminals?cursor={cursor}"));
        refused(&answer, 422, "VALIDATION_ERROR", "another list");
    }
}

#[test]
fn filters_find_exactly_what_they_name() {
    let world = world();
    let _till = world.till();
    let mut body = world.shop.sale(1_300);
    body["reference"] = json!("Table 7");
    let started = world.api.post("/v1/pos/transactions", &body);
    let pos_id = good(&started, 201, "start")["id"].clone();
    let created_at = started.field("created_at").to_owned();
    let ids = |query: &str| -> Vec<Value> {
        let page = world.api.get(&format!("/v1/pos/transactions?{query}"));
        let items = good(&page, 200, query)["items"].as_array().unwrap().clone();
        items.into_iter().map(|one| one["id"].clone()).collect()
    };
    assert_eq!(ids("status=in_progress"), std::slice::from_ref(&pos_id));
    assert_eq!(ids("reference=Table%207"), std::slice::from_ref(&pos_id));
    assert_eq!(ids("reference=Table%208"), Vec::<Value>::new());
    assert_eq!(
        ids(&format!("created_from={created_at}")),
        std::slice::from_ref(&pos_id)
    );
    assert_eq!(
        ids("created_from=2001-01-01T00:00:00Z&created_to=2002-01-01T00:00:00Z").len(),
        0
    );
    assert!(ids(&format!("terminal_id={}", world.shop.terminal_id)).contains(&pos_id));
    let spare = world.spare_terminal();
    assert_eq!(ids(&format!("terminal_id={spare}")).len(), 0);
    let path = format!("/v1/pos/transactions/{}/cancel", pos_id.as_str().unwrap());
    good(&world.api.post(&path, &json!({})), 200, "cancel");
    assert_eq!(ids("status=in_progress").len(), 0);
    assert_eq!(ids("status=canceled&reference=Table%207"), [pos_id]);
}

//! Receipts: as data, as text, on paper; a printer in trouble never touches the payment.

use harness::raw;
use harness::wait::until;
use serde_json::{Value, json};

use super::{Lane, approved, begin_sale};
use crate::check::{good, refused};

fn jobs(lane: &Lane, pos_id: &str) -> Vec<Value> {
    let answer = lane
        .pos
        .get(&format!("/v1/pos/transactions/{pos_id}/print-jobs"));
    good(&answer, 200, "print jobs")["items"]
        .as_array()
        .unwrap()
        .clone()
}

/// Waits until every one of `count` jobs of a sale says this.
fn until_jobs(lane: &Lane, pos_id: &str, count: usize, status: &str) -> Vec<Value> {
    let found = until(&format!("{count} jobs to be {status}"), || {
        let jobs = jobs(lane, pos_id);
        let are = jobs.len() == count && jobs.iter().all(|job| job["status"] == json!(status));
        are.then_some(jobs)
    });
    found.unwrap_or_else(|| panic!("{:?}", jobs(lane, pos_id)))
}

/// An approved sale whose paper, and with it all earlier paper, is out.
fn printed(lane: &Lane, amount: i64) -> (String, String) {
    let ids = approved(lane, amount, "visa");
    until_jobs(lane, &ids.0, 2, "printed");
    ids
}

fn print(lane: &Lane, pos_id: &str, copy: &str) -> Value {
    let path = format!("/v1/pos/transactions/{pos_id}/print-receipt");
    let answer = lane.pos.post(&path, &json!({ "copy": copy }));
    good(&answer, 202, "print").clone()
}

/// Letters of a paper: headings are printed wide, with spaces between.
fn letters(lane: &Lane, number: usize) -> String {
    lane.devices.paper(number).unwrap().replace(' ', "")
}

#[test]
fn receipts_are_data_and_text_of_every_width() {
    let lane = Lane::take();
    let pos_id = begin_sale(&lane, 3_000);
    let path = format!("/v1/pos/transactions/{pos_id}/receipt");
    refused(&lane.pos.get(&path), 409, "NO_RECEIPT", "before the card");
    let early = lane.pos.post(
        &format!("/v1/pos/transactions/{pos_id}/print-receipt"),
        &json!({}),
    );
    refused(&early, 409, "NO_RECEIPT", "printing before the card");
    lane.devices.present("mastercard", "insert").unwrap();
    assert_eq!(lane.end_of(&pos_id).field("status"), "approved");

    let answer = lane.pos.get(&path);
    let data = good(&answer, 200, "as data");
    assert_eq!(data["copy"], "customer");
    assert_eq!(data["columns"], 42);
    assert_eq!(data["is_duplicate"], false);
    for (field, value) in [
        ("total", json!("USD 30.00")),
        ("card_number", json!("**** 0011")),
        ("merchant_id", json!(lane.merchant_id)),
    ] {
        let found = &data["fields"][field];
        let is_number =
            field == "card_number" && found.as_str().is_some_and(|it| it.ends_with("0011"));
        assert!(*found == value || is_number, "{field}: {found}");
    }
    for field in [
        "authorization_code",
        "application_id",
        "application_cryptogram",
        "date",
    ] {
        assert!(
            data["fields"][field].is_string(),
            "{field}: {}",
            answer.text
        );
    }
    assert!(
        !answer.text.contains("541333008902"),
        "a card number on a receipt"
    );

    let bearer = format!("Bearer {}", lane.pos.token());
    for copy in ["customer", "merchant"] {
        for columns in [32, 42, 48] {
            let query = format!("{path}?format=text&columns={columns}&copy={copy}");
            let headers = [("Authorization", bearer.as_str())];
            let answer = raw::call(lane.pos.base(), "GET", &query, &headers, b"");
            assert_eq!(answer.status, 200, "{query}");
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
            assert!(answer.header("x-trace-id").starts_with("trc_"));
            let widest = answer.text.lines().map(|line| line.chars().count()).max();
            assert!(
                widest.is_some_and(|width| width <= columns && width > columns - 4),
                "{query}: {widest:?}"
            );
            let heading = format!("{} COPY", copy.to_uppercase());
            assert!(answer.text.contains(&heading), "{query}: {}", answer.text);
            assert!(answer.text.contains("30.00"), "{query}");
            let as_data = lane
                .pos
                .get(&format!("{path}?columns={columns}&copy={copy}"));
            assert_eq!(as_data.field("text"), answer.text, "{query}");
        }
    }
    until_jobs(&lane, &pos_id, 2, "printed");
}

#[test]
fn two_copies_print_and_reprints_say_duplicate() {
    let lane = Lane::take();
    printed(&lane, 3_100);
    let before = lane.devices.papers();
    let (pos_id, transaction_id) = printed(&lane, 3_101);
    assert!(letters(&lane, before + 1).contains("MERCHANTCOPY"));
    assert!(letters(&lane, before + 2).contains("CUSTOMERCOPY"));
    assert!(!letters(&lane, before + 1).contains("DUPLICATE"));
    for copy in ["customer", "merchant"] {
        assert_eq!(print(&lane, &pos_id, copy)["is_duplicate"], true, "{copy}");
    }
    until_jobs(&lane, &pos_id, 4, "printed");
    for number in [before + 3, before + 4] {
        assert!(
            letters(&lane, number).contains("DUPLICATE"),
            "paper {number}"
        );
    }
    // With a tip it is another receipt: the first of its kind, then duplicates.
    let tip = format!("/v1/transactions/{transaction_id}/tip-adjustment");
    good(
        &lane
            .pos
            .post(&tip, &json!({"tip_amount": 300, "currency": "USD"})),
        200,
        "tip",
    );
    assert_eq!(print(&lane, &pos_id, "customer")["is_duplicate"], false);
    assert_eq!(print(&lane, &pos_id, "customer")["is_duplicate"], true);
    until_jobs(&lane, &pos_id, 6, "printed");
    let found = letters(&lane, before + 5);
    assert!(found.contains("34.01"), "the total with the tip: {found}");
    assert!(letters(&lane, before + 6).contains("DUPLICATE"));
    let void = format!("/v1/transactions/{transaction_id}/void");
    good(&lane.pos.post(&void, &json!({})), 200, "void");
    until_jobs(&lane, &pos_id, 7, "printed");
    assert!(letters(&lane, before + 7).contains("VOIDED"));
    assert_eq!(
        lane.devices.papers(),
        before + 7,
        "paper that nobody asked for"
    );
    assert_eq!(lane.devices.violations(), 0);
}

#[test]
fn a_printer_in_trouble_holds_paper_back_and_never_the_payment() {
    let lane = Lane::take();
    for (trouble, cure, held_by) in [
        ("paper-out", "paper-in", "no_paper"),
        ("cover-open", "cover-close", "cover_open"),
    ] {
        printed(&lane, 3_200);
        let before = lane.devices.papers();
        lane.devices.printer(trouble).unwrap();
        let (pos_id, _) = approved(&lane, 3_201, "visa");
        let held = until(&format!("a job held by {held_by}"), || {
            let jobs = jobs(&lane, &pos_id);
            let is_held = jobs.iter().any(|job| job["held_by"] == json!(held_by));
            is_held.then_some(jobs)
        });
        let held = held.unwrap_or_else(|| panic!("{trouble}: {:?}", jobs(&lane, &pos_id)));
        assert!(
            held.iter().all(|job| job["status"] == "queued"),
            "{trouble}: {held:?}"
        );
        let told = held.iter().find(|job| job["held_by"] == json!(held_by));
        let problem = &told.unwrap()["problem"];
        assert_eq!(problem["code"], held_by);
        assert!(problem["message"].is_string() && problem["remedy"].is_string());
        let status = lane
            .pos
            .get(&format!("/v1/terminals/{}/status", lane.terminal_id));
        let printer = &status.data()["printer"];
        match trouble {
            "paper-out" => assert_eq!(printer["paper"], "out", "{printer}"),
            _ => assert_eq!(printer["is_cover_open"], true, "{printer}"),
        }
        assert_eq!(printer["problem"], *problem, "the same words everywhere");
        // The next sale does not mind either.
        let (second, _) = approved(&lane, 3_202, "mastercard");
        assert_eq!(
            lane.devices.papers(),
            before,
            "{trouble}: paper out of nowhere"
        );
        lane.devices.printer(cure).unwrap();
        until_jobs(&lane, &pos_id, 2, "printed");
        until_jobs(&lane, &second, 2, "printed");
        assert_eq!(
            lane.devices.papers(),
            before + 4,
            "{trouble}: every job prints once"
        );
        for number in before + 1..=before + 4 {
            assert!(
                !letters(&lane, number).contains("DUPLICATE"),
                "{trouble}: paper {number}"
            );
        }
    }
    assert_eq!(lane.devices.violations(), 0);
}

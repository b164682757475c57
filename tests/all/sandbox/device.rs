//! Reader and printer misbehave: paper never touches money, a card that is pulled undoes it.

use engine::acquirer::host::BookState;
use harness::hand::Counter;
use harness::wait::until;
use serde_json::{Value, json};

use super::Lab;

#[test]
fn a_printer_in_trouble_holds_its_jobs_and_nothing_else() {
    let lab = Lab::open("printer");
    for (amount, trouble, remedy) in [
        (6_001, "paper_out", "paper_in"),
        (6_002, "cover_open", "cover_closed"),
    ] {
        let before = lab.devices.papers();
        let fault = lab.arm(json!({"kind": trouble}));
        let pos_id = lab.sale(amount, "approved", "approved");
        lab.fired(&fault, "printing", &pos_id);
        let held = until("the jobs to be held", || {
            let jobs = lab.jobs(&pos_id);
            let is_held = |job: &Value| job["held_by"].is_string();
            jobs.iter().any(is_held).then_some(jobs)
        });
        let held = held.unwrap();
        assert_eq!(held.len(), 2, "{held:?}");
        assert!(held.iter().all(|job| job["status"] == "queued"), "{held:?}");
        assert_eq!(lab.devices.papers(), before, "{trouble}");
        assert_eq!(lab.booked(amount), [BookState::Authorized]);
        let mended = lab.arm(json!({"kind": remedy, "at": "now"}));
        assert_eq!(lab.fault(&mended)["status"], "fired");
        lab.until_jobs(&pos_id, remedy, |job| job["status"] == "printed");
        assert_eq!(lab.devices.papers(), before + 2, "{remedy}");
    }
}

#[test]
fn a_card_that_is_pulled_before_the_chip_has_agreed_is_undone() {
    let lab = Lab::open("pulled");
    for (amount, stage) in [(6_101, "authorizing"), (6_102, "confirming")] {
        lab.card_comes("insert");
        let pulled = lab.arm(json!({"kind": "card_pulled", "at": stage}));
        let pos_id = lab.begin(amount);
        lab.ended(&pos_id, "reversed", "card_removed");
        lab.fired(&pulled, stage, &pos_id);
        assert_eq!(lab.booked(amount), [BookState::Reversed], "{stage}");
    }
}

#[test]
fn a_reader_that_fails_ends_the_sale_and_comes_back() {
    let lab = Lab::open("reader");
    let reset = lab.arm(json!({"kind": "reader_reset"}));
    let pos_id = lab.begin(6_201);
    lab.ended(&pos_id, "failed", "reader_fault");
    lab.fired(&reset, "awaiting_card", &pos_id);

    let unplugged = lab.arm(json!({"kind": "reader_unplugged"}));
    let pos_id = lab.begin(6_202);
    lab.ended(&pos_id, "failed", "reader_fault");
    lab.fired(&unplugged, "awaiting_card", &pos_id);
    let path = format!("/v1/terminals/{}/status", lab.terminal_id);
    let is_gone = || {
        let status = lab.pos.get(&path);
        (status.data()["reader"]["state"] == "absent").then_some(())
    };
    assert!(until("the reader to be gone", is_gone).is_some());
    lab.arm(json!({"kind": "reader_plugged_in"}));
    lab.sale(6_203, "approved", "approved");
    assert_eq!(lab.booked(6_201), []);
    assert_eq!(lab.booked(6_202), []);
}

#[test]
fn a_till_that_cannot_says_so() {
    let lab = Lab::open("real");
    let counter = Counter::board(&lab.engine);
    let mut till = counter.till();
    let terminal_id = till.terminal_id;
    let arm = || {
        let body = json!({"target": terminal_id, "kind": "paper_out", "at": "now"});
        let armed = counter.pos.post("/v1/sandbox/faults", &body);
        assert_eq!(armed.status, 201, "{}", armed.text);
        armed.field("id").to_owned()
    };
    let refusal_of = |id: &str| {
        until("the refusal", || {
            let listed = counter.pos.get("/v1/sandbox/faults");
            let items = listed.data()["items"].as_array()?.clone();
            let fault = items.into_iter().find(|fault| fault["id"] == json!(id))?;
            (fault["status"] == "refused").then(|| fault["refusal"].clone())
        })
    };
    assert_eq!(refusal_of(&arm()), Some(json!("terminal_offline")));

    // An agent that does not know the message would close the link: it never sees it.
    let (mut link, _) = till.link().unwrap();
    assert_eq!(refusal_of(&arm()), Some(json!("not_supported")));
    link.flush();

    // What its simulator does not know is refused in the simulator's words.
    let unknown = lab.arm(json!({"kind": "card_presented", "card": "nocard", "at": "now"}));
    let pos_id = lab.begin(6_301);
    let refused = until("the refusal", || {
        let fault = lab.fault(&unknown);
        (fault["status"] == "refused").then_some(fault)
    });
    assert!(refused.is_some(), "{}", lab.fault(&unknown));
    let path = format!("/v1/pos/transactions/{pos_id}/cancel");
    assert_eq!(lab.pos.post(&path, &json!({})).status, 200);
}

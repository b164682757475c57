//! Terminals as a fleet: list, names and places, status, configuration; with a real till.

use std::collections::BTreeSet;

use harness::hand::Counter;
use harness::wait::until;
use protocol::link::{
    ConfigurationRefused, ConfigurationReport, PaperState, StatusReport, TillFacts, TillStatus,
    ToAgent, ToEngine,
};
use serde_json::{Value, json};

use super::world;
use crate::check::{board, good, refused};

fn status(configuration: Option<ConfigurationReport>) -> TillStatus {
    TillStatus {
        reader_serial: "S1".to_owned(),
        reader_firmware: "F1".to_owned(),
        paper: PaperState::NearEnd,
        agent_version: "by hand".to_owned(),
        facts: Some(Box::new(TillFacts {
            clock_skew_ms: Some(-250),
            uptime_s: Some(60),
            ..TillFacts::default()
        })),
        configuration,
        ..TillStatus::healthy()
    }
}

fn applied(applied: u64) -> Option<ConfigurationReport> {
    Some(ConfigurationReport {
        applied,
        refused: None,
    })
}

#[test]
fn every_order_and_filter_walks_the_whole_fleet() {
    let world = world();
    let merchant = board(world.operator(), None);
    for number in 0..12 {
        let body = json!({
            "label": format!("{} {}", ["bar", "Door", "cellar"][number % 3], number * 7 % 12),
            "serial_number": format!("SN-{number}"),
        });
        let made = merchant.api.post("/v1/terminals", &body);
        let id = good(&made, 201, "a terminal")["id"]
            .as_str()
            .unwrap()
            .to_owned();
        if number % 4 == 0 {
            let place = json!({"location": "Hall 2"});
            let path = format!("/v1/terminals/{id}");
            good(&merchant.api.patch(&path, &place), 200, "a place");
        }
    }
    let walk = |query: &str| -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = merchant
                .api
                .get(&format!("/v1/terminals?limit=5&{query}{cursor}"));
            let data = good(&page, 200, query);
            items.extend(data["items"].as_array().unwrap().iter().cloned());
            match data["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    };
    let texts = |items: &[Value], member: &str| -> Vec<String> {
        let text = |item: &Value| item[member].as_str().unwrap().to_lowercase();
        items.iter().map(text).collect()
    };
    for sort in ["created_at", "label", "last_seen"] {
        let up = texts(&walk(&format!("sort={sort}")), "id");
        let mut down = texts(&walk(&format!("sort=-{sort}")), "id");
        down.reverse();
        assert_eq!(up, down, "{sort}");
        assert_eq!(up.iter().collect::<BTreeSet<_>>().len(), 12, "{sort}");
    }
    assert!(texts(&walk("sort=label"), "label").is_sorted());
    assert!(texts(&walk("sort=created_at"), "created_at").is_sorted());
    for (query, count) in [
        ("search=CELLAR", 4),
        ("search=sn-1", 3),
        ("serial_number=SN-1", 1),
        ("connection=online", 0),
        ("connection=offline", 12),
        ("availability=unpaired", 12),
        ("availability=ready", 0),
        ("paired=true", 0),
        ("paired=false", 12),
        ("location=Hall%202&sort=-label", 3),
        ("reader=ready", 0),
        ("paper=out", 0),
    ] {
        assert_eq!(walk(query).len(), count, "{query}");
    }
    let page = merchant.api.get("/v1/terminals?limit=5&sort=label");
    let cursor = page.data()["next_cursor"].as_str().unwrap().to_owned();
    for other in ["sort=-label", "sort=label&search=x", ""] {
        let path = format!("/v1/terminals?{other}&cursor={cursor}");
        refused(&merchant.api.get(&path), 422, "VALIDATION_ERROR", &path);
    }
    // A place that somebody made up is a place like any other.
    for tail in ["ff".repeat(40), "00".to_owned(), String::new()] {
        let path = format!(
            "/v1/terminals?limit=5&sort=label&cursor={}{tail}",
            &cursor[..48]
        );
        good(&merchant.api.get(&path), 200, &path);
    }
    let path = format!("/v1/terminals?limit=5&sort=label&cursor={cursor}0");
    refused(&merchant.api.get(&path), 422, "VALIDATION_ERROR", &path);
}

#[test]
fn names_and_places_are_changed_apart_and_keys_are_honoured() {
    let world = world();
    let id = world.spare_terminal();
    let path = format!("/v1/terminals/{id}");
    let api = &world.api;
    let key = harness::api::fresh_key();
    let body = json!({"label": "Bar", "location": "Hall 2"});
    let first = api.patch_keyed(&path, &body, &key);
    assert_eq!(good(&first, 200, "both")["location"], "Hall 2");
    let cleared = api.patch(&path, &json!({"location": null}));
    let data = good(&cleared, 200, "cleared");
    assert_eq!(
        (&data["label"], &data["location"]),
        (&json!("Bar"), &Value::Null)
    );
    let again = api.patch_keyed(&path, &body, &key);
    assert_eq!(again.text, first.text);
    assert_eq!(again.header("idempotent-replayed"), "true");
    let read = api.get(&path);
    assert_eq!(good(&read, 200, "read")["location"], Value::Null);
    good(&api.patch(&path, &json!({})), 200, "nothing to change");
    let stranger = world.other.api.patch(&path, &json!({"label": "Mine"}));
    refused(&stranger, 404, "NOT_FOUND", "somebody else's");
}

#[test]
fn a_till_that_is_asked_answers_and_one_that_is_not_there_does_not_hold_anybody_up() {
    let world = world();
    let counter = Counter::board(&world.shop.engine);
    let mut till = counter.till();
    let path = format!("/v1/terminals/{}/status", till.terminal_id);
    let offline = counter.pos.get(&format!("{path}?fresh=true"));
    let data = good(&offline, 200, "offline");
    assert_eq!(
        (&data["fresh"], &data["stale_reason"]),
        (&json!(false), &json!("offline"))
    );
    let (mut link, _) = till.link().unwrap();
    link.send(&ToEngine::Status(status(None)));
    let api = counter.pos.with_token(counter.pos.token());
    let asks = format!("{path}?fresh=true");
    let asking = std::thread::spawn(move || api.get(&asks));
    let Some(ToAgent::ReportStatus { ask }) = link.next_message() else {
        panic!("not asked")
    };
    let report = StatusReport {
        ask,
        is_reader_held: false,
        reader_age_ms: Some(40),
        status: status(None),
    };
    link.send(&ToEngine::StatusReported(Box::new(report)));
    let answer = asking.join().unwrap();
    let data = good(&answer, 200, "fresh");
    assert_eq!(data["fresh"], true, "{}", answer.text);
    assert_eq!(data.get("stale_reason"), None);
    assert_eq!(data["machine"]["clock_skew_ms"], -250);
    assert_eq!(data["printer"]["paper"], "near_end");
    assert_eq!(data["link_version"], 2);
    // A till that does not answer: the old status, after three seconds.
    let silent = counter.pos.get(&format!("{path}?fresh=true"));
    let data = good(&silent, 200, "silent");
    assert_eq!(
        (&data["fresh"], &data["stale_reason"]),
        (&json!(false), &json!("timed_out"))
    );
    assert_eq!(data["reader"]["state"], "ready");
    let cached = counter.pos.get(&path);
    assert_eq!(good(&cached, 200, "cached").get("fresh"), None);
}

#[test]
fn a_configuration_is_pushed_applied_and_refused() {
    let world = world();
    let counter = Counter::board(&world.shop.engine);
    let mut till = counter.till();
    let api = &counter.pos;
    let path = format!("/v1/terminals/{}/configuration", till.terminal_id);
    let state = || {
        let data = api.get(&path).data().clone();
        data["configuration"]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(), "none");
    let all = json!({"settings": {"idle_text": "Everywhere", "log_level": "warn"}});
    let set = api.put("/v1/merchant/terminal-configuration", &all);
    assert_eq!(good(&set, 200, "all")["version"], 1);
    assert_eq!(state(), "unknown");

    let (mut link, _) = till.link().unwrap();
    link.send(&ToEngine::Status(status(None)));
    let Some(ToAgent::Configure(told)) = link.next_message() else {
        panic!("not told")
    };
    assert_eq!((told.version, told.settings.len()), (1, 2));
    assert_eq!(state(), "pending");
    link.send(&ToEngine::Status(status(applied(1))));
    until("the first is applied", || {
        (state() == "applied").then_some(())
    })
    .unwrap();

    let own = json!({"settings": {"idle_text": "Here"}});
    let set = api.put(&path, &own);
    assert_eq!(good(&set, 200, "own")["version"], 2);
    let Some(ToAgent::Configure(told)) = link.next_message() else {
        panic!("not told")
    };
    assert_eq!(told.version, 2);
    assert_eq!(told.settings[0].value, "Here");
    let refusal = ConfigurationReport {
        applied: 1,
        refused: Some(ConfigurationRefused {
            version: 2,
            reason: "not here".to_owned(),
        }),
    };
    link.send(&ToEngine::Status(status(Some(refusal))));
    until("it is refused", || (state() == "refused").then_some(())).unwrap();
    let read = api.get(&path);
    let data = good(&read, 200, "refused");
    assert_eq!(data["configuration"]["refused"]["reason"], "not here");
    assert_eq!(data["configuration"]["applied_version"], 1);
    assert_eq!(data["effective"]["log_level"], "warn");
    assert_eq!(data["effective"]["idle_text"], "Here");

    let waves = json!({"settings": {"idle_text": "New"}, "roll_out": "waves"});
    let set = api.put("/v1/merchant/terminal-configuration", &waves);
    let data = good(&set, 200, "in waves");
    assert_eq!(data["roll_out"]["state"], "running");
    assert_eq!(data["roll_out"]["reached"], 1);
    for bad in [
        json!({"settings": {}, "roll_out": "slowly"}),
        json!({"settings": {}, "rollout": "waves"}),
    ] {
        let refusal = api.put("/v1/merchant/terminal-configuration", &bad);
        refused(&refusal, 422, "VALIDATION_ERROR", &bad.to_string());
    }
}

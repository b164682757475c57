//! The play itself: every step with its call, its answer and what it must be.

use std::io;
use std::path::Path;

use harness::shop::{Devices, Engine, POS_SCOPES, Shop, Till, merchant_body};
use serde_json::{Value, json};

use crate::narrator::Narrator;

/// Opens the shop, telling how: engine, boarding, devices, pairing.
pub(crate) fn open(narrator: &mut Narrator, dir: &Path) -> io::Result<Shop> {
    narrator.step("The engine starts on an empty database");
    let engine = Engine::start(&dir.join("engine"))?;
    let operator = engine.operator.clone();
    narrator.say(&format!("listening on {}", operator.base()));

    narrator.step("The operator boards a partner, a merchant and a key for its POS system");
    let body = json!({"name": "North Payments"});
    let partner = operator.post("/v1/partners", &body);
    narrator.call("POST /v1/partners", Some(&body), &partner, 201);
    let partner_id = partner.field("id").to_owned();
    let body = merchant_body(&partner_id);
    let merchant = operator.post("/v1/merchants", &body);
    narrator.call("POST /v1/merchants", Some(&body), &merchant, 201);
    let merchant_id = merchant.field("id").to_owned();
    let body = json!({"label": "POS", "scopes": POS_SCOPES});
    let path = format!("/v1/merchants/{merchant_id}/api-keys");
    let key = operator.post(&path, &body);
    narrator.expect_same("status of the key", &key.status.to_string(), "201");
    narrator.say(&format!("→ POST {path} … the secret is shown once"));
    let pos = operator.with_token(key.field("secret"));

    narrator.step("A terminal is made, and a pairing code for the technician");
    let body = json!({"label": "Lane 1"});
    let terminal = pos.post("/v1/terminals", &body);
    narrator.call("POST /v1/terminals", Some(&body), &terminal, 201);
    let terminal_id = terminal.field("id").to_owned();

    narrator.step("Card reader and printer are plugged in (simulated, on pseudo-terminals)");
    let devices = Devices::start(&dir.join("devices"), false)?;
    narrator.say(&format!(
        "{}/reader.pty and printer.pty",
        devices.dir.display()
    ));
    let till = Till::install(&dir.join("till"), operator.base(), &devices.dir)?;
    let mut shop = Shop {
        engine,
        devices,
        till,
        pos,
        partner_id,
        merchant_id,
        terminal_id,
    };

    narrator.step("The technician pairs the till: its key is made on the device and stays there");
    let wrong = shop
        .till
        .command(&["--json", "pair", "--code", "BCDFG-HJKLM"])?;
    narrator.expect("a wrong code is refused", !wrong.status.success());
    let code = shop.pairing_code();
    narrator.say(&format!("$ terminal-agent pair --code {code}"));
    let paired = shop.till.command(&["pair", "--code", &code])?;
    narrator.say(String::from_utf8_lossy(&paired.stdout).trim());
    narrator.expect("pairing succeeds", paired.status.success());
    shop.till.run()?;
    let is_ready = shop.wait_until_ready();
    narrator.expect("the till is online and its reader ready", is_ready);
    let path = format!("/v1/terminals/{}/status", shop.terminal_id);
    let status = shop.pos.get(&path);
    narrator.call(&format!("GET {path}"), None, &status, 200);
    Ok(shop)
}

/// All steps in the open shop.
pub(crate) fn everything(narrator: &mut Narrator, shop: &Shop) -> io::Result<()> {
    let chip = chip_sale(narrator, shop)?;
    till_sale(narrator, shop)?;
    declined_then_another(narrator, shop)?;
    cancel(narrator, shop)?;
    allowlist(narrator, shop)?;
    tip(narrator, shop, &chip)?;
    void(narrator, shop)?;
    reprint(narrator, shop, &chip)?;
    let violations = shop.devices.violations();
    narrator.expect("the printer understood every byte", violations == 0);
    Ok(())
}

fn start(narrator: &mut Narrator, shop: &Shop, amount: i64) -> String {
    shop.devices.wait_until_idle();
    let body = shop.sale(amount);
    let started = shop.pos.post("/v1/pos/transactions", &body);
    narrator.call("POST /v1/pos/transactions", Some(&body), &started, 201);
    narrator.expect(
        "the reader waits for a card",
        shop.devices.wait_for_reader(),
    );
    started.field("id").to_owned()
}

fn end(narrator: &mut Narrator, shop: &Shop, pos_id: &str, status: &str) -> Value {
    let answer = shop.end_of(pos_id);
    let line = format!("GET /v1/pos/transactions/{pos_id}?wait_s=30");
    narrator.call(&line, None, &answer, 200);
    narrator.expect_same("status", answer.field("status"), status);
    answer.data().clone()
}

fn papers(narrator: &mut Narrator, shop: &Shop, from: usize, count: usize) {
    for number in from + 1..=from + count {
        match shop.devices.paper(number) {
            Some(paper) => narrator.paper(&paper),
            None => narrator.expect(&format!("paper {number} comes out"), false),
        }
    }
}

fn chip_sale(narrator: &mut Narrator, shop: &Shop) -> io::Result<Value> {
    narrator.step("The POS system starts a chip sale of USD 12.34 through the API");
    let before = shop.devices.papers();
    let pos_id = start(narrator, shop, 1234);
    narrator.say("$ firmware-sim card insert visa");
    shop.devices.present("visa", "insert")?;
    let sale = end(narrator, shop, &pos_id, "approved");
    shop.devices.remove_card();
    papers(narrator, shop, before, 2);
    Ok(sale)
}

fn till_sale(narrator: &mut Narrator, shop: &Shop) -> io::Result<()> {
    narrator.step("The cashier starts a contactless sale of USD 5.50 at the till");
    let before = shop.devices.papers();
    narrator.say("$ terminal-agent sale --amount 550 --currency USD");
    let sale = shop
        .till
        .spawnable(&["sale", "--amount", "550", "--currency", "USD"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    narrator.expect(
        "the reader waits for a card",
        shop.devices.wait_for_reader(),
    );
    narrator.say("$ firmware-sim card tap mastercard");
    shop.devices.present("mastercard", "tap")?;
    let output = sale.wait_with_output()?;
    narrator.paper(&String::from_utf8_lossy(&output.stdout));
    narrator.expect("the till says that it is approved", output.status.success());
    papers(narrator, shop, before, 2);
    Ok(())
}

fn declined_then_another(narrator: &mut Narrator, shop: &Shop) -> io::Result<()> {
    narrator.step("A card is declined, the next one pays: one transaction, two attempts");
    let before = shop.devices.papers();
    let pos_id = start(narrator, shop, 2000);
    narrator.say("$ firmware-sim card tap declined");
    shop.devices.present("declined", "tap")?;
    papers(narrator, shop, before, 1);
    narrator.expect(
        "the reader waits for the next card",
        shop.devices.wait_for_reader(),
    );
    narrator.say("$ firmware-sim card tap amex");
    shop.devices.present("amex", "tap")?;
    let sale = end(narrator, shop, &pos_id, "approved");
    let states: Vec<&str> = sale["attempts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|attempt| attempt["state"].as_str())
        .collect();
    narrator.expect_same("attempts", &states.join(", "), "declined, approved");
    papers(narrator, shop, before + 1, 2);
    Ok(())
}

fn cancel(narrator: &mut Narrator, shop: &Shop) -> io::Result<()> {
    narrator.step("The POS system cancels while the till waits for the card");
    let pos_id = start(narrator, shop, 900);
    let path = format!("/v1/pos/transactions/{pos_id}/cancel");
    let canceled = shop.pos.post(&path, &json!({}));
    narrator.call(&format!("POST {path}"), Some(&json!({})), &canceled, 200);
    let verdict = canceled.data()["cancel"]["verdict"]
        .as_str()
        .unwrap_or_default();
    narrator.expect_same("verdict", verdict, "canceled");
    end(narrator, shop, &pos_id, "canceled");
    Ok(())
}

fn allowlist(narrator: &mut Narrator, shop: &Shop) -> io::Result<()> {
    narrator.step("The partner disables Start POS Transaction: both doors answer 403 at once");
    let operator = &shop.engine.operator;
    let path = format!("/v1/partners/{}/permissions", shop.partner_id);
    let body = json!({"disabled": ["Start POS Transaction"]});
    let changed = operator.put(&path, &body);
    narrator.call(&format!("PUT {path}"), Some(&body), &changed, 200);
    let refused = shop.start_sale(100);
    narrator.call(
        "POST /v1/pos/transactions",
        Some(&shop.sale(100)),
        &refused,
        403,
    );
    narrator.say("$ terminal-agent sale --amount 100 --currency USD");
    let output = shop
        .till
        .command(&["sale", "--amount", "100", "--currency", "USD"])?;
    narrator.say(String::from_utf8_lossy(&output.stderr).trim());
    narrator.expect(
        "the till refuses with exit code 6",
        output.status.code() == Some(6),
    );
    let body = json!({"disabled": []});
    let changed = operator.put(&path, &body);
    narrator.call(&format!("PUT {path}"), Some(&body), &changed, 200);
    let pos_id = start(narrator, shop, 100);
    let path = format!("/v1/pos/transactions/{pos_id}/cancel");
    narrator.expect_same(
        "and back: it starts again; cancel",
        &shop.pos.post(&path, &json!({})).status.to_string(),
        "200",
    );
    Ok(())
}

fn tip(narrator: &mut Narrator, shop: &Shop, sale: &Value) -> io::Result<()> {
    narrator.step("The guest left a tip on paper: the sale of USD 12.34 gets USD 2.00 more");
    let transaction_id = sale["transaction_id"].as_str().unwrap_or_default();
    let path = format!("/v1/transactions/{transaction_id}/tip-adjustment");
    let body = json!({"tip_amount": 200, "currency": "USD"});
    let adjusted = shop.pos.post(&path, &body);
    narrator.call(&format!("POST {path}"), Some(&body), &adjusted, 200);
    narrator.expect_same("total", &adjusted.data()["total"].to_string(), "1434");
    let body = json!({"tip_amount": 900, "currency": "USD"});
    let refused = shop.pos.post(&path, &body);
    narrator.call(&format!("POST {path}"), Some(&body), &refused, 422);
    narrator.expect_same("code", refused.code(), "TIP_LIMIT_EXCEEDED");
    Ok(())
}

fn void(narrator: &mut Narrator, shop: &Shop) -> io::Result<()> {
    narrator.step("A sale by mistake is voided; its slip prints");
    let before = shop.devices.papers();
    let pos_id = start(narrator, shop, 4200);
    shop.devices.present("visa", "tap")?;
    let sale = end(narrator, shop, &pos_id, "approved");
    papers(narrator, shop, before, 2);
    let transaction_id = sale["transaction_id"].as_str().unwrap_or_default();
    let path = format!("/v1/transactions/{transaction_id}/void");
    let voided = shop.pos.post(&path, &json!({}));
    narrator.call(&format!("POST {path}"), Some(&json!({})), &voided, 200);
    narrator.expect_same("status", voided.field("status"), "voided");
    papers(narrator, shop, before + 2, 1);
    Ok(())
}

fn reprint(narrator: &mut Narrator, shop: &Shop, sale: &Value) -> io::Result<()> {
    narrator.step(
        "The customer copy of the first sale is printed again: with its tip, then as DUPLICATE",
    );
    let before = shop.devices.papers();
    let pos_id = sale["id"].as_str().unwrap_or_default();
    let path = format!("/v1/pos/transactions/{pos_id}/print-receipt");
    let body = json!({"copy": "customer"});
    for _ in 0..2 {
        let printed = shop.pos.post(&path, &body);
        narrator.call(&format!("POST {path}"), Some(&body), &printed, 202);
    }
    papers(narrator, shop, before, 2);
    let paper = shop.devices.paper(before + 2).unwrap_or_default();
    let is_marked = paper.replace(' ', "").contains("DUPLICATE");
    narrator.expect("the reprint says DUPLICATE", is_marked);
    Ok(())
}

//! Card data that must never be authorized.

use firmware_sim::cards::Way;
use harness::hand::{Counter, HandLink};
use protocol::id::{AttemptId, PosTransactionId};
use protocol::link::{AttemptEnd, CardReport, ChipOutcome, Grant, PosStatus, ToAgent, ToEngine};
use protocol::money::Money;
use protocol::reader::tlv::{Form, TlvWriter, Tlvs};
use serde_json::json;
use uuid::Uuid;

use super::{Scene, concluded, unknown_here};

fn money(minor: i64, currency: &str) -> Money {
    Money::new(minor, currency.parse().unwrap())
}

/// Sends card data; everything that is said about it until the attempt is called closed.
fn closed(link: &mut HandLink, report: CardReport) -> Vec<ToAgent> {
    let closed = ToAgent::AttemptClosed {
        pos_id: report.pos_id,
        attempt_id: report.attempt_id,
    };
    link.send(&ToEngine::Card(report));
    let mut said = Vec::new();
    loop {
        match link.next_message().expect("the link stays up") {
            message if message == closed => return said,
            message => said.push(message),
        }
    }
}

#[test]
fn card_data_for_what_is_not_this_tills_is_closed() {
    let mut scene = Scene::open();
    let elsewhere = Counter::board(&scene.engine);
    let mut stranger = elsewhere.till();
    let (mut stranger_link, _) = stranger.link().unwrap();
    let (mut honest_link, _) = scene.honest.link().unwrap();
    let mut link = scene.link();
    let grant = scene.granted(&mut link, 3_000);
    let pos_id = grant.pos_id;

    // Another till of the shop, another shop: neither learns how it stands.
    let unknown = [unknown_here(pos_id, PosStatus::Failed)];
    let report = scene.honest.card(&grant, "visa", Way::Tap);
    assert_eq!(closed(&mut honest_link, report), unknown);
    let report = stranger.card(&grant, "visa", Way::Tap);
    assert_eq!(closed(&mut stranger_link, report), unknown);

    let nobodys = PosTransactionId::from_uuid(Uuid::now_v7());
    let report = CardReport {
        pos_id: nobodys,
        ..scene.till.card(&grant, "visa", Way::Tap)
    };
    assert_eq!(
        closed(&mut link, report),
        [unknown_here(nobodys, PosStatus::Failed)]
    );
    let attempt_id = AttemptId::from_uuid(Uuid::now_v7());
    let report = CardReport {
        attempt_id,
        ..scene.till.card(&grant, "visa", Way::Tap)
    };
    assert_eq!(closed(&mut link, report), []);
    assert_eq!(scene.counter.read(pos_id)["stage"], "awaiting_card");
    scene.finish(&mut link, &grant);
    scene.close();
}

#[test]
fn card_data_that_comes_too_early_or_too_late_is_closed() {
    let mut scene = Scene::open();
    let mut link = scene.link();

    // Before the offer was taken there is no attempt.
    scene.counter.start(scene.till.terminal_id, 3_100);
    let Some(ToAgent::Offer(offer)) = link.next_message() else {
        panic!("no offer")
    };
    let early = Grant {
        pos_id: offer.pos_id,
        attempt_id: AttemptId::from_uuid(Uuid::now_v7()),
        number: 1,
        amount: offer.amount,
        expires_in_ms: 0,
    };
    let report = scene.till.card(&early, "visa", Way::Tap);
    assert_eq!(closed(&mut link, report), []);
    link.send(&ToEngine::Accept {
        pos_id: offer.pos_id,
    });
    let first = link.grant();

    // The first attempt after the second was granted.
    let end = AttemptEnd::CardUnusable;
    let attempt_id = Some(first.attempt_id);
    link.send(&ToEngine::AttemptEnded {
        pos_id: first.pos_id,
        attempt_id,
        end,
    });
    let second = link.grant();
    assert_eq!(second.number, 2);
    let report = scene.till.card(&first, "visa", Way::Tap);
    assert_eq!(closed(&mut link, report), []);
    scene.finish(&mut link, &second);

    // After the end, and again.
    let report = scene.till.card(&second, "visa", Way::Tap);
    for _ in 0..2 {
        let said = closed(&mut link, report.clone());
        assert!(
            matches!(&said[..], [ToAgent::Concluded(end)] if end.status == PosStatus::Approved)
        );
    }
    scene.close();
}

#[test]
fn card_data_after_a_cancel_is_closed() {
    let mut scene = Scene::open();
    let mut link = scene.link();
    let grant = scene.granted(&mut link, 3_200);
    let path = format!("/v1/pos/transactions/{}/cancel", grant.pos_id);
    let canceled = scene.counter.pos.post(&path, &json!({}));
    assert_eq!(
        canceled.data()["cancel"]["verdict"],
        "canceled",
        "{}",
        canceled.text
    );
    let report = scene.till.card(&grant, "visa", Way::Tap);
    let said = closed(&mut link, report);
    assert!(
        said.iter().any(|message| matches!(
            message,
            ToAgent::Concluded(end) if end.status == PosStatus::Canceled
        )),
        "{said:?}"
    );
    assert_eq!(
        scene.status(grant.pos_id),
        ("canceled".into(), "pos_canceled".into())
    );
    scene.close();
}

#[test]
fn card_data_for_another_amount_or_unreadable_ends_the_sale_unpaid() {
    let mut scene = Scene::open();
    let mut link = scene.link();
    type Change = fn(&mut Scene, &mut CardReport);
    let changes: [(&str, &str, Change); 8] = [
        ("reported less", "amount_mismatch", |_, report| {
            report.amount = money(1, "USD")
        }),
        ("reported in euros", "amount_mismatch", |_, report| {
            report.amount = money(3_300, "EUR")
        }),
        ("signed less", "amount_mismatch", |scene, report| {
            report.data = scene.till.read(money(33, "USD"), "visa", Way::Tap);
        }),
        ("signed in euros", "amount_mismatch", |scene, report| {
            report.data = scene.till.read(money(3_300, "EUR"), "visa", Way::Tap);
        }),
        ("nothing", "reader_fault", |_, report| report.data.clear()),
        ("cut off", "reader_fault", |_, report| {
            report.data.truncate(40)
        }),
        ("in clear", "reader_fault", |_, report| {
            report.data[0] &= 0x3F
        }),
        ("60 KB of nothing", "reader_fault", |_, report| {
            report.data = vec![0; 60_000]
        }),
    ];
    for (name, reason, change) in changes {
        let grant = scene.granted(&mut link, 3_300);
        let mut report = scene.till.card(&grant, "visa", Way::Tap);
        change(&mut scene, &mut report);
        assert_eq!(closed(&mut link, report), [], "{name}");
        assert_eq!(
            concluded(&mut link, grant.pos_id),
            PosStatus::Failed,
            "{name}"
        );
        assert_eq!(
            scene.status(grant.pos_id),
            ("failed".into(), reason.into()),
            "{name}"
        );
    }
    let grant = scene.granted(&mut link, 3_400);
    scene.finish(&mut link, &grant);
    scene.close();
}

/// The card data with the whole account number where the reader puts the masked one.
fn unmasked(data: &[u8], number: &str) -> Vec<u8> {
    let digits = hex::decode(number).unwrap();
    let (attribution, tlvs) = data.split_at(1);
    let mut writer = TlvWriter::after(attribution);
    for tlv in Tlvs::new(tlvs).map(Result::unwrap) {
        writer = match tlv.form {
            Form::Clear => writer.clear(tlv.tag, tlv.value),
            Form::Encrypted => writer.encrypted(tlv.tag, tlv.value),
            Form::Masked => {
                let rest = tlv.value.get(digits.len()..).unwrap();
                writer.masked(tlv.tag, &[digits.as_slice(), rest].concat())
            }
        };
    }
    writer.finish()
}

/// Fuzzing found that the engine believed what calls itself masked.
#[test]
fn a_number_that_only_calls_itself_masked_is_neither_shown_nor_stored() {
    const VISA: &str = "4761739001010010";
    let mut scene = Scene::open();
    let mut link = scene.link();
    let grant = scene.granted(&mut link, 3_500);
    let mut report = scene.till.card(&grant, "visa", Way::Tap);
    let told = unmasked(&report.data, VISA);
    assert_ne!(told, report.data);
    report.data = told;
    assert!(link.send(&ToEngine::Card(report)));
    link.host_answer();
    link.complete(&grant, ChipOutcome::Agreed);
    assert_eq!(concluded(&mut link, grant.pos_id), PosStatus::Approved);
    scene.sold.push(3_500);

    let shown = scene.counter.read(grant.pos_id).to_string();
    assert!(!shown.contains(VISA), "{shown}");
    let mut places = vec![scene.engine.dir.clone()];
    let mut is_masked_stored = false;
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(&place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                places.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap_or_default();
            let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
            let name = path.display();
            assert!(!holds(VISA.as_bytes()), "{name} holds the number");
            assert!(
                !holds(&hex::decode(VISA).unwrap()),
                "{name} holds it packed"
            );
            is_masked_stored |= holds(b"476173******0010");
        }
    }
    assert!(is_masked_stored, "the transaction was looked for in vain");
    scene.close();
}

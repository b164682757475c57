//! What a till asks for, about things that are not its own, or twice.

use harness::hand::{Counter, HandLink};
use protocol::id::{PosTransactionId, PrintJobId, RequestId, TransactionId};
use protocol::link::{
    AnswerBody, PosKind, PrintReport, PrintState, TillRequest, TillStart, ToAgent, ToEngine,
};
use protocol::money::Money;
use protocol::receipt::Copy;
use uuid::Uuid;

use super::Scene;

fn dollars(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

fn start(amount: i64) -> TillRequest {
    let amount = dollars(amount);
    TillRequest::Start(TillStart {
        kind: PosKind::Sale,
        amount,
        reference: None,
        tip_prompt: false,
    })
}

fn ask(link: &mut HandLink, request_id: RequestId, request: TillRequest) -> AnswerBody {
    link.send(&ToEngine::Request {
        request_id,
        request,
    });
    loop {
        match link.next_message() {
            Some(ToAgent::Answer {
                request_id: of,
                body,
            }) if of == request_id => return body,
            Some(ToAgent::Offer(_) | ToAgent::ReadCard(_) | ToAgent::Concluded(_)) => {}
            other => panic!("no answer: {other:?}"),
        }
    }
}

fn fresh() -> RequestId {
    RequestId::from_uuid(Uuid::now_v7())
}

fn code(body: &AnswerBody) -> &str {
    match body {
        AnswerBody::Refused(refused) => &refused.code,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn another_shops_things_are_not_found() {
    let mut scene = Scene::open();
    let mut link = scene.link();
    let grant = scene.granted(&mut link, 6_000);
    scene.finish(&mut link, &grant);
    let sold = scene.counter.read(grant.pos_id);
    let transaction: TransactionId = sold["transaction_id"].as_str().unwrap().parse().unwrap();

    let elsewhere = Counter::board(&scene.engine);
    let (mut stranger, _) = elsewhere.till().link().unwrap();
    let nobodys = PosTransactionId::from_uuid(Uuid::now_v7());
    for (pos_id, transaction_id) in [
        (grant.pos_id, transaction),
        (nobodys, TransactionId::from_uuid(Uuid::now_v7())),
    ] {
        let requests = [
            TillRequest::Cancel {
                pos_id,
                void_if_too_late: true,
            },
            TillRequest::Print {
                pos_id,
                copy: Copy::Merchant,
            },
            TillRequest::TipAdjust {
                pos_id,
                tip: dollars(100),
            },
            TillRequest::Void { transaction_id },
        ];
        for request in requests {
            let answer = ask(&mut stranger, fresh(), request.clone());
            assert_eq!(code(&answer), "NOT_FOUND", "{request:?}");
        }
    }
    assert_eq!(scene.counter.read(grant.pos_id), sold);
    scene.close();
}

#[test]
fn a_request_is_carried_out_once() {
    let mut scene = Scene::open();
    let mut link = scene.link();
    let request_id = fresh();
    let first = ask(&mut link, request_id, start(6_100));
    let AnswerBody::Started { pos_id } = first else {
        panic!("not started: {first:?}")
    };
    assert_eq!(ask(&mut link, request_id, start(6_100)), first, "repeated");
    assert_eq!(
        code(&ask(&mut link, request_id, start(6_200))),
        "IDEMPOTENCY_CONFLICT"
    );
    assert_eq!(
        code(&ask(&mut link, fresh(), start(6_100))),
        "TERMINAL_BUSY"
    );
    for (amount, expected) in [
        (0, "AMOUNT_TOO_SMALL"),
        (-5, "AMOUNT_TOO_SMALL"),
        (i64::MAX, "AMOUNT_TOO_LARGE"),
    ] {
        assert_eq!(code(&ask(&mut link, fresh(), start(amount))), expected);
    }
    link.send(&ToEngine::Accept { pos_id });
    let grant = link.grant();
    assert_eq!(grant.pos_id, pos_id);
    scene.finish(&mut link, &grant);
    assert_eq!(
        ask(&mut link, request_id, start(6_100)),
        first,
        "repeated after the end"
    );
    scene.close();
}

#[test]
fn reports_about_prints_of_others_change_nothing() {
    let mut scene = Scene::open();
    let mut link = scene.link();
    let grant = scene.granted(&mut link, 6_300);
    scene.finish(&mut link, &grant);
    let path = format!("/v1/pos/transactions/{}/print-jobs", grant.pos_id);
    let before = scene.counter.pos.get(&path).data()["items"].clone();
    let jobs = before.as_array().cloned().unwrap_or_default();
    assert_eq!(jobs.len(), 2, "{before}");
    assert!(jobs.iter().all(|job| job["status"] == "queued"), "{before}");
    let job_id: PrintJobId = jobs[0]["id"].as_str().unwrap().parse().unwrap();
    let (mut honest, _) = scene.honest.link().unwrap();
    for job_id in [job_id, PrintJobId::from_uuid(Uuid::now_v7())] {
        let state = PrintState::Failed {
            reason: "x".repeat(50_000),
        };
        honest.send(&ToEngine::Print(PrintReport { job_id, state }));
    }
    // An offer goes the same way through the owner: what was said before it has been decided.
    scene.counter.start(scene.honest.terminal_id, 6_400);
    let theirs = honest.take_offer();
    assert_eq!(scene.counter.pos.get(&path).data()["items"], before);
    let path = format!("/v1/pos/transactions/{}/cancel", theirs.pos_id);
    scene.counter.pos.post(&path, &serde_json::json!({}));
    scene.close();
}

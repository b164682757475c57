//! Messages that come twice, too early, too late, or in another order.

use firmware_sim::cards::Way;
use harness::hand::completion;
use protocol::id::AttemptId;
use protocol::link::{
    AttemptEnd, ChipOutcome, PosStatus, RejectReason, TipChoice, ToAgent, ToEngine,
};
use uuid::Uuid;

use super::{Scene, concluded};

#[test]
fn what_is_said_twice_counts_once() {
    let mut scene = Scene::open();
    let mut link = scene.link();
    scene.counter.start(scene.till.terminal_id, 4_000);
    let Some(ToAgent::Offer(offer)) = link.next_message() else {
        panic!("no offer")
    };
    for _ in 0..3 {
        link.send(&ToEngine::Accept {
            pos_id: offer.pos_id,
        });
    }
    let grant = link.grant();
    let card = ToEngine::Card(scene.till.card(&grant, "visa", Way::Tap));
    for _ in 0..3 {
        link.send(&card);
    }
    // The answer of the acquirer, and that the copies are no attempts, in either order.
    let mut closed = 0;
    let mut answered = 0;
    while closed + answered < 3 {
        match link.next_message() {
            Some(ToAgent::AttemptClosed { .. }) => closed += 1,
            Some(ToAgent::HostAnswer(_)) => answered += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((closed, answered), (2, 1));
    for _ in 0..3 {
        link.complete(&grant, ChipOutcome::Agreed);
    }
    for _ in 0..3 {
        assert_eq!(concluded(&mut link, grant.pos_id), PosStatus::Approved);
    }
    scene.sold.push(4_000);
    assert_eq!(
        scene.counter.read(grant.pos_id)["attempts"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    scene.close();
}

#[test]
fn what_comes_too_early_changes_nothing() {
    let mut scene = Scene::open();
    let mut link = scene.link();
    // Approved after five seconds: the acquirer's answer cannot overtake what is said before it.
    let amount = 100_083;
    scene.counter.start(scene.till.terminal_id, amount);
    let Some(ToAgent::Offer(offer)) = link.next_message() else {
        panic!("no offer")
    };
    let pos_id = offer.pos_id;
    let choice = TipChoice::Amount(offer.amount);
    link.send(&ToEngine::TipChosen { pos_id, choice });
    link.send(&ToEngine::AttemptEnded {
        pos_id,
        attempt_id: None,
        end: AttemptEnd::Stopped,
    });
    link.send(&ToEngine::Accept { pos_id });
    let grant = link.grant();
    assert_eq!(grant.amount.minor(), amount);
    link.complete(&grant, ChipOutcome::Agreed);
    link.complete(&grant, ChipOutcome::Refused);
    link.flush();
    assert_eq!(scene.counter.read(pos_id)["stage"], "awaiting_card");

    let card = scene.till.card(&grant, "visa", Way::Tap);
    link.send(&ToEngine::Card(card));
    link.complete(&grant, ChipOutcome::Agreed);
    link.complete(&grant, ChipOutcome::Refused);
    link.send(&ToEngine::Reject {
        pos_id,
        reason: RejectReason::Busy,
    });
    let attempt_id = Some(grant.attempt_id);
    link.send(&ToEngine::AttemptEnded {
        pos_id,
        attempt_id,
        end: AttemptEnd::CashierCanceled,
    });
    link.send(&ToEngine::TipChosen { pos_id, choice });
    link.flush();
    assert_eq!(scene.counter.read(pos_id)["stage"], "authorizing");
    link.host_answer();
    assert_eq!(scene.counter.read(pos_id)["stage"], "confirming");
    let mut other = completion(&grant, ChipOutcome::Agreed);
    other.attempt_id = AttemptId::from_uuid(Uuid::now_v7());
    link.send(&ToEngine::Completed(other));
    link.flush();
    assert_eq!(scene.counter.read(pos_id)["stage"], "confirming");
    link.complete(&grant, ChipOutcome::Agreed);
    assert_eq!(concluded(&mut link, pos_id), PosStatus::Approved);
    scene.sold.push(amount);
    scene.close();
}

#[test]
fn what_comes_after_the_end_is_answered_with_the_end() {
    let mut scene = Scene::open();
    let mut link = scene.link();
    let grant = scene.granted(&mut link, 4_200);
    let pos_id = grant.pos_id;
    scene.finish(&mut link, &grant);
    let attempt_id = Some(grant.attempt_id);
    let messages = [
        ToEngine::Accept { pos_id },
        ToEngine::Reject {
            pos_id,
            reason: RejectReason::ReaderNotReady,
        },
        ToEngine::TipChosen {
            pos_id,
            choice: TipChoice::None,
        },
        ToEngine::AttemptEnded {
            pos_id,
            attempt_id,
            end: AttemptEnd::CardRemoved,
        },
        ToEngine::Completed(completion(&grant, ChipOutcome::Aborted)),
        ToEngine::Completed(completion(&grant, ChipOutcome::Refused)),
    ];
    for message in messages {
        link.send(&message);
        assert_eq!(
            concluded(&mut link, pos_id),
            PosStatus::Approved,
            "{message:?}"
        );
    }
    assert_eq!(scene.status(pos_id).0, "approved");
    scene.close();
}

#[test]
fn another_till_cannot_move_a_sale() {
    let mut scene = Scene::open();
    let (mut honest, _) = scene.honest.link().unwrap();
    let mut link = scene.link();
    let grant = scene.granted(&mut link, 4_300);
    let pos_id = grant.pos_id;
    let attempt_id = Some(grant.attempt_id);
    let messages = [
        ToEngine::Accept { pos_id },
        ToEngine::Reject {
            pos_id,
            reason: RejectReason::Busy,
        },
        ToEngine::TipChosen {
            pos_id,
            choice: TipChoice::None,
        },
        ToEngine::AttemptEnded {
            pos_id,
            attempt_id,
            end: AttemptEnd::CashierCanceled,
        },
        ToEngine::Completed(completion(&grant, ChipOutcome::Aborted)),
    ];
    for message in messages {
        honest.send(&message);
        let told = match message {
            ToEngine::Completed(_) => PosStatus::InDoubt,
            _ => PosStatus::Failed,
        };
        assert_eq!(
            honest.next_message(),
            Some(super::unknown_here(pos_id, told)),
            "{message:?}"
        );
    }
    assert_eq!(scene.counter.read(pos_id)["stage"], "awaiting_card");
    scene.finish(&mut link, &grant);
    scene.close();
}

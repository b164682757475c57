//! Before and around the welcome.

use ed25519_dalek::SigningKey;
use harness::hand::{HandLink, HandTill, fresh_key, sign};
use protocol::id::{IncarnationId, JournalId, TerminalId};
use protocol::link::{
    Challenge, Handshake, HandshakeReply, Hello, RefusedReason, ToAgent, ToEngine, VERSION, encode,
};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::{Scene, concluded, nonsense};

/// What the engine replies to a frame after its challenge: a refusal, or nothing before it closes.
fn reply_to(base: &str, frame: Message) -> Option<RefusedReason> {
    let (mut link, _) = HandLink::challenged(base);
    link.send_frame(frame);
    refusal(&mut link)
}

fn refusal(link: &mut HandLink) -> Option<RefusedReason> {
    let reason = match link.receive::<HandshakeReply>() {
        Some(HandshakeReply::Refused(refused)) => Some(refused.reason),
        None => None,
        Some(other) => panic!("not refused: {other:?}"),
    };
    assert!(link.is_closed_by_engine());
    reason
}

fn hello_with(till: &HandTill, change: impl FnOnce(&mut Hello, &Challenge)) -> RefusedReason {
    let (mut link, challenge) = HandLink::challenged(&till.base);
    let mut hello = till.hello(&challenge);
    change(&mut hello, &challenge);
    link.send(&Handshake::Hello(Box::new(hello)));
    refusal(&mut link).expect("a refusal says why")
}

#[test]
fn frames_that_are_no_hello_are_refused() {
    let scene = Scene::open();
    let base = scene.till.base.clone();
    for (name, bytes) in nonsense() {
        let reply = reply_to(&base, Message::binary(bytes));
        assert!(
            matches!(reply, None | Some(RefusedReason::Unauthorized)),
            "{name}: {reply:?}"
        );
    }
    let ping = encode(&ToEngine::Ping).unwrap();
    assert_eq!(
        reply_to(&base, Message::binary(ping)),
        Some(RefusedReason::Unauthorized)
    );
    let (_, challenge) = HandLink::challenged(&base);
    let hello = Handshake::Hello(Box::new(scene.till.hello(&challenge)));
    let mut longer = encode(&hello).unwrap();
    longer.push(0xC0);
    assert_eq!(
        reply_to(&base, Message::binary(longer)),
        Some(RefusedReason::Unauthorized)
    );
    let text = reply_to(&base, Message::text("hello"));
    assert_eq!(text, Some(RefusedReason::Unauthorized));
    scene.close();
}

#[test]
fn only_the_devices_own_signature_over_this_challenge_counts() {
    let mut scene = Scene::open();
    let other = scene.counter.till();
    let terminal = scene
        .counter
        .pos
        .post("/v1/terminals", &json!({"label": "Never paired"}));
    let unpaired: TerminalId = terminal.field("id").parse().unwrap();
    let till = &scene.till;
    let signed = |key: &SigningKey, hello: &mut Hello, challenge: &Challenge| {
        sign(hello, key, &challenge.nonce, challenge.incarnation);
    };
    let (_, former) = HandLink::challenged(&till.base);
    type Change<'a> = Box<dyn FnOnce(&mut Hello, &Challenge) + 'a>;
    let changes: Vec<(&str, Change<'_>)> = vec![
        ("no signature", Box::new(|hello, _| hello.signature.clear())),
        (
            "a short one",
            Box::new(|hello, _| hello.signature.truncate(63)),
        ),
        ("a wrong one", Box::new(|hello, _| hello.signature[10] ^= 1)),
        (
            "a foreign key",
            Box::new(|hello, challenge| signed(&fresh_key(), hello, challenge)),
        ),
        (
            "another till's key",
            Box::new(|hello, challenge| signed(&other.key, hello, challenge)),
        ),
        (
            "another terminal",
            Box::new(|hello, _| hello.terminal_id = other.terminal_id),
        ),
        (
            "another terminal, signed by this till",
            Box::new(|hello, challenge| {
                hello.terminal_id = other.terminal_id;
                signed(&till.key, hello, challenge);
            }),
        ),
        (
            "a terminal that was never paired",
            Box::new(|hello, challenge| {
                hello.terminal_id = unpaired;
                signed(&till.key, hello, challenge);
            }),
        ),
        (
            "an unknown terminal",
            Box::new(|hello, challenge| {
                hello.terminal_id = TerminalId::from_uuid(Uuid::now_v7());
                signed(&till.key, hello, challenge);
            }),
        ),
        (
            "the challenge of another connection",
            Box::new(|hello, challenge| {
                sign(hello, &till.key, &former.nonce, challenge.incarnation);
            }),
        ),
        (
            "another engine",
            Box::new(|hello, challenge| {
                let elsewhere = IncarnationId::from_uuid(Uuid::now_v7());
                sign(hello, &till.key, &challenge.nonce, elsewhere);
            }),
        ),
        (
            "another journal than was signed",
            Box::new(|hello, _| hello.journal_id = JournalId::from_uuid(Uuid::now_v7())),
        ),
        (
            "another boot than was signed",
            Box::new(|hello, _| hello.boot += 1),
        ),
        (
            "another connection than was signed",
            Box::new(|hello, _| hello.connection += 1),
        ),
    ];
    for (name, change) in changes {
        assert_eq!(
            hello_with(till, change),
            RefusedReason::Unauthorized,
            "{name}"
        );
    }
    for version in [0, VERSION + 1, u16::MAX] {
        let reason = hello_with(till, |hello, _| hello.version = version);
        assert_eq!(reason, RefusedReason::Version, "{version}");
    }
    let mut link = scene.link();
    let grant = scene.granted(&mut link, 1_200);
    scene.finish(&mut link, &grant);
    scene.close();
}

#[test]
fn sockets_that_say_nothing_hold_nothing_up() {
    let mut scene = Scene::open();
    let base = scene.till.base.clone();
    let mut silent: Vec<HandLink> = (0..40).map(|_| HandLink::challenged(&base).0).collect();
    scene.honest_sale(1_300);
    assert_eq!(refusal(&mut silent[0]), Some(RefusedReason::Unauthorized));
    scene.close();
}

#[test]
fn what_is_said_before_the_welcome_does_not_count() {
    let mut scene = Scene::open();
    let mut link = scene.link();
    let started = scene.counter.start(scene.till.terminal_id, 1_400);
    let Some(ToAgent::Offer(offer)) = link.next_message() else {
        panic!("no offer")
    };
    assert_eq!(started.field("id"), offer.pos_id.to_string());
    drop(link);

    scene.till.connection += 1;
    let (mut link, challenge) = HandLink::challenged(&scene.till.base);
    link.send(&Handshake::Hello(Box::new(scene.till.hello(&challenge))));
    link.send(&ToEngine::Accept {
        pos_id: offer.pos_id,
    });
    link.send(&ToEngine::Ping);
    let Some(HandshakeReply::Welcome(_)) = link.receive() else {
        panic!("no welcome")
    };
    let grant = link.take_offer();
    scene.finish(&mut link, &grant);
    scene.close();
}

#[test]
fn nonsense_ends_its_link_and_nothing_else() {
    let mut scene = Scene::open();
    let mut frames: Vec<(&str, Message)> = nonsense()
        .into_iter()
        .map(|(name, bytes)| (name, Message::binary(bytes)))
        .collect();
    frames.push(("text", Message::text("{\"accept\":{}}")));
    let (_, challenge) = HandLink::challenged(&scene.till.base);
    let hello = encode(&Handshake::Hello(Box::new(scene.till.hello(&challenge)))).unwrap();
    frames.push(("a second hello", Message::binary(hello)));
    for (name, frame) in frames {
        let mut link = scene.link();
        let started = scene.counter.start(scene.till.terminal_id, 1_500);
        assert_eq!(started.status, 201, "{name}: {}", started.text);
        link.take_offer();
        link.send_frame(frame);
        assert!(link.is_closed_by_engine(), "{name}");
        let path = format!("/v1/pos/transactions/{}/cancel", started.field("id"));
        let canceled = scene.counter.pos.post(&path, &json!({}));
        assert_eq!(canceled.data()["cancel"]["verdict"], "canceled", "{name}");
    }
    let mut link = scene.link();
    let grant = scene.granted(&mut link, 1_600);
    scene.finish(&mut link, &grant);
    scene.close();
}

#[test]
fn the_newer_connection_of_an_agent_wins() {
    let mut scene = Scene::open();
    let mut older = scene.link();
    let mut newer = scene.link();
    assert!(older.is_closed_by_engine());
    for connection in [1, 2] {
        scene.till.connection = connection - 1;
        assert_eq!(
            scene.till.link().err(),
            Some(RefusedReason::Stale),
            "{connection}"
        );
    }
    let grant = scene.granted(&mut newer, 1_700);
    older.send(&ToEngine::Reject {
        pos_id: grant.pos_id,
        reason: protocol::link::RejectReason::Busy,
    });
    scene.finish(&mut newer, &grant);

    // A program that has started anew counts its connections anew.
    (scene.till.boot, scene.till.connection) = (2, 0);
    let mut restarted = scene.link();
    assert!(newer.is_closed_by_engine());
    let grant = scene.granted(&mut restarted, 1_800);
    scene.finish(&mut restarted, &grant);
    scene.close();
}

#[test]
fn two_installations_of_one_identity_are_both_refused() {
    let mut scene = Scene::open();
    let (first, second) = (scene.till.journal_id, JournalId::from_uuid(Uuid::now_v7()));
    let mut original = scene.link();
    scene.till.journal_id = second;
    let mut copy = scene.link();
    assert!(original.is_closed_by_engine());
    for journal_id in [first, second, first] {
        scene.till.journal_id = journal_id;
        let refused = scene.till.link().err();
        assert_eq!(
            refused,
            Some(RefusedReason::DuplicateIdentity),
            "{journal_id}"
        );
    }
    assert!(copy.is_closed_by_engine());
    let offline = scene.counter.start(scene.till.terminal_id, 1_900);
    assert_eq!(offline.code(), "TERMINAL_OFFLINE");

    let code = scene.counter.pairing_code(scene.till.terminal_id);
    scene.till.key = fresh_key();
    assert_eq!(scene.till.redeem(&code).status, 200);
    let mut link = scene.link();
    let grant = scene.granted(&mut link, 1_900);
    scene.finish(&mut link, &grant);
    scene.close();
}

#[test]
fn a_hello_cannot_claim_what_has_not_happened() {
    use harness::hand::completion;
    use protocol::id::{AttemptId, PosTransactionId};
    use protocol::link::{ChipOutcome, Digest, DigestState, PosStatus};

    let mut scene = Scene::open();
    let (mut honest, _) = scene.honest.link().unwrap();
    scene.counter.start(scene.honest.terminal_id, 2_100);
    let theirs = honest.take_offer();
    let mut link = scene.link();
    let own = scene.granted(&mut link, 2_000);
    let nobodys = protocol::link::Grant {
        pos_id: PosTransactionId::from_uuid(Uuid::now_v7()),
        attempt_id: AttemptId::from_uuid(Uuid::now_v7()),
        ..own.clone()
    };
    drop(link);
    let claim = |grant: &protocol::link::Grant| Digest {
        pos_id: grant.pos_id,
        attempt_id: Some(grant.attempt_id),
        state: DigestState::Completed(completion(grant, ChipOutcome::Agreed)),
    };
    let mut open = vec![claim(&theirs), claim(&nobodys)];
    open.extend((0..100).map(|_| claim(&own)));
    let (mut link, _) = scene.till.link_with(open).expect("the till is welcome");
    for pos_id in [theirs.pos_id, nobodys.pos_id] {
        // Card data of an unknown sale may have been charged by an engine that knew more.
        let unknown = super::unknown_here(pos_id, PosStatus::InDoubt);
        assert_eq!(link.next_message(), Some(unknown));
    }
    assert_eq!(scene.status(own.pos_id).0, "in_progress");
    assert_eq!(scene.status(theirs.pos_id).0, "in_progress");
    scene.finish(&mut link, &own);

    let card = scene
        .honest
        .card(&theirs, "visa", firmware_sim::cards::Way::Tap);
    honest.send(&ToEngine::Card(card));
    honest.host_answer();
    honest.complete(&theirs, ChipOutcome::Agreed);
    assert_eq!(concluded(&mut honest, theirs.pos_id), PosStatus::Approved);
    scene.sold.push(2_100);
    scene.close();
}

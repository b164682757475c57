//! A link against an engine that is played by hand.

use ed25519_dalek::Signature;
use protocol::id::{IncarnationId, JournalId, PosTransactionId};
use protocol::link::{Challenge, Refused};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::*;

type EngineSocket = WebSocketStream<tokio::net::TcpStream>;

const NONCE: [u8; 16] = [7; 16];

fn incarnation() -> IncarnationId {
    IncarnationId::from_uuid(Uuid::from_u128(1))
}

fn identity() -> LinkIdentity {
    LinkIdentity {
        terminal_id: TerminalId::from_uuid(Uuid::from_u128(2)),
        key: SigningKey::from_bytes(&[9; 32]),
        journal_id: JournalId::from_uuid(Uuid::from_u128(3)),
        boot: 4,
        agent_version: "1.0".to_owned(),
        simulator: None,
    }
}

async fn engine_says(socket: &mut EngineSocket, bytes: Vec<u8>) {
    socket.send(Message::binary(bytes)).await.unwrap();
}

async fn engine_hears<T: serde::de::DeserializeOwned>(socket: &mut EngineSocket) -> T {
    let message = socket.next().await.unwrap().unwrap();
    decode(&message.into_data()).unwrap()
}

/// The engine's side up to the hello, whose signature it checks.
async fn greet(listener: &TcpListener) -> (EngineSocket, Hello) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let challenge = HandshakeReply::Challenge(Challenge {
        version_min: 1,
        version_max: 9,
        nonce: NONCE.to_vec(),
        incarnation: incarnation(),
    });
    engine_says(&mut socket, encode(&challenge).unwrap()).await;
    let Handshake::Hello(hello) = engine_hears(&mut socket).await;
    let signed = signed_bytes(
        &NONCE,
        incarnation(),
        hello.terminal_id,
        hello.journal_id,
        hello.boot,
        hello.connection,
    );
    let signature = Signature::from_slice(&hello.signature).unwrap();
    let key = identity().key.verifying_key();
    key.verify_strict(&signed, &signature).unwrap();
    (socket, *hello)
}

async fn answer_challenge(events: &mut mpsc::Receiver<LinkEvent>) -> mpsc::Sender<LinkCommand> {
    let Some(LinkEvent::Connecting { version, commands }) = events.recv().await else {
        panic!("no challenge");
    };
    assert_eq!(version, VERSION);
    let hello = LinkCommand::Hello {
        open: vec![],
        prints: vec![],
    };
    commands.send(hello).await.unwrap();
    commands
}

#[tokio::test]
async fn a_link_comes_up_carries_messages_and_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let (events_tx, mut events) = mpsc::channel(16);
    let address = LinkAddress::parse(&url).unwrap();
    let agent = tokio::spawn(run(address, identity(), events_tx, |event| event));

    let (commands, (mut engine, hello)) =
        tokio::join!(answer_challenge(&mut events), greet(&listener));
    assert_eq!((hello.version, hello.boot, hello.connection), (2, 4, 1));
    let welcome = Welcome {
        epoch: 1,
        now_ms: 5,
        label: "Till".to_owned(),
        prints_known: vec![],
        currencies: vec![],
    };
    let reply = encode(&HandshakeReply::Welcome(welcome.clone())).unwrap();
    engine_says(&mut engine, reply).await;
    assert!(matches!(events.recv().await, Some(LinkEvent::Up(up)) if up == welcome));

    engine_says(&mut engine, encode(&ToAgent::Ping).unwrap()).await;
    assert_eq!(engine_hears::<ToEngine>(&mut engine).await, ToEngine::Pong);
    let pos_id = PosTransactionId::from_uuid(Uuid::from_u128(8));
    let accept = ToEngine::Accept { pos_id };
    let send = LinkCommand::Send(Box::new(accept.clone()));
    commands.send(send).await.unwrap();
    assert_eq!(engine_hears::<ToEngine>(&mut engine).await, accept);
    let stop = ToAgent::Stop { pos_id };
    engine_says(&mut engine, encode(&stop).unwrap()).await;
    assert!(matches!(events.recv().await, Some(LinkEvent::Message(said)) if *said == stop));

    // Words that this protocol does not have end the connection, and the next one is refused.
    engine_says(&mut engine, vec![0xC1]).await;
    let down = events.recv().await;
    assert!(
        matches!(down, Some(LinkEvent::Down(LinkError::Protocol))),
        "{down:?}"
    );
    assert!(commands.is_closed(), "an old connection takes no messages");
    let (_commands, (mut engine, hello)) =
        tokio::join!(answer_challenge(&mut events), greet(&listener));
    assert_eq!(hello.connection, 2);
    let refused = HandshakeReply::Refused(Refused {
        reason: RefusedReason::Busy,
    });
    engine_says(&mut engine, encode(&refused).unwrap()).await;
    let down = events.recv().await;
    let is_busy = |error: &LinkError| matches!(error, LinkError::Refused(RefusedReason::Busy));
    assert!(
        matches!(&down, Some(LinkEvent::Down(error)) if is_busy(error)),
        "{down:?}"
    );
    agent.abort();
}

#[tokio::test]
async fn giant_frames_end_the_connection_unread() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let (events_tx, mut events) = mpsc::channel(16);
    let address = LinkAddress::parse(&url).unwrap();
    let agent = tokio::spawn(run(address, identity(), events_tx, |event| event));
    let (stream, _) = listener.accept().await.unwrap();
    let mut engine = tokio_tungstenite::accept_async(stream).await.unwrap();
    let giant = Message::binary(vec![0; FRAME_BYTES_MAX + 1]);
    // The agent may hang up before all of it has left.
    drop(engine.send(giant).await);
    let down = events.recv().await;
    assert!(
        matches!(down, Some(LinkEvent::Down(LinkError::Socket(_)))),
        "{down:?}"
    );
    agent.abort();
}

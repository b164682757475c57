//! Bytes on a real socket: what no HTTP client would send.

use std::net::SocketAddr;

use actix_web::{App, HttpServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::{OPERATOR, World, every_scope};
use crate::http::configure;

async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    // The server may close before it has read everything: that is an answer, too.
    if socket.write_all(bytes).await.is_ok() {
        socket.shutdown().await.ok();
    }
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[actix_web::test]
async fn malformed_bytes_do_no_harm() {
    let world = World::new();
    let token = world.token(1, every_scope());
    let state = world.state.clone();
    let server = HttpServer::new(move || App::new().configure(configure(state.clone())))
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
    let address = *server.addrs().first().unwrap();
    let server = server.run();
    let handle = server.handle();
    let running = actix_web::rt::spawn(server);

    let head = format!(
        "POST /v1/terminals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\n"
    );
    let truncated = format!("{head}Content-Length: 100\r\n\r\n{{\"label\": ");
    let large = format!(
        "{head}Content-Length: 200000\r\n\r\n{}",
        "x".repeat(200_000)
    );
    let chunks = format!("{:x}\r\n{}\r\n", 4_096, "x".repeat(4_096)).repeat(40);
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    let bad_chunk = format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n");
    let two_lengths = format!("{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}");
    let two_tokens = format!(
        "GET /v1/ping HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Authorization: Bearer {OPERATOR}\r\nConnection: close\r\n\r\n"
    );
    let long_header = format!(
        "GET /v1/ping HTTP/1.1\r\nX: {}\r\n\r\n",
        "y".repeat(300_000)
    );
    for (name, bytes, status) in [
        ("truncated body", truncated.as_bytes(), "400"),
        ("large body", large.as_bytes(), "413"),
        ("large chunked body", chunked.as_bytes(), "413"),
        ("bad chunk", bad_chunk.as_bytes(), "400"),
        ("two lengths", two_lengths.as_bytes(), "400"),
        ("two credentials", two_tokens.as_bytes(), "401"),
        (
            "no HTTP",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            "400",
        ),
        ("long header", long_header.as_bytes(), ""),
        ("nothing", b"", ""),
    ] {
        let answer = exchange(address, bytes).await;
        // A peer that hangs up in the middle may get nothing; it must never get a 2xx or a 500.
        let found = answer.split(' ').nth(1).unwrap_or_default();
        assert!(
            found == status || found.starts_with('4') || found.is_empty(),
            "{name}: {answer}"
        );
        if !status.is_empty() && !found.is_empty() {
            assert_eq!(found, status, "{name}: {answer}");
        }
    }
    let good = format!(
        "GET /v1/ping HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\n\r\n"
    );
    let answer = exchange(address, good.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(world.asked(), 0);
    assert_eq!(world.state.in_flight(), 0);
    handle.stop(false).await;
    running.await.unwrap().unwrap();
}

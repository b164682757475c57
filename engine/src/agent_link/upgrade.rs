//! Takes a connection over from HTTP when it asks to become an agent's link.
//!
//! From then on nothing of the HTTP server is left of it: what that keeps for a connection (two
//! buffers of 8 KiB, its state, a channel each way) is ten times what an idle link needs.

use std::io;

use actix_codec::Framed;
use actix_http::{HttpMessage as _, Request, h1};
use actix_web::http::header::{self, HeaderMap};
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use protocol::link::FRAME_BYTES_MAX;

use super::socket::{self, LinkState, Stream};

/// What is read at once, and kept while nothing is: a heartbeat takes tens of bytes, card data
/// hundreds.
const READ_BYTES: usize = 1_024;
/// Messages that are ready together leave with one write up to this size.
const WRITE_BYTES: usize = 8 * 1_024;
/// The answer to a WebSocket upgrade of anything else, or one that is none.
const REFUSAL: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Takes a connection whose request asks for a WebSocket. Comes back at once.
///
/// # Errors
/// When the connection has broken.
pub async fn take<T: Stream>(
    request: Request,
    connection: Framed<T, h1::Codec>,
    path: &'static str,
    state: LinkState,
) -> Result<(), actix_web::Error> {
    let key = accept_key(request.headers()).filter(|_| request.path() == path);
    let parts = connection.into_parts();
    let (mut stream, received) = (parts.io, parts.read_buf.to_vec());
    let Some(key) = key else {
        stream.write_all(REFUSAL).await?;
        return Ok(stream.shutdown().await?);
    };
    // A task of its own: the server's ends here and gives back what it kept.
    actix_web::rt::spawn(async move {
        if let Err(error) = open(stream, received, key, state).await {
            tracing::debug!(%error, "agent's connection broke before it was a link");
        }
    });
    Ok(())
}

async fn open<T: Stream>(
    mut stream: T,
    received: Vec<u8>,
    key: String,
    state: LinkState,
) -> io::Result<()> {
    if !state.waits_for_turn().await {
        // Closed without an answer, which every agent takes as a reason to come back later.
        return Ok(());
    }
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {key}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    // TLS may hold back what was written until it is told.
    stream.flush().await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(WRITE_BYTES)
        .max_write_buffer_size(4 * FRAME_BYTES_MAX)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    let role = Role::Server;
    let socket = WebSocketStream::from_partially_read(stream, received, role, Some(config)).await;
    socket::run(socket, state).await;
    Ok(())
}

/// The answer to the client's key; nothing when this is no handshake of version 13 (RFC 6455 §4.2.1).
fn accept_key(headers: &HeaderMap) -> Option<String> {
    let version = headers.get(header::SEC_WEBSOCKET_VERSION)?;
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    (version.as_bytes() == b"13").then(|| derive_accept_key(key.as_bytes()))
}

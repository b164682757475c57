//! From an accepted connection to one that speaks TLS, or none.
//!
//! Nobody holds a place for longer than a handshake may take, and there are so many places: that
//! bounds what those can take who connect and say nothing.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::serving::Serving;

/// From the connection to the end of the handshake: as long as tills wait for it.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes at once in the process, each of at most some 20 kB. Above it connections wait for
/// their turn, within the same time.
const HANDSHAKES_MAX: usize = 2_048;
/// First byte of TLS: a record of the handshake (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 22;
/// What is said to who speaks plain HTTP here.
const USE_TLS: &str = r#"{"success":false,"error":{"code":"BAD_REQUEST","message":"This port speaks TLS: use https:// or wss://.","details":{}}}"#;

/// A connection that speaks TLS. In a box: its state of more than a kilobyte would be part of every
/// future that it passes through, several times for as long as a link lives.
pub type Accepted = Box<TlsStream<TcpStream>>;

/// Accepts TLS. Clones share the places.
#[derive(Debug, Clone)]
pub struct Acceptor {
    serving: Arc<Serving>,
    places: Arc<Semaphore>,
}

impl Acceptor {
    /// Accepts with the certificate that is served at the time.
    pub fn new(serving: Arc<Serving>) -> Self {
        Self {
            serving,
            places: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
        }
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// When the other side does not speak TLS, takes too long or refuses the certificate.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Accepted> {
        timeout(HANDSHAKE_TIMEOUT, self.shake_hands(stream))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "TLS handshake took too long"))?
    }

    async fn shake_hands(&self, stream: TcpStream) -> io::Result<Accepted> {
        // Who says nothing at all waits outside.
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first != [HANDSHAKE_RECORD] {
            refuse_plain(stream, first).await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not TLS"));
        }
        let _place = self.places.acquire().await.map_err(io::Error::other)?;
        // In a box of its own too: it is larger than all else of a connection that idles.
        let accepted = Box::pin(TlsAcceptor::from(self.serving.config()).accept(stream)).await?;
        Ok(Box::new(accepted))
    }
}

/// Says what is wrong to who speaks HTTP; closes on everybody else.
async fn refuse_plain(mut stream: TcpStream, first: [u8; 1]) -> io::Result<()> {
    if !first.iter().all(u8::is_ascii_uppercase) {
        return Ok(());
    }
    // With words unread, closing would take the answer back.
    let mut request = [0; 4_096];
    stream.try_read(&mut request)?;
    let length = USE_TLS.len();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{USE_TLS}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

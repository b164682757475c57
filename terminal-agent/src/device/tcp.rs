//! A network printer: the same bytes as on a cable, over TCP.

use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::fault::PortFault;

/// How long a printer in the same network may take to accept.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Silence after which the other end is asked whether it is still there.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(10);
/// How often it is then asked.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// How often it may fail to answer.
const KEEP_ALIVE_PROBES: u32 = 3;
/// For so long bytes may stay unacknowledged. The print machine keeps at most 1 KiB under way,
/// which a printer acknowledges also when it has no paper: only one that is gone does not.
const ACKNOWLEDGE_PATIENCE_MS: u32 = 30_000;

/// Connects to `address`, a host and a port.
pub(super) async fn connect(address: &str) -> Result<TcpStream, PortFault> {
    let unreachable = |reason: String| PortFault::Unreachable {
        address: address.to_owned(),
        reason,
    };
    match timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => match watch(&stream) {
            Ok(()) => Ok(stream),
            Err(error) => Err(unreachable(error.to_string())),
        },
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable(format!(
            "no answer within {} seconds",
            CONNECT_PATIENCE.as_secs()
        ))),
    }
}

/// A printer that was switched off says no goodbye: without questions nobody would know.
fn watch(stream: &TcpStream) -> io::Result<()> {
    // A question of a few bytes must not wait for more.
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEP_ALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEP_ALIVE_PROBES)?;
    sockopt::set_tcp_user_timeout(stream, ACKNOWLEDGE_PATIENCE_MS)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_other_end_is_watched() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stream = connect(&address).await.unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), KEEP_ALIVE_IDLE);
        assert_eq!(sockopt::tcp_keepcnt(&stream).unwrap(), KEEP_ALIVE_PROBES);
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 30_000);
    }

    #[tokio::test]
    async fn a_printer_that_is_off_does_not_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let fault = connect(&address).await.unwrap_err();
        assert_eq!(fault.code(), "PORT_UNREACHABLE");
        assert!(fault.to_string().contains(&address), "{fault}");
    }
}

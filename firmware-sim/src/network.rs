//! A network printer's socket: raw bytes over TCP, one host at a time.
//!
//! Never blocks: what the host does not take in time is lost, as on a pseudo-terminal.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// As much as is heard at once.
const READ_LENGTH: usize = 4_096;

type Connection = Arc<Mutex<Option<Arc<TcpStream>>>>;

/// A socket that hosts print to. Gone when dropped, its connection too.
#[derive(Debug)]
pub struct Network {
    address: SocketAddr,
    connection: Connection,
    task: JoinHandle<()>,
}

impl Network {
    /// Listens; what a host says goes into `heard` with the number of the port.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn open(
        address: SocketAddr,
        place: usize,
        heard: mpsc::Sender<(usize, Vec<u8>)>,
    ) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let connection = Connection::default();
        Ok(Self {
            address: listener.local_addr()?,
            task: tokio::spawn(serve(listener, Arc::clone(&connection), place, heard)),
            connection,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives bytes to the host; false when there is none.
    pub fn write(&self, bytes: &[u8]) -> bool {
        let Some(stream) = current(&self.connection) else {
            return false;
        };
        let taken = stream.try_write(bytes).unwrap_or(0);
        if taken < bytes.len() {
            tracing::warn!("host does not read; bytes are lost");
        }
        true
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.task.abort();
        set(&self.connection, None);
    }
}

fn current(connection: &Connection) -> Option<Arc<TcpStream>> {
    let held = connection.lock().unwrap_or_else(PoisonError::into_inner);
    held.clone()
}

fn set(connection: &Connection, stream: Option<Arc<TcpStream>>) {
    *connection.lock().unwrap_or_else(PoisonError::into_inner) = stream;
}

/// The next host waits until this one has gone.
async fn serve(
    listener: TcpListener,
    connection: Connection,
    place: usize,
    heard: mpsc::Sender<(usize, Vec<u8>)>,
) {
    while let Ok((stream, host)) = listener.accept().await {
        tracing::info!(%host, "host connected");
        let stream = Arc::new(stream);
        set(&connection, Some(Arc::clone(&stream)));
        let mut buffer = vec![0; READ_LENGTH];
        while stream.readable().await.is_ok() {
            match stream.try_read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                    if heard.send((place, bytes)).await.is_err() {
                        return;
                    }
                }
            }
        }
        set(&connection, None);
        tracing::info!(%host, "host gone");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn bytes_pass_both_ways_and_the_socket_goes_with_its_owner() {
        let (heard_tx, mut heard) = mpsc::channel(4);
        let any = "127.0.0.1:0".parse().unwrap();
        let network = Network::open(any, 3, heard_tx.clone()).unwrap();
        assert!(!network.write(b"to nobody"));
        let mut host = TcpStream::connect(network.address()).await.unwrap();
        host.write_all(b"\x10\x04\x01").await.unwrap();
        assert_eq!(heard.recv().await, Some((3, b"\x10\x04\x01".to_vec())));
        assert!(network.write(b"\x16"));
        let mut answer = [0];
        host.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"\x16");
        let address = network.address();
        drop(network);
        assert_eq!(host.read(&mut answer).await.unwrap(), 0);
        // The same address again, as after a cable was put back.
        let network = loop {
            // The old listener goes when its task does.
            tokio::task::yield_now().await;
            if let Ok(network) = Network::open(address, 3, heard_tx.clone()) {
                break network;
            }
        };
        assert_eq!(network.address(), address);
    }
}

//! A wire to a service, bytes there and back, that can be cut: for what a proxy cannot look into, as HTTP/2 over TLS.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A wire that carries any number of connections until it is dropped.
pub(crate) struct Wire {
    pub(crate) port: u16,
    connections: Arc<Mutex<JoinSet<()>>>,
    _listening: JoinSet<()>,
}

impl Wire {
    /// A wire to a port of this machine.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (connections, near) = (Arc::new(Mutex::new(JoinSet::new())), listener.local_addr().unwrap().port());
        let mut listening = JoinSet::new();
        listening.spawn(accept(listener, SocketAddr::from(([127, 0, 0, 1], port)), connections.clone()));
        Wire { port: near, connections, _listening: listening }
    }

    /// Breaks off every connection that there is, and says how many.
    pub(crate) fn cut(&self) -> usize {
        let mut connections = self.connections.lock().unwrap();
        while connections.try_join_next().is_some() {}
        let there = connections.len();
        connections.abort_all();
        there
    }
}

async fn accept(listener: TcpListener, far: SocketAddr, connections: Arc<Mutex<JoinSet<()>>>) {
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        connections.lock().unwrap().spawn(async move {
            let Ok(mut far) = TcpStream::connect(far).await else { return };
            // However it ends, both sides notice.
            copy_bidirectional(&mut near, &mut far).await.ok();
        });
    }
}

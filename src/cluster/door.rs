//! Where processes with a higher number come in, and strangers do not.
//!
//! Owns the listening socket and everybody on it who has not proved itself yet. What must stay true: however many knock and
//! say nothing, a process that belongs here still comes in. So there is a bound on those who wait at the door, and whoever
//! has stood there longest makes room for the next: a process of ours is through in milliseconds.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::hello::{self, Myself};
use super::link::Event;
use super::mesh::Maker;
use super::turned::TurnedAway;

/// How many may stand at the door.
const STANDING: usize = 128;
/// How long to leave the door alone when the system has no more sockets for us.
const NO_SOCKETS: Duration = Duration::from_millis(50);

/// Lets processes in until it is aborted.
pub(super) async fn attend(
    listener: TcpListener,
    me: Arc<Myself>,
    maker: Maker,
    turned_away: TurnedAway,
    events: mpsc::Sender<Event>,
) {
    let mut standing: VecDeque<AbortOnDropHandle<()>> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((socket, address)) => {
                while standing.front().is_some_and(AbortOnDropHandle::is_finished) {
                    standing.pop_front();
                }
                if standing.len() >= STANDING {
                    standing.retain(|one| !one.is_finished());
                }
                if standing.len() >= STANDING {
                    standing.pop_front();
                    turned_away.out_of_room(address);
                }
                let one = meet(socket, address, me.clone(), maker.clone(), turned_away.clone(), events.clone());
                standing.push_back(AbortOnDropHandle::new(tokio::spawn(one)));
            }
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(NO_SOCKETS).await;
            }
        }
    }
}

async fn meet(
    socket: TcpStream,
    address: SocketAddr,
    me: Arc<Myself>,
    maker: Maker,
    turned_away: TurnedAway,
    events: mpsc::Sender<Event>,
) {
    // It costs some latency where it fails, nothing else.
    let _ = socket.set_nodelay(true);
    match hello::in_time(hello::answer(socket, &me)).await {
        Ok(acquainted) => {
            // The mesh holds on to it from here, or is gone.
            let _ = events.send(maker.up(acquainted)).await;
        }
        Err(why) => turned_away.note(address, &why),
    }
}

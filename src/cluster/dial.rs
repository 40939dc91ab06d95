//! Calls a process with a lower number until it answers, and again when it is lost while the cluster forms.
//!
//! Owns the tries. Hosts are looked up at each of them: a name may be known only later, and mean another address then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use super::hello::{self, Myself, Turned};
use super::hosts::Host;
use super::link::Event;
use super::mesh::Maker;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Between the loss of a link and the next call.
const AGAIN: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const CONNECTING: Duration = Duration::from_secs(3);

/// Why the last try came to nothing, for whoever has to tell why a process never came.
#[derive(Clone, Default)]
pub(super) struct LastTry(Arc<Mutex<Option<String>>>);

impl LastTry {
    fn note(&self, why: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(why);
    }

    pub(super) fn why(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Calls until it is aborted; once linked, `lost` says when to begin again.
pub(super) async fn keep_calling(
    peer: usize,
    me: Arc<Myself>,
    maker: Maker,
    lost: Arc<Notify>,
    last: LastTry,
    events: mpsc::Sender<Event>,
) {
    let mut told = None;
    loop {
        let (mut pause, host) = (FIRST_PAUSE, me.hosts.of(peer));
        let acquainted = loop {
            match call(host, peer, &me).await {
                Ok(acquainted) => break acquainted,
                Err(why) => {
                    let (why, different) = (why.to_string(), !matches!(why, Turned::Broken(_)));
                    // That it is not there yet is nothing to tell of; that it is something else is, once.
                    if different && told.as_ref() != Some(&why) {
                        tracing::warn!("process {peer} ({host}) does not fit: {why}. Trying again");
                        told = Some(why.clone());
                    }
                    last.note(why);
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        };
        if events.send(maker.up(acquainted)).await.is_err() {
            return;
        }
        lost.notified().await;
        sleep(AGAIN).await;
    }
}

async fn call(host: &Host, peer: usize, me: &Myself) -> Result<hello::Acquainted, Turned> {
    let connecting = TcpStream::connect((host.name.as_str(), host.port));
    let late = |_| std::io::Error::other(format!("no connection within {} s", CONNECTING.as_secs()));
    let socket = timeout(CONNECTING, connecting).await.map_err(late)??;
    // It costs some latency where it fails, nothing else.
    let _ = socket.set_nodelay(true);
    hello::in_time(hello::call(socket, peer, me)).await
}

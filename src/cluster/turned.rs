//! Who was turned away, told once for each reason and counted.
//!
//! What must stay true: a stranger cannot fill the log, whatever it says and however often.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::hello::Turned;

/// How many different reasons are told; the rest is only counted.
const REASONS: usize = 16;

/// Those who were turned away.
#[derive(Clone, Default)]
pub(super) struct TurnedAway(Arc<Mutex<Tally>>);

#[derive(Default)]
struct Tally {
    count: u64,
    told: BTreeSet<String>,
}

impl TurnedAway {
    /// Somebody was turned away.
    pub(super) fn note(&self, address: SocketAddr, why: &Turned) {
        self.tell(address, why.to_string());
    }

    /// Somebody who said nothing made room for somebody else.
    pub(super) fn out_of_room(&self, address: SocketAddr) {
        self.tell(address, "too many connect and do not say who they are".to_owned());
    }

    fn tell(&self, address: SocketAddr, why: String) {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tally.count += 1;
        if tally.told.len() < REASONS && tally.told.insert(why.clone()) {
            tracing::warn!(%address, "turned away: {why}. Told once; from here on only counted");
        }
    }

    /// How many were turned away so far.
    pub(super) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count
    }
}

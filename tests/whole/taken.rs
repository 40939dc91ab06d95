//! Reading a source directly, with a clock and a log of the test's own, until it has given so many records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use millstream::clock::Clock;
use millstream::connector::{Outlet, Source};
use millstream_operators::protocol::State;
use millstream_operators::{Permit, RawBatch};
use tokio::time::timeout;

/// How long anything may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(30);
const HOUR: i64 = 3_600_000_000;

/// A clock that is an hour fast.
pub(crate) fn fast() -> Clock {
    let clock = Clock::system();
    Clock::new(move || clock.micros() + HOUR)
}

/// A log that holds these pins and nothing else.
pub(crate) fn log_with(pins: BTreeMap<String, String>) -> State {
    State { pins, ..State::default() }
}

/// What all splits of a source give that are there now, once it is `wanted` records, sorted.
pub(crate) async fn taken(source: &dyn Source, wanted: usize) -> Vec<Vec<u8>> {
    let left = Arc::new(AtomicUsize::new(wanted));
    let found = source.discover().await.unwrap();
    let mut outlets: Vec<Taken> =
        found.splits.iter().map(|_| Taken { left: left.clone(), taken: Vec::new() }).collect();
    let reading = found.splits.iter().zip(&mut outlets).map(|(split, outlet)| source.read(split, None, outlet));
    timeout(PATIENCE, futures::future::try_join_all(reading)).await.expect("records are missing").unwrap();
    let mut all: Vec<Vec<u8>> = outlets.into_iter().flat_map(|outlet| outlet.taken).collect();
    all.sort();
    all
}

struct Taken {
    left: Arc<AtomicUsize>,
    taken: Vec<Vec<u8>>,
}

#[async_trait]
impl Outlet for Taken {
    async fn reserve(&mut self, _: usize) -> Option<Permit> {
        (self.left.load(Ordering::SeqCst) > 0).then(Permit::free)
    }

    async fn send(&mut self, batch: RawBatch) -> bool {
        let count = batch.records.len();
        self.taken.extend((0..count).map(|index| batch.records.bytes(index).unwrap().to_vec()));
        let left = self.left.load(Ordering::SeqCst);
        self.left.store(left.saturating_sub(count), Ordering::SeqCst);
        left > count
    }
}

//! A source that is away now and then: before a look, before a read, and in the middle of one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use millstream::connector::memory::source::MemorySource;
use millstream::connector::{Discovery, End, Outlet, Source, SourceError, SplitInfo};
use millstream_operators::{Permit, Position, RawBatch};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub(crate) struct Flaky {
    inner: MemorySource,
    rng: Mutex<StdRng>,
    /// Of a hundred calls, this many find the source away.
    away: u32,
    concurrency: usize,
    count: Arc<AtomicU64>,
}

impl Flaky {
    pub(crate) fn new(inner: MemorySource, seed: u64, away: u32, concurrency: usize, count: Arc<AtomicU64>) -> Self {
        Flaky { inner, rng: Mutex::new(StdRng::seed_from_u64(seed)), away, concurrency, count }
    }

    fn is_away(&self) -> bool {
        self.rng.lock().unwrap().random_range(0..100) < self.away
    }

    fn unavailable(&self) -> SourceError {
        self.count.fetch_add(1, Ordering::Relaxed);
        SourceError::Unavailable { name: "lake".into(), message: "it is away for a while".into() }
    }
}

#[async_trait]
impl Source for Flaky {
    async fn discover(&self) -> Result<Discovery, SourceError> {
        if self.is_away() { Err(self.unavailable()) } else { self.inner.discover().await }
    }

    fn discovery_interval(&self) -> Duration {
        Duration::from_millis(700)
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    async fn read(
        &self,
        split: &SplitInfo,
        from: Option<Position>,
        outlet: &mut dyn Outlet,
    ) -> Result<End, SourceError> {
        if self.is_away() {
            return Err(self.unavailable());
        }
        let breaks = self.is_away().then(|| self.rng.lock().unwrap().random_range(0..4));
        let mut breaking = Breaking { outlet, left: breaks, broke: false };
        let end = self.inner.read(split, from, &mut breaking).await?;
        if breaking.broke { Err(self.unavailable()) } else { Ok(end) }
    }
}

/// Hands on so many batches, then breaks the reading off.
struct Breaking<'a> {
    outlet: &'a mut dyn Outlet,
    left: Option<u32>,
    broke: bool,
}

#[async_trait]
impl Outlet for Breaking<'_> {
    async fn reserve(&mut self, bytes: usize) -> Option<Permit> {
        self.broke = self.left == Some(0);
        if self.broke { None } else { self.outlet.reserve(bytes).await }
    }

    async fn send(&mut self, batch: RawBatch) -> bool {
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.outlet.send(batch).await
    }
}

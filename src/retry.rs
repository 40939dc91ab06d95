//! Waiting between tries: longer each time, with jitter, up to a bound.
//!
//! The jitter is a function of what is tried and how often, so that calls about different things spread out and a seeded
//! run stays the same.

use std::future::Future;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::connector::StoreError;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(10);
/// How long somebody who waits for an answer lets a store be away.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pauses of one thing that is tried again and again.
#[derive(Debug)]
pub struct Pause {
    next: Duration,
    tries: u32,
}

impl Default for Pause {
    fn default() -> Self {
        Pause { next: FIRST, tries: 0 }
    }
}

impl Pause {
    /// Waits; `why` is logged, louder once it has gone on for a while.
    pub async fn wait(&mut self, why: &str) {
        self.tries += 1;
        if self.tries.is_power_of_two() && self.tries >= 4 {
            tracing::warn!(tries = self.tries, "still trying: {why}");
        } else {
            tracing::debug!(tries = self.tries, "trying again: {why}");
        }
        let jitter = jitter(why, self.tries);
        tokio::time::sleep(self.next.mul_f64(jitter)).await;
        self.next = (self.next * 2).min(LONGEST);
    }
}

/// Makes a call that is safe to make again until the store answers, for as long as somebody may be kept waiting. (What is
/// under way in a run has no such limit: there, whoever watches it sees that it is still trying.)
pub async fn patiently<T, F>(call: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let (began, mut pause) = (tokio::time::Instant::now(), Pause::default());
    loop {
        match call().await {
            Err(error) if error.can_retry() && began.elapsed() < PATIENCE => pause.wait(&error.to_string()).await,
            settled => return settled,
        }
    }
}

/// Between a half and one.
fn jitter(why: &str, tries: u32) -> f64 {
    let mixed = xxh3_64(why.as_bytes()).wrapping_add(u64::from(tries)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    0.5 + (mixed >> 11) as f64 / (1u64 << 54) as f64
}

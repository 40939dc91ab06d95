//! Waiting between tries: longer each time, with jitter, up to a bound.
//!
//! The jitter is a function of what is tried and how often, so that calls about different things spread out and a seeded
//! run stays the same. What must stay true: nothing is repeated without the log saying so now and then; how long a thing
//! has been tried counts only together with the number of tries, so that a process which was frozen for an hour does not
//! give up after its first try.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::connector::StoreError;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(10);
/// How long somebody who waits for an answer lets a store be away.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a run tries what it cannot go on without before it ends with an error.
pub const GIVE_UP: Duration = Duration::from_secs(15 * 60);
/// Tries that this takes at least.
const LEAST_TRIES: u32 = 12;
/// The log says at least this often that something is still being tried.
const TELL: Duration = Duration::from_secs(60);

/// The pauses of one thing that is tried again and again.
#[derive(Debug)]
pub struct Pause {
    next: Duration,
    tries: u32,
    began: Instant,
    told: Instant,
}

impl Default for Pause {
    fn default() -> Self {
        let now = Instant::now();
        Pause { next: FIRST, tries: 0, began: now, told: now }
    }
}

impl Pause {
    /// Waits; `why` is logged, louder once it has gone on for a while.
    pub async fn wait(&mut self, why: &str) {
        self.tries += 1;
        if (self.tries.is_power_of_two() && self.tries >= 4) || self.told.elapsed() >= TELL {
            self.told = Instant::now();
            tracing::warn!(tries = self.tries, seconds = self.lasted().as_secs(), "still trying: {why}");
        } else {
            tracing::debug!(tries = self.tries, "trying again: {why}");
        }
        let jitter = jitter(why, self.tries);
        tokio::time::sleep(self.next.mul_f64(jitter)).await;
        self.next = (self.next * 2).min(LONGEST);
    }

    /// Waits after an error that another try may mend. An error that none mends, or one that has lasted for [`GIVE_UP`], is
    /// given back.
    pub async fn try_again(&mut self, error: StoreError) -> Result<(), StoreError> {
        if !error.can_retry() {
            return Err(error);
        }
        if self.is_over() {
            return Err(error.given_up(self.tries, self.lasted()));
        }
        self.wait(&error.to_string()).await;
        Ok(())
    }

    /// How often it was tried in vain.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// How long it has been tried.
    pub fn lasted(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether it has been tried for [`GIVE_UP`].
    pub fn is_over(&self) -> bool {
        self.lasted() >= GIVE_UP && self.tries >= LEAST_TRIES
    }
}

/// Makes a call that is safe to make again until the store answers, for as long as somebody may be kept waiting.
pub async fn patiently<T, F>(call: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    until(|pause| pause.lasted() >= PATIENCE, call).await
}

/// The same for a call that a run cannot go on without: for [`GIVE_UP`], then with an error that says so.
pub async fn persistently<T, F>(call: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    until(Pause::is_over, call).await
}

async fn until<T, F>(is_over: impl Fn(&Pause) -> bool, call: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pause = Pause::default();
    loop {
        match call().await {
            Err(error) if error.can_retry() && !is_over(&pause) => pause.wait(&error.to_string()).await,
            Err(error) if pause.is_over() => return Err(error.given_up(pause.tries(), pause.lasted())),
            settled => return settled,
        }
    }
}

/// Between a half and one.
fn jitter(why: &str, tries: u32) -> f64 {
    let mixed = xxh3_64(why.as_bytes()).wrapping_add(u64::from(tries)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    0.5 + (mixed >> 11) as f64 / (1u64 << 54) as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    //! A call that is repeated for ever leaves a run that neither works nor ends.
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn away() -> StoreError {
        let (store, key) = ("lake".to_owned(), "a".to_owned());
        StoreError::Unavailable { store, action: "write", key, message: "it is away".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_given_up_after_the_stated_time() {
        let began = Instant::now();
        let error = persistently(async || Err::<(), _>(away())).await.unwrap_err().to_string();
        assert!((GIVE_UP..GIVE_UP + LONGEST).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert!(error.contains("it is away") && error.contains("tries in 15 minutes"), "{error}");
        assert!(error.contains("start again"), "{error}");
    }

    /// Would catch a process that gives up on the first error after a long sleep.
    #[tokio::test(start_paused = true)]
    async fn time_without_tries_does_not_count() {
        let calls = AtomicU32::new(0);
        let call = async || match calls.fetch_add(1, Ordering::Relaxed) {
            0 => {
                tokio::time::sleep(2 * GIVE_UP).await;
                Err(away())
            }
            1 => Err(away()),
            _ => Ok(7),
        };
        assert_eq!(persistently(call).await.unwrap(), 7);
    }
}

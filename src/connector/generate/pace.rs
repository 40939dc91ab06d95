//! How many records are due by now, at a rate.
//!
//! Owns the arithmetic of pacing. Records come due evenly from the first look on and are handed out in steps of 50 ms, so
//! that a low rate gives small prompt batches and a high one few large ones. A reader that was held up catches up.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The length of a step.
const STEP: Duration = Duration::from_millis(50);

/// The pace of one split.
#[derive(Debug)]
pub struct Pace {
    rate: f64,
    began: Instant,
    first: u64,
}

impl Pace {
    /// `rate` records a second from now on, the first of which is `first`.
    pub fn new(rate: f64, first: u64) -> Self {
        Pace { rate, began: Instant::now(), first }
    }

    /// Waits until record `next` is due; answers up to which record, exclusive, all are.
    pub async fn due(&self, next: u64) -> u64 {
        loop {
            let due = self.first + (self.began.elapsed().as_secs_f64() * self.rate) as u64;
            if due > next {
                return due;
            }
            let steps = (self.began.elapsed().as_millis() / STEP.as_millis()) as u32 + 1;
            sleep_until(self.began + STEP * steps).await;
        }
    }
}

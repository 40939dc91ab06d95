//! The generate connector: synthetic articles and user events, seeded, at a rate or as fast as they can be made.
//!
//! ```text
//! rng → vocabulary → text → record, broken → Generate (batches, pace)
//! ```
//!
//! A record is a function of (seed, split, index), so a split is resumed at any position without making what lies before.
//! A split's position is the number of its records that are done. Owns no clock of its own for arrival times: it is given one.

mod broken;
mod config;
mod rng;
mod text;
mod vocabulary;
mod words;

pub mod pace;
pub mod record;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_operators::batch::{Beside, Positions};
use millstream_operators::{Permit, Position, RawBatch, Records};

use crate::connector::source::Clock;
use crate::connector::{Bounds, Discovery, End, Outlet, Source, SourceError, SplitInfo};

pub use broken::Fault;
pub use config::Config;
pub use record::Kind;

/// Bytes of a batch, about.
const BATCH: usize = 1 << 20;
/// Room for the record that crosses the end of a batch; longer ones make the buffer grow.
const SLACK: usize = 64 << 10;

/// What to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub kind: Kind,
    pub seed: u64,
    /// Splits, at least one.
    pub splits: u64,
    /// Records over all splits; `None` for ever.
    pub count: Option<u64>,
    /// Records a second over all splits; `None` as fast as it can.
    pub rate: Option<f64>,
    /// The share of records that are bad on purpose, 0 to 1.
    pub broken: f64,
}

/// A source of synthetic records.
pub struct Generate {
    options: Options,
    records: record::Records,
    clock: Clock,
}

impl Generate {
    /// A source as `options` say, or what is wrong with them.
    pub fn new(options: Options, bounds: Bounds, clock: Clock) -> Result<Self, SourceError> {
        check(&options, bounds)?;
        let records = record::Records::new(options.kind, options.seed, options.broken);
        Ok(Generate { options, records, clock })
    }

    /// How many records split `split` has: the first splits take one more where the count does not divide.
    fn share(&self, split: u64) -> Option<u64> {
        let count = self.options.count?;
        Some(count / self.options.splits + u64::from(split < count % self.options.splits))
    }

    /// Records `first..` of `split`, until the buffer is full or `limit` is reached.
    fn batch(&self, info: &SplitInfo, split: u64, first: u64, limit: u64, permit: Permit) -> RawBatch {
        let mut data = Vec::with_capacity(BATCH + SLACK);
        let mut spans = Vec::new();
        let mut index = first;
        while index < limit && data.len() < BATCH {
            let start = data.len();
            self.records.write(split, index, &mut data);
            spans.push((start as u32, data.len() as u32));
            data.push(b'\n');
            index += 1;
        }
        RawBatch {
            split: info.name.clone(),
            size: data.len(),
            records: Records::Framed { data: Bytes::from(data), spans },
            positions: Positions::Counted { first },
            until: Position::at(index),
            arrived_at: (self.clock)(),
            refused: Vec::new(),
            beside: Beside::default(),
            permit,
        }
    }

    fn number(&self, info: &SplitInfo) -> Result<u64, SourceError> {
        let number = info.name.strip_prefix("generate-").and_then(|number| number.parse().ok());
        number.filter(|number| *number < self.options.splits).ok_or_else(|| SourceError::Refused {
            name: info.name.to_string(),
            message: format!(
                "the generator has {} splits and this is none of them; [source] splits may grow, but not shrink, while a \
                 pipeline lives",
                self.options.splits
            ),
        })
    }
}

#[async_trait]
impl Source for Generate {
    async fn discover(&self) -> Result<Discovery, SourceError> {
        let split = |number: u64| SplitInfo::named(format!("generate-{number}"));
        Ok(Discovery { splits: (0..self.options.splits).map(split).collect(), complete: true })
    }

    async fn read(
        &self,
        split: &SplitInfo,
        from: Option<Position>,
        outlet: &mut dyn Outlet,
    ) -> Result<End, SourceError> {
        let number = self.number(split)?;
        let share = self.share(number).unwrap_or(u64::MAX);
        let mut next = start(split, from.as_ref())?;
        let pace = self.options.rate.map(|rate| pace::Pace::new(rate / self.options.splits as f64, next));
        while next < share {
            let due = match &pace {
                Some(pace) => pace.due(next).await.min(share),
                None => share,
            };
            let Some(permit) = outlet.reserve(2 * BATCH).await else { return Ok(End::Stopped) };
            let batch = self.batch(split, number, next, due, permit);
            next += batch.records.len() as u64;
            if !outlet.send(batch).await {
                return Ok(End::Stopped);
            }
            tokio::task::yield_now().await;
        }
        Ok(End::Finished)
    }
}

/// The number of records done at `from`.
fn start(split: &SplitInfo, from: Option<&Position>) -> Result<u64, SourceError> {
    let Some(from) = from else { return Ok(0) };
    from.number().ok_or_else(|| SourceError::Refused {
        name: split.name.to_string(),
        message: format!("{from} is not a number of records; was this path written by another source?"),
    })
}

fn check(options: &Options, bounds: Bounds) -> Result<(), SourceError> {
    let wrong = if options.splits == 0 {
        "splits is 0; a generator needs at least one"
    } else if options.rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
        "rate must be above 0; leave it out for as fast as it can"
    } else if !(0.0..=1.0).contains(&options.broken) {
        "broken is a share and lies between 0 and 1"
    } else if bounds == Bounds::UntilEnd && options.count.is_none() {
        "a generator without a count has no end to run until; set count"
    } else {
        return Ok(());
    };
    Err(SourceError::Refused { name: "generate".into(), message: wrong.into() })
}

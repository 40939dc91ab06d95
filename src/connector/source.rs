//! Where records come from: a source made of splits, each read in order.
//!
//! Owns the trait and the words that a source and the pipeline exchange. What every implementation must keep true:
//!
//! - A split's name is the same in every run; its records come in the same order whenever they are read again, and from
//!   a position on exactly those come that lie after it. So a replay from the last commit gives the same records.
//! - Positions only grow. What a position's text means is the source's own affair.
//! - Nothing is skipped in silence: data that is gone is [`SourceError::Gone`] with split and range.
//! - A source holds nothing that grows with what was read: memory is taken from the [`Outlet`] before bytes are fetched.
//! - A split that begins when others end names them as `parents`; it is started once all of them are read to the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millstream_operators::protocol::State;
pub use millstream_operators::protocol::assign::{Bounds, End, SplitInfo};
use millstream_operators::{Permit, Position, RawBatch, Split};
use thiserror::Error;

/// The time of the edge: microseconds since 1970, UTC. Given to whoever stamps batches, so that a test can own it.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What a look at the source found.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    /// All splits that are there now, known ones too.
    pub splits: Vec<SplitInfo>,
    /// Whether no further split can ever appear.
    pub complete: bool,
}

/// How far a split has been read by this process, and how far that is from its end. For whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    pub split: Split,
    /// How far behind the newest record the last answer was, as the service counts it.
    pub behind: Option<Duration>,
    /// When the last record that was read had arrived at the source: microseconds since 1970, UTC.
    pub arrived_at: Option<i64>,
    pub bytes: u64,
    pub records: u64,
}

/// What went wrong with a source.
#[derive(Debug, Error)]
pub enum SourceError {
    /// Data that was to be read is no longer there (exit code 4).
    #[error("{split}: {range} is gone: {message}")]
    Gone { split: String, range: String, message: String },
    /// What was read before has changed under us.
    #[error("{split}: {message}")]
    Changed { split: String, message: String },
    /// It will not work until somebody changes something.
    #[error("{name}: {message}")]
    Refused { name: String, message: String },
    /// It may work later; the pipeline tries again with a pause.
    #[error("{name}: {message}")]
    Unavailable { name: String, message: String },
}

/// Where a reader puts what it reads. Both calls wait, so a reader that is ahead of the pipeline stands still.
#[async_trait]
pub trait Outlet: Send {
    /// Memory for `bytes` about to be fetched; waits until the budget has room. `None` when the pipeline is stopping.
    async fn reserve(&mut self, bytes: usize) -> Option<Permit>;

    /// Hands a batch over; waits until there is a place in the queue. `false` when the pipeline is stopping. A batch without
    /// records tells the place alone: how far a split is read that has nothing to give.
    async fn send(&mut self, batch: RawBatch) -> bool;
}

/// A source of records.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Where the parts of the source stand that are not among the `known` pins of the log: for each, by a name that stays the
    /// same, a text of the source's own. It goes into the claim, and is what `latest` means from then on. The service tells
    /// it, by its own clock or numbers: ours may be wrong.
    async fn pins(&self, _known: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, SourceError> {
        Ok(BTreeMap::new())
    }

    /// Finished splits of the log that the source will never list again, neither by name nor as a parent. The claim takes them
    /// out of the log, so that a stream that reshards for years leaves no more behind than it holds.
    async fn forgets(&self, _log: &State) -> Result<Vec<Split>, SourceError> {
        Ok(Vec::new())
    }

    /// Told once, after the log is claimed and before the first [`Source::discover`], what the log holds: the pins, and how
    /// far each split is committed.
    fn goes_on_from(&self, _log: &State) {}

    /// Looks for splits. Called at the start, and again every [`Source::discovery_interval`] until the answer is complete.
    /// In a bounded run the first look fixes each split's `until`, and later looks only add children.
    async fn discover(&self) -> Result<Discovery, SourceError>;

    /// How long to wait between looks.
    fn discovery_interval(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// How many splits one worker reads side by side.
    fn concurrency(&self) -> usize {
        usize::MAX
    }

    /// Whether nothing is left to read of a split that is committed up to `at` (`None`: nothing of it is): [`Source::read`]
    /// would answer [`End::Resting`] at once. At a start such a split gets no reader, which is what keeps a start with a
    /// million files that are read already short. Must decide by its arguments alone, and cheaply. `false`: a reader finds out.
    fn is_exhausted(&self, _split: &SplitInfo, _at: Option<&Position>) -> bool {
        false
    }

    /// Reads a split from behind `from` (from its beginning where there is none) and hands the batches to `outlet`.
    /// A future that is dropped stops reading and leaves nothing behind.
    async fn read(
        &self,
        split: &SplitInfo,
        from: Option<Position>,
        outlet: &mut dyn Outlet,
    ) -> Result<End, SourceError>;

    /// How far each split is read that this process has read of. Cheap enough to be asked every second.
    fn lags(&self) -> Vec<Lag> {
        Vec::new()
    }

    /// Told after a commit how far each split is committed, for those who like to show it. Never read back.
    async fn acknowledge(&self, _positions: &[(Split, Position)]) -> Result<(), SourceError> {
        Ok(())
    }
}

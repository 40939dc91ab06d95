//! Whether records may have passed out of the stream before they were read.
//!
//! A service that has dropped records says nothing of it: it goes on with the oldest that it has. So a reader knows up to when
//! its shard is read, and as long as that is less than the retention ago, nothing can have passed. Beyond it, two things can
//! show that nothing did: the oldest record that there is, if it is one that was read already; and a parent that the stream
//! still lists, since it does so no longer than its retention, and the shard is no older than its parent's end.

use millstream_operators::Split;

use super::discover::{gone, split};
use super::failure::{Failure, Kind};
use super::intake::Intake;
use super::place::precedes;
use super::start::From;
use crate::connector::SourceError;
use crate::retry::Pause;

impl Intake<'_> {
    /// To be asked when the service has answered and before its records are taken: an error where some may be missing before
    /// them.
    pub(super) async fn check_retention(&mut self) -> Result<(), SourceError> {
        let Some(read) = self.read_until() else { return Ok(()) };
        if read >= self.now() - self.stream.known().await?.retention {
            return Ok(());
        }
        // It may have been made longer.
        let retention = self.stream.summary().await?.retention;
        if read >= self.now() - retention {
            return Ok(());
        }
        let nothing_passed = match self.sequence().map(str::to_owned) {
            Some(last) => self.oldest().await?.is_some_and(|oldest| !precedes(&last, &oldest)),
            None => self.is_young().await?,
        };
        if nothing_passed { Ok(()) } else { Err(self.passed(read, retention)) }
    }

    /// Whether the shard is younger than the stream's retention.
    async fn is_young(&mut self) -> Result<bool, SourceError> {
        if self.split.parents.is_empty() {
            return Ok(false);
        }
        let shards = self.stream.list().await?;
        let listed = |parent: &Split| shards.iter().any(|shard| split(self.stream.name(), &shard.id) == *parent);
        Ok(self.split.parents.iter().any(listed))
    }

    /// The sequence number of the oldest record that the shard has; none where it has none.
    async fn oldest(&mut self) -> Result<Option<String>, SourceError> {
        let mut iterator = None;
        let mut pause = Pause::default();
        loop {
            match self.ask_for_one(iterator.take()).await {
                Ok((Some(sequence), _)) => return Ok(Some(sequence)),
                Ok((None, None)) => return Ok(None),
                // Empty answers come while the service looks for the first record.
                Ok((None, next)) => iterator = next,
                Err(failure) if matches!(failure.kind, Kind::Throttled | Kind::Expired) => {}
                Err(failure) => return Err(self.failed(failure).await),
            }
            pause.wait(&format!("look for the oldest record of {}", self.split.name)).await;
        }
    }

    /// One record, and where to look on; neither, where the shard has none.
    async fn ask_for_one(&mut self, iterator: Option<String>) -> Result<(Option<String>, Option<String>), Failure> {
        let iterator = match iterator {
            Some(iterator) => iterator,
            None => self.stream.iterator(&self.shard, &From::Oldest).await?,
        };
        let answer = self.stream.records(&iterator, 1).await?;
        let at_the_tip = answer.millis_behind_latest.unwrap_or_default() == 0;
        let first = answer.records.into_iter().next().map(|record| record.sequence_number);
        Ok((first, answer.next_shard_iterator.filter(|_| !at_the_tip)))
    }

    fn passed(&self, read: i64, retention: i64) -> SourceError {
        let time = |millis| chrono::DateTime::from_timestamp_millis(millis).unwrap_or_default().format("%FT%TZ");
        let hours = retention / 3_600_000;
        gone(
            &self.split.name,
            &format!("what arrived between {} and {}", time(read), time(self.now() - retention)),
            &format!(
                "the stream keeps records for {hours} hours, and the shard is read up to before that. To go on with what is \
                 there, give the pipeline another `path` in [sink] and start = \"trim_horizon\"; to be safe in the future, \
                 lengthen the stream's retention"
            ),
        )
    }
}

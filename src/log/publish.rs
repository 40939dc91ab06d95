//! Making visible what a commit names, by completing its uploads.
//!
//! Anyone may do it, of any generation, again and again. A round asks the store to complete, and looks at the object
//! unless the answer itself proves it; [`after_completing`] decides. What must stay true: no answer is taken for more than
//! it says, and nothing is tried for ever.
//!
//! **What a confirmation costs.** An answer that carries the checksum of the whole object, held against that of the commit,
//! proves as much as a look, and then no request is added. A store that tells no checksum is asked once more a file (S3: a HEAD, side by side with all others; a folder: a
//! `stat`). An entity tag would not do instead: it is a hash of the parts' hashes only where the bucket does not encrypt
//! with keys of its own.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use millstream_operators::protocol::publish::{
    CompleteAnswer, FoundObject, PublishStep, after_completing, found, is_sum,
};
use millstream_operators::protocol::recover::Unfinished;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::connector::store::{Completed, PartTag, Upload};
use crate::connector::{Store, StoreError};
use crate::exit::Fatal;
use crate::log::Places;
use crate::retry::{Pause, persistently};

/// Uploads completed side by side.
const CALLS_AT_ONCE: usize = 32;
/// Files under way: those between two rounds make no calls and keep nobody waiting.
const FILES_AT_ONCE: usize = 1024;
/// How long an object may stay away after an answer that says it is there, or that its upload is not: a view that is
/// behind, or another's call to complete that is still at work.
const LOOKS: Duration = Duration::from_secs(15);
/// Looks within that time at least, so that a process that was frozen meanwhile does not decide by one.
const LEAST_LOOKS: u32 = 5;

/// Completes all of these; gives back those that are lost.
pub async fn publish(places: &Places, files: Vec<Unfinished>) -> Result<Vec<Unfinished>, Fatal> {
    let calls = &Semaphore::new(CALLS_AT_ONCE);
    let finished = stream::iter(files).map(|file| async move {
        let is_lost = Publishing::new(&**places.of(&file.place)?, &file, calls).is_lost().await?;
        Ok::<_, Fatal>(is_lost.then_some(file))
    });
    let lost: Vec<Option<Unfinished>> = finished.buffer_unordered(FILES_AT_ONCE).try_collect().await?;
    let mut lost: Vec<Unfinished> = lost.into_iter().flatten().collect();
    lost.sort_by(|a, b| (a.commit, &a.file.path).cmp(&(b.commit, &b.file.path)));
    Ok(lost)
}

/// One file on its way to being visible.
struct Publishing<'a> {
    store: &'a dyn Store,
    unfinished: &'a Unfinished,
    upload: Upload,
    parts: Vec<PartTag>,
    calls: &'a Semaphore,
    /// Since when, and how often, the answers have said that there is nothing left to complete.
    settled: Option<Instant>,
    looks: u32,
}

/// What a round came to.
struct Round {
    answer: CompleteAnswer,
    found: FoundObject,
    /// What went wrong last, for messages.
    error: Option<StoreError>,
}

impl<'a> Publishing<'a> {
    fn new(store: &'a dyn Store, unfinished: &'a Unfinished, calls: &'a Semaphore) -> Self {
        let file = &unfinished.file;
        let upload = Upload { key: file.path.clone(), id: file.upload.clone() };
        let parts = file.parts.iter().cloned().map(PartTag).collect();
        Publishing { store, unfinished, upload, parts, calls, settled: None, looks: 0 }
    }

    /// Publishes the file; true where it is lost.
    async fn is_lost(&mut self) -> Result<bool, Fatal> {
        let (mut pause, mut kept) = (Pause::default(), None);
        loop {
            let round = self.round(kept.take()).await;
            self.count(round.answer);
            match after_completing(round.answer, round.found, self.looked_enough(), pause.is_over()) {
                PublishStep::Done => return Ok(false),
                PublishStep::Lost => return self.is_lost_for_good(round.answer).await,
                PublishStep::Wrong => return Err(self.wrong()),
                PublishStep::Missing => return Err(self.missing()),
                PublishStep::Refused => return Err(self.refused(round.error, &pause)),
                PublishStep::GiveUp => return Err(self.given_up(round.error, &pause)),
                step @ (PublishStep::LookAgain | PublishStep::CompleteAgain) => {
                    pause.wait(&self.why(&round)).await;
                    kept = (step == PublishStep::LookAgain).then_some((round.answer, round.error));
                }
            }
        }
    }

    /// Completes, unless that was answered for good before, and looks, unless the answer is proof.
    async fn round(&self, kept: Option<(CompleteAnswer, Option<StoreError>)>) -> Round {
        let _permit = self.calls.acquire().await;
        let (answer, mut error) = match kept {
            Some(kept) => kept,
            None => match self.store.complete(&self.upload, &self.parts).await {
                Ok(Completed { crc: Some(crc) }) if is_sum(&self.unfinished.file, crc) => {
                    return Round { answer: CompleteAnswer::Completed, found: FoundObject::Whole, error: None };
                }
                Ok(_) => (CompleteAnswer::Completed, None),
                Err(error) => (answer_of(&error), Some(error)),
            },
        };
        let found = match self.store.look(&self.upload.key).await {
            Ok(entry) => found(&self.unfinished.file, entry.map(|entry| (entry.size, entry.crc))),
            Err(unseen) if unseen.can_retry() => {
                error.get_or_insert(unseen);
                FoundObject::Unseen
            }
            Err(barred) => {
                if answer != CompleteAnswer::Refused {
                    error = Some(barred);
                }
                FoundObject::Barred
            }
        };
        Round { answer, found, error }
    }

    fn count(&mut self, answer: CompleteAnswer) {
        use CompleteAnswer as Answer;
        if matches!(answer, Answer::Completed | Answer::NoSuchUpload | Answer::BadParts) {
            self.settled.get_or_insert_with(Instant::now);
            self.looks += 1;
        }
    }

    fn looked_enough(&self) -> bool {
        self.looks >= LEAST_LOOKS && self.settled.is_some_and(|since| since.elapsed() >= LOOKS)
    }

    /// An upload that still has parts is dropped first: a lost file is written again under another name, and must not
    /// appear after all.
    async fn is_lost_for_good(&self, answer: CompleteAnswer) -> Result<bool, Fatal> {
        if answer != CompleteAnswer::BadParts {
            return Ok(true);
        }
        persistently(|| self.store.abort(&self.upload)).await?;
        let seen = persistently(|| self.store.look(&self.upload.key)).await?;
        match found(&self.unfinished.file, seen.map(|entry| (entry.size, entry.crc))) {
            FoundObject::Nothing => Ok(true),
            FoundObject::Other => Err(self.wrong()),
            _ => Ok(false),
        }
    }

    fn why(&self, round: &Round) -> String {
        match &round.error {
            Some(error) => error.to_string(),
            None => format!("{} is completed and not to be seen in {}", self.upload.key, self.store.name()),
        }
    }

    fn wrong(&self) -> Fatal {
        let Unfinished { commit, file, .. } = self.unfinished;
        Fatal::Log(format!(
            "{} in {} is not the file that commit {commit} names ({} bytes, CRC-64/NVME {}): something else has written it. \
             Move it away and start again",
            file.path,
            self.store.name(),
            file.bytes,
            file.crc
        ))
    }

    fn missing(&self) -> Fatal {
        Fatal::Log(format!(
            "{} said that {} of commit {} is complete, and {} seconds later it is not there. Start again: the start looks \
             for it once more, and writes it again from the source if it is gone",
            self.store.name(),
            self.upload.key,
            self.unfinished.commit,
            LOOKS.as_secs()
        ))
    }

    fn refused(&self, error: Option<StoreError>, pause: &Pause) -> Fatal {
        match error {
            Some(error @ StoreError::Refused { .. }) => Fatal::Store(error),
            error => self.given_up(error, pause),
        }
    }

    fn given_up(&self, error: Option<StoreError>, pause: &Pause) -> Fatal {
        let said = error.map(|error| format!(": {error}")).unwrap_or_default();
        Fatal::Log(format!(
            "{} of commit {} could not be made visible in {} ({} tries in {} minutes){said}. Nothing is lost: the commit \
             stands and its upload waits. Start again once the store answers, and the start goes on here",
            self.upload.key,
            self.unfinished.commit,
            self.store.name(),
            pause.tries() + 1,
            pause.lasted().as_secs() / 60
        ))
    }
}

fn answer_of(error: &StoreError) -> CompleteAnswer {
    match error {
        StoreError::NoSuchUpload { .. } | StoreError::Missing { .. } => CompleteAnswer::NoSuchUpload,
        StoreError::BadParts { .. } => CompleteAnswer::BadParts,
        StoreError::Unclear { .. } => CompleteAnswer::Unclear,
        StoreError::Unavailable { .. } => CompleteAnswer::NotDone,
        StoreError::Refused { .. } => CompleteAnswer::Refused,
    }
}

#[cfg(test)]
#[path = "publish_tests.rs"]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;

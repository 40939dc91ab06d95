//! A store with weather in front of it: every call can fail, be lost, come late, or be the last thing a process does.
//!
//! Owns the carrying out of a [`Fate`]; what is drawn is [`super::faults`]'s. One [`Unreliable`] is one process's view of a
//! store that several share. What must stay true: a dead process does nothing more and hears nothing more (its calls wait
//! for ever), a call that is said to have failed did not happen, and nothing here waits on anything but tokio's time, so
//! that a paused clock makes a whole world repeatable. Only [`Fate::Late`] outlives its process, as a packet does.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::faults::{Call, Fate, Faults, Kind, Operation, When};
use super::process::{Process, State};
use crate::connector::store::{Completed, Created, Entry, PartTag, Store, StoreError, Upload};

/// One process's view of a store, weather included.
pub struct Unreliable {
    inner: Arc<dyn Store>,
    faults: Arc<Faults>,
    process: Arc<Process>,
}

impl Unreliable {
    /// `inner` as seen through `faults`.
    pub fn new(inner: Arc<dyn Store>, faults: Arc<Faults>) -> Self {
        Unreliable { inner, faults, process: Arc::default() }
    }

    /// Another store as the same process sees it: it counts its calls over both, and dies and freezes for both.
    pub fn beside(&self, inner: Arc<dyn Store>) -> Self {
        Unreliable { inner, faults: self.faults.clone(), process: self.process.clone() }
    }

    /// The same, asking `halt` before and after what each call does; an answer of `true` kills the process on the spot.
    pub fn with_halt(mut self, halt: impl Fn(&Call<'_>, When) -> bool + Send + Sync + 'static) -> Self {
        self.process = Arc::new(Process::with_halt(Box::new(halt)));
        self
    }

    /// Kills the process: from now on every call, also one that is under way, waits for ever.
    pub fn kill(&self) {
        self.process.turn(|_| State::Dead);
    }

    /// Freezes the process: until it is thawed no call gets on, and none hears its answer.
    pub fn freeze(&self) {
        self.process.turn(|state| if state == State::Running { State::Frozen } else { state });
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) {
        self.process.turn(|state| if state == State::Frozen { State::Running } else { state });
    }

    /// Whether the process is dead.
    pub fn is_dead(&self) -> bool {
        *self.process.state() == State::Dead
    }

    /// Waits until the process dies.
    pub async fn death(&self) {
        self.process.until(State::Dead).await;
    }

    /// Nothing gets past this point in a process that is frozen or dead.
    async fn breathe(&self) {
        self.process.until(State::Running).await;
    }

    async fn step(&self, call: &Call<'_>, when: When) {
        self.breathe().await;
        if self.process.halt.as_ref().is_some_and(|halt| halt(call, when)) {
            let kind = if when == When::Before { Kind::KilledBefore } else { Kind::KilledAfter };
            self.faults.count(call.operation, kind);
            self.kill();
        }
        self.breathe().await;
    }

    /// Makes one call of `deed`, which has to own all that it needs: it may outlive the caller.
    async fn call<T: Send + 'static>(
        &self,
        operation: Operation,
        key: &str,
        deed: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.decided(operation, key, |_| deed).await
    }

    /// The same for a deed that depends on its fate.
    async fn decided<T: Send + 'static, Deed>(
        &self,
        operation: Operation,
        key: &str,
        deed: impl FnOnce(Fate) -> Deed,
    ) -> Result<T, StoreError>
    where
        Deed: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.breathe().await;
        let call = Call { operation, key, number: self.process.calls.fetch_add(1, Ordering::Relaxed) };
        let fate = self.faults.decide(&call);
        let deed = deed(fate);
        self.step(&call, When::Before).await;
        let answer = self.carry_out(&call, fate, deed).await;
        self.step(&call, When::After).await;
        answer
    }

    async fn carry_out<T: Send + 'static>(
        &self,
        call: &Call<'_>,
        fate: Fate,
        deed: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        match fate {
            Fate::Works | Fate::Stale(_) | Fate::Unseen(_) => deed.await,
            Fate::Fails => Err(self.unavailable(call)),
            Fate::Refused => Err(self.refused(call)),
            Fate::LostRequest => Err(self.unclear(call)),
            Fate::LostAnswer if call.operation == Operation::Read => deed.await,
            Fate::LostAnswer | Fate::UnseenUnclear(_) => {
                // Whatever it was, the answer is lost with it.
                let _ = deed.await;
                Err(self.unclear(call))
            }
            Fate::Late(time) => {
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    let _ = deed.await;
                });
                Err(self.unclear(call))
            }
            Fate::Slow(time) => {
                tokio::time::sleep(time).await;
                self.breathe().await;
                deed.await
            }
            Fate::SlowAnswer(time) => {
                let answer = deed.await;
                tokio::time::sleep(time).await;
                answer
            }
        }
    }

    fn unavailable(&self, call: &Call<'_>) -> StoreError {
        let message = format!("call {} was made to fail by the test", call.number);
        let (store, key) = (self.name().to_owned(), call.key.to_owned());
        StoreError::Unavailable { store, action: action(call.operation), key, message }
    }

    fn refused(&self, call: &Call<'_>) -> StoreError {
        let message = format!("call {} was refused by the test", call.number);
        let (store, key) = (self.name().to_owned(), call.key.to_owned());
        StoreError::Refused { store, action: action(call.operation), key, message }
    }

    fn unclear(&self, call: &Call<'_>) -> StoreError {
        let message = format!("the answer to call {} was taken away by the test", call.number);
        let (store, key) = (self.name().to_owned(), call.key.to_owned());
        StoreError::Unclear { store, action: action(call.operation), key, message }
    }
}

#[async_trait]
impl Store for Unreliable {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn min_part(&self) -> usize {
        self.inner.min_part()
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StoreError> {
        let (inner, faults, at) = (self.inner.clone(), self.faults.clone(), key.to_owned());
        let deed = async move {
            let created = inner.create(&at, bytes).await?;
            if created == Created::New {
                faults.made(&at);
            }
            Ok(created)
        };
        self.call(Operation::Create, key, deed).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        let (inner, faults, at) = (self.inner.clone(), self.faults.clone(), key.to_owned());
        let deed = async move {
            // What is overwritten never goes missing from a listing, however late that is.
            let is_new = inner.look(&at).await?.is_none();
            inner.put(&at, bytes).await?;
            if is_new {
                faults.made(&at);
            }
            Ok(())
        };
        self.call(Operation::Put, key, deed).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let (inner, faults, at) = (self.inner.clone(), self.faults.clone(), key.to_owned());
        let deed = async move {
            let found = inner.get(&at).await?;
            Ok(found.filter(|_| !faults.is_unseen(inner.name(), &at)))
        };
        self.call(Operation::Get, key, deed).await
    }

    async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Bytes, StoreError> {
        let (inner, faults, at) = (self.inner.clone(), self.faults.clone(), key.to_owned());
        let deed = async move {
            visible(&*inner, &faults, &at)?;
            inner.get_range(&at, offset, length).await
        };
        self.call(Operation::GetRange, key, deed).await
    }

    async fn read(&self, key: &str, offset: u64) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let (inner, faults, at) = (self.inner.clone(), self.faults.clone(), key.to_owned());
        let broken = StoreError::Unavailable {
            store: self.name().to_owned(),
            action: action(Operation::Read),
            key: key.to_owned(),
            message: "the stream was broken off by the test".to_owned(),
        };
        let deed = |fate| async move {
            visible(&*inner, &faults, &at)?;
            let whole = inner.read(&at, offset).await?;
            if fate != Fate::LostAnswer {
                return Ok(whole);
            }
            Ok(whole.take(1).chain(futures::stream::once(async { Err(broken) })).boxed())
        };
        self.decided(Operation::Read, key, deed).await
    }

    async fn look(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let (inner, faults, at) = (self.inner.clone(), self.faults.clone(), key.to_owned());
        let deed = async move {
            let found = inner.look(&at).await?;
            Ok(found.filter(|_| !faults.is_unseen(inner.name(), &at)))
        };
        self.call(Operation::Look, key, deed).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let (inner, faults, at) = (self.inner.clone(), self.faults.clone(), prefix.to_owned());
        let deed = |fate| async move {
            let mut entries = inner.list(&at).await?;
            entries.retain(|entry| !faults.is_unseen(inner.name(), &entry.key));
            if let Fate::Stale(age) = fate {
                entries.retain(|entry| !faults.is_new(&entry.key, age));
            }
            Ok(entries)
        };
        self.decided(Operation::List, prefix, deed).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let (inner, at) = (self.inner.clone(), key.to_owned());
        self.call(Operation::Delete, key, async move { inner.delete(&at).await }).await
    }

    async fn begin(&self, key: &str) -> Result<Upload, StoreError> {
        let (inner, faults, at) = (self.inner.clone(), self.faults.clone(), key.to_owned());
        let deed = async move {
            let upload = inner.begin(&at).await?;
            faults.made(&upload.id);
            Ok(upload)
        };
        self.call(Operation::Begin, key, deed).await
    }

    async fn put_part(&self, upload: &Upload, number: u32, bytes: Bytes) -> Result<PartTag, StoreError> {
        let (inner, to) = (self.inner.clone(), upload.clone());
        self.call(Operation::PutPart, &upload.key, async move { inner.put_part(&to, number, bytes).await }).await
    }

    fn parts_at_once(&self) -> usize {
        self.inner.parts_at_once()
    }

    /// Not a call that fails here: in memory there is nothing to settle, so nothing could be told apart.
    async fn settle(&self, upload: &Upload) -> Result<(), StoreError> {
        self.inner.settle(upload).await
    }

    async fn complete(&self, upload: &Upload, parts: &[PartTag]) -> Result<Completed, StoreError> {
        let (inner, faults, of, parts) = (self.inner.clone(), self.faults.clone(), upload.clone(), parts.to_vec());
        let deed = |fate| async move {
            let is_new = inner.look(&of.key).await?.is_none();
            let completed = inner.complete(&of, &parts).await?;
            if is_new {
                faults.made(&of.key);
            }
            match fate {
                // What was seen once does not vanish.
                Fate::Unseen(time) | Fate::UnseenUnclear(time) if is_new => {
                    faults.hide(inner.name(), &of.key, time);
                    Ok(Completed::default())
                }
                _ => Ok(completed),
            }
        };
        self.decided(Operation::Complete, &upload.key, deed).await
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StoreError> {
        let (inner, of) = (self.inner.clone(), upload.clone());
        self.call(Operation::Abort, &upload.key, async move { inner.abort(&of).await }).await
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StoreError> {
        let (inner, faults, at) = (self.inner.clone(), self.faults.clone(), prefix.to_owned());
        let deed = |fate| async move {
            let mut uploads = inner.uploads(&at).await?;
            if let Fate::Stale(age) = fate {
                uploads.retain(|upload| !faults.is_new(&upload.id, age));
            }
            Ok(uploads)
        };
        self.decided(Operation::Uploads, prefix, deed).await
    }

    /// Not a call that fails here: in memory nothing is left over.
    async fn remove_leftovers(&self) -> Result<usize, StoreError> {
        self.inner.remove_leftovers().await
    }

    async fn warnings(&self) -> Vec<String> {
        self.inner.warnings().await
    }
}

/// Fails where nobody sees the object yet.
fn visible(store: &dyn Store, faults: &Faults, key: &str) -> Result<(), StoreError> {
    match faults.is_unseen(store.name(), key) {
        true => Err(StoreError::Missing { store: store.name().to_owned(), key: key.to_owned() }),
        false => Ok(()),
    }
}

/// The word that an error uses for an operation.
fn action(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "create",
        Operation::Put => "write",
        Operation::Get | Operation::GetRange | Operation::Read => "read",
        Operation::Look => "look at",
        Operation::List => "list",
        Operation::Delete => "delete",
        Operation::Begin => "begin the upload of",
        Operation::PutPart => "upload a part of",
        Operation::Complete => "complete the upload of",
        Operation::Abort => "abort the upload of",
        Operation::Uploads => "list the uploads of",
    }
}

#[cfg(test)]
#[path = "unreliable_tests.rs"]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;

//! Adding a commit to the log: the one decision, and learning its outcome for certain. What a large commit keeps beside it is
//! written before.

use bytes::Bytes;
use millstream_operators::protocol::Commit;
use millstream_operators::protocol::append::{Answer, Step, after_creating, after_reading};

use crate::connector::store::Created;
use crate::connector::{Store, StoreError};
use crate::exit::Fatal;
use crate::log::objects::{commit_key, state_prefix};
use crate::log::{body, states};
use crate::retry::Pause;

/// How an append ended.
#[derive(Debug, PartialEq)]
pub enum Appended {
    /// The commit is in the log, with so many bytes.
    Ours(u64),
    /// Its number is taken by this commit of another writer.
    Theirs(Box<Commit>),
}

/// Thresholds in bytes above which parts of a commit are stored beside it. Tests use smaller ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Large {
    /// For its lists.
    pub body: usize,
    /// For the changes of one operator's state.
    pub state: usize,
}

impl Default for Large {
    fn default() -> Self {
        Large { body: body::LARGE, state: states::LARGE_BYTES }
    }
}

/// Appends a commit, after writing its large parts to objects of their own. The size returned includes these.
pub async fn append_with(store: &dyn Store, commit: &mut Commit, large: Large) -> Result<Appended, Fatal> {
    let prefix = state_prefix(commit.commit, commit.generation);
    states::lay(store, &mut commit.state, &prefix, large.state).await?;
    let without = body::lay(store, commit, large.body).await?;
    let appended = append(store, without.as_ref().unwrap_or(commit)).await?;
    let beside = without.and_then(|commit| commit.body).map_or(0, |body| body.bytes) + commit.state.object_bytes();
    Ok(match appended {
        Appended::Ours(bytes) => Appended::Ours(bytes + beside),
        theirs @ Appended::Theirs(_) => theirs,
    })
}

/// Appends `commit`, with as many tries and looks as it takes to know. An error means that the store refused for good, or that
/// it gave no clear answer for [`GIVE_UP`](crate::retry::GIVE_UP); whether the commit is there is then for the next start to read.
pub async fn append(store: &dyn Store, commit: &Commit) -> Result<Appended, Fatal> {
    let key = commit_key(commit.commit);
    let ours = Bytes::from(commit.to_bytes());
    let mut pause = Pause::default();
    loop {
        let (answer, trouble) = create(store, &key, &ours).await?;
        let mut step = after_creating(answer);
        let mut found = None;
        if step == Step::ReadBack {
            found = read_back(store, &key, &mut pause).await?;
            step = after_reading(&ours, found.as_deref());
        }
        match step {
            Step::Done => return Ok(Appended::Ours(ours.len() as u64)),
            Step::Fenced => return theirs(store, &key, &found.unwrap_or_default()),
            Step::CreateAgain | Step::ReadBack => match trouble {
                Some(error) => pause.try_again(error).await?,
                None => pause.wait(&format!("create {key}")).await,
            },
        }
    }
}

/// What came of a try to create, and the trouble where there was one.
async fn create(store: &dyn Store, key: &str, bytes: &Bytes) -> Result<(Answer, Option<StoreError>), Fatal> {
    match store.create(key, bytes.clone()).await {
        Ok(Created::New) => Ok((Answer::New, None)),
        Ok(Created::Exists) => Ok((Answer::Exists, None)),
        Err(error @ StoreError::Unclear { .. }) => Ok((Answer::Unclear, Some(error))),
        Err(error @ StoreError::Unavailable { .. }) => Ok((Answer::NotDone, Some(error))),
        Err(refused) => Err(refused.into()),
    }
}

async fn read_back(store: &dyn Store, key: &str, pause: &mut Pause) -> Result<Option<Bytes>, Fatal> {
    loop {
        match store.get(key).await {
            Ok(found) => return Ok(found),
            Err(error) => pause.try_again(error).await?,
        }
    }
}

fn theirs(store: &dyn Store, key: &str, found: &[u8]) -> Result<Appended, Fatal> {
    let commit = Commit::from_bytes(found)
        .map_err(|error| Fatal::Log(format!("{key} in {} is not a commit: {error}", store.name())))?;
    Ok(Appended::Theirs(Box::new(commit)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    //! Would catch a process that neither works nor ends while the log is away.

    use std::sync::Arc;

    use tokio::time::timeout;

    use super::*;
    use crate::connector::memory::{Fate, Faults, MemoryStore, Operation, Unreliable};
    use crate::retry::GIVE_UP;

    async fn gives_up(fate: impl Fn(Operation) -> Fate + Send + Sync + 'static) -> String {
        let faults = Faults::new(move |call| fate(call.operation));
        let store = Unreliable::new(Arc::new(MemoryStore::new("lake")), Arc::new(faults));
        let commit = Commit { commit: 3, ..Commit::default() };
        let appended = timeout(2 * GIVE_UP, append(&store, &commit)).await.expect("it tries for ever");
        let Err(Fatal::Store(error)) = appended else { panic!("nothing was ever answered: {appended:?}") };
        error.to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_never_answers_is_given_up() {
        let away = gives_up(|_| Fate::Fails).await;
        assert!(away.contains("commits/3.json") && away.contains("start again once the store answers"), "{away}");
        let silent = gives_up(|operation| match operation {
            Operation::Create => Fate::LostRequest,
            _ => Fate::Works,
        });
        assert!(silent.await.contains("tries in 15 minutes came to nothing"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_is_read_back() {
        let faults = Faults::new(|call| match call.operation {
            Operation::Create => Fate::LostAnswer,
            _ => Fate::Works,
        });
        let store = Unreliable::new(Arc::new(MemoryStore::new("lake")), Arc::new(faults));
        let commit = Commit { commit: 3, ..Commit::default() };
        let bytes = commit.to_bytes().len() as u64;
        assert_eq!(append(&store, &commit).await.unwrap(), Appended::Ours(bytes));
    }
}

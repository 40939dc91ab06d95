//! Adding a commit to the log: the one decision, and learning its outcome for certain.

use bytes::Bytes;
use millstream_operators::protocol::Commit;
use millstream_operators::protocol::append::{Answer, Step, after_creating, after_reading};

use crate::connector::store::Created;
use crate::connector::{Store, StoreError};
use crate::exit::Fatal;
use crate::log::objects::commit_key;
use crate::retry::Pause;

/// How an append ended.
#[derive(Debug, PartialEq)]
pub enum Appended {
    /// The commit is in the log, with so many bytes.
    Ours(u64),
    /// Its number is taken by this commit of another writer.
    Theirs(Box<Commit>),
}

/// Appends `commit`, however many tries and looks it takes to know. Only a store that refuses for good ends in an error.
pub async fn append(store: &dyn Store, commit: &Commit) -> Result<Appended, Fatal> {
    let key = commit_key(commit.commit);
    let ours = Bytes::from(commit.to_bytes());
    let mut pause = Pause::default();
    loop {
        let mut step = after_creating(create(store, &key, &ours).await?);
        let mut found = None;
        if step == Step::ReadBack {
            found = read_back(store, &key, &mut pause).await?;
            step = after_reading(&ours, found.as_deref());
        }
        match step {
            Step::Done => return Ok(Appended::Ours(ours.len() as u64)),
            Step::Fenced => return theirs(store, &key, &found.unwrap_or_default()),
            Step::CreateAgain | Step::ReadBack => pause.wait(&format!("create {key}")).await,
        }
    }
}

async fn create(store: &dyn Store, key: &str, bytes: &Bytes) -> Result<Answer, Fatal> {
    match store.create(key, bytes.clone()).await {
        Ok(Created::New) => Ok(Answer::New),
        Ok(Created::Exists) => Ok(Answer::Exists),
        Err(StoreError::Unclear { .. }) => Ok(Answer::Unclear),
        Err(StoreError::Unavailable { .. }) => Ok(Answer::NotDone),
        Err(refused) => Err(refused.into()),
    }
}

async fn read_back(store: &dyn Store, key: &str, pause: &mut Pause) -> Result<Option<Bytes>, Fatal> {
    loop {
        match store.get(key).await {
            Ok(found) => return Ok(found),
            Err(error) if error.can_retry() => pause.wait(&error.to_string()).await,
            Err(refused) => return Err(refused.into()),
        }
    }
}

fn theirs(store: &dyn Store, key: &str, found: &[u8]) -> Result<Appended, Fatal> {
    let commit = Commit::from_bytes(found)
        .map_err(|error| Fatal::Log(format!("{key} in {} is not a commit: {error}", store.name())))?;
    Ok(Appended::Theirs(Box::new(commit)))
}

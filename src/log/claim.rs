//! A start claims the log: its first act is a commit that changes nothing but the generation.
//!
//! From then on every older generation loses its next commit. Before anything is written, the store is tried: one that
//! does not honour a conditional create cannot hold a log, and is refused.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use millstream_operators::protocol::State;

use crate::clock::Clock;
use crate::connector::Store;
use crate::connector::store::Created;
use crate::exit::Fatal;
use crate::log::append::{Appended, append};
use crate::log::read;

/// Who claims.
#[derive(Clone, Debug)]
pub struct Claimant {
    /// Unique to this start.
    pub writer: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// Its averages by name, as they are defined.
    pub averages: BTreeMap<String, String>,
    /// Parts of its source whose first start is to be kept in mind.
    pub pin: BTreeSet<String>,
}

/// Claims the log: the state that this start goes on from, its own claim taken in.
pub async fn claim(store: &dyn Store, who: &Claimant, clock: &Clock) -> Result<State, Fatal> {
    try_conditional_create(store, &who.writer).await?;
    loop {
        let mut state = read::state(store, read::end(store).await?).await?;
        let commit = state.claim(&who.writer, &who.pipeline, &clock.text(), &who.averages, &who.pin);
        if append(store, &commit).await? == Appended::Ours {
            let bytes = commit.to_bytes().len() as u64;
            state.apply(&commit, bytes).map_err(|broken| Fatal::Log(broken.to_string()))?;
            return Ok(state);
        }
        tracing::info!(commit = commit.commit, "another writer was first; reading the log again");
    }
}

/// Creates one object twice: the second time must be told that it exists.
async fn try_conditional_create(store: &dyn Store, writer: &str) -> Result<(), Fatal> {
    let key = format!(".millstream/try/{writer}");
    let tries =
        [store.create(&key, Bytes::from_static(b"1")).await, store.create(&key, Bytes::from_static(b"2")).await];
    let cleared = store.delete(&key).await;
    match tries {
        // Without a clear answer to the first, the second proves nothing; the log itself never relies on one.
        [Ok(_), Ok(Created::New)] => return Err(not_conditional(store)),
        tries => {
            let refused = tries.into_iter().filter_map(Result::err).find(|error| !error.can_retry());
            refused.map_or(Ok(()), Err)?;
        }
    }
    if let Err(error) = cleared {
        tracing::debug!(%error, "the object of the try was left behind");
    }
    Ok(())
}

fn not_conditional(store: &dyn Store) -> Fatal {
    Fatal::Log(format!(
        "{} does not honour a conditional create (If-None-Match: *): it overwrote an object that was there. Two starts of a \
         pipeline could then both commit, so nothing is written to it. Use a store that honours it, such as Amazon S3, \
         MinIO or a local folder",
        store.name()
    ))
}

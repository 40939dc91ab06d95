//! At a start, after the claim: finish what is committed, abort what never will be, tell what was lost.

use millstream_operators::protocol::State;
use millstream_operators::protocol::recover::{Aborting, Unfinished, to_finish};

use crate::connector::Store;
use crate::exit::Fatal;
use crate::log::{Places, publish, read};
use crate::retry::persistently;

/// What recovering came to.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Files made visible (again).
    pub finished: usize,
    /// Uploads of older generations that no commit names.
    pub aborted: usize,
    /// Files whose uploads are gone: they have to be written again from the source.
    pub lost: Vec<Unfinished>,
}

/// Finishes and aborts; `state` is the claimed log.
pub async fn recover(places: &Places, state: &State) -> Result<Recovered, Fatal> {
    let commits = read::commits(&*places.log, state.published + 1, state.commit).await?;
    let unfinished = to_finish(&commits);
    let mut aborted = 0;
    if let Some(log) = state.log {
        let aborting = Aborting::new(log, state.generation, &unfinished);
        for (_, store) in places.folders() {
            aborted += abort_old(&**store, &aborting).await?;
        }
    }
    let files = unfinished.len();
    let lost = publish::publish(places, unfinished).await?;
    Ok(Recovered { finished: files - lost.len(), aborted, lost })
}

async fn abort_old(store: &dyn Store, aborting: &Aborting<'_>) -> Result<usize, Fatal> {
    let uploads = persistently(|| store.uploads("")).await?;
    let mut aborted = 0;
    for upload in uploads.iter().filter(|upload| aborting.wants(&upload.key, &upload.id)) {
        match store.abort(upload).await {
            Ok(()) => aborted += 1,
            // It is found again by the next start.
            Err(error) => tracing::warn!(%error, key = upload.key, "an old upload was not aborted"),
        }
    }
    Ok(aborted)
}

//! Who runs the pipeline now: a note that the owner of the log renews while it lives.
//!
//! By default a start takes over at once: it fences the older one out, which loses nothing. Where something restarts
//! whatever ends (a StatefulSet with two pods by mistake, two supervisors), two generations would fence each other out in
//! turn for ever. `--take-over=never` ends that: such a start watches the note first and claims the log only once nobody has
//! renewed it for a while, or its owner has ended cleanly and removed it.
//!
//! What must stay true: the note decides nothing. Two owners that both believe to be alone are told apart by the log, as
//! always. Only changes of the note count, never the time in it, so clocks may differ.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::clock::Clock;
use crate::connector::Store;
use crate::exit::Fatal;
use crate::log::objects::{OWNER, get};

/// How often an owner renews its note.
pub const RENEWED: Duration = Duration::from_secs(10);
/// An owner whose note stays as it is for this long is gone.
const SILENCE: Duration = Duration::from_secs(30);
/// How often a start that waits looks at the note.
const LOOK: Duration = Duration::from_secs(2);

/// What a start does about an owner that may be alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TakeOver {
    /// Fence it out.
    #[default]
    Always,
    /// Leave it alone.
    Never,
}

impl TakeOver {
    /// The words of the command line.
    pub const WORDS: [(&'static str, TakeOver); 2] = [("always", TakeOver::Always), ("never", TakeOver::Never)];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            TakeOver::Always => "always",
            TakeOver::Never => "never",
        }
    }
}

/// The note.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    generation: u64,
    writer: String,
    at: String,
}

/// Renews the note until it is dropped.
pub async fn renew(store: &dyn Store, generation: u64, writer: &str, clock: &Clock) {
    loop {
        let owner = Owner { generation, writer: writer.to_owned(), at: clock.text() };
        let bytes = Bytes::from(serde_json::to_vec(&owner).unwrap_or_default());
        if let Err(error) = store.put(OWNER, bytes).await {
            tracing::debug!(%error, "the note of who runs the pipeline was not renewed");
        }
        sleep(RENEWED).await;
    }
}

/// Waits until nobody owns the log. An owner that is alive ends the wait with an error.
pub async fn wait_for_silence(store: &dyn Store) -> Result<(), Fatal> {
    let Some(note) = get(store, OWNER).await? else { return Ok(()) };
    tracing::info!(seconds = SILENCE.as_secs(), "looking whether the owner of the log is alive");
    let began = Instant::now();
    while began.elapsed() < SILENCE {
        sleep(LOOK).await;
        match get(store, OWNER).await? {
            None => return Ok(()),
            Some(now) if now != note => return Err(alive(store, &now)),
            Some(_) => {}
        }
    }
    Ok(())
}

fn alive(store: &dyn Store, note: &[u8]) -> Fatal {
    let generation = serde_json::from_slice::<Owner>(note).map_or(0, |owner| owner.generation);
    Fatal::Owned { store: store.name().to_owned(), generation }
}

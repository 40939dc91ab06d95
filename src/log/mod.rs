//! The commit log: how a pipeline's truth is found, claimed, added to and made visible.
//!
//! ```text
//! start:  end ─► state ─► claim ─► recover (finish, abort, write lost files again) ─► backfill new averages
//! epoch:  draft ─► append (the one decision) ─► publish ─► snapshot now and then
//! end:    snapshot ─► mark that all is published
//! ```
//! Acts on what `millstream_operators::protocol` decides, against the [`Store`] trait alone. Owns the layout below
//! `<sink.path>/.millstream/`. Owns no dataflow: a draft comes in, a sealed epoch goes out.
//!
//! What must stay true: a commit exists once its object exists, and never before; nothing is made visible that no commit
//! names; what a commit names becomes visible, whoever finishes it and however often.

pub mod append;
pub mod backfill;
pub mod body;
pub mod claim;
pub mod committer;
pub mod ending;
pub mod fold;
pub mod lay;
pub mod lost;
pub mod neighbours;
pub mod objects;
pub mod owner;
pub mod past;
pub mod publish;
pub mod read;
pub mod recount;
pub mod recover;
pub mod repair;
pub mod snapshot;
pub mod verify;

use std::sync::Arc;

use millstream_operators::protocol::recover::Place;

use crate::connector::Store;

/// Where a pipeline's output lies: the data (and the log), and the rejects.
#[derive(Clone)]
pub struct Places {
    pub data: Arc<dyn Store>,
    pub rejects: Arc<dyn Store>,
}

impl Places {
    /// The store of a place.
    pub fn of(&self, place: Place) -> &Arc<dyn Store> {
        match place {
            Place::Data => &self.data,
            Place::Rejects => &self.rejects,
        }
    }
}

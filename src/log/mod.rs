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
pub mod body;
pub mod claim;
pub mod committer;
pub mod data_files;
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
pub mod recover;
pub mod repair;
pub mod snapshot;
pub mod states;
pub mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millstream_operators::protocol::Place;

use crate::connector::Store;
use crate::exit::Fatal;

/// Where a pipeline's output lies: the log, the sinks, the rejects.
#[derive(Clone)]
pub struct Places {
    pub log: Arc<dyn Store>,
    stores: Arc<BTreeMap<Place, Arc<dyn Store>>>,
}

impl Places {
    /// A log and the stores of all sinks and of the rejects.
    pub fn new(log: Arc<dyn Store>, stores: BTreeMap<Place, Arc<dyn Store>>) -> Self {
        Places { log, stores: Arc::new(stores) }
    }

    /// One sink without a name, which the log lies in.
    pub fn single(data: Arc<dyn Store>, rejects: Arc<dyn Store>) -> Self {
        Places::new(data.clone(), BTreeMap::from([(Place::data(), data), (Place::rejects(), rejects)]))
    }

    /// The same with more sinks: those of earlier definitions.
    pub fn with(self, more: BTreeMap<Place, Arc<dyn Store>>) -> Self {
        let mut stores = (*self.stores).clone();
        stores.extend(more);
        Places::new(self.log, stores)
    }

    /// The store of a place.
    pub fn of(&self, place: &Place) -> Result<&Arc<dyn Store>, Fatal> {
        let unknown = || {
            Fatal::Log(format!(
                "the log of {} names files of a sink {place}, and does not say where it lies",
                self.log.name()
            ))
        };
        self.stores.get(place).ok_or_else(unknown)
    }

    /// Whether the store of a place is known.
    pub fn has(&self, place: &Place) -> bool {
        self.stores.contains_key(place)
    }

    /// Every store once, that of the log included.
    pub fn stores(&self) -> Vec<&Arc<dyn Store>> {
        let mut stores: Vec<_> = self.folders().into_iter().map(|(_, store)| store).collect();
        if !stores.iter().any(|store| Arc::ptr_eq(store, &self.log)) {
            stores.push(&self.log);
        }
        stores
    }

    /// What the stores warn of. Sinks of one bucket may warn of the same rule, which is told once.
    pub async fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for store in self.stores() {
            warnings.extend(store.warnings().await);
        }
        let mut told = BTreeSet::new();
        warnings.retain(|warning| told.insert(warning.clone()));
        warnings
    }

    /// Every folder with output once, and the places that lie in it: a sink that got another name has two.
    pub fn folders(&self) -> Vec<(Vec<&Place>, &Arc<dyn Store>)> {
        let mut folders: Vec<(Vec<&Place>, &Arc<dyn Store>)> = Vec::new();
        for (place, store) in &*self.stores {
            match folders.iter_mut().find(|(_, known)| Arc::ptr_eq(known, store)) {
                Some((places, _)) => places.push(place),
                None => folders.push((vec![place], store)),
            }
        }
        folders
    }
}

//! A source whose records name their schemas: each batch goes on with those that its records name.
//!
//! Owns the look at the ids, five bytes of a record, and the waiting for what they mean. Stands before every way that raw
//! batches take, because all of them begin at [`Source::read`]. What must stay true: nothing goes on before its schemas are
//! there; while the registry is away reading fails as if the source were, and begins again behind what went on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millstream_operators::decode::schema_id;
use millstream_operators::protocol::State;
use millstream_operators::{Permit, Position, RawBatch, Records, Schemas, Split};

use super::registry::Registry;
use crate::connector::source::Lag;
use crate::connector::{Discovery, End, Outlet, Source, SourceError, SplitInfo};

/// A source, and the registry of its schemas.
pub struct Registered {
    source: Arc<dyn Source>,
    registry: Registry,
}

impl Registered {
    /// The same source, with schemas beside its batches.
    pub fn new(source: Arc<dyn Source>, registry: Registry) -> Self {
        Registered { source, registry }
    }
}

#[async_trait]
impl Source for Registered {
    async fn pins(&self, known: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, SourceError> {
        self.source.pins(known).await
    }

    async fn forgets(&self, log: &State) -> Result<Vec<Split>, SourceError> {
        self.source.forgets(log).await
    }

    fn goes_on_from(&self, log: &State) {
        self.source.goes_on_from(log);
    }

    async fn discover(&self) -> Result<Discovery, SourceError> {
        self.source.discover().await
    }

    fn discovery_interval(&self) -> Duration {
        self.source.discovery_interval()
    }

    fn concurrency(&self) -> usize {
        self.source.concurrency()
    }

    fn is_exhausted(&self, split: &SplitInfo, at: Option<&Position>) -> bool {
        self.source.is_exhausted(split, at)
    }

    async fn read(
        &self,
        split: &SplitInfo,
        from: Option<Position>,
        outlet: &mut dyn Outlet,
    ) -> Result<End, SourceError> {
        let mut looking = Looking { outlet, registry: &self.registry, last: None, failed: None };
        let end = self.source.read(split, from, &mut looking).await;
        looking.failed.map_or(end, Err)
    }

    fn lags(&self) -> Vec<Lag> {
        self.source.lags()
    }

    async fn acknowledge(&self, positions: &[(Split, Position)]) -> Result<(), SourceError> {
        self.source.acknowledge(positions).await
    }
}

/// An outlet before which ids are looked at.
struct Looking<'a> {
    outlet: &'a mut dyn Outlet,
    registry: &'a Registry,
    /// What the last batch named. Most batches name the same.
    last: Option<Arc<Schemas>>,
    /// Why it cannot go on. The reader is told to stop then.
    failed: Option<SourceError>,
}

#[async_trait]
impl Outlet for Looking<'_> {
    async fn reserve(&mut self, bytes: usize) -> Option<Permit> {
        self.outlet.reserve(bytes).await
    }

    async fn send(&mut self, mut batch: RawBatch) -> bool {
        match self.schemas(ids(&batch.records)).await {
            Ok(schemas) => batch.beside.schemas = schemas,
            Err(error) => {
                self.failed = Some(error);
                return false;
            }
        }
        self.outlet.send(batch).await
    }
}

impl Looking<'_> {
    async fn schemas(&mut self, ids: BTreeSet<u32>) -> Result<Option<Arc<Schemas>>, SourceError> {
        let mut schemas = Vec::with_capacity(ids.len());
        for id in ids {
            schemas.push((id, self.registry.schema(id).await?));
        }
        let schemas: Schemas = schemas.into_iter().collect();
        if schemas.ids().len() == 0 {
            return Ok(None);
        }
        if self.last.as_ref().is_none_or(|last| **last != schemas) {
            self.last = Some(Arc::new(schemas));
        }
        Ok(self.last.clone())
    }
}

/// The ids that records begin with.
fn ids(records: &Records) -> BTreeSet<u32> {
    let (mut ids, mut last) = (BTreeSet::new(), None);
    for record in 0..records.len() {
        let id = records.bytes(record).and_then(schema_id);
        if id != last {
            ids.extend(id);
            last = id;
        }
    }
    ids
}

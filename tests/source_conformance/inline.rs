use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use millstream::config::{Besides, Key, Past, SOURCE_TYPE, Said, Section, Spec};
use millstream::connector::kind::{Connecting, SourceType};
use millstream::connector::source::Clock;
use millstream::connector::{Discovery, End, Outlet, Source, SourceError, SplitInfo};
use millstream::exit::Fatal;
use millstream_operators::batch::{Beside, Positions};
use millstream_operators::{Position, RawBatch, Records};
use serde::{Deserialize, Serialize};

const RECORDS: Key = Key::with_default("records", "the records, as a list of strings", "[]");

/// `type = "inline"`: records in the pipeline file. All of it belongs to the definition, so it is its own form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Inline {
    records: Vec<Said>,
}

#[async_trait]
impl SourceType for Inline {
    const WORD: &'static str = "inline";
    const SPEC: Spec =
        Spec { heading: "[source]", what: "inline: records in the pipeline file", keys: &[SOURCE_TYPE, RECORDS] };
    type Form = Self;

    fn read(section: &Section<'_>) -> Self {
        Inline { records: section.list(&RECORDS).into_iter().map(|(_, record)| Said(record)).collect() }
    }
    fn form(&self, _: &mut Besides<'_>) -> Self {
        self.clone()
    }
    fn under(form: Self, _: Option<&Self>, _: &mut Past<'_>) -> Self {
        form
    }
    fn shown(&self) -> String {
        format!("{} records in the pipeline file", self.records.len())
    }
    async fn connect(&self, with: Connecting<'_>) -> Result<Arc<dyn Source>, Fatal> {
        let records = self.records.iter().map(|record| Bytes::from(record.meant().to_owned())).collect();
        Ok(Arc::new(Reader { records, clock: with.clock.as_source() }))
    }
}

struct Reader {
    records: Vec<Bytes>,
    clock: Clock,
}

#[async_trait]
impl Source for Reader {
    async fn discover(&self) -> Result<Discovery, SourceError> {
        Ok(Discovery { splits: vec![SplitInfo::named("inline")], complete: true })
    }
    async fn read(&self, split: &SplitInfo, from: Option<Position>, out: &mut dyn Outlet) -> Result<End, SourceError> {
        for next in from.and_then(|from| from.number()).unwrap_or(0)..self.records.len() as u64 {
            let record = self.records[next as usize].clone();
            let Some(permit) = out.reserve(record.len()).await else { return Ok(End::Stopped) };
            let batch = RawBatch {
                split: split.name.clone(),
                size: record.len(),
                records: Records::Payloads(vec![record]),
                positions: Positions::Counted { first: next },
                until: Position::at(next + 1),
                arrived_at: (self.clock)(),
                refused: Vec::new(),
                beside: Beside::default(),
                permit,
            };
            if !out.send(batch).await {
                return Ok(End::Stopped);
            }
        }
        Ok(End::Finished)
    }
}

//! An outlet that keeps what it is handed, counts memory, and stops when told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use millstream::connector::{End, Outlet, Source, SourceError, SplitInfo};
use millstream_operators::{Permit, Position, RawBatch, Records};

/// A record as it came, in a form that compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) position: Position,
    pub(crate) payload: Vec<u8>,
    /// Reason and message, where the source refused it.
    pub(crate) refused: Option<(String, String)>,
    pub(crate) header: Option<Vec<u8>>,
}

/// Keeps records, and lets every batch go at once, so that what is held is what the reader holds.
#[derive(Default)]
pub(crate) struct Collect {
    pub(crate) records: Vec<Record>,
    /// Where each batch ends, and how many records came up to there.
    pub(crate) borders: Vec<(Position, usize)>,
    /// Batches after which the pipeline stops.
    pub(crate) stop_after: Option<usize>,
    pub(crate) peak: usize,
    held: Arc<AtomicUsize>,
}

struct Held(Arc<AtomicUsize>, usize);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::SeqCst);
    }
}

impl Collect {
    fn stopped(&self) -> bool {
        self.stop_after.is_some_and(|after| self.borders.len() >= after)
    }

    /// The payloads as text, for short comparisons.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.records.iter().map(|record| String::from_utf8_lossy(&record.payload).into_owned()).collect()
    }

    /// Where reading goes on.
    pub(crate) fn until(&self) -> Option<Position> {
        self.borders.last().map(|(until, _)| until.clone())
    }
}

#[async_trait]
impl Outlet for Collect {
    async fn reserve(&mut self, bytes: usize) -> Option<Permit> {
        let held = self.held.fetch_add(bytes, Ordering::SeqCst);
        assert_eq!(
            held, 0,
            "a reader asks for memory while it holds some: two of them can wait for each other for ever"
        );
        self.peak = self.peak.max(bytes);
        let permit = Permit::new(Held(self.held.clone(), bytes));
        (!self.stopped()).then_some(permit)
    }

    async fn send(&mut self, batch: RawBatch) -> bool {
        assert!(!self.stopped(), "a batch after the pipeline stopped");
        if batch.records.is_empty() {
            // It may come when nothing else does, to tell how far a split that is idle is read.
            let last = self.borders.last().map_or(&batch.until, |(last, _)| last);
            assert!(!batch.until.precedes(last), "a place that goes back");
            return true;
        }
        assert!(self.held.load(Ordering::SeqCst) > 0, "bytes without a permit");
        for index in 0..batch.records.len() {
            let refused = batch.refused.iter().find(|refusal| refusal.row as usize == index);
            self.records.push(Record {
                position: batch.position(index),
                payload: payload(&batch.records, index),
                refused: refused.map(|refusal| (refusal.reason.to_string(), refusal.message.clone())),
                header: batch.beside.header.as_ref().map(|header| header.to_vec()),
            });
        }
        self.borders.push((batch.until.clone(), self.records.len()));
        !self.stopped()
    }
}

fn payload(records: &Records, index: usize) -> Vec<u8> {
    match records {
        Records::Rows(rows) => {
            let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
            writer.write(&rows.slice(index, 1)).unwrap();
            writer.finish().unwrap();
            writer.into_inner()
        }
        _ => records.bytes(index).unwrap().to_vec(),
    }
}

/// Reads a split from a position.
pub(crate) async fn read(
    source: &dyn Source,
    split: &SplitInfo,
    from: Option<Position>,
) -> (Result<End, SourceError>, Collect) {
    let mut collect = Collect::default();
    let end = source.read(split, from, &mut collect).await;
    (end, collect)
}

/// A clock that stands still.
pub(crate) fn clock() -> millstream::connector::source::Clock {
    Arc::new(|| 1_700_000_000_000_000)
}

/// Counts records and drops them.
#[derive(Default)]
pub(crate) struct Sink(pub(crate) usize);

#[async_trait]
impl Outlet for Sink {
    async fn reserve(&mut self, _: usize) -> Option<Permit> {
        Some(Permit::free())
    }

    async fn send(&mut self, batch: RawBatch) -> bool {
        self.0 += batch.records.len();
        true
    }
}

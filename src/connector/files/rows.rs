//! Reading a Parquet file, a batch of rows at a time.
//!
//! A position counts rows. Pages are fetched as they are needed, through a small cache of blocks, so that memory is bounded by
//! the cache and a batch and not by a row group. Decoding is work without awaits and runs where blocking is allowed; one
//! batch is one such task, so a reader that is dropped leaves nothing behind. A Parquet file is whole or not there: one that was
//! read from and has another revision since is an error.

use bytes::Bytes;
use millstream_operators::batch::{Beside, Positions};
use millstream_operators::{Permit, RawBatch, Reason, Records, Refusal};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use tracing::warn;

use super::Settings;
use super::blocks::Blocks;
use super::digest::Mark;
use super::object::{KEPT_WHOLE, Object};
use super::place::{Note, Place};
use crate::connector::{Bounds, End, Outlet, SourceError};

/// Bytes of a batch, about.
const BATCH: usize = 1 << 20;
/// Rows of a batch, at most.
const MOST_ROWS: usize = 8192;

/// What the last four bytes of every Parquet file are.
const MAGIC: &[u8] = b"PAR1";

/// A Parquet file being read.
struct Rows<'a> {
    settings: &'a Settings,
    object: Object,
    row: u64,
    rows: u64,
    /// Where all that follows was refused once already.
    mended: Option<u64>,
}

/// Reads the file from behind `from`.
pub(super) async fn read(
    settings: &Settings,
    object: Object,
    from: Place,
    outlet: &mut dyn Outlet,
) -> Result<End, SourceError> {
    if let Some(note) = &from.note
        && note.revision != object.revision
        && from.offset > 0
    {
        return Err(
            object.changed(format!("{} rows of it were read and it is another file now: {KEPT_WHOLE}", from.offset))
        );
    }
    let Some(permit) = outlet.reserve(4 * BATCH + 2 * settings.fetch).await else { return Ok(End::Stopped) };
    let mended = from.broken.then_some(from.offset);
    let mut rows = Rows { settings, object, row: from.offset, rows: 0, mended };
    let blocks = Blocks::new(rows.object.clone(), settings.fetch);
    match rows.open(blocks).await? {
        Ok(reader) => {
            drop(permit);
            rows.run(reader, outlet).await
        }
        Err(error) => rows.unreadable(error, permit, outlet).await,
    }
}

/// A reader, or why the file is no Parquet.
type Opened = Result<(Blocks, ParquetRecordBatchReader), ParquetError>;

impl Rows<'_> {
    /// Opens the file at the row wanted. The outer error is the store's, the inner one the file's.
    async fn open(&mut self, blocks: Blocks) -> Result<Opened, SourceError> {
        let row = self.row;
        let opened = blocking(&self.object, move || {
            let opened = open(&blocks, row);
            (blocks, opened)
        });
        let (blocks, opened) = opened.await?;
        if let Some(error) = blocks.error() {
            return Err(error);
        }
        Ok(opened.map(|(rows, reader)| {
            self.rows = rows;
            (blocks, reader)
        }))
    }

    async fn run(
        &mut self,
        (blocks, mut reader): (Blocks, ParquetRecordBatchReader),
        outlet: &mut dyn Outlet,
    ) -> Result<End, SourceError> {
        while self.row < self.rows {
            let Some(permit) = outlet.reserve(4 * BATCH + 2 * self.settings.fetch).await else {
                return Ok(End::Stopped);
            };
            let next;
            (reader, next) = blocking(&self.object, move || {
                let next = reader.next();
                (reader, next)
            })
            .await?;
            if let Some(error) = blocks.error() {
                return Err(error);
            }
            match next {
                Some(Ok(batch)) => {
                    if !outlet.send(self.batch(batch, permit)).await {
                        return Ok(End::Stopped);
                    }
                }
                Some(Err(error)) => return self.refuse(error.to_string(), permit, outlet).await,
                None => return self.refuse("it has fewer rows than it says".into(), permit, outlet).await,
            }
        }
        Ok(End::Resting)
    }

    /// A file that does not end as a Parquet file does may still be written; anything else is refused, once.
    async fn unreadable(
        &mut self,
        error: ParquetError,
        permit: Permit,
        outlet: &mut dyn Outlet,
    ) -> Result<End, SourceError> {
        let tail = self.object.range(self.object.end.saturating_sub(4), 4).await?;
        if self.settings.bounds == Bounds::Unbounded && tail != MAGIC {
            warn!(file = &*self.object.split, "it does not end as a Parquet file does; it is read when it does");
            return Ok(End::Resting);
        }
        self.refuse(error.to_string(), permit, outlet).await
    }

    /// Refuses all rows that are left as one record without bytes.
    async fn refuse(&mut self, what: String, permit: Permit, outlet: &mut dyn Outlet) -> Result<End, SourceError> {
        if self.mended == Some(self.row) {
            return Ok(End::Resting);
        }
        let message = match self.rows.saturating_sub(self.row) {
            0 => format!("this is no Parquet file that can be read ({what}); write it again, whole"),
            left => format!("the {left} rows from here on cannot be read ({what}); write them into a new file"),
        };
        let records = Records::Framed { data: Bytes::new(), spans: vec![(0, 0)] };
        let mut until = self.here(true);
        until.broken = true;
        let mut batch = self.raw(self.row, records, until, permit, 0);
        batch.refused = vec![Refusal { row: 0, reason: Reason::Decode, field: None, message }];
        Ok(if outlet.send(batch).await { End::Resting } else { End::Stopped })
    }

    fn batch(&mut self, batch: arrow::array::RecordBatch, permit: Permit) -> RawBatch {
        let first = self.row;
        self.row += batch.num_rows() as u64;
        let size = batch.get_array_memory_size();
        let until = self.here(self.row == self.rows);
        self.raw(first, Records::Rows(batch), until, permit, size)
    }

    fn raw(&self, first: u64, records: Records, until: Place, permit: Permit, size: usize) -> RawBatch {
        // The first row where a refusal was goes behind it.
        let position = |row| Place { offset: row, broken: self.mended == Some(row), note: None }.position();
        let positions = match self.mended {
            Some(mended) if mended == first => {
                Positions::Each((first..first + records.len() as u64).map(position).collect())
            }
            _ => Positions::Counted { first },
        };
        RawBatch {
            split: self.object.split.clone(),
            records,
            positions,
            until: until.position(),
            arrived_at: self.object.modified.unwrap_or_else(|| (self.settings.clock)()),
            refused: Vec::new(),
            beside: Beside::default(),
            permit,
            size,
        }
    }

    /// The place read to. A file that never changes needs no hash.
    fn here(&self, ended: bool) -> Place {
        let note = Note { mark: Mark { blocks: 0, rest: 0 }, ended, revision: self.object.revision.clone() };
        Place { offset: self.row, broken: false, note: Some(note) }
    }
}

/// All rows of the file, and a reader of those from `row` on.
fn open(blocks: &Blocks, row: u64) -> Result<(u64, ParquetRecordBatchReader), ParquetError> {
    let metadata = ArrowReaderMetadata::load(blocks, ArrowReaderOptions::new())?;
    let (mut first, mut groups, mut bytes) = (0, Vec::new(), 0);
    let mut skipped = 0;
    for (index, group) in metadata.metadata().row_groups().iter().enumerate() {
        let count = group.num_rows().max(0) as u64;
        bytes += group.total_byte_size().max(0) as u64;
        if first + count > row {
            if groups.is_empty() {
                skipped = row - first;
            }
            groups.push(index);
        }
        first += count;
    }
    let rows = (BATCH as u64 * first / bytes.max(1)).clamp(1, MOST_ROWS as u64) as usize;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(blocks.clone(), metadata)
        .with_row_groups(groups)
        .with_offset(skipped as usize)
        .with_batch_size(rows)
        .build()?;
    Ok((first, reader))
}

/// Runs work that blocks.
async fn blocking<T: Send + 'static>(
    object: &Object,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SourceError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| SourceError::Unavailable {
        name: object.split.to_string(),
        message: format!("reading it did not come to an end: {error}"),
    })
}

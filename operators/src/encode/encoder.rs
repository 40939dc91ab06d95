//! The encoder itself: which files are open, and which one has to give way.
//!
//! Owns the open files of all epochs and the memory that they hold together. What must stay true: every row is in exactly
//! one file; no file holds rows of two epochs or two partitions; the files hold at most what `memory` says, give or take
//! the step in hand, and at most `max_open` of them have a Parquet writer.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use super::file::{self, OpenFile, Shape};
use super::options::{EncodeError, EncodeOptions};
use super::partition::{self, Group, Only, Partitions};
use super::piece::{FileId, Piece};
use crate::batch::{Batch, Permit, Reserve};

/// Turns batches into Parquet files, in pieces.
///
/// It needs no dataflow: [`Encoder::push`] batches, [`Encoder::close`] the epoch, and take the [`Encoder::pieces`] after
/// each. Encoding happens in the call; rows are copied only where a batch holds more than one partition.
pub struct Encoder {
    shape: Shape,
    columns: Vec<usize>,
    partitions: Partitions,
    only: Option<Only>,
    epochs: BTreeMap<u64, Epoch>,
    held: Held,
    writing: usize,
    /// Counts batches, to tell which file had rows last.
    clock: u64,
    ready: Vec<Piece>,
}

#[derive(Default)]
struct Epoch {
    next_part: u32,
    /// By the values of the partition columns.
    open: BTreeMap<Box<[u8]>, OpenFile>,
}

impl Encoder {
    /// An encoder; fails where the options ask for what the schema does not have.
    pub fn new(options: EncodeOptions) -> Result<Self, EncodeError> {
        let partitions = Partitions::new(&options.schema, options.partition_columns()?)?;
        Ok(Encoder {
            columns: options.file_columns()?,
            partitions,
            only: options.only.as_deref().map(Only::new),
            epochs: BTreeMap::new(),
            held: Held::new(options.reserve.clone()),
            writing: 0,
            clock: 0,
            ready: Vec::new(),
            shape: Shape::new(options)?,
        })
    }

    /// Adds the rows of a batch to files of `epoch`.
    pub fn push(&mut self, epoch: u64, batch: &Batch) -> Result<(), EncodeError> {
        if batch.rows.num_rows() == 0 {
            return Ok(());
        }
        self.clock += 1;
        let wrong = |error: ArrowError| EncodeError::Batch {
            split: batch.origin.raw.split.to_string(),
            position: batch.origin.position(0).to_string(),
            message: error.to_string(),
        };
        let selected = batch.rows.project(&self.columns).map_err(wrong)?;
        for group in self.partitions.groups(&batch.rows).map_err(wrong)? {
            if self.only.as_mut().is_some_and(|only| !only.takes(&self.partitions, &group, &batch.rows)) {
                continue;
            }
            let rows = group.take(&selected).map_err(wrong)?;
            self.add(epoch, &group, &rows, batch)?;
        }
        Ok(())
    }

    /// Closes up to `limit` files of an epoch; true when none is left and the epoch is done.
    ///
    /// An epoch with thousands of small files is closed a few at a time, so that its worker can do other things between.
    pub fn close(&mut self, epoch: u64, limit: usize) -> Result<bool, EncodeError> {
        for _ in 0..limit {
            let Some(key) = self.epochs.get(&epoch).and_then(|epoch| epoch.open.keys().next().cloned()) else { break };
            self.close_file(epoch, &key)?;
        }
        let done = self.epochs.get(&epoch).is_none_or(|epoch| epoch.open.is_empty());
        if done {
            self.epochs.remove(&epoch);
        }
        Ok(done)
    }

    /// Takes the pieces that are ready.
    pub fn pieces(&mut self) -> Vec<Piece> {
        std::mem::take(&mut self.ready)
    }

    /// The memory of all open files, as far as it is counted.
    pub fn held(&self) -> usize {
        self.held.bytes
    }

    /// How many files are open, and how many of them have a Parquet writer.
    pub fn open(&self) -> (usize, usize) {
        (self.epochs.values().map(|epoch| epoch.open.len()).sum(), self.writing)
    }

    /// Adds the rows of a group in steps, and looks at every limit after each.
    fn add(&mut self, epoch: u64, group: &Group, rows: &RecordBatch, batch: &Batch) -> Result<(), EncodeError> {
        let (total, bytes) = (rows.num_rows(), file::size(rows).max(1));
        let mut at = 0;
        while at < total {
            let mut open = self.take(epoch, group, &batch.rows)?;
            let room = open.room(&self.shape).min(self.shape.step);
            // Rows of a step, from the average size of a row; the rest of a small batch goes in one.
            let step = ((room as u128 * total as u128).div_ceil(bytes as u128) as usize).clamp(1, total - at);
            let part = if step == total { rows.clone() } else { rows.slice(at, step) };
            open.note(&batch.origin, group.row(at), group.row(at + step - 1), step as u64, self.shape.options.apart);
            open.add(part, bytes * step / total, &self.shape)?;
            open.touched = self.clock;
            at += step;
            self.ready.extend(open.cut(&self.shape));
            if open.encoded() >= self.shape.options.file_bytes {
                self.ready.extend(open.close(&self.shape)?);
            } else {
                self.put(epoch, &group.key, open);
            }
            self.keep_within()?;
        }
        Ok(())
    }

    /// The open file of a group, or a new one; taken out, and not counted until it is put back.
    fn take(&mut self, epoch: u64, group: &Group, rows: &RecordBatch) -> Result<OpenFile, EncodeError> {
        if let Some(open) = self.remove(epoch, &group.key) {
            return Ok(open);
        }
        let (path, values) = self.partitions.path(rows, group.row(0))?;
        let files = self.epochs.entry(epoch).or_default();
        let id = FileId { epoch, part: files.next_part };
        files.next_part += 1;
        let name = self.shape.options.file_name(id);
        Ok(OpenFile::new(id, partition::key(&path, name), values))
    }

    fn remove(&mut self, epoch: u64, key: &[u8]) -> Option<OpenFile> {
        let open = self.epochs.get_mut(&epoch)?.open.remove(key)?;
        self.held.change(self.held.bytes - open.held());
        self.writing -= usize::from(open.is_writing());
        Some(open)
    }

    fn put(&mut self, epoch: u64, key: &[u8], open: OpenFile) {
        self.held.change(self.held.bytes + open.held());
        self.writing += usize::from(open.is_writing());
        self.epochs.entry(epoch).or_default().open.insert(key.into(), open);
    }

    fn close_file(&mut self, epoch: u64, key: &[u8]) -> Result<(), EncodeError> {
        if let Some(open) = self.remove(epoch, key) {
            self.ready.extend(open.close(&self.shape)?);
        }
        Ok(())
    }

    /// Makes room: first the largest file gives up its row group or, where that would not help, is closed; then of too many
    /// writers the one that had no rows for the longest time is closed.
    fn keep_within(&mut self) -> Result<(), EncodeError> {
        while self.held.bytes > self.shape.options.memory {
            let Some((epoch, key)) = self.find(|open| Some(open.held() as u64)) else { break };
            self.relieve(epoch, &key)?;
        }
        while self.writing > self.shape.options.max_open.max(1) {
            let idle = |open: &OpenFile| open.is_writing().then_some(u64::MAX - open.touched);
            let Some((epoch, key)) = self.find(idle) else { break };
            self.close_file(epoch, &key)?;
        }
        Ok(())
    }

    fn relieve(&mut self, epoch: u64, key: &[u8]) -> Result<(), EncodeError> {
        let Some(mut open) = self.remove(epoch, key) else { return Ok(()) };
        if open.has_large_group() {
            open.end_group(&self.shape)?;
            self.ready.extend(open.cut(&self.shape));
            self.put(epoch, key, open);
        } else {
            self.ready.extend(open.close(&self.shape)?);
        }
        Ok(())
    }

    /// The file that has the most of something; of equals the one that was begun first.
    fn find(&self, most: impl Fn(&OpenFile) -> Option<u64>) -> Option<(u64, Box<[u8]>)> {
        let files = self.epochs.iter().flat_map(|(epoch, files)| files.open.iter().map(move |file| (*epoch, file)));
        files
            .filter_map(|(epoch, (key, open))| Some(((most(open)?, std::cmp::Reverse(open.id())), epoch, key)))
            .max_by(|a, b| a.0.cmp(&b.0))
            .map(|(_, epoch, key)| (epoch, key.clone()))
    }
}

/// Memory taken from the budget in steps, so that not every row costs a permit.
struct Held {
    reserve: Arc<dyn Reserve>,
    bytes: usize,
    permits: Vec<Permit>,
}

impl Held {
    const STEP: usize = 1 << 18;

    fn new(reserve: Arc<dyn Reserve>) -> Self {
        Held { reserve, bytes: 0, permits: Vec::new() }
    }

    fn change(&mut self, bytes: usize) {
        self.bytes = bytes;
        let steps = bytes.div_ceil(Self::STEP);
        self.permits.truncate(steps);
        while self.permits.len() < steps {
            self.permits.push(self.reserve.reserve(Self::STEP));
        }
    }
}

//! Writing a lost file again: its upload is gone, and the commit that names it stands.
//!
//! ```text
//! commit that read the records ─► definition in force, positions before ─► read the epoch again ─► its stages
//!    ─► rows of the file's partition ─► a new file ─► a commit that says which file stands in for which
//! ```
//! What must stay true: nothing is committed unless the source gave the very records of then (their number and digest are in
//! the commit) and the new file has as many rows as the lost one. Then, with the definition of then, it holds the same rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;
use async_trait::async_trait;
use futures::stream;
use millstream_operators::batch::Permit;
use millstream_operators::encode::{EncodeOptions, Encoder, Piece, Summary};
use millstream_operators::protocol::commit::{FileRecord, FilteredRanges, Replaced, SplitProgress};
use millstream_operators::protocol::coverage::{self, Span};
use millstream_operators::protocol::recover::{Unfinished, to_finish};
use millstream_operators::protocol::{Commit, FileKind, FileName, Place, State};
use millstream_operators::{Batch, Position, RawBatch, RecordDigest, Split, Unlimited};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::connector::{Discovery, Outlet, Source, SourceError, SplitInfo, Store};
use crate::exit::Fatal;
use crate::log::append::{Appended, append};
use crate::log::claim::Claimant;
use crate::log::lay::{Laid, lay};
use crate::log::past::Past;
use crate::log::publish::publish;
use crate::log::{Places, read};
use crate::retry::Pause;
use crate::run::Sources;
use crate::stages::{Stages, Through};

/// Parts of one file on their way at once.
const CALLS_AT_ONCE: usize = 8;

/// What a replay needs of its surroundings.
pub struct Replaying<'a> {
    pub stages: &'a Stages,
    pub places: &'a Places,
    /// The source of today's definition.
    pub source: Arc<dyn Source>,
    /// Makes the source of another one: it may have used other columns of the origin.
    pub sources: &'a Sources,
    pub who: &'a Claimant,
    pub clock: &'a Clock,
}

/// Writes all lost files again and commits them; `state` is taken on.
pub async fn write_again(around: &Replaying<'_>, state: &mut State, lost: Vec<Unfinished>) -> Result<(), Fatal> {
    let mut commit = Commit {
        writer: around.who.writer.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at: around.clock.text(),
        epoch: state.epoch + 1,
        ..state.next()
    };
    let mut times = Times::new(around, state.clone());
    for (part, file) in lost.iter().enumerate() {
        let (path, number) = (&file.file.path, file.commit);
        tracing::warn!(path, commit = number, "the upload of a committed file is gone; writing it again");
        let name = FileName {
            kind: if file.place.is_rejects() { FileKind::Rejects } else { FileKind::Data },
            epoch: commit.epoch,
            worker: 0,
            part: part as u32,
            generation: state.generation,
            log: state.log,
        };
        let again = again(around, &mut times, file, name).await.map_err(|fatal| told(fatal, file))?;
        let by = again.path.clone();
        commit.replaces.push(Replaced { place: file.place.clone(), commit: number, path: path.clone(), by });
        commit.add_file(&file.place, again);
    }
    let bytes = match append(&*around.places.log, &commit).await? {
        Appended::Ours(bytes) => bytes,
        Appended::Theirs(theirs) => {
            let store = around.places.log.name().to_owned();
            return Err(Fatal::Fenced {
                store,
                commit: theirs.commit,
                ours: state.generation,
                theirs: theirs.generation,
            });
        }
    };
    state.apply(&commit, bytes).map_err(|broken| Fatal::Log(broken.to_string()))?;
    match publish(around.places, to_finish(&[commit])).await?.first() {
        None => {
            state.published = state.commit;
            Ok(())
        }
        Some(file) => Err(Fatal::Failed(format!("the upload of {} was lost again", file.file.path))),
    }
}

/// Says of an error that it came of writing a lost file again, and what can be done about it.
fn told(fatal: Fatal, lost: &Unfinished) -> Fatal {
    let context = format!(
        "{} of commit {} was lost before it became visible, and cannot be written again",
        lost.file.path, lost.commit
    );
    let way_out = "`millstream repair` names the choices";
    match fatal {
        Fatal::Source(SourceError::Gone { split, range, message }) => {
            Fatal::Source(SourceError::Gone { split, range, message: format!("{message}. {context}; {way_out}") })
        }
        Fatal::Source(error) => Fatal::Failed(format!("{context}: {error}.\n{way_out}")),
        Fatal::Failed(problem) => Fatal::Failed(format!("{context}: {problem}.\n{way_out}")),
        other => other,
    }
}

/// The time in which records were read: the commit of their epoch, and what held before it.
struct Time {
    commit: Commit,
    positions: BTreeMap<Split, Position>,
    stages: Stages,
    source: Arc<dyn Source>,
    splits: Discovery,
}

/// Times, each looked up once.
struct Times<'a> {
    around: &'a Replaying<'a>,
    store: &'a dyn Store,
    now: State,
    past: Past<'a>,
    known: BTreeMap<u64, Arc<Time>>,
}

impl<'a> Times<'a> {
    fn new(around: &'a Replaying<'a>, now: State) -> Self {
        Times { around, store: &*around.places.log, now, past: Past::new(around.stages), known: BTreeMap::new() }
    }

    /// The time in which the records of a file were read.
    async fn of(&mut self, lost: &Unfinished) -> Result<Arc<Time>, Fatal> {
        let (number, _) = read_by(self.store, lost).await?;
        if let Some(time) = self.known.get(&number) {
            return Ok(time.clone());
        }
        let (commit, _) = read::commit(self.store, number).await?;
        let before = read::head(self.store, number - 1).await?;
        let positions = commit.positions.keys().filter_map(|split| {
            let at = before.positions.get(split)?.at.clone();
            Some((split.clone(), at))
        });
        let definition = before.definition.as_ref();
        let stages = self.past.stages(definition, number)?;
        let source = match self.past.is_current(definition) {
            true => self.around.source.clone(),
            false => (self.around.sources)(&stages).await?,
        };
        source.goes_on_from(&self.now);
        let splits = discover(&*source).await?;
        let time = Time { positions: positions.collect(), stages, source, splits, commit };
        Ok(self.known.entry(number).or_insert(Arc::new(time)).clone())
    }
}

/// The commit whose epoch read the file's records, and the file that it named: the first in a row of files that stand in
/// for each other.
async fn read_by(store: &dyn Store, lost: &Unfinished) -> Result<(u64, String), Fatal> {
    let (mut commit, mut path) = (lost.commit, lost.file.path.clone());
    loop {
        let (named_by, _) = read::commit(store, commit).await?;
        match named_by.replaces.into_iter().find(|replaced| replaced.place == lost.place && replaced.by == path) {
            Some(replaced) => (commit, path) = (replaced.commit, replaced.path),
            None => return Ok((commit, path)),
        }
    }
}

/// Looks for splits, for as long as the source is away.
async fn discover(source: &dyn Source) -> Result<Discovery, Fatal> {
    let mut pause = Pause::default();
    loop {
        match source.discover().await {
            Err(SourceError::Unavailable { name, message }) => pause.wait(&format!("{name}: {message}")).await,
            found => return Ok(found?),
        }
    }
}

async fn again(
    around: &Replaying<'_>,
    times: &mut Times<'_>,
    lost: &Unfinished,
    name: FileName,
) -> Result<FileRecord, Fatal> {
    let time = times.of(lost).await?;
    let (_, first_path) = read_by(&*around.places.log, lost).await?;
    let named = time.commit.files_of(&lost.place).find(|file| file.path == first_path);
    let mut spans = coverage::spans(&lost.place, named.unwrap_or(&lost.file), &time.commit.coverage);
    spans.sort();
    let store = around.places.of(&lost.place)?;
    let mut pause = Pause::default();
    loop {
        let mut laying = Laying::new(&time, store.min_part(), lost, name)?;
        match replay(&time, &spans, &mut laying).await {
            Ok(()) => {
                let path = format!("{}{name}", laying.partition);
                let (end, pieces) = laying.close(lost)?;
                let laid = lay(&**store, &path, stream::iter(pieces), &Semaphore::new(CALLS_AT_ONCE)).await?;
                let Some(Laid { upload, parts }) = laid else { return Err(differs(lost, end.rows)) };
                let crc = format!("{:016x}", end.crc);
                let ranges = ranges(&spans, end.rows);
                let sink = Place::default();
                return Ok(FileRecord { sink, path, rows: end.rows, bytes: end.bytes, crc, upload, parts, ranges });
            }
            Err(Fatal::Source(SourceError::Unavailable { name, message })) => {
                pause.wait(&format!("{name}: {message}")).await;
            }
            Err(fatal) => return Err(fatal),
        }
    }
}

/// The records of a file that stands in for another. How many rows each stretch has is not counted again: the first one
/// tells them all.
fn ranges(spans: &[Span], rows: u64) -> Vec<millstream_operators::protocol::Range> {
    let range = |(index, span): (usize, &Span)| millstream_operators::protocol::Range {
        split: span.split.clone(),
        refused_by: span.refused_by,
        first: span.first.clone(),
        last: span.last.clone(),
        rows: if index == 0 { rows } else { 0 },
    };
    spans.iter().enumerate().map(range).collect()
}

/// Reads the epoch's records of every split that the file has rows of.
async fn replay(time: &Time, spans: &[Span], laying: &mut Laying) -> Result<(), Fatal> {
    for ours in spans.chunk_by(|a, b| a.split == b.split) {
        let split = &ours[0].split;
        let Some(then) = time.commit.positions.get(split).filter(|then| then.records > 0) else { continue };
        let info = time.splits.splits.iter().find(|info| info.name == *split).cloned();
        // One that is not listed any more may still be readable (a closed shard within its retention).
        let info = info.unwrap_or_else(|| SplitInfo::named(split.clone()));
        let from = time.positions.get(split).cloned().or(info.from.clone());
        let (done, failed) = (false, None);
        let (wanted, records, digest) = (then.records, 0, RecordDigest::default());
        let mut replay = Replay { spans: ours, wanted, laying, records, digest, done, failed };
        time.source.read(&info, from, &mut replay).await?;
        if let Some(fatal) = replay.failed.take() {
            return Err(fatal);
        }
        replay.check(split, then)?;
    }
    Ok(())
}

/// Lays the rows of one lost file down again.
struct Laying {
    place: Place,
    /// Records that the commit filtered.
    filtered_ranges: FilteredRanges,
    through: Through,
    encoder: Encoder,
    name: FileName,
    /// The folder of the lost file, with a slash at its end unless it is the root.
    partition: String,
    pieces: Vec<Piece>,
}

impl Laying {
    fn new(time: &Time, min_part: usize, lost: &Unfinished, name: FileName) -> Result<Self, Fatal> {
        let failed = |error: &dyn std::fmt::Display| Fatal::Failed(error.to_string());
        let options = match time.stages.sink(&lost.place) {
            _ if lost.place.is_rejects() => time.stages.rejects_options(Arc::new(Unlimited)),
            Some(sink) => time.stages.data_options(sink, Arc::new(Unlimited)),
            None => return Err(Fatal::Failed(format!("the definition of then has no sink {}", lost.place))),
        };
        let partition = lost.file.path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        // However the rows come, they are to end in one file.
        let options = EncodeOptions {
            min_part,
            generation: name.generation,
            log: name.log,
            kind: name.kind,
            only: Some(partition.trim_end_matches('/').to_owned()),
            file_bytes: lost.file.bytes.saturating_mul(4).max(1 << 30),
            memory: usize::MAX,
            ..options
        };
        let encoder = Encoder::new(options).map_err(|error| failed(&error))?;
        let through = Through::new(&time.stages).map_err(|error| failed(&error))?;
        let filtered_ranges = time.commit.filtered_ranges.clone();
        Ok(Laying { place: lost.place.clone(), filtered_ranges, through, encoder, name, partition, pieces: Vec::new() })
    }

    fn push(&mut self, raw: &Arc<RawBatch>, spans: &[Span]) -> Result<(), Fatal> {
        let outcome = self.through.replay(raw, &self.filtered_ranges);
        let batches: Vec<Batch> = match self.place.is_rejects() {
            true => outcome.rejects,
            false => {
                outcome.sinks.into_iter().filter(|(place, _)| *place == self.place).map(|(_, rows)| rows).collect()
            }
        };
        for batch in &batches {
            let part = within(batch, spans)?;
            let pushed = self.encoder.push(self.name.epoch, &part);
            pushed.map_err(|error| Fatal::Failed(error.to_string()))?;
            self.pieces.extend(self.encoder.pieces());
        }
        Ok(())
    }

    /// Closes the file; what it came to, and its pieces.
    fn close(mut self, lost: &Unfinished) -> Result<(Summary, Vec<Piece>), Fatal> {
        let failed = |error: &dyn std::fmt::Display| Fatal::Failed(error.to_string());
        while !self.encoder.close(self.name.epoch, usize::MAX).map_err(|error| failed(&error))? {}
        self.pieces.extend(self.encoder.pieces());
        let ends: Vec<Summary> = self.pieces.iter().filter_map(|piece| piece.end.clone()).collect();
        let rows: u64 = ends.iter().map(|end| end.rows).sum();
        match ends.as_slice() {
            [end] if rows == lost.file.rows => Ok((end.clone(), self.pieces)),
            _ => Err(differs(lost, rows)),
        }
    }
}

fn differs(lost: &Unfinished, rows: u64) -> Fatal {
    Fatal::Failed(format!("reading its records again gave {rows} rows where it had {}", lost.file.rows))
}

/// The rows of a batch that lie in one of the spans of its split: those of a reject span only where the same stage refused
/// them.
fn within(batch: &Batch, spans: &[Span]) -> Result<Batch, Fatal> {
    let same_stage = |span: &&Span| span.refused_by.is_none() || span.refused_by == batch.origin.refused_by;
    let mut wanted: Vec<&Span> = spans.iter().filter(same_stage).collect();
    wanted.sort_by(|a, b| a.first.cmp(&b.first));
    let inside = |row: &u32| {
        let at = batch.origin.position(*row as usize);
        let next = wanted.partition_point(|span| span.first <= at);
        wanted[..next].iter().rev().any(|span| at <= span.last)
    };
    let rows: Vec<u32> = (0..batch.rows.num_rows() as u32).filter(inside).collect();
    let taken = take_record_batch(&batch.rows, &UInt32Array::from(rows.clone()));
    let taken = taken.map_err(|error| Fatal::Failed(error.to_string()))?;
    Ok(Batch { rows: taken, origin: batch.origin.keep(&rows) })
}

/// Takes a split's records until those of the epoch are all there.
struct Replay<'a> {
    spans: &'a [Span],
    /// Number of records of the split in the epoch. The last ones may be in no file, if they were filtered.
    wanted: u64,
    laying: &'a mut Laying,
    records: u64,
    digest: RecordDigest,
    done: bool,
    failed: Option<Fatal>,
}

impl Replay<'_> {
    /// Whether the source gave the very records that were read then.
    fn check(&self, split: &Split, then: &SplitProgress) -> Result<(), Fatal> {
        let same = then.digest.is_none_or(|digest| digest == self.digest);
        if same && then.records == self.records {
            return Ok(());
        }
        let what = match then.records == self.records {
            true => "other ones".to_owned(),
            false => format!("{} where there were {}", self.records, then.records),
        };
        Err(Fatal::Failed(format!("reading the records of {split} again gave {what}: the source has changed since")))
    }
}

#[async_trait]
impl Outlet for Replay<'_> {
    async fn reserve(&mut self, _bytes: usize) -> Option<Permit> {
        (!self.done).then(Permit::free)
    }

    async fn send(&mut self, batch: RawBatch) -> bool {
        let raw = Arc::new(batch);
        let count = raw.records.len();
        let inside = (count as u64).min(self.wanted - self.records) as usize;
        self.records += inside as u64;
        self.digest += RecordDigest::of_records(&raw, 0..inside);
        self.done = self.records == self.wanted;
        if let Err(fatal) = self.laying.push(&raw, self.spans) {
            self.failed = Some(fatal);
            self.done = true;
        }
        !self.done
    }
}

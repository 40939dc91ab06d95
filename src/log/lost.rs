//! Writing a lost file again: its upload is gone, and the commit that names it stands.
//!
//! A file's record says which records of which splits it holds. Those are read again from the source, taken through the same
//! stages, and those that fall into the file's partition are laid down under a new name; a commit of its own then says that
//! the new file stands in for the lost one. What must stay true: the new file holds exactly as many rows as the lost one, or
//! nothing is committed.

use std::sync::Arc;

use async_trait::async_trait;
use millstream_operators::batch::Permit;
use millstream_operators::encode::{EncodeOptions, Encoder, Piece};
use millstream_operators::protocol::commit::{FileRecord, Range, Replaced};
use millstream_operators::protocol::recover::{Place, Unfinished};
use millstream_operators::protocol::{Commit, State};
use millstream_operators::{Batch, Position, RawBatch, Split, Unlimited};

use crate::clock::Clock;
use crate::connector::{Discovery, Outlet, Source, SplitInfo, Store};
use crate::exit::Fatal;
use crate::log::append::{Appended, append};
use crate::log::claim::Claimant;
use crate::log::publish::publish;
use crate::log::{Places, read};
use crate::stages::{Stages, Through};

/// Writes all lost files again and commits them; `state` is taken on.
pub async fn write_again(
    stages: &Stages,
    places: &Places,
    source: &dyn Source,
    who: &Claimant,
    state: &mut State,
    clock: &Clock,
    lost: Vec<Unfinished>,
) -> Result<(), Fatal> {
    let splits = source.discover().await?;
    let mut commit = Commit {
        commit: state.commit + 1,
        generation: state.generation,
        writer: who.writer.clone(),
        pipeline: who.pipeline.clone(),
        at: clock.text(),
        epoch: state.epoch + 1,
        published: state.published,
        snapshot: state.snapshot.clone(),
        ..Commit::default()
    };
    for (part, file) in lost.iter().enumerate() {
        tracing::warn!(
            path = file.file.path,
            commit = file.commit,
            "the upload of a committed file is gone; writing it again"
        );
        let name = NewName { epoch: commit.epoch, part: part as u32, generation: state.generation };
        let again = again(stages, places, source, &splits, file, &name).await?;
        commit.replaces.push(Replaced {
            place: file.place,
            commit: file.commit,
            path: file.file.path.clone(),
            by: again.path.clone(),
        });
        match file.place {
            Place::Data => commit.files.push(again),
            Place::Rejects => commit.rejects.push(again),
        }
    }
    if let Appended::Theirs(theirs) = append(&*places.data, &commit).await? {
        let store = places.data.name().to_owned();
        let (ours, theirs) = (state.generation, (theirs.commit, theirs.generation));
        return Err(Fatal::Fenced { store, commit: theirs.0, ours, theirs: theirs.1 });
    }
    state.apply(&commit, commit.to_bytes().len() as u64).map_err(|broken| Fatal::Log(broken.to_string()))?;
    let left = publish(places, millstream_operators::protocol::recover::to_finish(&[commit])).await?;
    match left.first() {
        None => {
            state.published = state.commit;
            Ok(())
        }
        Some(file) => Err(Fatal::Failed(format!("the upload of {} was lost again", file.file.path))),
    }
}

struct NewName {
    epoch: u64,
    part: u32,
    generation: u64,
}

async fn again(
    stages: &Stages,
    places: &Places,
    source: &dyn Source,
    splits: &Discovery,
    lost: &Unfinished,
    name: &NewName,
) -> Result<FileRecord, Fatal> {
    let before = read::state(&*places.data, read_by(&*places.data, lost).await? - 1).await?;
    let store = places.of(lost.place);
    let mut laying = Laying::new(stages, &**store, lost, name)?;
    for ranges in lost.file.ranges.chunk_by(|a, b| a.split == b.split) {
        let (split, Some(last)) = (&ranges[0].split, ranges.iter().map(|range| &range.last).max()) else { continue };
        let info = splits.splits.iter().find(|info| info.name == *split).cloned();
        let info = info.unwrap_or_else(|| gone_from_discovery(split));
        let from = before.positions.get(split).map(|split| split.at.clone()).or(info.from.clone());
        let mut replay = Replay { ranges, last, laying: &mut laying, done: false, failed: None };
        source.read(&info, from, &mut replay).await?;
        if let Some(fatal) = replay.failed.take() {
            return Err(fatal);
        }
    }
    laying.finish().await
}

/// The commit whose epoch read the file's records: that of the first file in a row of files that stand in for each other.
async fn read_by(store: &dyn Store, lost: &Unfinished) -> Result<u64, Fatal> {
    let (mut commit, mut path) = (lost.commit, lost.file.path.clone());
    loop {
        let (named_by, _) = read::commit(store, commit).await?;
        match named_by.replaces.into_iter().find(|replaced| replaced.place == lost.place && replaced.by == path) {
            Some(replaced) => (commit, path) = (replaced.commit, replaced.path),
            None => return Ok(commit),
        }
    }
}

/// A split that is not listed any more may still be readable (a closed shard within its retention).
fn gone_from_discovery(split: &Split) -> SplitInfo {
    SplitInfo { name: split.clone(), parents: Vec::new(), revision: "".into(), from: None, until: None }
}

/// Lays the rows of one lost file down again.
struct Laying<'a> {
    store: &'a dyn Store,
    lost: &'a Unfinished,
    through: Through,
    encoder: Encoder,
    epoch: u64,
    partition: String,
    part: u32,
    pieces: Vec<Piece>,
}

impl<'a> Laying<'a> {
    fn new(stages: &Stages, store: &'a dyn Store, lost: &'a Unfinished, name: &NewName) -> Result<Self, Fatal> {
        let failed = |error: &dyn std::fmt::Display| Fatal::Failed(error.to_string());
        let options = match lost.place {
            Place::Data => stages.data_options(Arc::new(Unlimited)),
            Place::Rejects => stages.rejects_options(Arc::new(Unlimited)),
        };
        // However the rows come, they are to end in one file.
        let options = EncodeOptions {
            min_part: store.min_part(),
            generation: name.generation,
            file_bytes: lost.file.bytes.saturating_mul(4).max(1 << 30),
            memory: usize::MAX,
            ..options
        };
        let encoder = Encoder::new(options).map_err(|error| failed(&error))?;
        let through = Through::new(stages).map_err(|error| failed(&error))?;
        let partition = lost.file.path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        Ok(Laying { store, lost, through, encoder, epoch: name.epoch, partition, part: name.part, pieces: Vec::new() })
    }

    fn push(&mut self, raw: &Arc<RawBatch>, ranges: &[Range]) -> Result<(), Fatal> {
        let outcome = self.through.apply(raw);
        let batches = match self.lost.place {
            Place::Data => vec![outcome.rows],
            Place::Rejects => outcome.rejects,
        };
        let parts = batches.iter().flat_map(|batch| ranges.iter().map(|range| within(batch, range)));
        for part in parts.filter(|part| part.rows.num_rows() > 0) {
            self.encoder.push(self.epoch, &part).map_err(|error| Fatal::Failed(error.to_string()))?;
            self.keep();
        }
        Ok(())
    }

    /// Of all partitions that the records fall into, only the lost file's is kept.
    fn keep(&mut self) {
        let ours = self.partition.clone();
        let is_ours =
            |piece: &Piece| piece.key.rsplit_once('/').map_or("", |(folder, _)| folder) == ours.trim_end_matches('/');
        self.pieces.extend(self.encoder.pieces().into_iter().filter(is_ours));
    }

    async fn finish(mut self) -> Result<FileRecord, Fatal> {
        while !self.encoder.close(self.epoch, usize::MAX).map_err(|error| Fatal::Failed(error.to_string()))? {}
        self.keep();
        let rows: u64 = self.pieces.iter().filter_map(|piece| piece.end.as_ref()).map(|end| end.rows).sum();
        let whole = self.pieces.iter().filter(|piece| piece.end.is_some()).count() == 1;
        if rows != self.lost.file.rows || !whole {
            return Err(self.differs(rows));
        }
        let generation = self.pieces[0].key.rsplit_once("-g").map_or("", |(_, rest)| rest).to_owned();
        let path = format!("{}e{}-w0-{}-g{generation}", self.partition, self.epoch, self.part);
        let upload = self.store.begin(&path).await?;
        let mut parts = Vec::new();
        for piece in &self.pieces {
            parts.push(self.store.put_part(&upload, piece.number, piece.bytes.clone()).await?.0);
        }
        self.store.settle(&upload).await?;
        let end = self.pieces.iter().find_map(|piece| piece.end.clone()).ok_or_else(|| self.differs(0))?;
        let crc = format!("{:016x}", end.crc);
        Ok(FileRecord {
            path,
            rows,
            bytes: end.bytes,
            crc,
            upload: upload.id,
            parts,
            ranges: self.lost.file.ranges.clone(),
        })
    }

    fn differs(&self, rows: u64) -> Fatal {
        Fatal::Failed(format!(
            "{} of commit {} is lost, and reading its records again gave {rows} rows where it had {}: the source or the \
             pipeline file has changed since. Start once with the pipeline file as it was then",
            self.lost.file.path, self.lost.commit, self.lost.file.rows
        ))
    }
}

/// The rows of a batch that lie in a range: those of a reject range only where the same stage refused them.
fn within(batch: &Batch, range: &Range) -> Batch {
    let same_stage = range.refused_by.is_none() || range.refused_by == batch.origin.refused_by;
    let inside = |row: &u32| {
        let at = batch.origin.position(*row as usize);
        same_stage && range.first <= at && at <= range.last
    };
    let rows: Vec<u32> = (0..batch.rows.num_rows() as u32).filter(inside).collect();
    match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => {
            let (first, length) = (*first as usize, (*last - *first + 1) as usize);
            Batch { rows: batch.rows.slice(first, length), origin: batch.origin.keep(&rows) }
        }
        _ => Batch { rows: batch.rows.slice(0, 0), origin: batch.origin.keep(&[]) },
    }
}

/// Takes a split's records until those of its ranges are all there.
struct Replay<'a, 'b> {
    ranges: &'a [Range],
    /// The last record of any of them.
    last: &'a Position,
    laying: &'a mut Laying<'b>,
    done: bool,
    failed: Option<Fatal>,
}

#[async_trait]
impl Outlet for Replay<'_, '_> {
    async fn reserve(&mut self, _bytes: usize) -> Option<Permit> {
        (!self.done).then(Permit::free)
    }

    async fn send(&mut self, batch: RawBatch) -> bool {
        let raw = Arc::new(batch);
        self.done = raw.records.len().checked_sub(1).is_some_and(|last| raw.position(last) >= *self.last);
        if let Err(fatal) = self.laying.push(&raw, self.ranges) {
            self.failed = Some(fatal);
            self.done = true;
        }
        !self.done
    }
}

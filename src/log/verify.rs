//! `verify`: gathers the facts of a log and of what lies beside it, and asks the one predicate.
//!
//! Reads every file that the log names, whole: its size, its checksum, its rows. Averages are counted again from the rows,
//! where the files hold all that it takes. Costs one pass over the data; a file at a time is spooled to a temporary file,
//! so memory does not grow with what is verified.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, Write};

use arrow::array::RecordBatch;
use crc_fast::{CrcAlgorithm, Digest};
use futures::StreamExt;
use millstream_operators::protocol::check::{Checker, Found, Named};
use millstream_operators::protocol::recover::Place;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Serialize;

use crate::connector::{Store, StoreError};
use crate::exit::Fatal;
use crate::log::recount::Recount;
use crate::log::{Places, read};
use crate::stages::Stages;

/// What verifying came to; this is the form that scripts read.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub ok: bool,
    pub commits: u64,
    pub files: u64,
    pub rows: u64,
    pub rejects: u64,
    pub problems: Vec<String>,
}

/// Verifies everything. `progress` hears of each file.
pub async fn verify(places: &Places, stages: &Stages, mut progress: impl FnMut(&str)) -> Result<Report, Fatal> {
    let last = read::end(&*places.data).await?;
    let mut checker = Checker::default();
    for number in 1..=last {
        checker.commit(&read::commit(&*places.data, number).await?.0);
    }
    look_at_snapshot(places, &mut checker).await?;
    let mut report = Report { ok: false, commits: last, files: 0, rows: 0, rejects: 0, problems: Vec::new() };
    let mut recount = Recount::new(stages);
    let named: Vec<(Place, String, Named)> =
        checker.named().map(|(place, path, named)| (place, path.to_owned(), named.clone())).collect();
    for (place, path, named) in &named {
        progress(path);
        let recount = (*place == Place::Data).then_some(&mut recount);
        let found = examine(&**places.of(*place), path, recount, &mut checker).await?;
        report.add(*place, found.as_ref());
        checker.found(path, named, found.as_ref());
    }
    look_at_the_visible(places, &mut checker).await?;
    let log = recount.comparable(&checker.state().averages);
    checker.recounted(&log, &recount.totals());
    report.problems = checker.problems().to_vec();
    report.ok = report.problems.is_empty();
    Ok(report)
}

impl Report {
    fn add(&mut self, place: Place, found: Option<&Found>) {
        let rows = found.and_then(|found| found.rows).unwrap_or(0);
        match place {
            Place::Data => (self.files, self.rows) = (self.files + 1, self.rows + rows),
            Place::Rejects => self.rejects += rows,
        }
    }
}

/// The newest snapshot must say what the commits say.
async fn look_at_snapshot(places: &Places, checker: &mut Checker) -> Result<(), Fatal> {
    let Some(snapshot) = checker.state().snapshot.clone() else { return Ok(()) };
    let mut state = super::snapshot::read(&*places.data, &snapshot).await?;
    read::take_in(&*places.data, &mut state, checker.state().commit).await?;
    let same = state.positions == checker.state().positions && state.averages == checker.state().averages;
    if !same {
        checker.problem(format!("{}: differs from what the commits add up to", snapshot.key));
    }
    Ok(())
}

/// Whatever a plain glob would find must be named by a commit.
async fn look_at_the_visible(places: &Places, checker: &mut Checker) -> Result<(), Fatal> {
    for place in [Place::Data, Place::Rejects] {
        for entry in places.of(place).list("").await? {
            if entry.key.ends_with(".parquet") {
                checker.visible(place, &entry.key);
            }
        }
    }
    Ok(())
}

/// Reads a file and counts its rows again; none: it is not there.
async fn examine(
    store: &dyn Store,
    path: &str,
    recount: Option<&mut Recount>,
    checker: &mut Checker,
) -> Result<Option<Found>, Fatal> {
    let (file, bytes, crc) = match spool(store, path).await {
        Ok(spooled) => spooled,
        Err(Fatal::Store(StoreError::Missing { .. })) => return Ok(None),
        Err(fatal) => return Err(fatal),
    };
    let rows = match count(file, path, recount) {
        Ok(rows) => Some(rows),
        Err(problem) => {
            checker.problem(format!("{path}: {problem}"));
            None
        }
    };
    Ok(Some(Found { bytes, rows, crc: Some(format!("{crc:016x}")) }))
}

/// A file as a temporary file, from its beginning, with its size and its checksum.
pub(super) async fn spool(store: &dyn Store, path: &str) -> Result<(File, u64, u64), Fatal> {
    let failed = |error: std::io::Error| Fatal::Failed(format!("a temporary file for {path}: {error}"));
    let mut pieces = store.read(path, 0).await?;
    let mut file = tempfile::tempfile().map_err(failed)?;
    let (mut bytes, mut crc) = (0, Digest::new(CrcAlgorithm::Crc64Nvme));
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        crc.update(&piece);
        bytes += piece.len() as u64;
        file.write_all(&piece).map_err(failed)?;
    }
    file.rewind().map_err(failed)?;
    Ok((file, bytes, crc.finalize()))
}

pub(super) fn count(file: File, path: &str, mut recount: Option<&mut Recount>) -> Result<u64, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
    let mut rows = 0;
    for batch in reader.map_err(|error| format!("not a Parquet file: {error}"))? {
        let batch: RecordBatch = batch.map_err(|error| format!("cannot be read to its end: {error}"))?;
        rows += batch.num_rows() as u64;
        if let Some(recount) = recount.as_deref_mut() {
            recount.add(path, &batch)?;
        }
    }
    Ok(rows)
}

/// The columns of a key's partition path, as they are escaped there.
pub(super) fn partition_parts(path: &str) -> BTreeMap<&str, &str> {
    path.split('/').filter_map(|part| part.split_once('=')).collect()
}

//! `millstream populate files`: synthetic articles or events as NDJSON files in a folder.
//!
//! Owns making the files; what is printed is the caller's. A file is written under a hidden name and shows when it is whole,
//! so that a pipeline that watches the folder never sees half of one. What is there already is never overwritten: to a
//! pipeline that read it, it would be a file that changed.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use thiserror::Error;

use crate::connector::generate::pace::Pace;
use crate::connector::generate::record::{Kind, Records};

/// Bytes generated between two writes, about.
const PIECE: usize = 1 << 20;

/// How the files are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    None,
    Gzip,
    Zstd,
}

/// What to write.
#[derive(Clone, Debug)]
pub struct Populate {
    pub folder: PathBuf,
    pub kind: Kind,
    pub seed: u64,
    /// Files, at least one; each holds a split of the generator.
    pub files: u64,
    /// Records over all files.
    pub count: u64,
    /// Records a second; `None` as fast as it can.
    pub rate: Option<f64>,
    /// The share of records that are bad on purpose.
    pub broken: f64,
    pub packing: Packing,
}

/// What was written so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub files: u64,
    pub records: u64,
    /// Bytes of JSON, before packing.
    pub bytes: u64,
}

/// Why it did not go on.
#[derive(Debug, Error)]
pub enum PopulateError {
    #[error("{path} is there already; choose another folder or another seed")]
    Exists { path: PathBuf },
    #[error("cannot write {path}: {error}")]
    Write { path: PathBuf, error: io::Error },
}

impl Populate {
    /// Writes the files, one after the other, and tells `progress` after each piece.
    pub async fn write(&self, mut progress: impl FnMut(Written)) -> Result<Written, PopulateError> {
        let records = Records::new(self.kind, self.seed, self.broken);
        let pace = self.rate.map(|rate| Pace::new(rate, 0));
        let mut written = Written::default();
        for file in 0..self.files.max(1) {
            self.write_file(file, &records, pace.as_ref(), &mut written, &mut progress).await?;
        }
        Ok(written)
    }

    async fn write_file(
        &self,
        file: u64,
        records: &Records,
        pace: Option<&Pace>,
        written: &mut Written,
        progress: &mut impl FnMut(Written),
    ) -> Result<(), PopulateError> {
        let path = self.folder.join(self.name(file));
        let mut out = self.create(&path).map_err(at(&path))?.ok_or(PopulateError::Exists { path: path.clone() })?;
        let (mut next, share) = (0, self.share(file));
        while next < share {
            let due = match pace {
                // The pace is that of all files: this one's records come due behind those of the files before.
                Some(pace) => share.min(pace.due(written.records).await - written.records + next),
                None => share,
            };
            let piece = piece(records, file, next, due);
            next += piece.records;
            written.records += piece.records;
            written.bytes += piece.bytes.len() as u64;
            out = write_piece(out, piece.bytes).await.map_err(at(&path))?;
            progress(*written);
        }
        finish(out, &path).await.map_err(at(&path))?;
        written.files += 1;
        progress(*written);
        Ok(())
    }

    fn share(&self, file: u64) -> u64 {
        let files = self.files.max(1);
        self.count / files + u64::from(file < self.count % files)
    }

    fn name(&self, file: u64) -> String {
        let kind = match self.kind {
            Kind::Articles => "articles",
            Kind::Events => "events",
        };
        let ending = match self.packing {
            Packing::None => "",
            Packing::Gzip => ".gz",
            Packing::Zstd => ".zst",
        };
        format!("{kind}-{}-{file:05}.ndjson{ending}", self.seed)
    }

    /// The hidden file that becomes `path`; `None` where `path` is there already.
    fn create(&self, path: &Path) -> io::Result<Option<Packed>> {
        std::fs::create_dir_all(&self.folder)?;
        if path.try_exists()? {
            return Ok(None);
        }
        let file = File::create(hidden(path))?;
        Ok(Some(match self.packing {
            Packing::None => Packed::None(file),
            Packing::Gzip => Packed::Gzip(GzEncoder::new(file, flate2::Compression::default())),
            Packing::Zstd => Packed::Zstd(zstd::Encoder::new(file, 3)?),
        }))
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> PopulateError {
    let path = path.to_owned();
    move |error| PopulateError::Write { path: path.clone(), error }
}

fn hidden(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.part"))
}

/// Some generated lines.
struct Piece {
    records: u64,
    bytes: Vec<u8>,
}

fn piece(records: &Records, split: u64, first: u64, due: u64) -> Piece {
    let mut piece = Piece { records: 0, bytes: Vec::with_capacity(PIECE + (64 << 10)) };
    while first + piece.records < due && piece.bytes.len() < PIECE {
        records.write(split, first + piece.records, &mut piece.bytes);
        piece.bytes.push(b'\n');
        piece.records += 1;
    }
    piece
}

/// A file being written.
enum Packed {
    None(File),
    Gzip(GzEncoder<File>),
    Zstd(zstd::Encoder<'static, File>),
}

async fn write_piece(mut out: Packed, bytes: Vec<u8>) -> io::Result<Packed> {
    blocking(move || {
        match &mut out {
            Packed::None(file) => file.write_all(&bytes)?,
            Packed::Gzip(file) => file.write_all(&bytes)?,
            Packed::Zstd(file) => file.write_all(&bytes)?,
        }
        Ok(out)
    })
    .await
}

/// Ends the file and shows it.
async fn finish(out: Packed, path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    blocking(move || {
        match out {
            Packed::None(file) => drop(file),
            Packed::Gzip(file) => drop(file.finish()?),
            Packed::Zstd(file) => drop(file.finish()?),
        }
        std::fs::rename(hidden(&path), path)
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    //! Proves that the files hold the generator's records, all of them and once, that no unfinished file shows, and that
    //! nothing is overwritten.

    use std::io::Read;

    use super::*;

    fn unpacked(path: &Path) -> Vec<u8> {
        let bytes = std::fs::read(path).unwrap();
        let mut plain = Vec::new();
        match path.extension().unwrap().to_str().unwrap() {
            "gz" => drop(flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap()),
            "zst" => plain = zstd::decode_all(&bytes[..]).unwrap(),
            _ => plain = bytes,
        }
        plain
    }

    fn shown(folder: &Path) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    #[tokio::test(start_paused = true)]
    async fn files_hold_the_records_of_the_generator() {
        for (packing, rate) in [(Packing::None, None), (Packing::Gzip, Some(40.0)), (Packing::Zstd, None)] {
            let folder = tempfile::tempdir().unwrap();
            let populate = Populate {
                folder: folder.path().join("new"),
                kind: Kind::Events,
                seed: 5,
                files: 3,
                count: 100,
                rate,
                broken: 0.1,
                packing,
            };
            let began = tokio::time::Instant::now();
            let written = populate.write(|_| {}).await.unwrap();
            assert_eq!((written.files, written.records), (3, 100));
            assert_eq!(began.elapsed().as_secs(), if rate.is_some() { 2 } else { 0 });
            let (records, mut wanted) = (Records::new(Kind::Events, 5, 0.1), Vec::new());
            for (split, share) in [(0, 34), (1, 33), (2, 33)] {
                for index in 0..share {
                    records.write(split, index, &mut wanted);
                    wanted.push(b'\n');
                }
            }
            let paths = shown(&populate.folder);
            assert_eq!(paths.len(), 3);
            assert_eq!(paths.iter().flat_map(|path| unpacked(path)).collect::<Vec<u8>>(), wanted);
            assert!(matches!(populate.write(|_| {}).await, Err(PopulateError::Exists { .. })));
        }
    }
}

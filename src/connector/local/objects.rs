//! Whole objects: created, written over, read, listed, taken away.
//!
//! Owns what [`crate::connector::Store`]'s calls on finished objects mean in files. What must stay true: a name appears
//! when its bytes are safe, and `create` answers either way only when the name is safe too.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bytes::Bytes;

use super::durable::{TRIES, remove_unfinished, sync_parents, with_parent, write_temporary};
use super::exclusive::name_exclusively;
use super::failure::Failure;
use super::path::{Folder, STAGED};
use super::walk::walk;
use crate::connector::store::{Created, Entry};

/// The size of the pieces in which an object is streamed.
const PIECE: u64 = 1 << 20;

pub(super) fn create(folder: &Folder, key: &str, bytes: &[u8]) -> Result<Created, Failure> {
    let path = folder.object(key)?;
    let created = with_temporary(folder, key, bytes, |temporary| name_exclusively(temporary, &path))?;
    // Who is told that the object exists builds on it, also when it was another process that made it and was then killed.
    sync_parents(folder, &path).map_err(Failure::after(&path))?;
    Ok(created)
}

pub(super) fn put(folder: &Folder, key: &str, bytes: &[u8]) -> Result<(), Failure> {
    let path = folder.object(key)?;
    with_temporary(folder, key, bytes, |temporary| move_to(temporary, &path).map_err(Failure::at(&path)))?;
    sync_parents(folder, &path).map_err(Failure::after(&path))
}

/// Gives a new temporary file that holds `bytes` a name by `work`, and takes away what is left of it. A start that clears
/// away leftovers can take a file before its writer has locked it; then there is another.
fn with_temporary<T>(
    folder: &Folder,
    key: &str,
    bytes: &[u8],
    work: impl Fn(&Path) -> Result<T, Failure>,
) -> Result<T, Failure> {
    for _ in 0..TRIES {
        let temporary = write_temporary(folder, key, bytes)?;
        let done = work(&temporary.path);
        let was_taken = done.is_err() && !temporary.path.exists();
        remove_unfinished(folder, &temporary.path);
        if !was_taken {
            return done;
        }
    }
    Err(Failure::Stopped("its temporary file vanished again and again".to_owned()))
}

/// Renames a finished file to its key. [`ErrorKind::NotFound`] means that there is no such file.
pub(super) fn move_to(unfinished: &Path, path: &Path) -> io::Result<()> {
    with_parent(path, || match fs::rename(unfinished, path) {
        // Not found can mean either end. Only the file tells: the folder may have been made by another since.
        Err(error) if error.kind() == ErrorKind::NotFound && !unfinished.exists() => Ok(Err(error)),
        other => other.map(Ok),
    })?
}

pub(super) fn get(folder: &Folder, key: &str) -> Result<Option<Bytes>, Failure> {
    match get_range(folder, key, 0, u64::MAX) {
        Err(Failure::Missing) => Ok(None),
        other => other.map(Some),
    }
}

pub(super) fn get_range(folder: &Folder, key: &str, offset: u64, length: u64) -> Result<Bytes, Failure> {
    let path = folder.object(key)?;
    let (file, metadata) = open(&path)?;
    read_at(&file, offset, length.min(metadata.len().saturating_sub(offset))).map_err(Failure::at(&path))
}

/// Reads up to `length` bytes, fewer where the file ends.
fn read_at(file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
    let length = usize::try_from(length).map_err(|_| ErrorKind::FileTooLarge)?;
    let mut bytes = Vec::with_capacity(length);
    let mut file = file;
    file.seek(SeekFrom::Start(offset))?;
    // Reads into what is not yet zeroed, and past every interruption.
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// A file being read piece by piece, to where it ended when it was opened.
pub(super) struct Pieces {
    file: File,
    path: std::path::PathBuf,
    at: u64,
    end: u64,
}

impl Pieces {
    pub(super) fn open(folder: &Folder, key: &str, offset: u64) -> Result<Self, Failure> {
        let path = folder.object(key)?;
        let (file, metadata) = open(&path)?;
        Ok(Pieces { file, path, at: offset, end: metadata.len() })
    }

    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let length = PIECE.min(self.end.saturating_sub(self.at));
        let piece = read_at(&self.file, self.at, length).map_err(Failure::at(&self.path))?;
        self.at += piece.len() as u64;
        Ok((!piece.is_empty()).then_some(piece))
    }
}

fn open(path: &Path) -> Result<(File, Metadata), Failure> {
    let opened = File::open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
    match opened {
        Ok((file, metadata)) if metadata.is_file() => Ok((file, metadata)),
        Ok(_) => Err(Failure::Missing),
        Err(error) if is_missing(&error) => Err(Failure::Missing),
        Err(error) => Err(Failure::at(path)(error)),
    }
}

pub(super) fn look(folder: &Folder, key: &str) -> Result<Option<Entry>, Failure> {
    let path = folder.object(key)?;
    match fs::metadata(&path) {
        Ok(metadata) => Ok(metadata.is_file().then(|| entry(key.to_owned(), &metadata))),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Failure::at(&path)(error)),
    }
}

pub(super) fn list(folder: &Folder, prefix: &str) -> Result<Vec<Entry>, Failure> {
    let found = walk(folder.root(), prefix, Some(STAGED))?;
    Ok(found.into_iter().map(|found| entry(found.key, &found.metadata)).collect())
}

pub(super) fn delete(folder: &Folder, key: &str) -> Result<(), Failure> {
    let path = folder.object(key)?;
    match fs::remove_file(&path) {
        Ok(()) => sync_parents(folder, &path).map_err(Failure::after(&path)),
        Err(error) if is_missing(&error) => Ok(()),
        Err(error) => Err(Failure::at(&path)(error)),
    }
}

/// A file that is written over has another number; one that is appended to has another size or time.
fn entry(key: String, metadata: &Metadata) -> Entry {
    let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
    let version = format!("{}-{seconds}.{nanoseconds:09}-{:x}", metadata.len(), metadata.ino());
    let modified = seconds.checked_mul(1_000_000).map(|micros| micros + nanoseconds / 1_000);
    Entry { key, size: metadata.len(), version, modified, crc: None }
}

/// Also where a part of the path is a file.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

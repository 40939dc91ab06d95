//! Temporary files, and those that killed processes left.
//!
//! Owns the lock by which a temporary file's writer shows that it lives: it is held from just after the file is made until
//! the file has its name, and the system lets go of it when the process ends, however it ends. What must stay true: a file
//! whose lock is held is left alone, whoever holds it, so that pipelines may share a folder; and a writer whose file was
//! taken away all the same, between making and locking it, sees that and makes another.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::durable::{new_file, remove_unfinished};
use super::failure::Failure;
use super::objects::is_missing;
use super::path::{Folder, Kind, split_unfinished};
use super::walk::walk;

/// On a file system without locks, a temporary file is taken for left over at this age.
const OLD: Duration = Duration::from_secs(60 * 60);

/// A temporary file that is being written.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) path: PathBuf,
    /// Holds the lock.
    pub(super) file: File,
}

/// Makes a new temporary file for `key`, locked.
pub(super) fn new_temporary(folder: &Folder, key: &str) -> Result<Temporary, Failure> {
    loop {
        let (_, path, file) = new_file(folder, key, Kind::Temporary)?;
        match file.try_lock() {
            // Somebody clears away just now, and this file with it.
            Err(TryLockError::WouldBlock) => {}
            // Without locks, age tells.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(Temporary { path, file }),
        }
    }
}

/// Removes the temporary files of dead processes; tells how many.
pub(super) fn remove(folder: &Folder) -> Result<usize, Failure> {
    let mut removed = 0;
    for found in walk(folder.staged(), "", None)? {
        let is_temporary = split_unfinished(&found.key).is_some_and(|(_, id)| Kind::of(id) == Some(Kind::Temporary));
        let path = folder.staged().join(&found.key);
        if is_temporary && remove_if_dead(&path, found.metadata.modified().ok())? {
            remove_unfinished(folder, &path);
            removed += 1;
        }
    }
    Ok(removed)
}

fn remove_if_dead(path: &Path, modified: Option<SystemTime>) -> Result<bool, Failure> {
    let file = match File::open(path) {
        Err(error) if is_missing(&error) => return Ok(false),
        opened => opened.map_err(Failure::at(path))?,
    };
    let is_dead = match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(_)) => modified.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > OLD),
    };
    match is_dead.then(|| fs::remove_file(path)) {
        Some(Err(error)) if !is_missing(&error) => Err(Failure::at(path)(error)),
        Some(removed) => Ok(removed.is_ok()),
        None => Ok(false),
    }
}

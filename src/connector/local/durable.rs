//! What it takes for a file to be there after a power cut.
//!
//! Owns syncing of files and of the folders that name them, and the making and clearing away of folders. What must stay
//! true: a folder that somebody else is about to write into may vanish and is made again; a folder counts as safe only
//! when it and all above it, up to the root, are synced, for whoever made one of them may not have come to that yet.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use super::failure::Failure;
use super::leftovers::{Temporary, new_temporary};
use super::path::{Folder, Kind, new_id};

/// How often a folder or a file is made again that another process clears away at the same time.
pub(super) const TRIES: usize = 256;

/// Held alone by whoever clears folders away, and with others by those who make one and write into it. In one process
/// nobody's folder vanishes so; between processes, of which one is on its way out, trying again is enough.
static CLEARING: RwLock<()> = RwLock::new(());

/// Does `work`, which needs the folder that `path` lies in, and makes that folder when it is missing.
pub(super) fn with_parent<T>(path: &Path, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let Some(parent) = path.parent() else { return work() };
    let _held = CLEARING.read().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..TRIES {
        match work() {
            Err(error) if error.kind() == ErrorKind::NotFound => make_folder(parent)?,
            other => return other,
        }
    }
    work()
}

/// Makes a folder and those above it, where they are missing.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    for _ in 0..TRIES {
        match fs::create_dir_all(path) {
            // A folder, above it or itself, was there at one look and cleared away at the next.
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {}
            made => return made,
        }
        if fs::metadata(path).is_ok_and(|found| !found.is_dir()) {
            break;
        }
    }
    // Something is there and is no folder, which every other call tells in these words.
    if path.is_dir() { Ok(()) } else { Err(ErrorKind::NotADirectory.into()) }
}

/// Makes a new unfinished file for `key`; answers with its id, its path and the file.
pub(super) fn new_file(folder: &Folder, key: &str, kind: Kind) -> Result<(String, PathBuf, File), Failure> {
    let id = new_id(kind);
    let path = folder.unfinished(key, &id)?;
    let make = || OpenOptions::new().read(true).write(true).create_new(true).open(&path);
    let file = with_parent(&path, make).map_err(Failure::at(&path))?;
    Ok((id, path, file))
}

/// Writes `bytes` to a temporary file for `key`, synced. It is gone again when that fails.
pub(super) fn write_temporary(folder: &Folder, key: &str, bytes: &[u8]) -> Result<Temporary, Failure> {
    let mut temporary = new_temporary(folder, key)?;
    let written = temporary.file.write_all(bytes).and_then(|()| temporary.file.sync_all());
    written.map_err(|error| {
        remove_unfinished(folder, &temporary.path);
        Failure::at(&temporary.path)(error)
    })?;
    Ok(temporary)
}

/// Syncs the folder that `path` lies in and all above it, up to the one that holds the root.
pub(super) fn sync_parents(folder: &Folder, path: &Path) -> io::Result<()> {
    for above in path.ancestors().skip(1) {
        sync_folder(above)?;
        if above == folder.root() {
            break;
        }
    }
    // The root is made by us when it is missing. What holds it may be none of ours to open.
    let holder = folder.root().parent().filter(|holder| !holder.as_os_str().is_empty());
    if let Some(holder) = holder {
        let _ = sync_folder(holder);
    }
    Ok(())
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        // Some file systems have nothing to sync in a folder and say so.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// Takes an unfinished file away if it is there, and the folders that it leaves empty. That it is left behind after all
/// does no harm: it is listed with the uploads.
pub(super) fn remove_unfinished(folder: &Folder, path: &Path) {
    let _ = fs::remove_file(path);
    clear_empty(folder, path);
}

/// Takes away the staging folders above `path` that are empty.
pub(super) fn clear_empty(folder: &Folder, path: &Path) {
    let _alone = CLEARING.write().unwrap_or_else(PoisonError::into_inner);
    for above in path.ancestors().skip(1) {
        if above == folder.staged() || fs::remove_dir(above).is_err() {
            break;
        }
    }
}

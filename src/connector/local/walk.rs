//! The files under a folder whose paths begin with a prefix.
//!
//! Owns the walk. What must stay true: it goes into no folder that cannot hold a match, and what vanishes meanwhile is left
//! out. Links to files are followed; links to folders are not, for they may lead in circles.

use std::fs::{self, DirEntry, Metadata, ReadDir};
use std::io::{self, ErrorKind};
use std::path::Path;

use super::failure::Failure;

/// A file and its path relative to where the walk began, with `/` between the parts.
pub(super) struct Found {
    pub(super) key: String,
    pub(super) metadata: Metadata,
}

/// All files under `base` whose relative paths begin with `prefix`, sorted; nothing under the folder `except`.
pub(super) fn walk(base: &Path, prefix: &str, except: Option<&str>) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    let mut folders: Vec<String> = first_folder(prefix).into_iter().collect();
    while let Some(folder) = folders.pop() {
        let path = base.join(&folder);
        let entries = entries(&path).map_err(Failure::at(&path))?;
        for entry in entries.into_iter().flatten() {
            let entry = entry.map_err(Failure::at(&path))?;
            // A name that is not UTF-8 was not written by a store.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let key = format!("{folder}{name}");
            let Some(metadata) = metadata(&entry).map_err(Failure::at(&entry.path()))? else { continue };
            if metadata.is_dir() {
                let inside = format!("{key}/");
                if inside.starts_with(prefix) && except != Some(&key) {
                    folders.push(inside);
                }
            } else if metadata.is_file() && key.starts_with(prefix) {
                found.push(Found { key, metadata });
            }
        }
    }
    found.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    Ok(found)
}

/// The deepest folder that holds every match, with a `/` at its end; `None` where no key can match.
fn first_folder(prefix: &str) -> Option<String> {
    let (folder, _) = prefix.rsplit_once('/').map_or(("", prefix), |(folder, name)| (folder, name));
    if folder.is_empty() {
        return (!prefix.starts_with('/')).then(String::new);
    }
    let is_plain = folder.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    is_plain.then(|| format!("{folder}/"))
}

/// What lies in a folder, as it is read; `None` where there is no such folder.
fn entries(path: &Path) -> io::Result<Option<ReadDir>> {
    match fs::read_dir(path) {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `None` for what has vanished, and for a link to anything but a file.
fn metadata(entry: &DirEntry) -> io::Result<Option<Metadata>> {
    let found = if entry.file_type()?.is_symlink() {
        fs::metadata(entry.path()).map(|metadata| metadata.is_file().then_some(metadata))
    } else {
        entry.metadata().map(Some)
    };
    match found {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other,
    }
}

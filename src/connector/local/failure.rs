//! What went wrong with a file, and which error of a store that is.
//!
//! Owns the decision whether trying again can help and what a user can do; knows of paths, not of what a call wanted.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::connector::store::StoreError;

/// A call to the folder that did not go through.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing lies under the key.
    Missing,
    /// No such staged file.
    NoSuchUpload,
    /// The parts of a staged file do not make the object.
    BadParts(String),
    /// The call makes no sense, whatever the folder holds.
    Refused(String),
    /// A file could not be handled, and nothing has changed.
    File { path: PathBuf, error: io::Error },
    /// The change was made, and then could not be made safe.
    Unsafe { path: PathBuf, error: io::Error },
    /// Nobody knows how far the call came.
    Stopped(String),
}

impl Failure {
    /// For `map_err`: `error` befell `path` before anything changed.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Failure {
        move |error| Failure::File { path: path.to_owned(), error }
    }

    /// For `map_err`: `error` befell `path` when the change was already made.
    pub(super) fn after(path: &Path) -> impl FnOnce(io::Error) -> Failure {
        move |error| Failure::Unsafe { path: path.to_owned(), error }
    }

    /// The thread that made the call is gone.
    pub(super) fn stopped(why: &tokio::task::JoinError) -> Failure {
        Failure::Stopped(why.to_string())
    }

    /// The error of the store called `store`, which was to do `action` to `key`.
    pub(super) fn of(self, store: &str, action: &'static str, key: &str) -> StoreError {
        // A listing of all has an empty key.
        let key = if key.is_empty() { "everything" } else { key };
        let (store, key) = (store.to_owned(), key.to_owned());
        match self {
            Failure::Missing => StoreError::Missing { store, key },
            Failure::NoSuchUpload => StoreError::NoSuchUpload { store, key },
            Failure::BadParts(message) => StoreError::BadParts { store, key, message },
            Failure::Refused(message) => StoreError::Refused { store, action, key, message },
            Failure::File { path, error } if is_final(error.kind()) => {
                StoreError::Refused { store, action, key, message: describe(&path, &error) }
            }
            Failure::File { path, error } => {
                StoreError::Unavailable { store, action, key, message: describe(&path, &error) }
            }
            Failure::Unsafe { path, error } => {
                let message = format!("it was done but may not survive a power cut: {}", describe(&path, &error));
                StoreError::Unclear { store, action, key, message }
            }
            Failure::Stopped(message) => StoreError::Unclear { store, action, key, message },
        }
    }
}

/// Whether trying again without changing anything is pointless.
fn is_final(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::CrossesDevices
            | ErrorKind::InvalidFilename
            | ErrorKind::InvalidInput
            | ErrorKind::Unsupported
            | ErrorKind::FileTooLarge
    )
}

fn describe(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}{}", path.display(), way_out(error.kind()))
}

fn way_out(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PermissionDenied => "; give the user that millstream runs as the right to it",
        ErrorKind::ReadOnlyFilesystem => "; choose a folder on a file system that can be written",
        ErrorKind::StorageFull => "; free some space on its file system",
        ErrorKind::QuotaExceeded => "; raise the quota or free some space",
        ErrorKind::CrossesDevices => "; the whole folder has to lie on one file system",
        ErrorKind::NotADirectory => "; a file is where a folder has to be: move it away",
        ErrorKind::IsADirectory => "; a folder is where the file has to be: move it away",
        ErrorKind::InvalidFilename => "; the name is too long for this file system",
        ErrorKind::Unsupported => "; this file system cannot do it: choose another",
        _ => "",
    }
}

//! Uploads: files that have no name of their own yet.
//!
//! Owns what the upload calls of [`crate::connector::Store`] mean in files. A part is written at the end of the staged file
//! as it is when the part comes, and its tag says where it went. So parts that come in order already are the object, and
//! completing is a rename; parts that came in another order, or again, are copied into order first. What must stay true:
//! all parts are synced when the upload is settled, and nothing but a rename makes the key appear.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::durable::{clear_empty, new_file, remove_unfinished, sync_parents};
use super::failure::Failure;
use super::leftovers::new_temporary;
use super::objects::{is_missing, move_to};
use super::path::{Folder, Kind, split_unfinished};
use super::walk::walk;
use crate::connector::store::{PartTag, Upload};

/// Bytes of parts after which a staged file is synced, so that settling it has little left to wait for.
const SYNC: u64 = 16 << 20;

/// Guards the finding of a place for a part. An upload is written by one process, so one lock inside it will do.
static PLACE: Mutex<()> = Mutex::new(());

pub(super) fn begin(folder: &Folder, key: &str) -> Result<Upload, Failure> {
    // The key is checked as an object's here, so that it is not found to be a bad one after all the parts.
    folder.object(key)?;
    let (id, path, _) = new_file(folder, key, Kind::Upload)?;
    sync_parents(folder, &path).map_err(Failure::at(&path))?;
    Ok(Upload { key: key.to_owned(), id })
}

pub(super) fn put_part(folder: &Folder, key: &str, id: &str, number: u32, bytes: &[u8]) -> Result<PartTag, Failure> {
    if number == 0 {
        return Err(Failure::Refused("parts are counted from 1".to_owned()));
    }
    let path = folder.unfinished(key, id)?;
    let file = open(&path)?;
    let span = Span { start: place(&file, bytes.len() as u64).map_err(Failure::at(&path))?, size: bytes.len() as u64 };
    file.write_all_at(bytes, span.start).map_err(Failure::at(&path))?;
    if span.start / SYNC != (span.start + span.size) / SYNC {
        file.sync_data().map_err(Failure::at(&path))?;
    }
    Ok(span.tag())
}

/// Syncs all parts; the folders that name the file were synced when it was begun.
pub(super) fn settle(folder: &Folder, key: &str, id: &str) -> Result<(), Failure> {
    let path = folder.unfinished(key, id)?;
    open(&path)?.sync_all().map_err(Failure::at(&path))
}

/// Takes the next `size` bytes of the file.
fn place(file: &File, size: u64) -> io::Result<u64> {
    let _held = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    let start = file.metadata()?.len();
    file.set_len(start + size)?;
    Ok(start)
}

pub(super) fn complete(folder: &Folder, key: &str, id: &str, parts: &[PartTag]) -> Result<(), Failure> {
    let target = folder.object(key)?;
    let staged = folder.unfinished(key, id)?;
    let moved = in_order(folder, key, &staged, parts).and_then(|ready| {
        move_to(&ready.path, &target).map_err(gone(&target))?;
        remove_unfinished(folder, &staged);
        clear_empty(folder, &ready.path);
        Ok(())
    });
    match moved {
        Ok(()) => sync_parents(folder, &target).map_err(Failure::after(&target)),
        // Another process may have completed it and been killed before it was safe.
        Err(Failure::NoSuchUpload) if target.exists() => {
            sync_parents(folder, &target).map_err(Failure::at(&target))?;
            Err(Failure::NoSuchUpload)
        }
        Err(failure) => Err(failure),
    }
}

/// A synced file that holds the parts of an upload in order and nothing else.
struct Ready {
    path: PathBuf,
    /// Of a temporary file, until it has its name.
    _lock: Option<File>,
}

/// The staged file if its parts are in order, or else a copy.
fn in_order(folder: &Folder, key: &str, staged: &Path, parts: &[PartTag]) -> Result<Ready, Failure> {
    let mut file = open(staged)?;
    let spans = spans(parts)?;
    let size = file.metadata().map_err(Failure::at(staged))?.len();
    if let Some(lost) = spans.iter().find(|span| span.start + span.size > size) {
        return Err(Failure::BadParts(format!("the staged file has {size} bytes and lacks the part {}", lost.tag().0)));
    }
    if are_the_file(&spans, size) {
        file.sync_all().map_err(Failure::at(staged))?;
        return Ok(Ready { path: staged.to_owned(), _lock: None });
    }
    let copy = new_temporary(folder, key)?;
    copy_spans(&mut file, &spans, &copy.file).map_err(|error| {
        remove_unfinished(folder, &copy.path);
        Failure::at(&copy.path)(error)
    })?;
    Ok(Ready { path: copy.path, _lock: Some(copy.file) })
}

fn are_the_file(spans: &[Span], size: u64) -> bool {
    let mut end = 0;
    spans.iter().all(|span| std::mem::replace(&mut end, span.start + span.size) == span.start) && end == size
}

fn copy_spans(file: &mut File, spans: &[Span], mut copy: &File) -> io::Result<()> {
    for span in spans {
        file.seek(SeekFrom::Start(span.start))?;
        let copied = io::copy(&mut file.by_ref().take(span.size), &mut copy)?;
        if copied != span.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    copy.sync_all()
}

pub(super) fn abort(folder: &Folder, key: &str, id: &str) -> Result<(), Failure> {
    let path = match folder.unfinished(key, id) {
        Err(Failure::NoSuchUpload) => return Ok(()),
        path => path?,
    };
    match std::fs::remove_file(&path) {
        Err(error) if !is_missing(&error) => return Err(Failure::at(&path)(error)),
        _ => clear_empty(folder, &path),
    }
    Ok(())
}

pub(super) fn uploads(folder: &Folder, prefix: &str) -> Result<Vec<Upload>, Failure> {
    let found = walk(folder.staged(), prefix, None)?;
    let named = found.iter().filter_map(|found| split_unfinished(&found.key));
    let matching = named.filter(|(key, id)| key.starts_with(prefix) && Kind::of(id) == Some(Kind::Upload));
    let mut uploads: Vec<Upload> =
        matching.map(|(key, id)| Upload { key: key.to_owned(), id: id.to_owned() }).collect();
    uploads.sort_unstable();
    Ok(uploads)
}

/// Where a part lies in the staged file.
#[derive(Clone, Copy)]
struct Span {
    start: u64,
    size: u64,
}

impl Span {
    fn tag(self) -> PartTag {
        PartTag(format!("{}+{}", self.start, self.size))
    }

    fn parse(tag: &PartTag) -> Option<Self> {
        let (start, size) = tag.0.split_once('+')?;
        let span = Span { start: start.parse().ok()?, size: size.parse().ok()? };
        span.start.checked_add(span.size).map(|_| span)
    }
}

fn spans(parts: &[PartTag]) -> Result<Vec<Span>, Failure> {
    if parts.is_empty() {
        return Err(Failure::Refused("an upload needs at least one part".to_owned()));
    }
    let read = |tag| Span::parse(tag).ok_or_else(|| Failure::BadParts(format!("{:?} is no tag of a part", tag.0)));
    parts.iter().map(read).collect()
}

fn open(path: &Path) -> Result<File, Failure> {
    OpenOptions::new().read(true).write(true).open(path).map_err(gone(path))
}

/// A staged file that is not there (any more) is an upload that is not known.
fn gone(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    move |error| if error.kind() == ErrorKind::NotFound { Failure::NoSuchUpload } else { Failure::at(path)(error) }
}

//! Giving a finished file a name that nobody else gives: the one decision of the commit protocol, in files.
//!
//! Owns the choice between a hard link, which a file system makes for one of any number of processes, and, where it has
//! none (Linux's own exFAT and FAT, network shares of Windows), a rename that fails where something has the name (`RENAME_NOREPLACE`).
//! What must stay true: a file system that has neither is refused, and with the words that help; none that merely lacks hard
//! links is said to lack rights.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::durable::make_folder;
use super::failure::Failure;
use crate::connector::store::Created;

/// Names `temporary` as `path`, where nothing has that name.
pub(super) fn name_exclusively(temporary: &Path, path: &Path) -> Result<Created, Failure> {
    if let Some(parent) = path.parent() {
        make_folder(parent).map_err(Failure::at(parent))?;
    }
    match fs::hard_link(temporary, path) {
        Ok(()) => Ok(Created::New),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Created::Exists),
        Err(error) if may_lack_links(&error) => rename_exclusively(temporary, path),
        Err(error) => Err(Failure::at(path)(error)),
    }
}

/// Whether an error is the one with which file systems say that they have no hard links; some of them can also mean
/// something else, which the rename then says as well.
fn may_lack_links(error: &io::Error) -> bool {
    let no_links = [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::MLINK, Errno::INVAL];
    Errno::from_io_error(error).is_some_and(|number| no_links.contains(&number))
}

/// Does the same by a rename.
pub(super) fn rename_exclusively(temporary: &Path, path: &Path) -> Result<Created, Failure> {
    match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(Created::New),
        Err(Errno::EXIST) => Ok(Created::Exists),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Err(Failure::Refused(format!(
            "the file system of {} has neither hard links nor a rename that replaces nothing (RENAME_NOREPLACE), so two \
             starts could both commit there: choose a folder on another one, such as ext4, XFS, Btrfs or NFS, or a bucket",
            path.display()
        ))),
        Err(number) => Err(Failure::at(path)(number.into())),
    }
}

//! Which path a key has, and which name its unfinished form.
//!
//! Owns both mappings and their inverses. What must stay true: no key leads out of the root, and no key of an object leads
//! into the staging folder.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use super::failure::Failure;

/// Where what is unfinished lies, relative to the root.
pub(super) const STAGED: &str = ".millstream/staged";

/// The root of a store.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    staged: PathBuf,
}

impl Folder {
    pub(super) fn new(root: PathBuf) -> Self {
        // An empty path is the folder that we are in, which has to be named to be opened.
        let root = if root.as_os_str().is_empty() { PathBuf::from(".") } else { root };
        let staged = root.join(STAGED);
        Folder { root, staged }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn staged(&self) -> &Path {
        &self.staged
    }

    /// The path of an object.
    pub(super) fn object(&self, key: &str) -> Result<PathBuf, Failure> {
        check(key)?;
        if key == STAGED || key.strip_prefix(STAGED).is_some_and(|rest| rest.starts_with('/')) {
            return Err(Failure::Refused(format!("{STAGED} is where unfinished files lie; choose another key")));
        }
        Ok(self.root.join(key))
    }

    /// The path of the unfinished file `id` of `key`.
    pub(super) fn unfinished(&self, key: &str, id: &str) -> Result<PathBuf, Failure> {
        check(key)?;
        if !is_id(id) {
            return Err(Failure::NoSuchUpload);
        }
        Ok(self.staged.join(format!("{key}.{id}")))
    }
}

/// Splits the path of an unfinished file, relative to the staging folder, into key and id.
pub(super) fn split_unfinished(path: &str) -> Option<(&str, &str)> {
    let (rest, _kind) = path.rsplit_once('.')?;
    let (key, _number) = rest.rsplit_once('.')?;
    let id = &path[key.len() + 1..];
    is_id(id).then_some((key, id))
}

/// What an unfinished file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Upload,
    Temporary,
}

impl Kind {
    fn ending(self) -> &'static str {
        match self {
            Kind::Upload => "part",
            Kind::Temporary => "temp",
        }
    }

    /// The kind in an id.
    pub(super) fn of(id: &str) -> Option<Kind> {
        let (_, ending) = id.rsplit_once('.')?;
        [Kind::Upload, Kind::Temporary].into_iter().find(|kind| kind.ending() == ending)
    }
}

/// A new id. Drawn at random, because a process in a container has the same number after each start.
pub(super) fn new_id(kind: Kind) -> String {
    // A hasher that is seeded by the system is the randomness that std has; a clash would be refused by the file system.
    let number = RandomState::new().hash_one(std::process::id());
    format!("{number:016x}.{}", kind.ending())
}

fn is_id(id: &str) -> bool {
    let Some((number, _)) = id.split_once('.').filter(|_| Kind::of(id).is_some()) else { return false };
    let is_hex = number.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    number.len() == 16 && is_hex && id.len() == "0123456789abcdef.part".len()
}

/// Refuses a key that is no plain path downwards.
fn check(key: &str) -> Result<(), Failure> {
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if key.split('/').all(is_plain) && !key.contains('\0') {
        return Ok(());
    }
    Err(Failure::Refused("a key is names with one `/` between them, none of which is empty, `.` or `..`".to_owned()))
}

#[cfg(test)]
mod tests {
    //! A key that climbs out of the root would let a partition value write anywhere; an id that does, a commit object.
    use super::*;

    #[test]
    fn no_key_leads_out_of_the_root() {
        let folder = Folder::new("/data".into());
        for key in ["", "/", "/etc/passwd", "..", "a/../../b", "a//b", "a/", "./a", "a/.", "a\0b"] {
            assert!(matches!(folder.object(key), Err(Failure::Refused(_))), "{key:?} was taken");
        }
        for key in [".millstream/staged", ".millstream/staged/a"] {
            assert!(matches!(folder.object(key), Err(Failure::Refused(_))), "{key:?} was taken");
        }
        assert_eq!(folder.object("a=b/c d/é%=..x").unwrap(), Path::new("/data/a=b/c d/é%=..x"));
    }

    #[test]
    fn no_id_leads_out_of_the_staging_folder() {
        let folder = Folder::new("/data".into());
        for id in ["", "part", "../x", "0123456789abcdef", "0123456789abcdef.exe", "0123456789abcde/.part"] {
            assert!(matches!(folder.unfinished("a", id), Err(Failure::NoSuchUpload)), "{id:?} was taken");
        }
    }

    #[test]
    fn the_key_of_an_unfinished_file_is_found_again() {
        for key in ["a", "a.parquet", "x/y=1.5/z.part", "k.0123456789abcdef.part"] {
            for kind in [Kind::Upload, Kind::Temporary] {
                let id = new_id(kind);
                assert_eq!(split_unfinished(&format!("{key}.{id}")), Some((key, id.as_str())));
            }
        }
        assert_eq!(split_unfinished("a.parquet"), None);
    }
}

//! The names of files: what each part says, and how a name is read back.
//!
//! ```text
//! e7-w0-3-g2-0f3a9c41d2b7.parquet     data:    epoch 7, worker 0, part 3, generation 2, log 0f3a9c41d2b7
//! r7-w0-3-g2-0f3a9c41d2b7.parquet     rejects: the same, so that data and rejects may share a folder
//! e7-w0-3-g2.parquet                  either, of a release that had no log ids
//! ```
//!
//! Owns both directions. What must stay true: no two writers ever make the same name, and a name that is read back is
//! exactly the one that was written, so that a file of somebody else is never taken for ours.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

/// The id of a log, drawn at its first claim: 12 lower-case hexadecimal digits.
///
/// ```
/// use millstream_operators::protocol::naming::LogId;
///
/// let id: LogId = "0f3a9c41d2b7".parse().unwrap();
/// assert_eq!(id.to_string(), "0f3a9c41d2b7");
/// assert!("0F3A9C41D2B7".parse::<LogId>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(u64);

impl LogId {
    /// The id made of a text that is unique to one start of one cluster.
    pub fn from_seed(seed: &str) -> Self {
        LogId(xxh3_64(seed.as_bytes()) >> 16)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// A text that is no log id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a log id is 12 lower-case hexadecimal digits")]
pub struct NoLogId;

impl FromStr for LogId {
    type Err = NoLogId;

    fn from_str(text: &str) -> Result<Self, NoLogId> {
        let digits = text.len() == 12 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(LogId).ok_or(NoLogId)
    }
}

impl Serialize for LogId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LogId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// What a file holds, as its name says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    #[default]
    Data,
    Rejects,
}

/// A file's name below its partition path, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName {
    /// Data or rejects. A name of a release without log ids does not say; it is read as [`FileKind::Data`].
    pub kind: FileKind,
    pub epoch: u64,
    pub worker: usize,
    pub part: u32,
    pub generation: u64,
    /// `None` in a name of a release without log ids.
    pub log: Option<LogId>,
}

impl FileName {
    /// Reads the last segment of a key; `None` where it is no name of ours.
    ///
    /// ```
    /// use millstream_operators::protocol::naming::FileName;
    ///
    /// let name = FileName::parse("day=2024-02-28/e7-w0-3-g2-0f3a9c41d2b7.parquet").unwrap();
    /// assert_eq!((name.epoch, name.generation), (7, 2));
    /// assert_eq!(FileName::parse("part-00000.parquet"), None);
    /// ```
    pub fn parse(key: &str) -> Option<Self> {
        let name = key.rsplit('/').next()?;
        let mut parts = name.strip_suffix(".parquet")?.split('-');
        let (kind, epoch) = match parts.next()?.split_at_checked(1)? {
            ("e", epoch) => (FileKind::Data, epoch),
            ("r", epoch) => (FileKind::Rejects, epoch),
            _ => return None,
        };
        let read = FileName {
            kind,
            epoch: epoch.parse().ok()?,
            worker: parts.next()?.strip_prefix('w')?.parse().ok()?,
            part: parts.next()?.parse().ok()?,
            generation: parts.next()?.strip_prefix('g')?.parse().ok()?,
            log: parts.next().map(str::parse).transpose().ok()?,
        };
        // Numbers that are written in another way (`+7`, `07`), and what follows the log id, make it another name.
        (read.to_string() == name).then_some(read)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileName { kind, epoch, worker, part, generation, log } = self;
        // Without a log id there was one letter for both.
        let letter = if *kind == FileKind::Rejects && log.is_some() { 'r' } else { 'e' };
        write!(f, "{letter}{epoch}-w{worker}-{part}-g{generation}")?;
        log.map_or(Ok(()), |log| write!(f, "-{log}"))?;
        f.write_str(".parquet")
    }
}

#[cfg(test)]
mod tests {
    //! Would catch a name that two writers share, one that does not read back, and a file of somebody else taken for ours.

    use proptest::prelude::*;

    use super::*;

    fn names() -> impl Strategy<Value = FileName> {
        let log = proptest::option::of(any::<String>().prop_map(|seed| LogId::from_seed(&seed)));
        (any::<bool>(), any::<u64>(), 0..1000_usize, any::<u32>(), any::<u64>(), log).prop_map(
            |(rejects, epoch, worker, part, generation, log)| {
                let kind = if rejects && log.is_some() { FileKind::Rejects } else { FileKind::Data };
                FileName { kind, epoch, worker, part, generation, log }
            },
        )
    }

    proptest! {
        #[test]
        fn a_name_reads_back_below_any_path(name in names(), path in "([a-z=%]{1,9}/){0,3}") {
            prop_assert_eq!(FileName::parse(&format!("{path}{name}")), Some(name));
        }

        #[test]
        fn a_text_is_a_name_only_if_it_is_written_so(text in "[er][0-9+]{1,3}-w[0-9]{1,2}-[0-9]{1,2}-g[0-9]{1,2}(-[0-9a-g]{11,13})?(\\.parquet)?(-x)?") {
            prop_assert!(FileName::parse(&text).is_none_or(|name| name.to_string() == text));
        }
    }

    #[test]
    fn names_are_as_the_documents_say() {
        let log = Some("0f3a9c41d2b7".parse().unwrap());
        let data = FileName { kind: FileKind::Data, epoch: 7, worker: 0, part: 3, generation: 2, log };
        assert_eq!(data.to_string(), "e7-w0-3-g2-0f3a9c41d2b7.parquet");
        let rejects = FileName { kind: FileKind::Rejects, ..data };
        assert_eq!(rejects.to_string(), "r7-w0-3-g2-0f3a9c41d2b7.parquet");
        let before = FileName { log: None, ..data };
        assert_eq!(before.to_string(), "e7-w0-3-g2.parquet");
        assert_eq!(FileName::parse("e7-w0-3-g2.parquet"), Some(before));
    }

    #[test]
    fn files_of_others_are_not_ours() {
        for key in [
            "",
            "part-00000.parquet",
            "e7-w0-3-g2",
            "e7-w0-3-g2.parquet.bak",
            "e7-w0-3.parquet",
            "r7-w0-3-g2.parquet",
            "e07-w0-3-g2.parquet",
            "e7-w0-3-g2-.parquet",
            "e7-w0-3-g2-0f3a9c41d2b.parquet",
            "e7-w0-3-g2-0F3A9C41D2B7.parquet",
            "e7-w0-3-g2-0f3a9c41d2b7-.parquet",
            "e7-w0-3-g2-0f3a9c41d2b7.parquet/x",
            "éé-w0-3-g2.parquet",
        ] {
            assert_eq!(FileName::parse(key), None, "{key}");
        }
    }

    /// Two starts of one host in one moment differ in their seed alone.
    #[test]
    fn seeds_that_differ_give_ids_that_differ() {
        let ids: std::collections::BTreeSet<LogId> = (0..10_000).map(|n| LogId::from_seed(&format!("{n}"))).collect();
        assert_eq!(ids.len(), 10_000);
        assert_eq!(serde_json::to_string(&LogId::from_seed("a")).unwrap().len(), 14);
        assert!(serde_json::from_str::<LogId>("\"0f3a9c41d2bg\"").is_err());
    }
}

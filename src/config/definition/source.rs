//! Whether a definition reads what an earlier one read, and what of its source is another.
//!
//! Owns what makes a source the same: streams and topics by name, files by their folder, made-up records by all that they are
//! made of. Where to begin, what else is read of a record, and over which connection play no part in it.

use regex::Regex;

use super::changes::{Key, cut, joined, keys};
use super::said::Said;
use super::{Definition, SourceForm, StreamForm};

/// What became of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceChange {
    /// It is the same.
    Same,
    /// Streams or topics came or went, and some stayed; or other files of the same folder.
    Widened,
    /// Nothing of what was read is read now.
    Another { before: String, now: String },
}

impl Definition {
    /// Whether `newer` reads what this one reads.
    pub fn same_source(&self, newer: &Definition) -> SourceChange {
        let another = || SourceChange::Another { before: described(&self.source), now: described(&newer.source) };
        match kept(&self.source, &newer.source) {
            Kept::All => SourceChange::Same,
            Kept::Some => SourceChange::Widened,
            Kept::None => another(),
        }
    }
}

/// How much of a source another one still reads.
enum Kept {
    All,
    Some,
    None,
}

impl Kept {
    fn of(all: bool, some: bool) -> Self {
        match (all, some) {
            (true, _) => Kept::All,
            (false, true) => Kept::Some,
            (false, false) => Kept::None,
        }
    }
}

fn kept(before: &SourceForm, now: &SourceForm) -> Kept {
    match (before, now) {
        (SourceForm::Kinesis { streams: before, .. }, SourceForm::Kinesis { streams: now, .. }) => {
            let has = |streams: &[StreamForm], wanted: &StreamForm| streams.iter().any(|stream| stream.may_be(wanted));
            let all = before.iter().all(|stream| has(now, stream)) && now.iter().all(|stream| has(before, stream));
            Kept::of(all, before.iter().any(|stream| has(now, stream)))
        }
        (SourceForm::Kafka { topics: before, .. }, SourceForm::Kafka { topics: now, .. }) => {
            Kept::of(before == now, may_share(before, now))
        }
        (SourceForm::Files { path: before }, SourceForm::Files { path: now }) => {
            Kept::of(before == now, folder(before.meant()) == folder(now.meant()))
        }
        (SourceForm::Generate { .. }, SourceForm::Generate { .. }) => Kept::of(before == now, false),
        _ => Kept::None,
    }
}

impl StreamForm {
    /// Whether two descriptions can be of one stream: what one of them does not say may be anything.
    fn may_be(&self, other: &StreamForm) -> bool {
        let agree = |same: Option<bool>| same.unwrap_or(true);
        self.name == other.name
            && agree(self.region.as_ref().zip(other.region.as_ref()).map(|(one, two)| one == two))
            && agree(self.account.as_ref().zip(other.account.as_ref()).map(|(one, two)| one == two))
    }
}

/// Whether two lists of topics can have one in common. Two patterns can.
fn may_share(before: &[Said], now: &[Said]) -> bool {
    let fits = |pattern: &Said, topics: &[Said]| {
        let pattern = pattern.meant();
        let Some(known) = pattern.starts_with('^').then(|| Regex::new(pattern)) else { return false };
        known.is_ok_and(|known| topics.iter().any(|t| t.meant().starts_with('^') || known.is_match(t.meant())))
    };
    before.iter().any(|topic| now.contains(topic) || fits(topic, now)) || now.iter().any(|topic| fits(topic, before))
}

/// The folder that a pattern is looked for in. Splits are named from there on, so that another pattern in it reads other
/// files, and none twice.
fn folder(path: &str) -> &str {
    let Some(special) = path.find(['*', '?', '[', '{']) else { return path };
    path[..special].rfind('/').map_or("", |end| path[..end].trim_end_matches('/'))
}

fn described(source: &SourceForm) -> String {
    match source {
        SourceForm::Kinesis { streams, .. } => format!("kinesis {}", joined(streams.iter().map(StreamForm::shown))),
        SourceForm::Kafka { topics, .. } => format!("kafka {}", joined(topics.iter().map(Said::shown))),
        SourceForm::Files { path } => format!("files {}", path.shown()),
        SourceForm::Generate { kind, seed, splits, broken } => {
            format!("generate {kind}, seed {seed}, splits {splits}, broken {broken}")
        }
    }
}

impl StreamForm {
    fn shown(&self) -> String {
        match &self.region {
            Some(region) => format!("{} in {}", self.name.shown(), region.shown()),
            None => self.name.shown().to_owned(),
        }
    }
}

pub(super) fn source_changes(before: &SourceForm, now: &SourceForm) -> Vec<String> {
    let kind = std::mem::discriminant::<SourceForm>;
    if kind(before) != kind(now) {
        return vec![format!("[source] is now {}", cut(&described(now)))];
    }
    let mut told = Vec::new();
    match (before, now) {
        (SourceForm::Kinesis { streams: before, .. }, SourceForm::Kinesis { streams: now, .. }) => {
            told.extend(came_and_went("stream", before, now, StreamForm::shown));
        }
        (SourceForm::Kafka { topics: before, .. }, SourceForm::Kafka { topics: now, .. }) => {
            told.extend(came_and_went("topic", before, now, |topic| topic.shown().to_owned()));
        }
        _ => {}
    }
    told.extend(keys("[source]", source_keys(before), source_keys(now)));
    told
}

fn came_and_went<T: PartialEq>(what: &str, before: &[T], now: &[T], shown: impl Fn(&T) -> String) -> Vec<String> {
    let came =
        now.iter().filter(|item| !before.contains(item)).map(|item| format!("adds {what} {}", cut(&shown(item))));
    let went =
        before.iter().filter(|item| !now.contains(item)).map(|item| format!("drops {what} {}", cut(&shown(item))));
    came.chain(went).map(|phrase| format!("[source] {phrase}")).collect()
}

/// The keys of a source but for its list of streams or topics.
fn source_keys(source: &SourceForm) -> Vec<Key> {
    match source {
        SourceForm::Kinesis { streams: _, start } => vec![Key::new("start", start)],
        SourceForm::Kafka { topics: _, start, headers, tombstones, isolation } => vec![
            Key::new("start", start),
            Key::list("headers", headers),
            Key::new("tombstones", tombstones),
            Key::new("isolation.level", isolation.as_deref().unwrap_or("as the client has it")),
        ],
        SourceForm::Files { path } => vec![Key::said("path", path)],
        SourceForm::Generate { kind, seed, splits, broken } => {
            vec![Key::new("kind", kind), Key::new("seed", seed), Key::new("splits", splits), Key::new("broken", broken)]
        }
    }
}

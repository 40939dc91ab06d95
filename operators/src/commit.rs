//! Gathers what an epoch came to, and asks for its commit once the epoch is whole.
//!
//! Runs on worker 0: everything small goes there (file descriptions, positions, changes of state), nothing wide does. Owns the
//! capability of every epoch that is not yet committed and published, so that a probe behind this operator tells when all
//! is done.
//!
//! What must stay true: an epoch is asked for only when the frontier has passed it, in order; an epoch that does not hold
//! exactly the records that were read is never asked for, but stops the pipeline.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::Operator;

use crate::ingest::Progress;
use crate::port::Port;
use crate::position::Split;
use crate::protocol::commit::{FileRecord, FilteredRanges, SplitProgress};
use crate::protocol::equation::{Announced, Counted, Counts, Epoch};
use crate::protocol::place::Place;
use crate::stage::Staged;
use crate::state::{Entries, Operators};

/// One small thing that an epoch came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Item {
    Staged(#[serde(with = "as_text")] Staged),
    Progress(Progress),
    Counted(Counted),
    Changed(#[serde(with = "as_text")] Entries),
    Filtered(FilteredRanges),
}

/// What the log writes down leaves out fields that are empty, which timely's own form between processes cannot read: there
/// it goes as the log's text.
mod as_text {
    use serde::de::{DeserializeOwned, Error as _};
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(item: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(item).map_err(S::Error::custom)?)
    }

    pub(super) fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        serde_json::from_str(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// What an epoch came to, ready to be made a commit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    pub epoch: u64,
    pub files: Vec<FileRecord>,
    pub rejects: Vec<FileRecord>,
    pub positions: BTreeMap<Split, SplitProgress>,
    pub counts: Counts,
    pub filtered_ranges: FilteredRanges,
    pub state: Operators,
}

/// What this operator asks of the outside.
#[derive(Clone, Debug)]
pub enum CommitRequest {
    /// Commit this epoch, then publish it.
    Commit(Draft),
    /// An epoch does not add up: stop, and commit nothing more.
    Refuse { epoch: u64, problem: String },
}

/// The outside has committed and published an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub epoch: u64,
    pub commit: u64,
}

impl Draft {
    fn add(&mut self, item: Item) {
        match item {
            Item::Staged(Staged { place, file }) if place.is_rejects() => self.rejects.push(file),
            Item::Staged(Staged { place: _, file }) => self.files.push(file),
            Item::Counted(counted) => self.counts.add(counted),
            Item::Progress(progress) => self.add_progress(progress),
            Item::Changed(entries) => self.state.add(entries),
            Item::Filtered(ranges) => {
                for (split, mut stretches) in ranges {
                    self.filtered_ranges.entry(split).or_default().append(&mut stretches);
                }
            }
        }
    }

    /// A split may have been read by two workers in one epoch, one after the other.
    fn add_progress(&mut self, Progress { split, at, records, digest, done }: Progress) {
        let next = SplitProgress { at, records, digest: (records > 0).then_some(digest), done };
        match self.positions.get_mut(&split) {
            None => {
                self.positions.insert(split, next);
            }
            Some(known) => {
                known.records += next.records;
                known.digest = match (known.digest, next.digest) {
                    (Some(one), Some(other)) => Some(one + other),
                    (one, other) => one.or(other),
                };
                known.done |= next.done;
                if !next.at.precedes(&known.at) {
                    known.at = next.at;
                }
            }
        }
    }

    /// Why the epoch does not add up; none: it does.
    fn problem(&self, announced: &Announced) -> Option<String> {
        let rejects = Place::rejects();
        let data = self.files.iter().map(|file| (&file.sink, file));
        let files = data.chain(self.rejects.iter().map(|file| (&rejects, file)));
        Epoch { positions: &self.positions, counts: &self.counts }.problem(announced, files)
    }

    fn in_order(mut self) -> Self {
        self.files.sort_by(|a, b| (&a.sink, &a.path).cmp(&(&b.sink, &b.path)));
        self.rejects.sort_by(|a, b| a.path.cmp(&b.path));
        self.counts = self.counts.without_zeros();
        self.filtered_ranges.values_mut().for_each(|stretches| stretches.sort());
        self
    }
}

/// Builds the operator. `announced` says which sinks and reports belong to an epoch. `port` is made from the address to wake when
/// an epoch is sealed; it is called on every worker, but used on worker 0 alone.
pub fn commit<'scope>(
    items: StreamVec<'scope, u64, Item>,
    announced: Announced,
    port: impl FnOnce(Vec<usize>) -> Box<dyn Port<CommitRequest, Sealed>>,
) -> StreamVec<'scope, u64, Sealed> {
    items.unary_frontier::<CapacityContainerBuilder<Vec<Sealed>>, _, _, _>(
        Exchange::new(|_: &Item| 0),
        "commit",
        move |_, info| {
            let mut port = port(info.address.to_vec());
            let mut gathering: BTreeMap<u64, (Capability<u64>, Draft)> = BTreeMap::new();
            let mut asked: BTreeMap<u64, Capability<u64>> = BTreeMap::new();
            move |(input, frontier), output| {
                input.for_each(|time, items| {
                    let epoch = *time.time();
                    let fresh = || (time.retain(0), Draft { epoch, ..Draft::default() });
                    let (_, draft) = gathering.entry(epoch).or_insert_with(fresh);
                    items.drain(..).for_each(|item| draft.add(item));
                });
                while let Some(entry) = gathering.first_entry().filter(|entry| !frontier.less_equal(entry.key())) {
                    let (epoch, (capability, draft)) = entry.remove_entry();
                    asked.insert(epoch, capability);
                    port.send(match draft.problem(&announced) {
                        None => CommitRequest::Commit(draft.in_order()),
                        Some(problem) => CommitRequest::Refuse { epoch, problem },
                    });
                }
                while let Some(sealed) = port.receive() {
                    if let Some(capability) = asked.remove(&sealed.epoch) {
                        output.session(&capability).give(sealed);
                    }
                }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    //! What breaks when these fail: a cluster of processes, at its first file and its first average.

    use timely::bytes::arc::BytesMut;
    use timely::dataflow::channels::ContainerBytes;

    use super::*;
    use crate::average::{AverageId, AverageTotals, Total};
    use crate::digest::RecordDigest;
    use crate::position::Position;
    use crate::protocol::commit::Range;
    use crate::protocol::equation::Term;
    use crate::reject::Stage;

    /// An epoch that lost a record, or has one twice, is never asked for.
    #[test]
    fn an_epoch_that_does_not_add_up_is_told() {
        let file = |rows| {
            let range =
                Range { split: "s".into(), refused_by: None, first: Position::at(1), last: Position::at(9), rows };
            FileRecord { rows, ranges: vec![range], ..FileRecord::default() }
        };
        let announced = Announced { sinks: [Place::data()].into(), ..Announced::default() };
        let progress = |records| Progress {
            split: "s".into(),
            at: Position::at(9),
            records,
            digest: RecordDigest::default(),
            done: false,
        };
        let draft = |read, rows, refused| {
            let mut draft = Draft::default();
            draft.add(Item::Progress(progress(read)));
            draft.add(Item::Staged(Staged { place: Place::data(), file: file(rows) }));
            draft.add(Item::Staged(Staged { place: Place::rejects(), file: file(refused) }));
            draft.problem(&announced)
        };
        assert_eq!(draft(5, 3, 2), None);
        let problem = draft(5, 3, 1).unwrap();
        assert_eq!(problem, "s in data: 5 records were read, 3 rows and 1 rejects laid down");
        assert!(draft(5, 4, 2).is_some());
    }

    #[test]
    fn items_go_from_process_to_process_with_and_without_what_may_be_left_out() {
        let range = |refused_by| Range {
            split: "s".into(),
            refused_by,
            first: Position::at(1),
            last: Position::at(2),
            rows: 2,
        };
        let file = |refused_by| FileRecord { ranges: vec![range(refused_by)], ..FileRecord::default() };
        let id = |from: Option<&str>, group: &[Option<&str>]| AverageId {
            average: "a".into(),
            by: "day".into(),
            from: from.map(str::to_owned),
            group: group.iter().map(|value| value.map(str::to_owned)).collect(),
        };
        let total = || Total { sum: "170141183460469231731687303715884105727".into(), count: 3 };
        let totals = [(id(None, &[]), total()), (id(Some("2024-01-01"), &[None, Some("x")]), total())];
        let items = vec![
            Item::Staged(Staged { place: Place::data(), file: file(None) }),
            Item::Staged(Staged { place: Place::rejects(), file: file(Some(Stage::Decode)) }),
            Item::Progress(Progress {
                split: "s".into(),
                at: Position::at(2),
                records: 2,
                digest: "0123456789abcdef0123456789abcdef".parse().unwrap(),
                done: true,
            }),
            Item::Counted(Counted { term: Term::Filtered, place: Counts::every(), split: "s".into(), records: -1 }),
            Item::Changed(Entries::new(totals.into_iter().collect::<AverageTotals>())),
            Item::Filtered(FilteredRanges::from([("s".into(), vec![(Position::at(1), Position::at(2))])])),
        ];
        let mut bytes = Vec::new();
        items.into_bytes(&mut bytes);
        let read = Vec::<Item>::from_bytes(BytesMut::from(bytes).freeze());
        assert_eq!(format!("{read:?}"), format!("{items:?}"));
    }

    /// Would catch a digest that counts one of two readers alone, and an empty one where nothing was read.
    #[test]
    fn digests_of_a_split_add_up_over_its_readers() {
        let digest = |text: &str| text.parse::<RecordDigest>().unwrap();
        let (one, other) = (digest(&"1".repeat(32)), digest(&"2".repeat(32)));
        let mut draft = Draft::default();
        let mut add = |split: &str, records, digest| {
            let at = Position::at(records);
            draft.add_progress(Progress { split: split.into(), at, records, digest, done: false });
        };
        add("a", 0, RecordDigest::default());
        add("a", 2, one);
        add("a", 3, other);
        add("b", 0, RecordDigest::default());
        assert_eq!(draft.positions["a"].digest, Some(digest(&"3".repeat(32))));
        assert_eq!(draft.positions["b"].digest, None);
        let json = serde_json::to_string(&draft.positions["b"]).unwrap();
        assert_eq!(json, r#"{"at":"0","records":0}"#, "what an earlier release wrote is read, and written so again");
        assert_eq!(serde_json::from_str::<SplitProgress>(&json).unwrap(), draft.positions["b"]);
    }
}

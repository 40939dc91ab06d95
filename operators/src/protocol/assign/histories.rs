//! The coordinator against one that works everything out anew at every event, over random histories.
//!
//! Would catch a queue, a count or an index of children that misses a change: a split started too early, never or on
//! another worker, and a run that ends too soon or not at all.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::scan::Scan;
use super::*;

const SPLITS: usize = 9;

/// What a look says of one split, and where it stands in the listing.
#[derive(Clone, Debug)]
struct Shown {
    split: usize,
    parents: Vec<usize>,
    revision: u8,
}

#[derive(Clone, Debug)]
enum Event {
    Look {
        shown: Vec<Shown>,
        complete: bool,
    },
    /// The end of one of the splits that are being read, picked by a number.
    End {
        pick: usize,
        end: End,
        at: Option<u64>,
        epoch: u64,
    },
}

fn name(split: usize) -> Split {
    format!("s{split}").into()
}

/// Parents come from below in an order that is not that of the names, so that nothing descends from itself.
fn shown(split: usize) -> impl Strategy<Value = Shown> {
    let rank = |split: usize| split * 5 % SPLITS;
    let older: Vec<usize> = (0..SPLITS).filter(|other| rank(*other) < rank(split)).collect();
    let most = older.len().min(2);
    (subsequence(older, 0..=most), 0..3u8).prop_map(move |(parents, revision)| Shown { split, parents, revision })
}

fn look() -> impl Strategy<Value = Event> {
    let all: Vec<usize> = (0..SPLITS).collect();
    let shown = subsequence(all, 0..=SPLITS).prop_shuffle().prop_flat_map(|splits| {
        let shown: Vec<_> = splits.into_iter().map(shown).collect();
        shown
    });
    (shown, proptest::bool::weighted(0.1)).prop_map(|(shown, complete)| Event::Look { shown, complete })
}

fn end() -> impl Strategy<Value = Event> {
    let ends = prop_oneof![3 => Just(End::Finished), 3 => Just(End::Resting), 1 => Just(End::Stopped)];
    let at = proptest::option::of(0..100u64);
    (any::<usize>(), ends, at, 0..20u64).prop_map(|(pick, end, at, epoch)| Event::End { pick, end, at, epoch })
}

fn committed() -> impl Strategy<Value = BTreeMap<Split, SplitState>> {
    let at = 0..100u64;
    let state = (at, any::<bool>()).prop_map(|(at, done)| SplitState { at: Position::at(at), done });
    proptest::collection::btree_map((0..SPLITS).prop_map(name), state, 0..4)
}

/// Exhausted are the splits at an even position, and those of revision 2 of which nothing is committed.
fn exhausted(split: &SplitInfo, at: Option<&Position>) -> bool {
    match at {
        Some(at) => at.number().is_some_and(|at| at % 2 == 0),
        None => &*split.revision == "2",
    }
}

fn infos(shown: &[Shown]) -> Vec<SplitInfo> {
    let info = |shown: &Shown| SplitInfo {
        name: name(shown.split),
        parents: shown.parents.iter().copied().map(name).collect(),
        revision: shown.revision.to_string().into(),
        from: (shown.split == 0).then(|| Position::at(7)),
        until: None,
        arrived_at: None,
    };
    shown.iter().map(info).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decides_as_one_that_looks_at_all_splits(
        (workers, concurrency) in (1..4usize, prop_oneof![1..4usize, Just(usize::MAX)]),
        bounded in any::<bool>(),
        committed in committed(),
        events in proptest::collection::vec(prop_oneof![2 => look(), 5 => end()], 1..40),
    ) {
        let bounds = if bounded { Bounds::UntilEnd } else { Bounds::Unbounded };
        let mut desk = Coordinator::new(workers, concurrency, bounds, committed.clone()).skip(Box::new(exhausted));
        let mut scan = Scan::new(workers, concurrency, bounds, committed, exhausted);
        let mut reading: Vec<Split> = Vec::new();
        for event in events {
            let (ours, theirs) = match event {
                Event::Look { shown, complete } => {
                    (desk.discovered(infos(&shown), complete), scan.discovered(infos(&shown), complete))
                }
                Event::End { .. } if reading.is_empty() => continue,
                Event::End { pick, end, at, epoch } => {
                    let (split, at) = (reading.swap_remove(pick % reading.len()), at.map(Position::at));
                    (desk.ended(&split, end, at.clone(), epoch), scan.ended(&split, end, at, epoch))
                }
            };
            prop_assert_eq!(&ours, &theirs);
            prop_assert_eq!(desk.is_over(), scan.is_over());
            reading.extend(ours.into_iter().map(|start| start.split.name));
        }
    }
}

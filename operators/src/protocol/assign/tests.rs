//! What breaks when these fail: a split read by two workers, a child before its parents, a run that never ends, and a
//! source of very many splits, whose every end would cost a look at all of them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::*;

fn split(name: &str, parents: &[&str]) -> SplitInfo {
    let parents = parents.iter().map(|parent| Split::from(*parent)).collect();
    SplitInfo { name: name.into(), parents, revision: "1".into(), from: None, until: None, arrived_at: None }
}

fn names(starts: &[Start]) -> Vec<(String, usize)> {
    starts.iter().map(|start| (start.split.name.to_string(), start.worker)).collect()
}

#[test]
fn splits_spread_evenly_and_no_further_than_a_worker_can_read() {
    let mut desk = Coordinator::new(2, 2, Bounds::UntilEnd, BTreeMap::new());
    let found = (0..5).map(|i| split(&format!("s{i}"), &[])).collect();
    let starts = desk.discovered(found, false);
    assert_eq!(names(&starts), [("s0".into(), 0), ("s1".into(), 1), ("s2".into(), 0), ("s3".into(), 1)]);
    let next = desk.ended(&"s1".into(), End::Resting, Some(Position::at(9)), 4);
    assert_eq!(names(&next), [("s4".into(), 1)]);
    for i in [0, 2, 3] {
        assert!(!desk.is_over());
        desk.ended(&format!("s{i}").into(), End::Resting, None, 4);
    }
    desk.ended(&"s4".into(), End::Resting, None, 4);
    assert!(desk.is_over());
}

#[test]
fn a_child_waits_for_all_parents_and_for_their_epochs() {
    let mut desk = Coordinator::new(2, 9, Bounds::Unbounded, BTreeMap::new());
    let starts = desk.discovered(vec![split("a", &[]), split("b", &[]), split("c", &["a", "b"])], false);
    assert_eq!(names(&starts), [("a".into(), 0), ("b".into(), 1)]);
    assert!(desk.ended(&"a".into(), End::Finished, Some(Position::at(1)), 7).is_empty());
    let child = desk.ended(&"b".into(), End::Finished, Some(Position::at(1)), 5);
    assert_eq!(names(&child), [("c".into(), 0)]);
    assert_eq!(child[0].not_before, 7);
}

#[test]
fn a_resting_split_goes_on_when_its_revision_moves_even_while_it_is_read() {
    let mut desk = Coordinator::new(1, 1, Bounds::Unbounded, BTreeMap::new());
    desk.discovered(vec![split("f", &[])], false);
    let grown = SplitInfo { revision: "2".into(), ..split("f", &[]) };
    assert!(desk.discovered(vec![grown.clone()], false).is_empty(), "still being read");
    let again = desk.ended(&"f".into(), End::Resting, Some(Position::at(10)), 3);
    assert_eq!(again[0].from, Some(Position::at(10)));
    assert_eq!(again[0].not_before, 3);
    assert!(desk.ended(&"f".into(), End::Resting, Some(Position::at(20)), 3).is_empty());
    assert!(desk.discovered(vec![grown], false).is_empty(), "nothing new");
    assert!(!desk.is_over(), "an unbounded run goes on watching");
}

#[test]
fn a_bounded_run_looks_again_for_the_children_of_what_finished() {
    let mut desk = Coordinator::new(1, 9, Bounds::UntilEnd, BTreeMap::new());
    desk.discovered(vec![split("a", &[])], false);
    desk.ended(&"a".into(), End::Finished, Some(Position::at(1)), 1);
    assert!(!desk.is_over(), "children may have come");
    desk.discovered(vec![split("a", &[])], false);
    assert!(desk.is_over());
}

#[test]
fn a_bounded_run_does_not_wait_for_children_of_what_it_read_as_far_as_it_goes() {
    let mut desk = Coordinator::new(1, 9, Bounds::UntilEnd, BTreeMap::new());
    desk.discovered(vec![split("a", &[]), split("b", &[])], false);
    desk.ended(&"a".into(), End::Resting, Some(Position::at(1)), 1);
    let later = [split("a", &[]), split("b", &[]), split("a1", &["a"]), split("a2", &["a1", "b"])];
    assert!(desk.discovered(later.to_vec(), false).is_empty());
    assert!(!desk.is_over(), "b is still being read");
    assert!(desk.ended(&"b".into(), End::Finished, Some(Position::at(1)), 1).is_empty());
    desk.discovered(later.to_vec(), false);
    assert!(desk.is_over(), "a1 and a2 began after the end of the run");
}

#[test]
fn hundreds_of_shards_and_their_children_stay_spread() {
    let mut desk = Coordinator::new(7, usize::MAX, Bounds::Unbounded, BTreeMap::new());
    let shards: Vec<SplitInfo> = (0..300).map(|i| split(&format!("p{i:03}"), &[])).collect();
    let children = (0..600).map(|i| split(&format!("c{i:03}"), &[&format!("p{:03}", i / 2)]));
    let all: Vec<SplitInfo> = shards.iter().cloned().chain(children).collect();
    let mut loads = [0_i32; 7];
    let given = |starts: Vec<Start>, loads: &mut [i32; 7]| -> BTreeMap<Split, usize> {
        starts.iter().for_each(|start| loads[start.worker] += 1);
        starts.into_iter().map(|start| (start.split.name, start.worker)).collect()
    };
    let spread = |loads: &[i32; 7]| loads.iter().max().unwrap() - loads.iter().min().unwrap();
    let mut readers = given(desk.discovered(all, false), &mut loads);
    assert_eq!((readers.len(), spread(&loads)), (300, 1), "children wait, and weigh nothing");
    for shard in &shards {
        loads[readers[&shard.name]] -= 1;
        readers.extend(given(desk.ended(&shard.name, End::Finished, None, 1), &mut loads));
        assert!(spread(&loads) <= 2, "{loads:?}");
    }
    assert_eq!((readers.len(), loads.iter().sum::<i32>()), (900, 600));
}

#[test]
fn what_the_log_says_is_done_is_not_read_again_and_its_children_begin() {
    let done = SplitState { at: Position::at(5), done: true };
    let mut desk = Coordinator::new(1, 9, Bounds::Unbounded, BTreeMap::from([("a".into(), done)]));
    let starts = desk.discovered(vec![split("a", &[]), split("b", &["a"])], true);
    assert_eq!(names(&starts), [("b".into(), 0)]);
    desk.ended(&"b".into(), End::Finished, None, 1);
    assert!(desk.is_over());
}

#[test]
fn an_exhausted_split_rests_without_a_reader_until_it_changes() {
    for bounds in [Bounds::UntilEnd, Bounds::Unbounded] {
        let committed = |at| SplitState { at: Position::new(at), done: false };
        let log = BTreeMap::from([("a".into(), committed("5#1")), ("b".into(), committed("5#0"))]);
        let is_read = |split: &SplitInfo, at: Option<&Position>| at.and_then(Position::note) == Some(&*split.revision);
        let mut desk = Coordinator::new(1, 9, bounds, log).skip(Box::new(is_read));
        let starts = desk.discovered(vec![split("a", &[]), split("b", &[]), split("c", &[])], false);
        assert_eq!(names(&starts), [("b".into(), 0), ("c".into(), 0)]);
        let grown = SplitInfo { revision: "2".into(), ..split("a", &[]) };
        let again = desk.discovered(vec![grown], false);
        match bounds {
            Bounds::UntilEnd => assert!(again.is_empty(), "a run with an end reads what it found first"),
            Bounds::Unbounded => assert_eq!(again[0].from, Some(Position::new("5#1"))),
        }
    }
}

/// About a second of work; with a pass over all splits at every end it would be hours.
#[test]
fn the_cost_of_an_end_does_not_grow_with_the_number_of_splits() {
    const SPLITS: usize = 200_000;
    const LIMIT: Duration = Duration::from_secs(60);
    let name = |index: usize| format!("{index:07}");
    // Every second split is the child of the one before.
    let parents = |index: usize| if index % 2 == 1 { vec![Split::from(name(index - 1))] } else { Vec::new() };
    let info = |index| SplitInfo { parents: parents(index), ..split(&name(index), &[]) };
    #[expect(
        clippy::disallowed_methods,
        reason = "this test is about time, with a limit that only a wrong order meets"
    )]
    let begun = Instant::now();
    let mut desk = Coordinator::new(3, 2, Bounds::UntilEnd, BTreeMap::new());
    let mut reading = VecDeque::from(desk.discovered((0..SPLITS).map(info).collect(), true));
    let mut ended = 0;
    while let Some(start) = reading.pop_front() {
        assert!(!desk.is_over() && begun.elapsed() < LIMIT, "{ended} of {SPLITS} have ended");
        reading.extend(desk.ended(&start.split.name, End::Finished, None, 1));
        ended += 1;
    }
    assert_eq!((ended, desk.is_over()), (SPLITS, true));
}

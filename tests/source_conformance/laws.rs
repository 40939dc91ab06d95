//! The laws, each as one function over any source.

use std::collections::BTreeSet;
use std::sync::Arc;

use millstream::config::{Besides, Past, absolute};
use millstream::connector::kind::{Configured, Kept, SourceKind};
use millstream::connector::{End, Source, SplitInfo};
use millstream_operators::Position;

use super::outlet::{Collect, Record, read};

/// Makes the same source anew, as another process would.
pub(crate) type Make<'a> = &'a dyn Fn() -> Arc<dyn Source>;

/// What a split must hold: payloads, in order.
pub(crate) type Wanted<'a> = &'a dyn Fn(&str) -> Vec<Vec<u8>>;

/// Holds a source to all laws; `memory` is what a reader may hold at once.
pub(crate) async fn all(make: Make<'_>, wanted: Wanted<'_>, memory: usize) {
    let splits = make().discover().await.unwrap().splits;
    names_are_unique_and_parents_known(&splits);
    for split in &splits {
        let (end, whole) = read(&*make(), split, None).await;
        assert_ne!(end.unwrap(), End::Stopped, "{}", split.name);
        let payloads: Vec<Vec<u8>> = whole.records.iter().map(|record| record.payload.clone()).collect();
        assert!(payloads == wanted(&split.name), "{}: {} records are not those wanted", split.name, payloads.len());
        assert!(whole.peak <= memory, "{}: {} bytes reserved, over {memory}", split.name, whole.peak);
        positions_grow(split, &whole);
        again(make, split, &whole).await;
        from_every_border(make, split, &whole).await;
        from_records(make, split, &whole).await;
        stops(make, split, &whole).await;
    }
}

/// What the log keeps of a source says all that it must: the source comes back from it, and is the same.
pub(crate) fn definition(kind: &dyn SourceKind, source: &dyn Configured) {
    let form = |source: &dyn Configured| source.form(&mut Besides::new(&absolute));
    let json = form(source);
    assert_eq!(json["type"], kind.word());
    assert_eq!(kind.normal(&json).unwrap(), json);
    let mut past = Past::new("the definition of commit 7");
    let again = kind.under(&json, &*kind.stand_in(), &mut past);
    past.finish().unwrap();
    assert_eq!(form(&*again), json);
    assert_eq!(kind.kept(&json, &json), Kept::All);
    assert_eq!(kind.changes(&json, &json), Vec::<String>::new());
    assert!(!kind.described(&json).is_empty() && !source.shown().is_empty());
}

fn names_are_unique_and_parents_known(splits: &[SplitInfo]) {
    let names: BTreeSet<_> = splits.iter().map(|split| split.name.clone()).collect();
    assert_eq!(names.len(), splits.len(), "two splits with one name");
    for split in splits {
        assert!(split.parents.iter().all(|parent| names.contains(parent)), "{} has unknown parents", split.name);
    }
}

fn positions_grow(split: &SplitInfo, whole: &Collect) {
    let grows = whole.records.windows(2).all(|pair| pair[0].position < pair[1].position);
    assert!(grows, "{}: positions do not grow", split.name);
    let mut first = 0;
    for (until, count) in &whole.borders {
        assert!(whole.records[*count - 1].position < *until, "{}: a batch ends before its records", split.name);
        let before = &whole.records[first].position;
        assert!(before < until, "{}", split.name);
        if let Some(next) = whole.records.get(*count) {
            assert!(until.order() == next.position.order() || *until < next.position, "{}", split.name);
        }
        first = *count;
    }
}

async fn again(make: Make<'_>, split: &SplitInfo, whole: &Collect) {
    let (_, second) = read(&*make(), split, None).await;
    same(split, "read again", &second.records, &whole.records);
    assert_eq!(second.borders.last(), whole.borders.last(), "{}", split.name);
}

async fn from_every_border(make: Make<'_>, split: &SplitInfo, whole: &Collect) {
    for (until, count) in thinned(&whole.borders) {
        let (end, rest) = read(&*make(), split, Some(until.clone())).await;
        let end = end.unwrap();
        assert_ne!(end, End::Stopped);
        if make().is_exhausted(split, Some(until)) {
            assert_eq!((end, rest.records.len()), (End::Resting, 0), "{}: more to read from {until}", split.name);
        }
        same(split, until.as_str(), &rest.records, &whole.records[*count..]);
        if !rest.borders.is_empty() {
            assert_eq!(rest.until(), whole.until(), "{}: another end from {until}", split.name);
        }
    }
}

/// A record's own position is where reading begins with it.
async fn from_records(make: Make<'_>, split: &SplitInfo, whole: &Collect) {
    let records: Vec<usize> = (0..whole.records.len()).collect();
    for index in thinned(&records) {
        let from = Position::new(whole.records[*index].position.order());
        let (end, rest) = read(&*make(), split, Some(from.clone())).await;
        assert_ne!(end.unwrap(), End::Stopped);
        same(split, from.as_str(), &rest.records, &whole.records[*index..]);
    }
}

async fn stops(make: Make<'_>, split: &SplitInfo, whole: &Collect) {
    for after in 0..whole.borders.len().min(3) {
        let mut collect = Collect::default();
        collect.stop_after = Some(after);
        let end = make().read(split, None, &mut collect).await.unwrap();
        assert_eq!((end, collect.borders.len()), (End::Stopped, after), "{}", split.name);
    }
}

fn same(split: &SplitInfo, what: &str, found: &[Record], wanted: &[Record]) {
    let differs = found.iter().zip(wanted).position(|(found, wanted)| found != wanted);
    assert!(
        differs.is_none() && found.len() == wanted.len(),
        "{} from {what}: {} records for {}, the first other one is {differs:?}",
        split.name,
        found.len(),
        wanted.len()
    );
}

/// All of a short list, about fifty of a long one, both ends among them.
fn thinned<T>(all: &[T]) -> impl Iterator<Item = &T> {
    let step = all.len().div_ceil(50).max(1);
    let last = all.len().saturating_sub(1);
    all.iter().enumerate().filter(move |(index, _)| index % step == 0 || *index == last).map(|(_, item)| item)
}

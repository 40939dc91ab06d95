//! `keep`: the rule by which old buckets are folded away.
//!
//! Of an average with a `keep`, a bucket of a kind (hour, day) is folded away once the newest bucket of that kind, over all
//! groups, begins more than `keep` after it does. It leaves the dataflow's memory, the log's state and what `averages` shows;
//! a late row for it counts in no bucket of that kind, and in the overall average as ever.
//!
//! The rule looks at totals alone, never at a clock. What must stay true: it gives the same totals wherever it is applied on
//! the way, once or many times. It does, since the newest bucket of a kind is never folded away and only ever becomes
//! newer: what is folded away at some point would be folded away at the end, whatever came to it in between.
//!
//! Owns the rule as the log needs it; the dataflow goes by the same ([`super::averages`]). A definition of an average in the
//! log says its keep ([`stated`]), so that a log is read without the pipeline's file.

use std::collections::BTreeMap;

use super::id::{AverageId, Total};
use super::key::{Bucket, start_of_text, start_text};

/// What a definition begins with where the average has a keep; the number of microseconds follows.
const STATED: &str = "keep ";

/// A definition that says the keep of its average, in microseconds. One without a keep is as it always was.
pub fn stated(definition: &str, keep: Option<i64>) -> String {
    keep.map_or_else(|| definition.to_owned(), |keep| format!("{STATED}{keep} {definition}"))
}

/// The keep that a definition says, and the rest of it.
pub fn read(definition: &str) -> (Option<i64>, &str) {
    let said = || {
        let (keep, rest) = definition.strip_prefix(STATED)?.split_once(' ')?;
        Some((keep.parse().ok()?, rest))
    };
    said().map_or((None, definition), |(keep, rest)| (Some(keep), rest))
}

/// What follows when an average is not defined as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redefined {
    /// Nothing: it is defined as it was.
    Same,
    /// The totals go on; more of them are folded away than before.
    KeepsLess,
    /// The totals count no more. It is another average, or it keeps more than before: what was folded away is nowhere but in
    /// the files.
    Recount,
}

/// What follows when an average that was defined as `old` is defined as `new`.
pub fn redefined(old: &str, new: &str) -> Redefined {
    let ((kept, was), (keeps, is)) = (read(old), read(new));
    let less = match (kept, keeps) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(kept), Some(keeps)) => keeps < kept,
    };
    match () {
        () if old == new => Redefined::Same,
        () if was == is && less => Redefined::KeepsLess,
        () => Redefined::Recount,
    }
}

/// Totals in the order of their ids, as far as the rule needs them.
pub trait Ordered {
    /// The start of the newest bucket of a kind, as text.
    fn newest(&self, average: &str, by: &str) -> Option<String>;
    /// Removes the buckets of a kind that begin before `start`; gives how many totals those were.
    fn remove_before(&mut self, average: &str, by: &str, start: &str) -> usize;
}

/// Folds away what the keep of an average (in microseconds) leaves behind; gives how many totals those were. Costs time for those
/// alone.
///
/// ```
/// use millstream_operators::average::keep::fold_away;
/// use millstream_operators::average::{AverageId, Total};
/// # use std::collections::BTreeMap;
///
/// let id = |from: &str| AverageId { average: "a".into(), by: "hour".into(), from: Some(from.into()), group: vec![] };
/// let total = || Total { sum: "1".into(), count: 1 };
/// let hours = ["2024-02-28T09:00:00Z", "2024-02-28T10:00:00Z", "2024-02-28T12:00:00Z"];
/// let mut totals: BTreeMap<_, _> = hours.iter().map(|from| (id(from), total())).collect();
/// assert_eq!(fold_away(&mut totals, "a", 2 * 3_600_000_000), 1);
/// assert_eq!(totals.into_keys().collect::<Vec<_>>(), [id("2024-02-28T10:00:00Z"), id("2024-02-28T12:00:00Z")]);
/// ```
pub fn fold_away(totals: &mut impl Ordered, average: &str, keep: i64) -> usize {
    let fold = |by: &Bucket| {
        let newest = totals.newest(average, by.name()).as_deref().and_then(start_of_text);
        let Some((newest, spans)) = newest.zip(spans(*by, keep)) else { return 0 };
        let horizon = by.start(by.span(newest).saturating_sub(spans));
        totals.remove_before(average, by.name(), &start_text(horizon))
    };
    Bucket::ALL.iter().map(fold).sum()
}

/// How many buckets of a kind are kept beside the newest; none: it has but one.
pub(super) fn spans(by: Bucket, keep: i64) -> Option<i64> {
    by.length().map(|length| keep.div_euclid(length))
}

impl Ordered for BTreeMap<AverageId, Total> {
    fn newest(&self, average: &str, by: &str) -> Option<String> {
        let (first, end) = (first_of(average, by), first_of(average, &format!("{by}\0")));
        self.range(first..end).next_back().and_then(|(id, _)| id.from.clone())
    }

    fn remove_before(&mut self, average: &str, by: &str, start: &str) -> usize {
        let mut removed = 0;
        loop {
            let end = AverageId { from: Some(start.to_owned()), ..first_of(average, by) };
            let Some(old) = self.range(first_of(average, by)..end).next().map(|(id, _)| id.clone()) else {
                return removed;
            };
            self.remove(&old);
            removed += 1;
        }
    }
}

fn first_of(average: &str, by: &str) -> AverageId {
    AverageId { average: average.to_owned(), by: by.to_owned(), from: None, group: Vec::new() }
}

#[cfg(test)]
mod tests {
    //! Would catch a longer keep that comes without the buckets it promises, a definition of a log from before that is not known
    //! again, and a rule that reaches into another average.
    use super::*;

    #[test]
    fn only_a_shorter_keep_goes_on_from_the_totals_there_are() {
        let plain = "of n by hour time at group ";
        let (ninety, thirty) = (stated(plain, Some(90)), stated(plain, Some(30)));
        assert_eq!(
            (stated(plain, None).as_str(), read(plain), read(&ninety)),
            (plain, (None, plain), (Some(90), plain))
        );
        for (old, new, follows) in [
            (plain, plain, Redefined::Same),
            (&ninety, &ninety, Redefined::Same),
            (plain, &ninety, Redefined::KeepsLess),
            (&ninety, &thirty, Redefined::KeepsLess),
            (&thirty, &ninety, Redefined::Recount),
            (&thirty, plain, Redefined::Recount),
            (plain, "of n by day time at group ", Redefined::Recount),
            (&ninety, "keep 30 of n by day time at group ", Redefined::Recount),
        ] {
            assert_eq!(redefined(old, new), follows, "{old} → {new}");
        }
    }

    #[test]
    fn hours_and_days_of_one_average_are_folded_each_by_its_own_newest() {
        let ids = [
            ("a", "day", "2024-02-26T00:00:00Z"),
            ("a", "day", "2024-02-27T00:00:00Z"),
            ("a", "day", "2024-02-28T00:00:00Z"),
            ("a", "hour", "2024-02-27T11:00:00Z"),
            ("a", "hour", "2024-02-27T12:00:00Z"),
            ("a", "hour", "2024-02-28T12:00:00Z"),
            ("b", "hour", "1999-01-01T00:00:00Z"),
        ];
        let id =
            |(average, by, from): (&str, &str, &str)| AverageId { from: Some(from.into()), ..first_of(average, by) };
        let mut totals: BTreeMap<_, _> =
            ids.into_iter().map(|it| (id(it), Total { sum: "1".into(), count: 1 })).collect();
        totals.insert(first_of("a", "overall"), Total { sum: "6".into(), count: 6 });
        assert_eq!(fold_away(&mut totals, "a", 24 * 3_600_000_000 + 1), 2);
        assert_eq!(fold_away(&mut totals, "a", 24 * 3_600_000_000 + 1), 0);
        let gone = [id(ids[0]), id(ids[3])];
        assert!(gone.iter().all(|id| !totals.contains_key(id)));
        assert_eq!(totals.len(), 6);
    }
}

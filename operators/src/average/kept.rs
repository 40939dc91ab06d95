//! Totals of averages by their id, in a fraction of the memory that ids and texts take.
//!
//! Owns the packed form. An id is a few texts that repeat in thousands of totals: the names of average and bucket are kept
//! once for all their totals, the rest of an id as one byte string, a sum as a number. About 130 bytes a total, with a group
//! of a dozen letters and a bucket's start. What must stay true: what goes in comes out letter for letter, in the order of
//! the ids; the form in the log is a list of pairs.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::id::{AverageId, Total};
use super::keep::Ordered;
use super::key::Bucket;
use super::number::Unit;

/// The starts and groups of one kind of bucket of one average.
type Rows = BTreeMap<Box<[u8]>, PackedTotal>;

/// What a total takes beside the bytes of its row: its place in the map, half of which may be empty, and the allocation of its row.
const ROW: usize = 112;

/// Totals by their id.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AverageTotals {
    /// By average and kind of bucket; none is empty.
    kinds: BTreeMap<String, BTreeMap<String, Rows>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct PackedTotal {
    sum: PackedSum,
    count: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PackedSum {
    /// The sum is this many units of the 10^-scale.
    Units { high: i64, low: u64, scale: u8 },
    /// A text that no units give.
    Text(Box<str>),
}

impl PackedTotal {
    fn new(total: &Total) -> Self {
        PackedTotal { sum: PackedSum::new(&total.sum), count: total.count }
    }

    fn total(&self) -> Total {
        Total { sum: self.sum.text(), count: self.count }
    }
}

/// Numbers with so many digits after the point.
fn unit(scale: u8) -> Option<Unit> {
    i8::try_from(scale).ok().map(|scale| Unit { scale, trim: false })
}

impl PackedSum {
    fn new(text: &str) -> Self {
        let rest = text.split_once('.').map_or(0, |(_, rest)| rest.len());
        let as_units = || {
            let scale = u8::try_from(rest).ok()?;
            let units = unit(scale)?.parse(text)?;
            Some(PackedSum::Units { high: (units >> 64) as i64, low: units as u64, scale })
        };
        as_units().filter(|sum| sum.text() == text).unwrap_or_else(|| PackedSum::Text(text.into()))
    }

    fn text(&self) -> String {
        match self {
            PackedSum::Text(text) => text.to_string(),
            PackedSum::Units { high, low, scale } => {
                let units = i128::from(*high) << 64 | i128::from(*low);
                unit(*scale).map_or_else(String::new, |unit| unit.text(units))
            }
        }
    }
}

/// What comes next in a packed row.
const NULL: u8 = 1;
const TEXT: u8 = 2;
/// Ends a text, and the list of values. Within a text a zero is followed by `ESCAPED`.
const END: u8 = 0;
const ESCAPED: u8 = u8::MAX;

/// Start and group as bytes that sort as the two do.
fn row(from: Option<&str>, group: &[Option<String>]) -> Box<[u8]> {
    let mut row = Vec::new();
    push(&mut row, from);
    group.iter().for_each(|value| push(&mut row, value.as_deref()));
    row.into_boxed_slice()
}

fn push(row: &mut Vec<u8>, value: Option<&str>) {
    let Some(text) = value else { return row.push(NULL) };
    row.push(TEXT);
    for byte in text.bytes() {
        row.push(byte);
        if byte == END {
            row.push(ESCAPED);
        }
    }
    row.push(END);
}

fn pull(row: &mut &[u8]) -> Option<Option<String>> {
    let (mark, mut rest) = row.split_first()?;
    let mut text = Vec::new();
    while *mark == TEXT
        && let Some((byte, after)) = rest.split_first()
    {
        rest = after;
        if *byte == END {
            match rest.strip_prefix(&[ESCAPED]) {
                Some(after) => rest = after,
                None => break,
            }
        }
        text.push(*byte);
    }
    *row = rest;
    Some((*mark == TEXT).then(|| String::from_utf8_lossy(&text).into_owned()))
}

fn id(average: &str, by: &str, mut row: &[u8]) -> AverageId {
    let from = pull(&mut row).flatten();
    let group = std::iter::from_fn(|| pull(&mut row)).collect();
    AverageId { average: average.to_owned(), by: by.to_owned(), from, group }
}

impl AverageTotals {
    /// How many totals there are.
    pub fn len(&self) -> usize {
        self.rows().map(|(_, _, rows)| rows.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.kinds.clear();
    }

    /// The total of an id.
    pub fn get(&self, id: &AverageId) -> Option<Total> {
        let rows = self.kinds.get(&id.average)?.get(&id.by)?;
        rows.get(&row(id.from.as_deref(), &id.group)).map(PackedTotal::total)
    }

    /// Sets the total of an id.
    pub fn insert(&mut self, id: &AverageId, total: &Total) {
        let row = row(id.from.as_deref(), &id.group);
        // The names are there already, but for the first total of their kind.
        let known = self.kinds.get_mut(&id.average).and_then(|kinds| kinds.get_mut(&id.by));
        let rows = match known {
            Some(rows) => rows,
            None => self.kinds.entry(id.average.clone()).or_default().entry(id.by.clone()).or_default(),
        };
        rows.insert(row, PackedTotal::new(total));
    }

    /// Removes the total of an id; gives what it was.
    pub fn remove(&mut self, id: &AverageId) -> Option<Total> {
        let rows = self.kinds.get_mut(&id.average)?.get_mut(&id.by)?;
        let removed = rows.remove(&row(id.from.as_deref(), &id.group));
        self.drop_empty(&id.average);
        removed.map(|total| total.total())
    }

    /// About how many bytes of memory they take.
    pub fn weight(&self) -> usize {
        let row = |row: &[u8]| row.len() + ROW;
        self.rows().flat_map(|(_, _, rows)| rows.keys()).map(|key| row(key)).sum()
    }

    /// The totals over everything, without a bucket or a group, by average.
    pub fn overall(&self) -> impl Iterator<Item = (&str, Total)> {
        let (by, whole) = (Bucket::Overall.name(), row(None, &[]));
        let total = move |kinds: &BTreeMap<String, Rows>| kinds.get(by)?.get(&whole).map(PackedTotal::total);
        self.kinds.iter().filter_map(move |(average, kinds)| Some((average.as_str(), total(kinds)?)))
    }

    /// Removes all totals of an average.
    pub fn remove_average(&mut self, average: &str) {
        self.kinds.remove(average);
    }

    /// All totals in the order of their ids, each made as it is asked for.
    pub fn iter(&self) -> impl Iterator<Item = (AverageId, Total)> + '_ {
        self.rows()
            .flat_map(|(average, by, rows)| rows.iter().map(move |(row, total)| (id(average, by, row), total.total())))
    }

    fn rows(&self) -> impl Iterator<Item = (&str, &str, &Rows)> {
        self.kinds
            .iter()
            .flat_map(|(average, kinds)| kinds.iter().map(move |(by, rows)| (average.as_str(), by.as_str(), rows)))
    }

    fn drop_empty(&mut self, average: &str) {
        if let Some(kinds) = self.kinds.get_mut(average) {
            kinds.retain(|_, rows| !rows.is_empty());
            if kinds.is_empty() {
                self.kinds.remove(average);
            }
        }
    }
}

impl IntoIterator for AverageTotals {
    type Item = (AverageId, Total);
    type IntoIter = Box<dyn Iterator<Item = Self::Item>>;

    /// All totals in the order of their ids; what was taken is held no longer.
    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.kinds.into_iter().flat_map(|(average, kinds)| {
            kinds.into_iter().flat_map(move |(by, rows)| {
                let average = average.clone();
                rows.into_iter().map(move |(row, total)| (id(&average, &by, &row), total.total()))
            })
        }))
    }
}

impl FromIterator<(AverageId, Total)> for AverageTotals {
    fn from_iter<I: IntoIterator<Item = (AverageId, Total)>>(totals: I) -> Self {
        let mut all = AverageTotals::default();
        all.extend(totals);
        all
    }
}

impl Extend<(AverageId, Total)> for AverageTotals {
    fn extend<I: IntoIterator<Item = (AverageId, Total)>>(&mut self, totals: I) {
        totals.into_iter().for_each(|(id, total)| self.insert(&id, &total));
    }
}

impl fmt::Debug for AverageTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for AverageTotals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for AverageTotals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Pairs)
    }
}

/// Reads pairs one by one, so that they are never all there in full.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = AverageTotals;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of averages, each with its total")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<AverageTotals, A::Error> {
        let mut totals = AverageTotals::default();
        while let Some((id, total)) = pairs.next_element::<(AverageId, Total)>()? {
            totals.insert(&id, &total);
        }
        Ok(totals)
    }
}

impl Ordered for AverageTotals {
    fn newest(&self, average: &str, by: &str) -> Option<String> {
        let (last, _) = self.kinds.get(average)?.get(by)?.last_key_value()?;
        pull(&mut &last[..]).flatten()
    }

    fn remove_before(&mut self, average: &str, by: &str, start: &str) -> usize {
        let Some(rows) = self.kinds.get_mut(average).and_then(|kinds| kinds.get_mut(by)) else { return 0 };
        let first = row(Some(start), &[]);
        let mut removed = 0;
        while let Some(oldest) = rows.first_entry().filter(|oldest| oldest.key() < &first) {
            oldest.remove();
            removed += 1;
        }
        self.drop_empty(average);
        removed
    }
}

#[cfg(test)]
mod tests {
    //! Holds the packed totals against a plain map. Would catch an order that is not that of the ids, a text that comes back
    //! otherwise, a form in the log that an older build cannot read, and a rule of folding away that differs from the map's.

    use proptest::prelude::*;

    use super::*;
    use crate::average::keep::fold_away;

    fn ids() -> impl Strategy<Value = AverageId> {
        let value = proptest::option::of("[a\u{0}\u{1}\u{2}ÿ]{0,3}");
        let from = proptest::option::of((1..4u8, 0..24u8).prop_map(|(d, h)| format!("2024-02-{d:02}T{h:02}:00:00Z")));
        ("[ab\u{0}]{0,2}", "(hour|day|overall)", from, proptest::collection::vec(value, 0..3))
            .prop_map(|(average, by, from, group)| AverageId { average, by, from, group })
    }

    fn totals() -> impl Strategy<Value = Total> {
        let number = any::<i64>().prop_map(|n| i128::from(n) * 1_000_000_007);
        let plain = (number, 0..12i8).prop_map(|(n, scale)| Unit { scale, trim: n % 2 == 0 }.text(n));
        let odd = "(-0|00|1\\.|\\.5|-|1e3|170141183460469231731687303715884105728|)";
        (prop_oneof![3 => plain, 1 => odd], any::<i64>()).prop_map(|(sum, count)| Total { sum, count })
    }

    fn listed(totals: impl Iterator<Item = (AverageId, Total)>) -> Vec<(AverageId, Total)> {
        totals.collect()
    }

    proptest! {
        #[test]
        fn they_are_what_a_plain_map_is(
            put in proptest::collection::vec((ids(), totals()), 0..40),
            take in proptest::collection::vec(any::<prop::sample::Index>(), 0..10),
            other in ids(),
            keep in 0..72i64,
        ) {
            let mut plain: BTreeMap<AverageId, Total> = put.iter().cloned().collect();
            let mut packed: AverageTotals = put.iter().cloned().collect();
            prop_assert_eq!(packed.get(&other), plain.get(&other).cloned());
            for index in take.iter().filter(|_| !put.is_empty()) {
                let (id, _) = index.get(&put);
                prop_assert_eq!(packed.get(id), plain.get(id).cloned());
                prop_assert_eq!(packed.remove(id), plain.remove(id));
            }
            let overall = plain.iter().filter(|(id, _)| id.by == "overall" && id.from.is_none() && id.group.is_empty());
            let overall: Vec<_> = overall.map(|(id, total)| (id.average.as_str(), total.clone())).collect();
            prop_assert_eq!(packed.overall().collect::<Vec<_>>(), overall);
            prop_assert_eq!((packed.len(), packed.is_empty()), (plain.len(), plain.is_empty()));
            prop_assert_eq!(listed(packed.iter()), listed(plain.clone().into_iter()));

            let written = serde_json::to_string(&packed).unwrap();
            prop_assert_eq!(&written, &serde_json::to_string(&plain.iter().collect::<Vec<_>>()).unwrap());
            prop_assert_eq!(&serde_json::from_str::<AverageTotals>(&written).unwrap(), &packed);

            let keep = keep * 3_600_000_000;
            prop_assert_eq!(fold_away(&mut packed, "a", keep), fold_away(&mut plain, "a", keep));
            prop_assert_eq!(listed(packed.clone().into_iter()), listed(plain.clone().into_iter()));
            packed.remove_average("b");
            plain.retain(|id, _| id.average != "b");
            prop_assert_eq!(listed(packed.into_iter()), listed(plain.into_iter()));
        }
    }

    #[test]
    fn a_total_takes_few_bytes() {
        assert_eq!(size_of::<(Box<[u8]>, PackedTotal)>(), 48);
    }
}

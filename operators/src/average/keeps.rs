//! Totals as state of an operator: what makes them begin anew, what is folded away, their columns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder, StringDictionaryBuilder,
};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef};
use serde::Deserialize;

use super::id::{AverageId, Total};
use super::keep::{self, Redefined, fold_away, redefined};
use super::kept::AverageTotals;
use crate::state::{Defined, Entries, Keeps, OperatorState};

/// Totals in a batch of columns.
const ROWS: usize = 1 << 14;

static COLUMNS: LazyLock<SchemaRef> = LazyLock::new(|| {
    let name = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
    let value = Arc::new(Field::new_list_field(DataType::Utf8, true));
    Arc::new(Schema::new(vec![
        Field::new("average", name.clone(), false),
        Field::new("by", name, false),
        Field::new("from", DataType::Utf8, true),
        Field::new("group", DataType::List(value), false),
        Field::new("sum", DataType::Utf8, false),
        Field::new("count", DataType::Int64, false),
    ]))
});

/// What logs up to format 2 say of averages.
#[derive(Deserialize)]
struct Before {
    #[serde(default)]
    dropped: Vec<String>,
    #[serde(default)]
    kept: Defined,
    #[serde(default)]
    averages: AverageTotals,
}

impl Keeps for AverageTotals {
    const NAME: &'static str = "averages";
    const COUNTS_BACK: bool = true;

    fn len(&self) -> usize {
        AverageTotals::len(self)
    }

    fn weight(&self) -> usize {
        AverageTotals::weight(self)
    }

    fn take_in(&mut self, newer: &Self) {
        newer.iter().for_each(|(id, total)| self.insert(&id, &total));
    }

    fn redefine(&mut self, average: &str, before: Option<&str>, now: &str) -> bool {
        if before.is_none_or(|before| redefined(before, now) == Redefined::Recount) {
            self.remove_average(average);
        }
        false
    }

    /// Its totals stay, for `averages --all`.
    fn drop_part(&mut self, _average: &str) -> bool {
        false
    }

    fn compact(&mut self, defined: &Defined) {
        for (average, definition) in defined {
            if let (Some(keep), _) = keep::read(definition) {
                fold_away(self, average, keep);
            }
        }
    }

    fn columns() -> SchemaRef {
        COLUMNS.clone()
    }

    fn rows(&self) -> Box<dyn Iterator<Item = RecordBatch> + Send + '_> {
        let mut totals = self.iter();
        Box::new(std::iter::from_fn(move || {
            let some: Vec<_> = totals.by_ref().take(ROWS).collect();
            (!some.is_empty()).then(|| in_columns(&some))
        }))
    }

    fn add_rows(&mut self, rows: &RecordBatch) -> Result<(), String> {
        if rows.schema().fields() != COLUMNS.fields() {
            return Err(format!("averages have no columns {}", rows.schema()));
        }
        let name = |index: usize| {
            let names = rows.column(index).as_dictionary::<Int32Type>();
            names.downcast_dict::<StringArray>().ok_or("a name is no text")
        };
        let (averages, bys) = (name(0)?, name(1)?);
        let (froms, groups) = (rows.column(2).as_string::<i32>(), rows.column(3).as_list::<i32>());
        let (sums, counts) = (rows.column(4).as_string::<i32>(), rows.column(5).as_primitive::<Int64Type>());
        for (row, (average, by)) in averages.into_iter().zip(bys).enumerate() {
            let id = AverageId {
                average: average.unwrap_or_default().to_owned(),
                by: by.unwrap_or_default().to_owned(),
                from: froms.is_valid(row).then(|| froms.value(row).to_owned()),
                group: groups.value(row).as_string::<i32>().iter().map(|value| value.map(str::to_owned)).collect(),
            };
            self.insert(&id, &Total { sum: sums.value(row).to_owned(), count: counts.value(row) });
        }
        Ok(())
    }

    fn from_before(json: &[u8]) -> Option<OperatorState> {
        let Before { dropped, kept, averages } = serde_json::from_slice(json).ok()?;
        Some(OperatorState { defined: kept, dropped, entries: Some(Entries::new(averages)), objects: Vec::new() })
    }
}

fn in_columns(totals: &[(AverageId, Total)]) -> RecordBatch {
    let names = |of: fn(&AverageId) -> &str| {
        let mut names = StringDictionaryBuilder::<Int32Type>::new();
        totals.iter().for_each(|(id, _)| names.append_value(of(id)));
        Arc::new(names.finish()) as ArrayRef
    };
    let mut groups = ListBuilder::new(StringBuilder::new());
    for (id, _) in totals {
        groups.append_value(id.group.iter().map(Option::as_deref));
    }
    let froms: StringArray = totals.iter().map(|(id, _)| id.from.as_deref()).collect();
    let sums = StringArray::from_iter_values(totals.iter().map(|(_, total)| &total.sum));
    let counts = Int64Array::from_iter_values(totals.iter().map(|(_, total)| total.count));
    let columns: Vec<ArrayRef> = vec![
        names(|id| &id.average),
        names(|id| &id.by),
        Arc::new(froms),
        Arc::new(groups.finish()),
        Arc::new(sums),
        Arc::new(counts),
    ];
    #[expect(clippy::expect_used, reason = "every column has a value for each total, of the type that the schema says")]
    RecordBatch::try_new(COLUMNS.clone(), columns).expect("totals fit their columns")
}

/// Averages counted again from files must be those of the log, to the last digit: a line for each that is not. `missing` rows of
/// the files that are counted are lost, which somebody accepted: they are in the log's averages, so the files may tell less,
/// by no more than those rows.
pub fn differences(log: &BTreeMap<AverageId, Total>, files: &BTreeMap<AverageId, Total>, missing: u64) -> Vec<String> {
    let ids: BTreeSet<&AverageId> = files.keys().chain(log.keys()).collect();
    let difference = |id: &AverageId| {
        let (said, found) = (log.get(id), files.get(id));
        let count = |total: Option<&Total>| total.map_or(0, |total| total.count);
        let lacks = u64::try_from(count(said) - count(found)).is_ok_and(|lacks| 0 < lacks && lacks <= missing);
        let show = |total: Option<&Total>| total.map_or("none".into(), |t| format!("{}/{}", t.sum, t.count));
        (said != found && !lacks).then(|| {
            let (name, at, group) = (&id.average, id.from.as_deref().unwrap_or("overall"), &id.group);
            format!("average {name} {at} {group:?}: the log says {}, the files {}", show(said), show(found))
        })
    };
    ids.into_iter().filter_map(difference).collect()
}

#[cfg(test)]
mod tests {
    //! Would catch a total that comes back otherwise from an object of the log, and a recount that excuses too much.

    use super::*;

    fn average(by: &str, sum: &str, count: i64) -> BTreeMap<AverageId, Total> {
        let id = AverageId { average: "words".into(), by: by.into(), from: None, group: Vec::new() };
        BTreeMap::from([(id, Total { sum: sum.into(), count })])
    }

    #[test]
    fn totals_go_into_columns_and_come_back() {
        let id = |n: usize, from: Option<&str>, group: &[Option<&str>]| AverageId {
            average: format!("a{}", n % 3),
            by: "day".into(),
            from: from.map(str::to_owned),
            group: group.iter().map(|value| value.map(str::to_owned)).chain([Some(n.to_string())]).collect(),
        };
        let froms = [None, Some("2024-01-01T00:00:00Z")];
        let groups: [&[Option<&str>]; 3] = [&[], &[None], &[Some(""), Some("é")]];
        let all: AverageTotals = (0..ROWS + 7)
            .map(|n| (id(n, froms[n % 2], groups[n % 3]), Total { sum: format!("-{n}.25"), count: n as i64 }))
            .collect();
        let mut back = AverageTotals::default();
        let mut batches = 0;
        for rows in Keeps::rows(&all) {
            back.add_rows(&rows).unwrap();
            batches += 1;
        }
        assert_eq!((back == all, batches), (true, 2));
        assert!(back.add_rows(&RecordBatch::new_empty(Arc::new(Schema::empty()))).is_err());
    }

    #[test]
    fn averages_that_differ_are_named() {
        let said = |log, files| differences(&log, &files, 0);
        assert_eq!(said(average("day", "7", 3), average("day", "7", 3)), [] as [String; 0]);
        assert!(said(average("day", "5", 2), average("day", "6", 2))[0].contains("the log says 5/2, the files 6/2"));
        assert!(said(average("day", "5", 2), BTreeMap::new())[0].contains("the files none"));
        assert!(said(BTreeMap::new(), average("day", "5", 2))[0].contains("the log says none"));
    }

    #[test]
    fn files_may_tell_less_by_the_rows_that_are_lost_and_no_more() {
        let lacking = |count| differences(&average("day", "9", 5), &average("day", "4", count), 2).len();
        assert_eq!([lacking(3), lacking(2), lacking(6)], [0, 1, 1]);
    }

    /// Logs of the release before.
    #[test]
    fn what_a_commit_said_of_averages_before_is_read() {
        let json = br#"{"dropped":["old"],"kept":{"words":"of words"},
            "averages":[[{"average":"words","by":"overall"},{"sum":"7","count":3}]],"files":[]}"#;
        let change = AverageTotals::from_before(json).unwrap();
        assert_eq!((change.defined["words"].as_str(), change.dropped), ("of words", vec!["old".to_owned()]));
        assert_eq!(
            change.entries.unwrap().get(),
            Some(&average("overall", "7", 3).into_iter().collect::<AverageTotals>())
        );
        assert!(AverageTotals::from_before(b"nonsense").is_none());
    }
}

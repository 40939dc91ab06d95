//! Rows that cannot be calculated, and those beside them.
//!
//! The oracle is the expression itself, asked of one row at a time: a batch must give for each row what that gives.

use arrow::compute::concat;
use proptest::prelude::*;

use super::*;

#[test]
fn only_the_row_at_fault_fails() {
    let evaluated = compile("cast(number as int) * 2").evaluate(&rows());
    assert_eq!(texts(&evaluated.values), ["24", "-", "-6"]);
    assert_eq!(evaluated.failed.len(), 1);
    assert_eq!(evaluated.failed[0].0, 1);
    assert!(evaluated.failed[0].1.contains("'x'"), "{}", evaluated.failed[0].1);
    for (sql, failing) in [
        ("1 / group", vec![1]),
        ("order / (group - 1)", vec![0]),
        ("9223372036854775807 + group", vec![0, 2]),
        ("group - 9223372036854775807 - 2", vec![1]),
        ("-(group - 2147483647 - 1)", vec![]),
        ("cast(group as int) * cast(2147483647 as int)", vec![2]),
        ("1 / 0", vec![0, 1, 2]),
        ("cast(title as timestamp)", vec![0, 2]),
    ] {
        let failed: Vec<u32> = compile(sql).evaluate(&rows()).failed.iter().map(|(row, _)| *row).collect();
        assert_eq!(failed, failing, "{sql}");
    }
}

#[test]
fn a_constant_that_does_not_fit_does_not_compile() {
    for sql in [
        "9223372036854775807 + 1",
        "group + 9223372036854775807 * 2",
        "case when select then 1 - -9223372036854775807 end",
    ] {
        assert!(error(sql).to_lowercase().contains("overflow"), "{sql}: {}", error(sql));
    }
}

#[test]
fn a_condition_keeps_its_neighbours_safe() {
    check(&[
        ("group <> 0 and 4 / group > 2", ["true", "false", "false"]),
        ("case when group = 0 then 0 else 4 / group end", ["4", "0", "2"]),
    ]);
}

#[test]
fn a_rule_that_fails_is_not_true() {
    let ruled = Expression::compile_rule("cast(number as int) > -10", &rows().schema()).unwrap().evaluate_rule(&rows());
    assert_eq!(ruled.passed, BooleanArray::from(vec![true, false, true]));
    assert_eq!(ruled.failed.len(), 1);
}

#[test]
fn a_batch_without_rows_has_no_values() {
    for sql in ["cast(number as int)", "1 / 0", "word_count(content)", "user"] {
        let expression = compile(sql);
        let evaluated = expression.evaluate(&rows().slice(0, 0));
        assert_eq!((evaluated.values.len(), evaluated.failed.len()), (0, 0), "{sql}");
        assert_eq!(evaluated.values.data_type(), &expression.data_type());
    }
}

/// A batch of texts and numbers, some of which fail.
fn batch(cells: &[(Option<i64>, Option<&str>)]) -> RecordBatch {
    let numbers: Int64Array = cells.iter().map(|cell| cell.0).collect();
    let texts: StringArray = cells.iter().map(|cell| cell.1).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("number", Arc::new(numbers) as ArrayRef, true),
        ("text", Arc::new(texts) as ArrayRef, true),
    ])
    .unwrap()
}

const FALLIBLE: [&str; 5] = [
    "cast(text as bigint)",
    "100 / number",
    "number <> 0 and 100 / number > 7",
    "coalesce(try_cast(text as bigint), 100 / number)",
    "case when number > 2 then cast(text as bigint) else number * 4611686018427387904 end",
];

const TEXTS: [Option<&str>; 6] = [Some("1"), Some("12"), Some("x"), Some(""), Some("99999999999999999999"), None];

fn cell() -> impl Strategy<Value = (Option<i64>, Option<&'static str>)> {
    (proptest::option::weighted(0.9, -1i64..5), proptest::sample::select(&TEXTS[..]))
}

proptest! {
    #[test]
    fn a_batch_gives_each_row_what_it_gets_alone(cells in proptest::collection::vec(cell(), 1..40), which in 0..5usize) {
        let rows = batch(&cells);
        let expression = Expression::compile(FALLIBLE[which], &rows.schema()).unwrap();
        let together = expression.evaluate(&rows);
        let alone: Vec<Evaluated> = (0..rows.num_rows()).map(|row| expression.evaluate(&rows.slice(row, 1))).collect();
        let values: Vec<_> = alone.iter().map(|one| one.values.as_ref()).collect();
        prop_assert_eq!(&together.values, &concat(&values).unwrap());
        let failed: Vec<(u32, String)> = alone
            .iter()
            .enumerate()
            .flat_map(|(row, one)| one.failed.iter().map(move |(_, message)| (row as u32, message.clone())))
            .collect();
        prop_assert_eq!(together.failed, failed);
    }
}

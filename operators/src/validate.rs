//! `validate`: rows on which a rule of `[validate]` is not true become rejects.
//!
//! Owns which rule is blamed and what the reject says. Does not own how a rule is evaluated: [`Rules`] is given. What must
//! stay true: the first rule, in the order of the file, that is not true of a row refuses it, and null is not true.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};
use timely::dataflow::Stream;

use crate::batch::Batch;
use crate::fork::{self, Refused};
use crate::reject::{Reason, Stage};

/// A rule as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub name: Arc<str>,
    /// The expression, for messages.
    pub text: String,
}

/// What a rule says of the rows of a batch.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Per row whether the rule holds; null is not true.
    pub holds: BooleanArray,
    /// Rows on which it could not be evaluated, ascending, and why. What `holds` says of them does not count.
    pub failed: Vec<(u32, String)>,
}

/// The rules of a pipeline, ready to be evaluated.
pub trait Rules: Send {
    /// All rules, in the order of the file.
    fn rules(&self) -> &[Rule];

    /// What rule `index` says of the rows. Called with rows that earlier rules refuse, too: their verdict is not used.
    fn check(&self, index: usize, rows: &RecordBatch) -> Verdict;
}

/// Refuses rows that break a rule.
///
/// It works on a batch at a time and needs no dataflow. A batch that keeps all its rows is not copied.
pub struct Validate {
    rules: Box<dyn Rules>,
}

impl Validate {
    pub fn new(rules: Box<dyn Rules>) -> Self {
        Validate { rules }
    }

    /// The rows that every rule holds for, and the others as rejects.
    pub fn apply(&mut self, batch: Batch) -> (Batch, Option<Batch>) {
        let mut blame: Vec<Option<Refused>> = Vec::new();
        for (index, rule) in self.rules.rules().iter().enumerate() {
            let verdict = self.rules.check(index, &batch.rows);
            if !all_hold(&verdict) {
                blame.resize_with(batch.rows.num_rows(), || None);
                refuse(rule, &verdict, &mut blame);
            }
        }
        fork::part(batch, Stage::Validate, blame.into_iter().flatten().collect())
    }
}

fn all_hold(verdict: &Verdict) -> bool {
    verdict.failed.is_empty() && verdict.holds.true_count() == verdict.holds.len()
}

fn refuse(rule: &Rule, verdict: &Verdict, blame: &mut [Option<Refused>]) {
    let mut refuse = |row: usize, what: &str| {
        blame[row].get_or_insert_with(|| Refused {
            row: row as u32,
            reason: Reason::Rule(rule.name.clone()),
            field: None,
            message: format!("{} {what}: {}", rule.name, rule.text),
        });
    };
    for (row, why) in &verdict.failed {
        refuse(*row as usize, &format!("cannot be evaluated ({why})"));
    }
    let holds = &verdict.holds;
    for row in 0..holds.len() {
        let failed = || verdict.failed.binary_search_by_key(&(row as u32), |(row, _)| *row).is_ok();
        if holds.is_null(row) && !failed() {
            refuse(row, "is null");
        } else if holds.is_valid(row) && !holds.value(row) && !failed() {
            refuse(row, "is false");
        }
    }
}

/// The timely operator: rows that keep the rules, and rejects.
///
/// ```
/// use arrow::array::{AsArray, BooleanArray, RecordBatch};
/// use millstream_operators::validate::{validate, Rule, Rules, Validate, Verdict};
/// # use std::sync::Arc;
/// # use arrow::array::{ArrayRef, Int64Array};
/// # use arrow::datatypes::Int64Type;
/// # use millstream_operators::{batch::{Beside, Positions}, Batch, Origin, Permit, Position, RawBatch, Records};
/// # use timely::dataflow::operators::{Inspect, ToStream};
/// # fn batch_of(numbers: Vec<i64>) -> Batch {
/// #     let rows = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(numbers)) as ArrayRef)]).unwrap();
/// #     let raw = RawBatch {
/// #         split: "numbers".into(), records: Records::Rows(rows.clone()), positions: Positions::Counted { first: 0 },
/// #         until: Position::at(9), arrived_at: 0, refused: vec![], beside: Beside::default(), permit: Permit::free(), size: 0,
/// #     };
/// #     Batch { rows, origin: Origin::all(Arc::new(raw)) }
/// # }
/// struct Positive([Rule; 1]);
/// impl Rules for Positive {
///     fn rules(&self) -> &[Rule] {
///         &self.0
///     }
///     fn check(&self, _: usize, rows: &RecordBatch) -> Verdict {
///         let numbers = rows.column(0).as_primitive::<Int64Type>();
///         Verdict { holds: BooleanArray::from_unary(numbers, |n| n > 0), failed: vec![] }
///     }
/// }
///
/// timely::example(|scope| {
///     let rules = Positive([Rule { name: "positive".into(), text: "n > 0".into() }]);
///     let batches = vec![batch_of(vec![3, -1, 4])].to_stream(scope).container::<Vec<_>>();
///     let (kept, rejects) = validate(batches, Validate::new(Box::new(rules)));
///     kept.inspect(|batch| assert_eq!(batch.rows.num_rows(), 2));
///     rejects.inspect(|batch| {
///         let messages = batch.rows.column_by_name("message").unwrap().as_string::<i32>();
///         assert_eq!(messages.value(0), "positive is false: n > 0");
///     });
/// });
/// ```
pub fn validate<'scope>(
    stream: Stream<'scope, u64, Vec<Batch>>,
    mut validate: Validate,
) -> (Stream<'scope, u64, Vec<Batch>>, Stream<'scope, u64, Vec<Batch>>) {
    fork::fork(stream, "Validate", move |batch| validate.apply(batch))
}

#[cfg(test)]
mod tests {
    //! Would catch the wrong rule blamed, null taken for true, a position that shifts once rows before it are refused, and a
    //! copy made of a batch that keeps all its rows.
    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::batch::{Beside, Origin, Permit, Positions, RawBatch, Records};
    use crate::position::Position;

    struct Given {
        rules: Vec<Rule>,
        verdicts: Vec<Verdict>,
    }

    impl Rules for Given {
        fn rules(&self) -> &[Rule] {
            &self.rules
        }

        fn check(&self, index: usize, rows: &RecordBatch) -> Verdict {
            let verdict = &self.verdicts[index];
            Verdict { holds: verdict.holds.slice(0, rows.num_rows()), failed: verdict.failed.clone() }
        }
    }

    type Says = (Vec<Option<bool>>, Vec<(u32, String)>);

    fn rules(says: Vec<Says>) -> Validate {
        let rule = |index: usize| Rule { name: format!("rule{index}").into(), text: format!("x > {index}") };
        let rules = (0..says.len()).map(rule).collect();
        let verdicts = says.into_iter().map(|(holds, failed)| Verdict { holds: holds.into(), failed }).collect();
        Validate::new(Box::new(Given { rules, verdicts }))
    }

    fn batch(count: u64) -> Batch {
        let numbers = Arc::new(Int64Array::from_iter_values(0..count as i64)) as ArrayRef;
        let rows = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        let raw = RawBatch {
            split: "s".into(),
            records: Records::Rows(rows.clone()),
            positions: Positions::Counted { first: 100 },
            until: Position::at(100 + count),
            arrived_at: 0,
            refused: vec![],
            beside: Beside::default(),
            permit: Permit::free(),
            size: 0,
        };
        Batch { rows, origin: Origin::all(Arc::new(raw)) }
    }

    fn text(batch: &Batch, column: &str) -> Vec<String> {
        let column = batch.rows.column_by_name(column).unwrap().as_string::<i32>();
        column.iter().map(|text| text.unwrap().to_owned()).collect()
    }

    #[test]
    fn the_first_rule_that_is_not_true_is_blamed() {
        let (yes, no) = (Some(true), Some(false));
        let mut validate = rules(vec![
            (vec![yes, no, None, yes, yes, yes], vec![(4, "overflow".into())]),
            (vec![yes, no, yes, no, no, yes], vec![(2, "later".into())]),
        ]);
        let (kept, rejects) = validate.apply(batch(6));
        assert_eq!(kept.rows.column(0).as_primitive::<Int64Type>().values(), &[0, 5]);
        assert_eq!(kept.origin.position(1).to_string(), "105");
        let rejects = rejects.unwrap();
        assert_eq!(text(&rejects, "_position"), ["101", "102", "103", "104"]);
        assert_eq!(text(&rejects, "reason"), ["rule:rule0", "rule:rule0", "rule:rule1", "rule:rule0"]);
        let messages = [
            "rule0 is false: x > 0",
            "rule0 is null: x > 0",
            "rule1 is false: x > 1",
            "rule0 cannot be evaluated (overflow): x > 0",
        ];
        assert_eq!(text(&rejects, "message"), messages);

        // What was kept is validated again, as a second refusing operator would: positions hold.
        let (kept, rejects) = rules(vec![(vec![no, yes], vec![])]).apply(kept);
        assert_eq!(kept.origin.position(0).to_string(), "105");
        assert_eq!(text(&rejects.unwrap(), "_position"), ["100"]);
    }

    #[test]
    fn a_batch_that_keeps_all_is_not_copied() {
        let batch = batch(3);
        let before = batch.rows.column(0).clone();
        let (kept, rejects) = rules(vec![(vec![Some(true); 3], vec![])]).apply(batch);
        assert!(rejects.is_none() && Arc::ptr_eq(kept.rows.column(0), &before));
        let (none, rejects) = rules(vec![(vec![None; 3], vec![])]).apply(kept);
        assert_eq!((none.rows.num_rows(), rejects.unwrap().rows.num_rows()), (0, 3));
    }
}

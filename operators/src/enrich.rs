//! `enrich`: the calculated columns of `[enrich]`, added to every batch.
//!
//! Owns what becomes of rows whose columns could not be calculated. Does not own the calculation: [`Columns`] is given.
//! What must stay true: a row leaves with all its columns or as a reject, never with a guess in one of them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use timely::dataflow::Stream;

use crate::batch::Batch;
use crate::fork::{self, Refused};
use crate::reject::{Reason, Stage};

/// A cell that could not be calculated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub row: u32,
    /// The column of `[enrich]`.
    pub column: Arc<str>,
    /// Why, in a line.
    pub message: String,
}

/// A batch with its new columns.
#[derive(Clone, Debug)]
pub struct Added {
    /// All rows, as many and in the same order as were given, with all columns; what a failed cell holds does not matter.
    pub rows: RecordBatch,
    /// In any order; a row may fail more than once.
    pub failed: Vec<Failure>,
}

/// The calculated columns of a pipeline, ready to be evaluated.
pub trait Columns: Send {
    /// The rows with the new columns behind the old ones.
    fn add(&self, rows: &RecordBatch) -> Added;
}

/// Adds calculated columns.
///
/// It works on a batch at a time and needs no dataflow. Existing columns are shared, not copied, unless a row is refused.
pub struct Enrich {
    columns: Box<dyn Columns>,
}

impl Enrich {
    pub fn new(columns: Box<dyn Columns>) -> Self {
        Enrich { columns }
    }

    /// The rows with their new columns, and those that have none as rejects.
    pub fn apply(&mut self, batch: Batch) -> (Batch, Option<Batch>) {
        let Added { rows, mut failed } = self.columns.add(&batch.rows);
        // A stable sort: of several failures in a row the first one given is told.
        failed.sort_by_key(|failure| failure.row);
        failed.dedup_by_key(|failure| failure.row);
        let refused = failed.into_iter().map(|failure| Refused {
            row: failure.row,
            reason: Reason::Type,
            field: Some(failure.column),
            message: failure.message,
        });
        fork::part(Batch { rows, origin: batch.origin }, Stage::Enrich, refused.collect())
    }
}

/// The timely operator: rows with their new columns, and rejects.
///
/// ```
/// use arrow::array::RecordBatch;
/// use millstream_operators::enrich::{enrich, Added, Columns, Enrich};
/// # use std::sync::Arc;
/// # use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
/// # use arrow::datatypes::Int64Type;
/// # use millstream_operators::{batch::{Beside, Positions}, Batch, Origin, Permit, Position, RawBatch, Records};
/// # use timely::dataflow::operators::{Inspect, ToStream};
/// # fn batch_of(words: Vec<&str>) -> Batch {
/// #     let rows = RecordBatch::try_from_iter([("word", Arc::new(StringArray::from(words)) as ArrayRef)]).unwrap();
/// #     let raw = RawBatch {
/// #         split: "words".into(), records: Records::Rows(rows.clone()), positions: Positions::Counted { first: 0 },
/// #         until: Position::at(9), arrived_at: 0, refused: vec![], beside: Beside::default(), permit: Permit::free(), size: 0,
/// #     };
/// #     Batch { rows, origin: Origin::all(Arc::new(raw)) }
/// # }
/// struct Length;
/// impl Columns for Length {
///     fn add(&self, rows: &RecordBatch) -> Added {
///         let words = rows.column(0).as_string::<i32>();
///         let lengths: Int64Array = words.iter().map(|word| word.map(|word| word.len() as i64)).collect();
///         let columns = [("word", rows.column(0).clone()), ("length", Arc::new(lengths) as ArrayRef)];
///         Added { rows: RecordBatch::try_from_iter(columns).unwrap(), failed: vec![] }
///     }
/// }
///
/// timely::example(|scope| {
///     let batches = vec![batch_of(vec!["mill", "stream"])].to_stream(scope).container::<Vec<_>>();
///     let (rows, _rejects) = enrich(batches, Enrich::new(Box::new(Length)));
///     rows.inspect(|batch| assert_eq!(batch.rows.column(1).as_primitive::<Int64Type>().values(), &[4, 6]));
/// });
/// ```
pub fn enrich<'scope>(
    stream: Stream<'scope, u64, Vec<Batch>>,
    mut enrich: Enrich,
) -> (Stream<'scope, u64, Vec<Batch>>, Stream<'scope, u64, Vec<Batch>>) {
    fork::fork(stream, "Enrich", move |batch| enrich.apply(batch))
}

#[cfg(test)]
mod tests {
    //! Would catch a row that fails twice and is refused twice, and a failed row that is kept.
    use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::batch::{Beside, Origin, Permit, Positions, RawBatch, Records};
    use crate::position::Position;

    struct Fails(Vec<(u32, &'static str)>);

    impl Columns for Fails {
        fn add(&self, rows: &RecordBatch) -> Added {
            let failure = |(row, column): &(u32, &str)| Failure {
                row: *row,
                column: (*column).into(),
                message: format!("{column} fails"),
            };
            Added { rows: rows.clone(), failed: self.0.iter().map(failure).collect() }
        }
    }

    #[test]
    fn a_row_that_fails_is_one_reject() {
        let numbers = Arc::new(Int64Array::from_iter_values(0..4)) as ArrayRef;
        let rows = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        let raw = RawBatch {
            split: "s".into(),
            records: Records::Rows(rows.clone()),
            positions: Positions::Counted { first: 0 },
            until: Position::at(4),
            arrived_at: 0,
            refused: vec![],
            beside: Beside::default(),
            permit: Permit::free(),
            size: 0,
        };
        let batch = Batch { rows, origin: Origin::all(Arc::new(raw)) };
        let (kept, rejects) = Enrich::new(Box::new(Fails(vec![(3, "b"), (1, "a"), (3, "a")]))).apply(batch);
        assert_eq!(kept.rows.column(0).as_primitive::<Int64Type>().values(), &[0, 2]);
        let rejects = rejects.unwrap().rows;
        let text = |column: &str| -> Vec<String> {
            let column = rejects.column_by_name(column).unwrap().as_string::<i32>();
            (0..column.len()).map(|row| column.value(row).to_owned()).collect()
        };
        assert_eq!(text("field"), ["a", "b"]);
        assert_eq!(text("reason"), ["type", "type"]);
        assert_eq!(text("message"), ["a fails", "b fails"]);
    }
}

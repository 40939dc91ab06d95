//! `route`: which sinks take a row, and rows that a sink takes but cannot file become rejects.
//!
//! ```text
//! rows ─ every `where` ─ every path limit ─┬→ all rows that were not refused (for averages)
//!                                          ├→ the rows of each sink
//!                                          ├→ rejects
//!                                          └→ counts: what each sink leaves out
//! ```
//! Owns the decision by sink. Does not own what a `where` means: [`Takes`] is given. What must stay true: a record that is
//! refused for one sink is refused for all, so that it is in one place; a row that no sink takes is reported for
//! [`Counts::every`], one that another sink takes for the sink that leaves it out; null is not true.

use arrow::array::{Array, BooleanArray};
use arrow::buffer::BooleanBuffer;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Stream, StreamVec};
use timely::progress::operate::FrontierInterest;

use arrow::array::RecordBatch;

use crate::batch::Batch;
use crate::encode::PathLimit;
use crate::fork::{self, Refused};
use crate::protocol::Place;
use crate::protocol::equation::{Counted, Counts, Term};
use crate::reject::{Reason, Stage};
use crate::validate::Verdict;

/// The `where` of a sink, ready to be evaluated.
pub trait Takes: Send {
    /// Evaluates it for every row.
    fn check(&self, rows: &RecordBatch) -> Verdict;
}

/// A sink as far as the choice of its rows goes.
pub struct Leg {
    pub place: Place,
    /// None: it takes all rows.
    pub takes: Option<Box<dyn Takes>>,
    pub limit: PathLimit,
}

/// Deals rows out to sinks.
///
/// It works on a batch at a time and needs no dataflow. A sink that takes a whole batch shares its columns; one that takes
/// some of its rows copies those alone.
pub struct Route {
    legs: Vec<Leg>,
}

/// What became of a batch.
pub struct Routed {
    /// The rows that were not refused.
    pub rows: Batch,
    /// The rows of each sink, in the order of the legs.
    pub legs: Vec<Batch>,
    pub rejects: Vec<Batch>,
    pub counts: Vec<Counted>,
}

/// The rows that a sink takes; none: all of them.
type Mask = Option<BooleanBuffer>;

impl Route {
    pub fn new(legs: Vec<Leg>) -> Self {
        Route { legs }
    }

    /// The sinks, in their order.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.legs.iter().map(|leg| &leg.place)
    }

    /// What it reports of every batch.
    pub fn reports(&self) -> Vec<(Term, Place)> {
        let filters = self.legs.iter().filter(|leg| leg.takes.is_some()).map(|leg| leg.place.clone());
        let mut reports: Vec<(Term, Place)> = filters.map(|place| (Term::Filtered, place)).collect();
        if !reports.is_empty() {
            reports.push((Term::Filtered, Counts::every()));
        }
        reports
    }

    /// Deals the rows of a batch out.
    pub fn apply(&mut self, batch: Batch) -> Routed {
        let (mut batch, mut rejects) = (batch, Vec::new());
        let mut masks = loop {
            let (masks, refused) = self.masks(&batch.rows);
            if refused.is_empty() {
                break masks;
            }
            batch = refuse(batch, Stage::Filter, refused, &mut rejects);
        };
        let refused = self.too_long(&batch.rows, &masks);
        if !refused.is_empty() {
            batch = refuse(batch, Stage::Limit, refused, &mut rejects);
            masks = self.masks(&batch.rows).0;
        }
        let counts = self.counts(&batch, &masks);
        let legs = masks.into_iter().map(|mask| taken(&batch, mask)).collect();
        Routed { rows: batch, legs, rejects, counts }
    }

    /// Which rows each sink takes, and those of which it cannot be told.
    fn masks(&self, rows: &RecordBatch) -> (Vec<Mask>, Vec<Refused>) {
        let mut refused: Vec<Refused> = Vec::new();
        let mut mask = |leg: &Leg| {
            let verdict = leg.takes.as_ref()?.check(rows);
            refused.extend(verdict.failed.into_iter().map(|(row, why)| Refused {
                row,
                reason: Reason::Type,
                field: None,
                message: format!("whether sink {} takes it cannot be told: {why}", leg.place),
            }));
            Some(is_true(&verdict.holds)).filter(|mask| mask.count_set_bits() < mask.len())
        };
        let masks = self.legs.iter().map(&mut mask).collect();
        // A stable sort: of several sinks the first one is told.
        refused.sort_by_key(|refused| refused.row);
        refused.dedup_by_key(|refused| refused.row);
        (masks, refused)
    }

    /// Rows that a sink takes and whose path it cannot make.
    fn too_long(&self, rows: &RecordBatch, masks: &[Mask]) -> Vec<Refused> {
        let mut refused = Vec::new();
        for (leg, mask) in self.legs.iter().zip(masks) {
            refused.extend(leg.limit.refused(rows, |row| mask.as_ref().is_none_or(|mask| mask.value(row))));
        }
        refused.sort_by_key(|refused| refused.row);
        refused.dedup_by_key(|refused| refused.row);
        refused
    }

    fn counts(&self, batch: &Batch, masks: &[Mask]) -> Vec<Counted> {
        if self.legs.iter().all(|leg| leg.takes.is_none()) {
            return Vec::new();
        }
        let rows = batch.rows.num_rows();
        let counted = |place: Place, records: usize| Counted {
            term: Term::Filtered,
            place,
            split: batch.origin.raw.split.clone(),
            records: records as i64,
        };
        let by_nobody = rows - any(masks).map_or(rows, |any| any.count_set_bits());
        let mut counts = vec![counted(Counts::every(), by_nobody)];
        for (leg, mask) in self.legs.iter().zip(masks).filter(|(leg, _)| leg.takes.is_some()) {
            let left_out = mask.as_ref().map_or(0, |mask| rows - mask.count_set_bits());
            counts.push(counted(leg.place.clone(), left_out - by_nobody));
        }
        counts
    }
}

/// Takes refused rows out of a batch.
fn refuse(batch: Batch, stage: Stage, refused: Vec<Refused>, rejects: &mut Vec<Batch>) -> Batch {
    let (batch, refused) = fork::part(batch, stage, refused);
    rejects.extend(refused);
    batch
}

fn is_true(holds: &BooleanArray) -> BooleanBuffer {
    match holds.nulls() {
        Some(nulls) => holds.values() & nulls.inner(),
        None => holds.values().clone(),
    }
}

/// The rows that some sink takes; none: all of them.
fn any(masks: &[Mask]) -> Mask {
    let mut taken: Option<BooleanBuffer> = None;
    for mask in masks {
        let mask = mask.as_ref()?;
        taken = Some(taken.map_or_else(|| mask.clone(), |taken| &taken | mask));
    }
    taken
}

fn taken(batch: &Batch, mask: Mask) -> Batch {
    match mask {
        None => batch.clone(),
        Some(mask) => fork::keep(batch, &BooleanArray::new(mask, None)),
    }
}

/// The streams behind the operator.
pub struct Routes<'scope> {
    /// Rows that were not refused, whether or not a sink takes them.
    pub rows: StreamVec<'scope, u64, Batch>,
    /// The rows of each sink, in the order of the legs.
    pub legs: Vec<StreamVec<'scope, u64, Batch>>,
    pub rejects: StreamVec<'scope, u64, Batch>,
    pub counts: StreamVec<'scope, u64, Counted>,
}

/// The timely operator. Batches without rows are not passed on; their counts are.
pub fn route<'scope>(stream: Stream<'scope, u64, Vec<Batch>>, mut route: Route) -> Routes<'scope> {
    let mut builder = OperatorBuilder::new("Route".to_owned(), stream.scope());
    let mut input = builder.new_input(stream, Pipeline);
    builder.set_notify_for(0, FrontierInterest::Never);
    let (counts_out, counts) = builder.new_output();
    let mut counts_out = OutputBuilder::<u64, CapacityContainerBuilder<Vec<Counted>>>::from(counts_out);
    // All rows first, then rejects, then the sinks.
    let (mut outs, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..route.legs.len() + 2 {
        let (out, stream) = builder.new_output();
        outs.push(OutputBuilder::<u64, CapacityContainerBuilder<Vec<Batch>>>::from(out));
        streams.push(stream);
    }
    builder.build(move |_capabilities| {
        move |_frontiers| {
            let mut counts = counts_out.activate();
            let mut outs: Vec<_> = outs.iter_mut().map(OutputBuilder::activate).collect();
            input.for_each(|time, batches| {
                for batch in batches.drain(..) {
                    let Routed { rows, legs, rejects, counts: counted } = route.apply(batch);
                    counts.session(&time).give_iterator(counted.into_iter());
                    let rejects = rejects.into_iter().map(|batch| (1, batch));
                    let legs = legs.into_iter().enumerate().map(|(leg, batch)| (leg + 2, batch));
                    for (out, batch) in std::iter::once((0, rows)).chain(rejects).chain(legs) {
                        if batch.rows.num_rows() > 0 {
                            outs[out].session(&time).give(batch);
                        }
                    }
                }
            });
        }
    });
    let legs = streams.split_off(2);
    #[expect(clippy::expect_used, reason = "there are two outputs besides the sinks'")]
    let (rejects, rows) = (streams.pop().expect("rejects"), streams.pop().expect("rows"));
    Routes { rows, legs, rejects, counts }
}

#[cfg(test)]
mod tests {
    //! Would catch a row that a sink takes twice or not at all, a refused row that another sink still takes, a filter that
    //! reports too few, and a sink that copies what it takes whole.

    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::batch::{Beside, Origin, Permit, Positions, RawBatch, Records};
    use crate::position::Position;

    /// Numbers up to a limit; null of null, and of 13 it cannot tell.
    struct UpTo(i64);

    impl Takes for UpTo {
        fn check(&self, rows: &RecordBatch) -> Verdict {
            let numbers = rows.column(0).as_primitive::<Int64Type>();
            let failed = (0..rows.num_rows()).filter(|row| numbers.is_valid(*row) && numbers.value(*row) == 13);
            Verdict {
                holds: numbers.iter().map(|number| number.map(|number| number <= self.0)).collect(),
                failed: failed.map(|row| (row as u32, "thirteen".to_owned())).collect(),
            }
        }
    }

    fn batch(numbers: &[Option<i64>], days: &[&str]) -> Batch {
        let numbers = Arc::new(Int64Array::from(numbers.to_vec())) as ArrayRef;
        let days = Arc::new(StringArray::from(days.to_vec())) as ArrayRef;
        let rows = RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("day", days, true)]).unwrap();
        let raw = RawBatch {
            split: "s".into(),
            records: Records::Rows(rows.clone()),
            positions: Positions::Counted { first: 100 },
            until: Position::at(200),
            arrived_at: 0,
            refused: vec![],
            beside: Beside::default(),
            permit: Permit::free(),
            size: 0,
        };
        Batch { rows, origin: Origin::all(Arc::new(raw)) }
    }

    fn leg(name: &str, takes: Option<i64>, partition: &[&str]) -> Leg {
        let partition: Vec<String> = partition.iter().map(|name| (*name).to_owned()).collect();
        Leg {
            place: Place::sink(name),
            takes: takes.map(|limit| Box::new(UpTo(limit)) as Box<dyn Takes>),
            limit: PathLimit::new(&batch(&[], &[]).rows.schema(), &partition).unwrap(),
        }
    }

    fn numbers(batch: &Batch) -> Vec<Option<i64>> {
        batch.rows.column(0).as_primitive::<Int64Type>().iter().collect()
    }

    fn counted(routed: &Routed) -> Vec<(&str, i64)> {
        routed.counts.iter().map(|counted| (counted.place.name(), counted.records)).collect()
    }

    #[test]
    fn each_sink_gets_its_rows_and_reports_the_others() {
        let mut route = Route::new(vec![leg("few", Some(2), &[]), leg("more", Some(5), &[])]);
        let routed = route.apply(batch(&[Some(1), Some(4), None, Some(9)], &["a"; 4]));
        assert_eq!(numbers(&routed.rows).len(), 4);
        assert_eq!(numbers(&routed.legs[0]), [Some(1)]);
        assert_eq!(numbers(&routed.legs[1]), [Some(1), Some(4)]);
        assert_eq!(routed.legs[1].origin.position(1).to_string(), "101");
        assert_eq!(counted(&routed), [("*", 2), ("few", 1), ("more", 0)]);
        let announced = [(Term::Filtered, Place::sink("few")), (Term::Filtered, Place::sink("more"))];
        assert_eq!(route.reports(), [announced.as_slice(), &[(Term::Filtered, Counts::every())]].concat());
    }

    #[test]
    fn beside_a_sink_that_takes_all_nothing_is_left_over() {
        let mut route = Route::new(vec![leg("all", None, &[]), leg("few", Some(2), &[])]);
        let batch = batch(&[Some(1), None], &["a"; 2]);
        let before = batch.rows.column(0).clone();
        let routed = route.apply(batch);
        assert_eq!(counted(&routed), [("*", 0), ("few", 1)]);
        assert!(Arc::ptr_eq(routed.legs[0].rows.column(0), &before), "a copy was made");
        let mut alone = Route::new(vec![leg("all", None, &[])]);
        let routed = alone.apply(routed.rows);
        assert!(routed.counts.is_empty() && alone.reports().is_empty());
    }

    #[test]
    fn what_is_refused_for_one_sink_is_refused_for_all() {
        let long = "x".repeat(300);
        let days = ["a", &long, &long, "a", "a"];
        let mut route = Route::new(vec![leg("all", None, &[]), leg("by_day", Some(5), &["day"])]);
        let routed = route.apply(batch(&[Some(1), Some(2), Some(9), Some(13), Some(14)], &days));
        assert_eq!(
            numbers(&routed.legs[0]),
            [Some(1), Some(9), Some(14)],
            "9 is too long for a sink that leaves it out"
        );
        assert_eq!(numbers(&routed.legs[1]), [Some(1)]);
        assert_eq!(numbers(&routed.rows), numbers(&routed.legs[0]));
        let text = |batch: &Batch, column: &str| -> Vec<String> {
            let column = batch.rows.column_by_name(column).unwrap().as_string::<i32>();
            column.iter().map(|text| text.unwrap_or_default().to_owned()).collect()
        };
        let reasons: Vec<_> = routed.rejects.iter().flat_map(|batch| text(batch, "reason")).collect();
        assert_eq!(reasons, ["type", "too_large"]);
        let positions: Vec<_> = routed.rejects.iter().flat_map(|batch| text(batch, "_position")).collect();
        assert_eq!(positions, ["103", "101"]);
        assert!(text(&routed.rejects[0], "message")[0].contains("sink by_day"));
        assert_eq!(counted(&routed), [("*", 0), ("by_day", 2)]);
    }
}

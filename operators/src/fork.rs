//! The fork that rows and refused rows take: what every refusing operator has in common.
//!
//! Owns two things: parting a batch into what is kept and what becomes rejects, and the timely operator with those two
//! outputs. Does not own why a row is refused. What must stay true: every row that comes in leaves through exactly one of
//! the two outputs, at its own epoch, and a batch of which nothing is refused is passed on as it is, without a copy.

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::operate::FrontierInterest;

use crate::batch::Batch;
use crate::reject::{self, Reason, Refusal, Stage};

/// A row of a batch refused; unlike in a [`Refusal`], `row` is the row of the batch at hand.
pub(crate) struct Refused {
    pub(crate) row: u32,
    pub(crate) reason: Reason,
    pub(crate) field: Option<Arc<str>>,
    pub(crate) message: String,
}

/// The rows for which `mask` is true.
pub(crate) fn keep(batch: &Batch, mask: &BooleanArray) -> Batch {
    let kept: Vec<u32> = mask.values().set_indices().map(|row| row as u32).collect();
    #[expect(
        clippy::expect_used,
        reason = "a filter fails only on a mask of another length; every caller makes it from the batch"
    )]
    let rows = filter_record_batch(&batch.rows, mask).expect("the mask has the batch's length");
    Batch { rows, origin: batch.origin.keep(&kept) }
}

/// Parts a batch into the rows that stay and, where there are any, the refused ones as reject rows of that stage. `refused` ascends by
/// row, each row once.
pub(crate) fn part(batch: Batch, stage: Stage, refused: Vec<Refused>) -> (Batch, Option<Batch>) {
    if refused.is_empty() {
        return (batch, None);
    }
    let mut stays = vec![true; batch.rows.num_rows()];
    for refused in &refused {
        stays[refused.row as usize] = false;
    }
    let kept = keep(&batch, &BooleanArray::from(stays));
    let refusals: Vec<Refusal> = refused
        .into_iter()
        .map(|refused| Refusal {
            row: batch.origin.record(refused.row as usize) as u32,
            reason: refused.reason,
            field: refused.field,
            message: refused.message,
        })
        .collect();
    (kept, Some(reject::batch(&batch.origin.raw, stage, &refusals)))
}

/// An operator that parts each batch; kept rows go to the first stream, rejects to the second. Batches without rows
/// are not passed on.
pub(crate) fn fork<'scope>(
    stream: Stream<'scope, u64, Vec<Batch>>,
    name: &str,
    mut part: impl FnMut(Batch) -> (Batch, Option<Batch>) + 'static,
) -> (Stream<'scope, u64, Vec<Batch>>, Stream<'scope, u64, Vec<Batch>>) {
    let mut builder = OperatorBuilder::new(name.to_owned(), stream.scope());
    let mut input = builder.new_input(stream, Pipeline);
    builder.set_notify_for(0, FrontierInterest::Never);
    let (kept, kept_stream) = builder.new_output();
    let (rejects, rejects_stream) = builder.new_output();
    let mut kept = OutputBuilder::<u64, CapacityContainerBuilder<Vec<Batch>>>::from(kept);
    let mut rejects = OutputBuilder::<u64, CapacityContainerBuilder<Vec<Batch>>>::from(rejects);
    builder.build(move |_capabilities| {
        move |_frontiers| {
            let (mut kept, mut rejects) = (kept.activate(), rejects.activate());
            input.for_each(|time, batches| {
                for batch in batches.drain(..) {
                    let (rows, refused) = part(batch);
                    if rows.rows.num_rows() > 0 {
                        kept.session(&time).give(rows);
                    }
                    if let Some(refused) = refused {
                        rejects.session(&time).give(refused);
                    }
                }
            });
        }
    });
    (kept_stream, rejects_stream)
}

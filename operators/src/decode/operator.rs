//! The operator that decodes a stream of raw batches.
//!
//! Owns the two streams that come out of it, good rows and rejects, and that a raw batch which comes to much is decoded part
//! by part, a part a turn, so that those behind it can let go of one before the next is made. What must stay true: the
//! capability of a batch's epoch is held until its last part is out.

use std::collections::VecDeque;
use std::sync::Arc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::Timestamp;
use timely::progress::operate::FrontierInterest;

use super::{Decode, Part};
use crate::batch::{Batch, Origin, RawBatch};
use crate::reject::{self, Stage};

/// Decoding as a step of a dataflow.
pub trait DecodeStream<'scope, T: Timestamp> {
    /// Decodes every raw batch on the worker where it is: a stream of batches with the good rows, and one with the rejects.
    /// A batch without rows is not sent.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use millstream_operators::decode::{DecodeOptions, DecodeStream, Decoder};
    /// use millstream_operators::batch::{Beside, Permit, Positions, RawBatch, Records};
    /// use millstream_operators::{Column, Kind, Position, Schema};
    /// use timely::dataflow::operators::{Inspect, ToStream};
    ///
    /// let schema = Schema { columns: vec![Column::new("id", Kind::Int64).required()] };
    /// let raw = Arc::new(RawBatch {
    ///     split: "shard-0".into(),
    ///     records: Records::Payloads(vec![r#"{"id": 7}"#.into(), r#"{"id": "seven"}"#.into()]),
    ///     positions: Positions::Counted { first: 0 },
    ///     until: Position::at(2),
    ///     arrived_at: 0,
    ///     refused: Vec::new(),
    ///     beside: Beside::default(),
    ///     permit: Permit::free(),
    ///     size: 24,
    /// });
    ///
    /// timely::example(move |scope| {
    ///     let decoder = Decoder::new(DecodeOptions { schema: schema.clone(), ..Default::default() }).unwrap();
    ///     let (good, rejects) = vec![raw.clone()].to_stream(scope).container::<Vec<_>>().decode(decoder);
    ///     good.inspect(|batch| assert_eq!((batch.rows.num_rows(), batch.origin.position(0).number()), (1, Some(0))));
    ///     rejects.inspect(|batch| assert_eq!((batch.rows.num_rows(), batch.origin.position(0).number()), (1, Some(1))));
    /// });
    /// ```
    fn decode(self, decoder: impl Decode + 'static) -> (Stream<'scope, T, Vec<Batch>>, Stream<'scope, T, Vec<Batch>>);
}

impl<'scope, T: Timestamp> DecodeStream<'scope, T> for Stream<'scope, T, Vec<Arc<RawBatch>>> {
    fn decode(
        self,
        mut decoder: impl Decode + 'static,
    ) -> (Stream<'scope, T, Vec<Batch>>, Stream<'scope, T, Vec<Batch>>) {
        let scope = self.scope();
        let mut builder = OperatorBuilder::new("Decode".to_owned(), scope);
        let mut input = builder.new_input(self, Pipeline);
        builder.set_notify_for(0, FrontierInterest::Never);
        let (good, good_stream) = builder.new_output();
        let (rejects, rejects_stream) = builder.new_output();
        let mut good = OutputBuilder::<_, CapacityContainerBuilder<Vec<Batch>>>::from(good);
        let mut rejects = OutputBuilder::<_, CapacityContainerBuilder<Vec<Batch>>>::from(rejects);
        let again = scope.activator_for(builder.operator_info().address);
        builder.build(move |_| {
            let mut waiting: VecDeque<Waiting<T>> = VecDeque::new();
            move |_frontiers| {
                input.for_each(|time, batches| {
                    let held = batches.drain(..).map(|raw| Waiting {
                        good: time.retain(0),
                        rejects: time.retain(1),
                        raw,
                        from: 0,
                    });
                    waiting.extend(held);
                });
                let (mut good, mut rejects) = (good.activate(), rejects.activate());
                while let Some(first) = waiting.front_mut() {
                    let (rows, refused, next) = first.part(&mut decoder);
                    rows.into_iter().for_each(|batch| good.session(&first.good).give(batch));
                    refused.into_iter().for_each(|batch| rejects.session(&first.rejects).give(batch));
                    match next {
                        Some(next) => {
                            first.from = next;
                            again.activate();
                            break;
                        }
                        None => drop(waiting.pop_front()),
                    }
                }
            }
        });
        (good_stream, rejects_stream)
    }
}

/// A raw batch that is not, or not wholly, decoded.
struct Waiting<T: Timestamp> {
    good: Capability<T>,
    rejects: Capability<T>,
    raw: Arc<RawBatch>,
    from: usize,
}

impl<T: Timestamp> Waiting<T> {
    /// Decodes the next part: its rows and its rejects, where there are some, and where the part after it begins.
    fn part(&self, decoder: &mut impl Decode) -> (Option<Batch>, Option<Batch>, Option<usize>) {
        let Part { decoded, next } = decoder.part(&self.raw, self.from);
        let origin = Origin { kept: decoded.kept, ..Origin::all(self.raw.clone()) };
        let rows = (decoded.rows.num_rows() > 0).then_some(Batch { rows: decoded.rows, origin });
        let refused = (!decoded.refused.is_empty()).then(|| reject::batch(&self.raw, Stage::Decode, &decoded.refused));
        (rows, refused, next)
    }
}

//! `encode`: batches become Parquet files, cut into pieces for the upload.
//!
//! ```text
//! batch ─ by partition ─┬→ rows wait ─→ Parquet writer ─→ spool ─→ piece, piece, … last piece + summary
//!                       └→ rows wait ─→ …                (row group by row group)
//! ```
//!
//! Owns the layout of files, their names and how many are open; rejects go through an encoder of their own, with their
//! schema and no partition. Does not own the upload. What must stay true:
//!
//! - Every row is in exactly one file (but for those that [`EncodeOptions::only`] leaves out), a file has rows of one epoch
//!   and one partition, and its name below the partition path is never used again ([`naming`](crate::protocol::naming)).
//! - Memory is bounded by [`EncodeOptions::memory`], however many partitions there are: beyond it the largest file is
//!   closed, and later rows of its partition go to another one.
//! - An epoch's capability is held until all its files are whole.

mod encoder;
mod file;
mod layout;
mod limit;
mod options;
mod partition;
pub mod path;
mod piece;
mod spool;

use std::collections::BTreeMap;

pub use encoder::Encoder;
pub(crate) use file::size as rows_size;
pub use limit::PathLimit;
pub use options::{Bloom, ColumnChoice, EncodeError, EncodeOptions, Statistics};
pub use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
pub use piece::{FileId, Piece, Summary};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::Operator;
use timely::progress::Antichain;

use crate::batch::Batch;

/// How many files are closed in one turn of the operator.
const CLOSE_AT_ONCE: usize = 64;

/// The timely operator: pieces of files, each at its epoch.
///
/// When the encoder fails, `failed` hears of it once. The operator then encodes nothing more and never gives the open
/// epochs up, so that none of them can be committed without its files.
///
/// ```
/// use millstream_operators::encode::{encode, EncodeOptions, Encoder};
/// # use std::sync::Arc;
/// # use arrow::array::{ArrayRef, Int64Array, RecordBatch};
/// # use millstream_operators::{batch::{Beside, Positions}, Batch, Origin, Permit, Position, RawBatch, Records, Reserve};
/// # use timely::dataflow::operators::{Inspect, ToStream};
/// # struct Free;
/// # impl Reserve for Free {
/// #     fn reserve(&self, _: usize) -> Permit { Permit::free() }
/// # }
/// # fn batch_of(numbers: Vec<i64>) -> Batch {
/// #     let rows = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(numbers)) as ArrayRef)]).unwrap();
/// #     let raw = RawBatch {
/// #         split: "numbers".into(), records: Records::Rows(rows.clone()), positions: Positions::Counted { first: 0 },
/// #         until: Position::at(9), arrived_at: 0, refused: vec![], beside: Beside::default(), permit: Permit::free(), size: 0,
/// #     };
/// #     Batch { rows, origin: Origin::all(Arc::new(raw)) }
/// # }
/// timely::example(|scope| {
///     let batch = batch_of(vec![1, 2, 3]);
///     let encoder = Encoder::new(EncodeOptions::new(batch.rows.schema(), Arc::new(Free))).unwrap();
///     let batches = vec![batch].to_stream(scope).container::<Vec<_>>();
///     encode(batches, encoder, |error| panic!("{error}")).inspect(|piece| {
///         assert_eq!(&*piece.key, "e0-w0-0-g0.parquet");
///         assert_eq!(piece.end.as_ref().unwrap().rows, 3);
///     });
/// });
/// ```
pub fn encode<'scope>(
    stream: Stream<'scope, u64, Vec<Batch>>,
    encoder: Encoder,
    failed: impl FnMut(EncodeError) + 'static,
) -> Stream<'scope, u64, Vec<Piece>> {
    let scope = stream.scope();
    stream.unary_frontier::<CapacityContainerBuilder<Vec<Piece>>, _, _, _>(
        Pipeline,
        "Encode",
        move |_capability, info| {
            let again = scope.activator_for(info.address);
            let mut state = Encoding { encoder, failed, epochs: BTreeMap::new(), broken: false };
            move |(input, frontier), output| {
                input.for_each(|time, batches| {
                    let epoch = *time.time();
                    state.epochs.entry(epoch).or_insert_with(|| time.retain(0));
                    for batch in batches.drain(..) {
                        state.attempt(|encoder| encoder.push(epoch, &batch));
                        state.give(|capability, pieces| output.session(capability).give_iterator(pieces));
                    }
                });
                let closed = state.close_one(&frontier.frontier().to_owned());
                state.give(|capability, pieces| output.session(capability).give_iterator(pieces));
                if let Some(epoch) = closed {
                    state.epochs.remove(&epoch);
                }
                if state.has_to_close(&frontier.frontier().to_owned()) {
                    again.activate();
                }
            }
        },
    )
}

struct Encoding<F> {
    encoder: Encoder,
    failed: F,
    epochs: BTreeMap<u64, Capability<u64>>,
    broken: bool,
}

impl<F: FnMut(EncodeError)> Encoding<F> {
    fn attempt<R>(&mut self, what: impl FnOnce(&mut Encoder) -> Result<R, EncodeError>) -> Option<R> {
        if self.broken {
            return None;
        }
        match what(&mut self.encoder) {
            Ok(done) => Some(done),
            Err(error) => {
                self.broken = true;
                (self.failed)(error);
                None
            }
        }
    }

    /// Hands the pieces that are ready on, each with its epoch's capability.
    fn give(&mut self, mut give: impl FnMut(&Capability<u64>, std::vec::IntoIter<Piece>)) {
        let mut by_epoch: BTreeMap<u64, Vec<Piece>> = BTreeMap::new();
        for piece in self.encoder.pieces() {
            by_epoch.entry(piece.file.epoch).or_default().push(piece);
        }
        for (epoch, pieces) in by_epoch {
            if let Some(capability) = self.epochs.get(&epoch) {
                give(capability, pieces.into_iter());
            }
        }
    }

    /// The first epoch that the frontier has passed.
    fn passed(&self, frontier: &Antichain<u64>) -> Option<u64> {
        let first = *self.epochs.keys().next()?;
        (!self.broken && !frontier.less_equal(&first)).then_some(first)
    }

    fn has_to_close(&self, frontier: &Antichain<u64>) -> bool {
        self.passed(frontier).is_some()
    }

    /// Closes some files of the first epoch that is whole; that epoch, once all of them are closed.
    fn close_one(&mut self, frontier: &Antichain<u64>) -> Option<u64> {
        let epoch = self.passed(frontier)?;
        let done = self.attempt(|encoder| encoder.close(epoch, CLOSE_AT_ONCE))?;
        done.then_some(epoch)
    }
}

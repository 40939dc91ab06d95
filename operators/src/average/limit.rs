//! How many totals an average may have.
//!
//! Runs on worker 0, which hears from all workers how many totals an epoch added and folded away. What must stay true: an epoch
//! after which an average has more totals than its `max_groups` is held back, so it is never committed.

use std::collections::BTreeMap;
use std::rc::Rc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::Operator;

use super::failure::AverageFailure;
use super::key::Change;
use super::spec::AverageSpec;

/// So many totals more, of an average.
pub(super) type Count = (u16, i64);

/// An average's limit, and how many totals it has.
struct Limit {
    average: String,
    most: Option<u64>,
    totals: i64,
}

/// Lets an epoch pass once its counts are known and within the limits. Nothing comes out but the passing of epochs.
pub(super) fn limit<'scope>(
    counts: StreamVec<'scope, u64, Count>,
    specs: &[AverageSpec],
    failed: Rc<dyn Fn(AverageFailure)>,
) -> StreamVec<'scope, u64, Change> {
    let of = |spec: &AverageSpec| Limit { average: spec.name.clone(), most: spec.max_groups, totals: 0 };
    let mut limits: Vec<Limit> = specs.iter().map(of).collect();
    counts.unary_frontier::<CapacityContainerBuilder<Vec<Change>>, _, _, _>(
        Exchange::new(|_: &Count| 0),
        "Limit",
        move |_, _| {
            let mut open: BTreeMap<u64, (Capability<u64>, Vec<Count>)> = BTreeMap::new();
            let mut held_back = None;
            move |(input, frontier), _output| {
                input.for_each(|time, counts| {
                    let epoch = *time.time();
                    let (_, gathered) = open.entry(epoch).or_insert_with(|| (time.retain(0), Vec::new()));
                    gathered.append(counts);
                });
                while let Some(entry) = open.first_entry()
                    && held_back.is_none()
                    && !frontier.less_equal(entry.key())
                {
                    let (_, (capability, counts)) = entry.remove_entry();
                    if let Some(failure) = add(&mut limits, counts) {
                        held_back = Some(capability);
                        failed(failure);
                    }
                }
            }
        },
    )
}

fn add(limits: &mut [Limit], counts: Vec<Count>) -> Option<AverageFailure> {
    for (average, more) in counts {
        limits[usize::from(average)].totals += more;
    }
    let over = |limit: &&Limit| limit.most.is_some_and(|most| u64::try_from(limit.totals).is_ok_and(|n| n > most));
    let limit = limits.iter().find(over)?;
    Some(AverageFailure::TooManyGroups { average: limit.average.clone(), most: limit.most.unwrap_or_default() })
}

//! Proves that a batch which comes to much is decoded part by part, in the operator a part a turn, with nothing lost, doubled
//! or out of its epoch. It would catch a part that begins at the wrong record, and an epoch given up before its last part.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use millstream_operators::batch::Batch;
use millstream_operators::decode::{Decode, DecodeOptions, DecodeStream, Decoder, Limits, Part, origin_everywhere};
use millstream_operators::{Column, Kind, Reason, Refusal};
use timely::dataflow::operators::ToStream;
use timely::dataflow::operators::capture::{Capture, Event};

use super::*;

fn small_parts() -> Decoder {
    let limits = Limits { part_bytes: 100, ..Default::default() };
    let schema = schema(vec![Column::new("a", Kind::Int64).required()]);
    Decoder::new(DecodeOptions { schema, limits, origin: origin_everywhere().to_vec(), ..Default::default() }).unwrap()
}

/// A hundred records, each seventh of them no JSON, one refused before.
fn batch() -> RawBatch {
    let record = |i: usize| if i.is_multiple_of(7) { "no".to_owned() } else { format!("{{\"a\":{i}}}") };
    let mut batch = lines(&(0..100).map(record).collect::<Vec<_>>());
    batch.refused = vec![Refusal { row: 50, reason: Reason::TooLarge, field: None, message: "too large".into() }];
    batch
}

#[test]
fn parts_together_are_the_whole() {
    let raw = Arc::new(batch());
    let whole = fates(&small_parts().decode(&raw), 100);
    let (mut decoder, mut from, mut parts) = (small_parts(), Some(0), Vec::new());
    while let Some(first) = from {
        let Part { decoded, next } = decoder.part(&raw, first);
        parts.push(decoded);
        from = next;
    }
    assert!(parts.len() > 10);
    let mut seen = vec![0; 100];
    for part in &parts {
        for (row, record) in part.kept.as_ref().unwrap().iter().enumerate() {
            seen[*record as usize] += 1;
            let columns = part.rows.schema_ref().fields().iter().zip(part.rows.columns());
            let found = columns.map(|(field, array)| (field.name().clone(), value(array, row))).collect::<Map<_, _>>();
            assert_eq!(whole[*record as usize], Fate::Row(found.into()));
        }
        part.refused.iter().for_each(|refusal| seen[refusal.row as usize] += 1);
    }
    assert_eq!(seen, vec![1; 100]);
}

#[test]
fn the_operator_sends_all_parts_in_their_epoch() {
    let raw = Arc::new(batch());
    let (good, rejects) = timely::execute_directly(move |worker| {
        worker.dataflow::<u64, _, _>(|scope| {
            let stream = vec![raw.clone(), raw].to_stream(scope).container::<Vec<_>>();
            let (good, rejects) = stream.decode(small_parts());
            (good.capture(), rejects.capture())
        })
    });
    let (good, bad) = (records(good), records(rejects));
    let expected: Vec<usize> = (0..100).filter(|i| i % 7 != 0 && *i != 50).collect();
    assert_eq!(good, [expected.clone(), expected].concat());
    assert_eq!(bad.len(), 2 * (15 + 1));
}

/// The records of all rows, in the order in which they came. Fails if one came after its epoch was given up.
fn records(events: Receiver<Event<u64, Vec<Batch>>>) -> Vec<usize> {
    // A captured stream begins at the first epoch, and tells what changes from there.
    let (mut open, mut records) = (1, Vec::new());
    for event in events {
        match event {
            Event::Progress(changes) => open += changes.iter().map(|(_, change)| change).sum::<i64>(),
            Event::Messages(_, batches) => {
                assert!(open > 0, "rows of an epoch that is over");
                let rows = |batch: Batch| (0..batch.rows.num_rows()).map(move |row| batch.origin.record(row));
                records.extend(batches.into_iter().flat_map(rows));
            }
        }
    }
    assert_eq!(open, 0, "every epoch is given up in the end");
    records
}

//! What breaks when these fail: a batch that arrives on another worker as something else than was sent, twice, or not at all.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use bytes::Bytes;
use timely::CommunicationConfig;
use timely::bytes::arc::BytesMut;
use timely::dataflow::channels::ContainerBytes;
use timely::dataflow::operators::vec::Input;
use timely::dataflow::operators::{Inspect, Probe};

use super::parcels::Parcel;
use super::wire::{Wire, weight};
use super::{Lending, Loan, Parcels, spread};
use crate::batch::{Beside, Permit, Positions, RawBatch, Records};
use crate::control::{Control, DeskOptions};
use crate::port::Queues;
use crate::position::Position;
use crate::protocol::assign::Bounds;
use crate::reject::{Reason, Refusal};
use crate::written::{Definition, Root};

fn batch(split: &str, records: Records, positions: Positions) -> RawBatch {
    let refusal = |reason| Refusal { row: 1, reason, field: Some("a.b".into()), message: "of no use".to_owned() };
    RawBatch {
        split: split.into(),
        records,
        positions,
        until: Position::new("49590338271490256608559692538361571095921575989136588898.7#x"),
        arrived_at: -7,
        refused: vec![refusal(Reason::TooLarge), refusal(Reason::Rule("r".into()))],
        beside: Beside { header: Some("a,b".into()), ..Beside::default() },
        permit: Permit::free(),
        size: 99,
    }
}

fn framed() -> RawBatch {
    let records = Records::Framed { data: "one\ntwo\n\nthree".into(), spans: vec![(0, 3), (4, 7), (9, 14), (9, 9)] };
    batch("file", records, Positions::Offsets { base: 1 << 40 })
}

fn payloads(count: u64) -> RawBatch {
    let payloads = (0..count).map(|n| Bytes::from(vec![n as u8; n as usize * 7])).collect();
    let each = (0..count).map(|n| Position::at(n).with_note("note")).collect();
    batch("shard", Records::Payloads(payloads), Positions::Each(each))
}

fn rows() -> RawBatch {
    let numbers = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef;
    let rows = RecordBatch::try_from_iter_with_nullable([("n", numbers, true)]).unwrap().slice(1, 2);
    batch("rows", Records::Rows(rows), Positions::Counted { first: 5 })
}

/// With offsets that leave gaps, and a column beside the records.
fn numbered() -> RawBatch {
    let payloads = (0..9).map(|n| Bytes::from(vec![n; 9])).collect();
    let keys = Arc::new(Int64Array::from_iter((0..9).map(|n| (n != 4).then_some(n)))) as ArrayRef;
    let columns = RecordBatch::try_from_iter_with_nullable([("_key", keys, true)]).ok();
    let batch = batch("log", Records::Payloads(payloads), Positions::Numbered((0..9).map(|n| n * n).collect()));
    RawBatch { beside: Beside { columns, ..batch.beside }, ..batch }
}

/// With the schemas that its records name.
fn registered() -> RawBatch {
    let batch = payloads(3);
    let (avro, files) = (r#"{"type":"string"}"#.to_owned(), vec![0, 200, 255]);
    let schemas = [
        Definition::Avro { schema: avro.clone(), references: vec![avro] },
        Definition::Protobuf { files, root: Root::InFile("a.proto".to_owned()) },
        Definition::Unusable("it is \"gone\"".to_owned()),
    ];
    let schemas = [1, 1 << 31, u32::MAX].into_iter().zip(schemas.map(Arc::new)).collect();
    RawBatch { beside: Beside { schemas: Some(Arc::new(schemas)), ..batch.beside }, ..batch }
}

/// Everything that a batch says.
fn told(batch: &RawBatch) -> String {
    let records: Vec<_> = (0..batch.records.len()).map(|n| (batch.records.payload(n), batch.position(n))).collect();
    let rows = if let Records::Rows(rows) = &batch.records { format!("{rows:?}") } else { String::new() };
    let (split, until, size) = (&batch.split, batch.until.as_str(), batch.size);
    format!("{split} {records:?} {rows} {until} {} {:?} {:?} {size}", batch.arrived_at, batch.refused, batch.beside)
}

#[test]
fn what_is_read_is_what_was_written() {
    let batches: Vec<_> = [framed(), payloads(0), payloads(40), rows(), numbered(), registered()].map(Arc::new).into();
    let parcels = Parcels::new(batches.clone());
    let mut written = Vec::new();
    let length = parcels.length_in_bytes();
    parcels.into_bytes(&mut written);
    assert_eq!((length, length % 8), (written.len(), 0));
    let read = Parcels::from_bytes(BytesMut::from(written).freeze()).into_parcels();
    assert_eq!(read.len(), batches.len());
    for (read, batch) in read.iter().zip(&batches) {
        assert_eq!((told(&read.batch), read.loan), (told(batch), None));
    }
}

#[test]
fn a_loan_is_known_by_what_its_lender_called_it() {
    let loan = Some(Loan { lender: 7, id: u64::MAX });
    let mut written = Vec::new();
    Parcels::of(vec![Parcel { batch: Arc::new(rows()), loan }]).into_bytes(&mut written);
    let read = Parcels::from_bytes(BytesMut::from(written).freeze()).into_parcels();
    assert_eq!(read[0].loan, loan);
}

/// Would catch a share that counts less than what a batch takes at the borrower, or so much that little is lent.
#[test]
fn a_batch_is_weighed_as_what_it_takes_on_the_wire() {
    let many = |batch: RawBatch| RawBatch { refused: vec![batch.refused[0].clone(); 100], ..batch };
    for batch in [
        framed(),
        payloads(0),
        payloads(40),
        payloads(1_000),
        rows(),
        numbered(),
        registered(),
        many(rows()),
        many(payloads(200)),
    ] {
        let (weight, takes) = (weight(&batch), Wire::of(&batch, Some(Loan { lender: 7, id: 1 << 40 })).len());
        assert!(takes <= weight, "{takes} bytes, weighed {weight}");
        let loose = (4 << 10) + takes / 10 + 512 * batch.refused.len();
        assert!(weight <= takes + loose, "{takes} bytes, weighed {weight}");
    }
}

/// Each batch of worker 0 comes out once, at its epoch, and every worker has its share.
#[test]
fn batches_are_dealt_to_every_worker_once() {
    for communication in [CommunicationConfig::Process(3), CommunicationConfig::ProcessBinary(3)] {
        let seen: Arc<Mutex<BTreeMap<String, (u64, usize)>>> = Arc::default();
        let seen_by_all = seen.clone();
        let config = timely::Config { communication, worker: timely::WorkerConfig::default() };
        let guards = timely::execute(config, move |worker| {
            let (index, seen) = (worker.index(), seen_by_all.clone());
            let options = DeskOptions {
                bounds: Bounds::Unbounded,
                concurrency: 1,
                committed: BTreeMap::new(),
                exhausted: Box::new(|_, _| false),
            };
            let control = Control::build(worker, 0, options, |_, _| Box::new(Queues::default()));
            let (mut input, probe) = worker.dataflow::<u64, _, _>(|scope| {
                let (input, batches) = scope.new_input();
                let dealt = spread(batches, Arc::new(Lending::alone(3)), &control).inspect_time(
                    move |epoch, batch: &Arc<RawBatch>| {
                        let twice = seen.lock().unwrap().insert(told(batch), (*epoch, index));
                        assert_eq!(twice, None);
                    },
                );
                (input, dealt.probe().0)
            });
            for epoch in 0..if index == 0 { 30 } else { 0 } {
                input.send(Arc::new(payloads(epoch)));
                input.advance_to(epoch + 1);
            }
            input.close();
            while !probe.done() {
                worker.step();
            }
            control.close();
        });
        drop(guards.unwrap().join());
        let seen = seen.lock().unwrap();
        let shares = (0..3).map(|worker| seen.values().filter(|(_, at)| *at == worker).count());
        assert_eq!(shares.collect::<Vec<_>>(), [10, 10, 10]);
        for epoch in 0..30 {
            assert_eq!(seen[&told(&payloads(epoch))].0, epoch);
        }
    }
}

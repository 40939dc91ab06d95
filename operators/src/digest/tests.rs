//! Would catch a digest that depends on where batches were cut, so that an honest replay is refused, and one that does not
//! see a changed byte, position, order, header, key or refusal, so that a replay of other records passes.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeListArray, Float64Array, Int32Array, Int64Array, ListArray,
    MapBuilder, RecordBatch, StringArray, StringBuilder, StringViewArray, StructArray, TimestampMicrosecondArray,
    TimestampMillisecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields, Int32Type};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::batch::{Beside, Permit};
use crate::reject::Reason;

/// A record, and everything that can stand beside one.
#[derive(Clone, Debug)]
struct Record {
    payload: Vec<u8>,
    key: Option<String>,
    refused: bool,
}

/// How a source delivers records.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// Lines of a file.
    Framed,
    /// Messages with offsets that have gaps.
    Numbered,
    /// Messages with sequence numbers.
    Each,
    /// Rows of a table.
    Rows,
}

const FORMS: [Form; 4] = [Form::Framed, Form::Numbered, Form::Each, Form::Rows];

fn records() -> impl Strategy<Value = Vec<Record>> {
    let payload = prop_oneof![proptest::collection::vec(any::<u8>(), 0..40), Just(vec![7; 300])];
    let record = (payload, proptest::option::of("[ab]{0,2}"), proptest::bool::weighted(0.2));
    proptest::collection::vec(record.prop_map(|(payload, key, refused)| Record { payload, key, refused }), 1..20)
}

/// The `number`-th records of a split as one batch.
fn batch(form: Form, records: &[Record], numbers: Range<usize>) -> RawBatch {
    let own = &records[numbers.clone()];
    let payloads = || own.iter().map(|record| Bytes::from(record.payload.clone())).collect();
    let base: usize = records[..numbers.start].iter().map(|record| record.payload.len() + 1).sum();
    let (content, positions) = match form {
        Form::Framed => (framed(own), Positions::Offsets { base: base as u64 }),
        Form::Numbered => {
            (Records::Payloads(payloads()), Positions::Numbered(numbers.clone().map(|n| 3 * n as u64).collect()))
        }
        Form::Each => {
            let position = |number: usize| Position::new(format!("49590338271490256608559692538361571095.{number}"));
            (Records::Payloads(payloads()), Positions::Each(numbers.clone().map(position).collect()))
        }
        Form::Rows => {
            // All of them as one table, of which a batch is a slice.
            let rows = table(records).slice(numbers.start, numbers.len());
            (Records::Rows(rows), Positions::Counted { first: numbers.start as u64 })
        }
    };
    let refusal = |row: usize| Refusal { row: row as u32, reason: Reason::TooLarge, field: None, message: "?".into() };
    let keys: StringArray = own.iter().map(|record| record.key.clone()).collect();
    RawBatch {
        split: "s".into(),
        records: content,
        positions,
        until: Position::at(numbers.end as u64),
        arrived_at: numbers.start as i64,
        refused: (0..own.len()).filter(|row| own[*row].refused).map(refusal).collect(),
        beside: Beside {
            header: matches!(form, Form::Framed).then(|| "a,b".into()),
            columns: RecordBatch::try_from_iter_with_nullable([("_key", Arc::new(keys) as ArrayRef, true)]).ok(),
            schemas: None,
        },
        permit: Permit::free(),
        size: 0,
    }
}

fn framed(records: &[Record]) -> Records {
    let (mut data, mut spans) = (Vec::new(), Vec::new());
    for record in records {
        let start = data.len() as u32;
        data.extend_from_slice(&record.payload);
        spans.push((start, data.len() as u32));
        data.push(b'\n');
    }
    Records::Framed { data: data.into(), spans }
}

/// Records as rows with columns of many types, made of the payload.
fn table(records: &[Record]) -> RecordBatch {
    let bytes = |record: &Record| record.payload.iter().take(5).map(|byte| Some(i32::from(*byte))).collect::<Vec<_>>();
    let first = |record: &Record| record.payload.first().copied();
    let texts: StringArray = records.iter().map(|record| record.key.clone()).collect();
    let payloads: arrow::array::BinaryArray = records.iter().map(|record| Some(&record.payload)).collect();
    let numbers: Int64Array = records.iter().map(|record| first(record).map(i64::from)).collect();
    let flags: BooleanArray = records.iter().map(|record| first(record).map(|byte| byte > 100)).collect();
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(records.iter().map(|record| Some(bytes(record))));
    let dictionary: DictionaryArray<Int32Type> = records.iter().map(|record| record.key.as_deref()).collect();
    let fields = Fields::from(vec![Field::new("text", DataType::Utf8, true)]);
    let nulls: NullBuffer = records.iter().map(|record| record.key.is_some()).collect();
    let structs = StructArray::new(fields, vec![Arc::new(texts.clone())], Some(nulls));
    let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for record in records {
        if let Some(key) = &record.key {
            maps.keys().append_value(key);
            maps.values().append_option(Some("value"));
        }
        maps.append(true).unwrap();
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("payload", Arc::new(payloads)),
        ("text", Arc::new(texts)),
        ("number", Arc::new(numbers)),
        ("flag", Arc::new(flags)),
        ("list", Arc::new(lists)),
        ("dictionary", Arc::new(dictionary)),
        ("struct", Arc::new(structs)),
        ("map", Arc::new(maps.finish())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn digest(form: Form, records: &[Record]) -> RecordDigest {
    RecordDigest::of(&batch(form, records, 0..records.len()))
}

proptest! {
    #[test]
    fn is_the_same_however_records_are_cut(records in records(), cuts in proptest::collection::vec(0..20_usize, 0..5)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(records.len())).chain([0, records.len()]).collect();
        cuts.sort_unstable();
        for form in FORMS {
            let whole = digest(form, &records);
            let parts: Vec<RecordDigest> =
                cuts.windows(2).map(|cut| RecordDigest::of(&batch(form, &records, cut[0]..cut[1]))).collect();
            let sum = parts.iter().rev().fold(RecordDigest::default(), |sum, part| sum + *part);
            prop_assert_eq!(sum, whole);
            let all = batch(form, &records, 0..records.len());
            let ranges = cuts.windows(2).map(|cut| RecordDigest::of_records(&all, cut[0]..cut[1]));
            prop_assert_eq!(ranges.fold(RecordDigest::default(), Add::add), whole);
        }
    }

    #[test]
    fn differs_when_anything_of_a_record_does(records in records(), at in any::<prop::sample::Index>(), byte in 1..=255_u8) {
        let at = at.index(records.len());
        let changed = |change: &dyn Fn(&mut Record)| {
            let mut other = records.clone();
            change(&mut other[at]);
            other
        };
        let mut others = vec![
            changed(&|record| record.payload.push(byte)),
            changed(&|record| record.refused = !record.refused),
            changed(&|record| record.key = Some(format!("{}c", record.key.clone().unwrap_or_default()))),
            records.iter().cloned().chain([records[at].clone()]).collect(),
        ];
        if !records[at].payload.is_empty() {
            others.push(changed(&|record| record.payload[0] ^= byte));
        }
        if records[at].key.as_deref() == Some("") {
            others.push(changed(&|record| record.key = None));
        }
        let mut fewer = records.clone();
        fewer.remove(at);
        others.push(fewer);
        for form in FORMS {
            for other in &others {
                prop_assert_ne!(digest(form, other), digest(form, &records), "{:?} {:?}", form, other);
            }
        }
    }
}

fn plain(payloads: &[&'static str], positions: Positions) -> RawBatch {
    let payloads: Vec<Bytes> = payloads.iter().map(|payload| Bytes::from_static(payload.as_bytes())).collect();
    let beside = Beside::default();
    RawBatch { records: Records::Payloads(payloads), positions, beside, ..batch(Form::Numbered, &[], 0..0) }
}

#[test]
fn records_that_change_places_are_other_records() {
    let counted = |first| Positions::Counted { first };
    let digest = |payloads: &[&'static str], first| RecordDigest::of(&plain(payloads, counted(first)));
    assert_ne!(digest(&["a", "b"], 0), digest(&["b", "a"], 0));
    assert_ne!(digest(&["a", "b"], 0), digest(&["a", "b"], 1));
    assert_ne!(digest(&["a", "a"], 0), RecordDigest::default());
}

#[test]
fn a_position_counts_as_its_number_in_every_form() {
    let each = |texts: [&str; 2]| Positions::Each(texts.into_iter().map(Position::new).collect());
    let digest = |positions| RecordDigest::of(&plain(&["a", "b"], positions));
    assert_eq!(digest(each(["0", "1#note"])), digest(Positions::Counted { first: 0 }));
    assert_eq!(digest(Positions::Numbered(vec![0, 1])), digest(Positions::Counted { first: 0 }));
    assert_ne!(digest(each(["0.1", "1"])), digest(each(["0", "1"])), "what follows a refusal is in another place");
    let long = |last| format!("4959033827149025660855969253836157109592157598913658889{last}");
    assert_ne!(digest(each([&long(1), &long(2)])), digest(each([&long(1), &long(3)])));
}

#[test]
fn the_header_of_a_file_belongs_to_its_records() {
    let with = |header: &'static str| {
        let mut raw = plain(&["1,2"], Positions::Counted { first: 0 });
        raw.beside.header = Some(Bytes::from_static(header.as_bytes()));
        RecordDigest::of(&raw)
    };
    assert_ne!(with("a,b"), with("b,a"));
}

fn of_column(column: impl arrow::array::Array + 'static) -> RecordDigest {
    let rows = RecordBatch::try_from_iter_with_nullable([("c", Arc::new(column) as ArrayRef, true)]).unwrap();
    let records = Records::Rows(rows);
    RecordDigest::of(&RawBatch { records, ..plain(&[], Positions::Counted { first: 0 }) })
}

#[test]
fn columns_count_by_their_values_and_not_by_how_they_lie() {
    let texts = || vec![Some("a"), None, Some(""), Some("a longer text than a view holds")];
    let plain = of_column(StringArray::from(texts()));
    assert_eq!(of_column(StringViewArray::from(texts())), plain);
    assert_eq!(of_column(texts().into_iter().collect::<DictionaryArray<Int32Type>>()), plain);
    assert_eq!(of_column(Int32Array::from(vec![1, 2])), of_column(Int64Array::from(vec![1, 2])));
    assert_ne!(of_column(StringArray::from(vec!["5"])), of_column(Int64Array::from(vec![5])));
    assert_ne!(
        of_column(TimestampMicrosecondArray::from(vec![5])),
        of_column(TimestampMillisecondArray::from(vec![5]))
    );
    assert_ne!(of_column(Float64Array::from(vec![0.5])), of_column(Float64Array::from(vec![0.25])));
    let none = DictionaryArray::<Int32Type>::from_iter([None::<&str>]);
    assert_eq!(of_column(none), of_column(StringArray::from(vec![None::<&str>])));
    let lists = |values: Vec<i32>, size| {
        let field = Arc::new(Field::new_list_field(DataType::Int32, true));
        of_column(FixedSizeListArray::new(field, size, Arc::new(Int32Array::from(values)), None))
    };
    assert_ne!(lists(vec![1, 2, 3, 4], 2), lists(vec![1, 2, 4, 3], 2));
}

/// What lies below a null is nothing: a reader may leave anything there.
#[test]
fn a_null_hides_what_is_below_it() {
    let with = |below: i32| {
        let fields = Fields::from(vec![Field::new("n", DataType::Int32, true)]);
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, below]));
        of_column(StructArray::new(fields, vec![numbers], Some(NullBuffer::from(vec![true, false]))))
    };
    assert_eq!(with(2), with(3));
}

/// A commit of an earlier release is compared with what this one reads: these never change.
#[test]
fn digests_are_the_same_in_every_release() {
    let of = |raw: &RawBatch| RecordDigest::of(raw).to_string();
    let records = [
        Record { payload: b"{\"a\":1}".to_vec(), key: Some("k".into()), refused: false },
        Record { payload: vec![7; 300], key: None, refused: true },
    ];
    let found: Vec<String> = FORMS.iter().map(|form| of(&batch(*form, &records, 0..2))).collect();
    let expected = [
        "7f76bec42428bd18a1b109796637a9a5",
        "c466ade9fec8bd68a66232cfdb6024ef",
        "10424e4ff7115cde03f44379779c016e",
        "0f8cb16396c3027240f098d32f68f4d9",
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_text_reads_back_and_nothing_else_does() {
    let digest = RecordDigest::of(&plain(&["a"], Positions::Counted { first: 9 }));
    let json = serde_json::to_string(&digest).unwrap();
    assert_eq!(serde_json::from_str::<RecordDigest>(&json).unwrap(), digest);
    for text in ["", "0", &"F".repeat(32), &"0".repeat(33), &"g".repeat(32)] {
        assert_eq!(text.parse::<RecordDigest>(), Err(NoDigest), "{text}");
    }
}

/// Prints what it costs: `cargo test -p millstream-operators digest::tests::cost -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a proof"]
#[allow(clippy::disallowed_methods)]
fn cost() {
    for size in [100, 1_000, 10_000] {
        let count = (64 << 20) / size;
        let data = Bytes::from((0..count * size).map(|at| (at * 31 % 251) as u8).collect::<Vec<u8>>());
        let spans = (0..count).map(|at| ((at * size) as u32, ((at + 1) * size) as u32)).collect();
        let records = Records::Framed { data, spans };
        let raw = RawBatch { records, ..plain(&[], Positions::Offsets { base: 0 }) };
        let best = (0..5).map(|_| {
            let begun = Instant::now();
            assert_ne!(RecordDigest::of(&raw), RecordDigest::default());
            begun.elapsed()
        });
        let best = best.min().unwrap();
        let rate = (count * size) as f64 / best.as_secs_f64() / 1e9;
        println!("records of {size} bytes: {rate:.1} GB/s, {:.0} ns each", best.as_nanos() as f64 / count as f64);
    }
}

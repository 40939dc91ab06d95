//! `test`: runs the `[[test]]` cases of a pipeline file: records in, rows and rejects out.
//!
//! A case compares only the columns that its rows name, and a reject's field only where it is given; how many rows and
//! rejects there are always counts. Records that would come as Avro or Protobuf are written as JSON: what a case shows is what
//! the pipeline makes of their values.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use bytes::Bytes;
use millstream_operators::batch::{Beside, Positions};
use millstream_operators::{Permit, Position, RawBatch, Records};
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::config::Case;
use crate::exit::Exit;
use crate::stages::{Stages, Through};

use super::{Failure, PipelineFile, load};

/// Runs the cases; exit 1 when one of them does not hold.
pub(super) fn test(asked: &PipelineFile, out: &mut impl Write) -> Result<Exit, Failure> {
    let stages = load::stages(&asked.path)?;
    let (cases, now) = (&stages.config().tests, Clock::system().micros());
    let mut failed = 0;
    for case in cases {
        let problems = run(&stages, case, now)?;
        let verdict = if problems.is_empty() { "ok" } else { "FAILED" };
        writeln!(out, "{verdict:<6} {}", case.name.written())?;
        for problem in &problems {
            writeln!(out, "       {problem}")?;
        }
        failed += usize::from(!problems.is_empty());
    }
    writeln!(out, "{} passed, {failed} failed", cases.len() - failed)?;
    out.flush()?;
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

fn run(stages: &Stages, case: &Case, now: i64) -> Result<Vec<String>, Failure> {
    let outcome = Through::by_hand(stages)?.apply(&Arc::new(raw(case, now)));
    let mut problems = Vec::new();
    if case.expect_in.is_empty() {
        compare_rows(&case.expect, &objects(&outcome.rows.rows)?, &mut problems);
    }
    for (place, batch) in outcome.sinks.iter().filter(|(place, _)| case.expect_in.contains_key(place.name())) {
        let mut found = Vec::new();
        compare_rows(&case.expect_in[place.name()], &objects(&batch.rows)?, &mut found);
        problems.extend(found.into_iter().map(|problem| format!("{place}: {problem}")));
    }
    let rejects: Vec<(String, Option<String>, String)> =
        outcome.rejects.iter().flat_map(|batch| told(&batch.rows)).collect();
    let wanted = case.rejects.iter().map(|reject| (reject.reason.to_string(), reject.field.clone()));
    compare_rejects(wanted.collect(), rejects, &mut problems);
    Ok(problems)
}

/// The records of a case, as a source would deliver them.
fn raw(case: &Case, now: i64) -> RawBatch {
    let payload = |value: &Value| match value {
        Value::String(text) => Bytes::from(text.clone()),
        object => Bytes::from(object.to_string()),
    };
    let records: Vec<Bytes> = case.input.iter().map(payload).collect();
    RawBatch {
        split: "test".into(),
        until: Position::at(records.len() as u64),
        size: records.iter().map(Bytes::len).sum(),
        records: Records::Payloads(records),
        positions: Positions::Counted { first: 0 },
        arrived_at: case.arrived_at.unwrap_or(now),
        refused: Vec::new(),
        beside: Beside::default(),
        permit: Permit::free(),
    }
}

fn objects(rows: &RecordBatch) -> Result<Vec<Map<String, Value>>, Failure> {
    let mut writer = arrow::json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::JsonArray>(Vec::new());
    writer.write(rows).and_then(|()| writer.finish()).map_err(Failure::failed)?;
    let json = writer.into_inner();
    if json.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(&json).map_err(Failure::failed)
}

fn compare_rows(wanted: &[Value], found: &[Map<String, Value>], problems: &mut Vec<String>) {
    if wanted.len() != found.len() {
        problems.push(format!("expected {} rows, found {}", wanted.len(), found.len()));
    }
    for (number, (wanted, found)) in wanted.iter().zip(found).enumerate() {
        for (column, value) in wanted.as_object().into_iter().flatten() {
            match found.get(column) {
                Some(there) if same(value, there) => {}
                Some(there) => problems.push(format!("row {}: {column} is {there}, expected {value}", number + 1)),
                None => problems.push(format!("row {}: there is no column {column}", number + 1)),
            }
        }
    }
}

/// A number is the same as another of its value; a time may be written with or without its zone, and as a date.
fn same(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::String(a), Value::String(b)) => a == b || time(a).is_some_and(|time_a| Some(time_a) == time(b)),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.iter().all(|(key, value)| b.get(key).is_some_and(|there| same(value, there)))
        }
        _ => wanted == found,
    }
}

fn time(text: &str) -> Option<i64> {
    arrow::compute::kernels::cast_utils::string_to_timestamp_nanos(text).ok()
}

/// Reason, field and message of each reject, in the order of the records.
fn told(rejects: &RecordBatch) -> Vec<(String, Option<String>, String)> {
    let text = |name: &str| rejects.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let (Some(reasons), Some(fields), Some(messages)) = (text("reason"), text("field"), text("message")) else {
        return Vec::new();
    };
    let field = |row| fields.is_valid(row).then(|| fields.value(row).to_owned());
    (0..rejects.num_rows())
        .map(|row| (reasons.value(row).to_owned(), field(row), messages.value(row).to_owned()))
        .collect()
}

/// Rejects come stage by stage, so they are compared without regard to their order.
fn compare_rejects(
    wanted: Vec<(String, Option<String>)>,
    mut found: Vec<(String, Option<String>, String)>,
    problems: &mut Vec<String>,
) {
    for (reason, field) in wanted {
        let fits =
            |there: &(String, Option<String>, String)| there.0 == reason && (field.is_none() || there.1 == field);
        match found.iter().position(fits) {
            Some(at) => drop(found.remove(at)),
            None => {
                let of = field.map(|field| format!(" of {field}")).unwrap_or_default();
                problems.push(format!("expected a reject {reason}{of}, found none"));
            }
        }
    }
    for (reason, field, message) in found {
        let of = field.map(|field| format!(" of {field}")).unwrap_or_default();
        problems.push(format!("a reject {reason}{of} that was not expected: {message}"));
    }
}

//! Avro's binary form straight into Arrow builders.
//!
//! Written by hand for the reasons of the JSON reader: a bad record costs only itself and says which field is at fault,
//! types are never guessed, and nothing is allocated per record.
//!
//! A record is read in two steps, as JSON is. The first goes over its bytes once by the writer's plan, says whether they are
//! such a record, and notes for each column of ours where its value stands. The second goes over the columns in the order of
//! our schema and appends what was noted. A list is noted as a whole and gone through in the second step.
//!
//! What must stay true: a record that is not what its schema says leaves no trace in the builders; any other appends exactly
//! one row; work and memory are bounded by the record's bytes, whatever its counts claim.

mod cursor;
mod plan;

use self::cursor::{Block, Cursor, Flaw};
use self::plan::{Plan, Step};
use super::builder::{Builder, Lists};
use super::columns::Columns;
use super::fault::Fault;
use super::format::{Appended, FormatSpec, Record, RecordReader, SchemaLanguage};
use super::outline::Outline;
use super::plans::Plans;
use super::value::{Value, signed};
use super::{DecodeError, Limits};
use crate::reject::Reason;
use crate::schema::Schema;
use crate::written::Definition;

pub(super) const FORMAT: FormatSpec = FormatSpec {
    word: "avro",
    keys: &["schema", "registry"],
    in_files: Err("comes as the messages of a stream; nothing says where its records end in a file"),
    in_messages: Ok(()),
    schema: Some(SchemaLanguage::Avro),
    reader: |options| {
        let reader = AvroReader::new(&options.schema, options.written.one(), options.limits);
        Ok(Box::new(reader.map_err(DecodeError::Written)?))
    },
};

/// Reads Avro records of one schema, whatever schemas they were written with.
pub(super) struct AvroReader {
    plans: Plans<Plan>,
    notes: Notes,
}

impl AvroReader {
    /// For records that are all written with `one`, or else name theirs.
    fn new(schema: &Schema, one: Option<&Definition>, limits: Limits) -> Result<Self, String> {
        let outline = Outline::new(schema);
        let plans = Plans::new(one, move |definition| Plan::new(definition, &outline))?;
        let outline = Outline::new(schema);
        let slots = vec![Slot::ABSENT; outline.len()];
        Ok(AvroReader { plans, notes: Notes { outline, slots, values: 0, empties: 0, limits } })
    }
}

impl RecordReader for AvroReader {
    fn record(&mut self, record: Record<'_>, columns: &mut Columns) -> Result<Appended, Box<Fault>> {
        let plan = self.plans.of(record.id, record.schemas)?;
        self.notes.record(plan, record.payload.bytes(), columns)
    }
}

/// Where the values of the current record stand, one slot for each node of our schema.
struct Notes {
    outline: Outline,
    slots: Vec<Slot>,
    /// Values that lists of the current record came to.
    values: usize,
    /// Items of its lists that took no bytes.
    empties: u64,
    limits: Limits,
}

/// Where a value begins, and what the writer says it is.
#[derive(Clone, Copy)]
struct Slot {
    start: u32,
    step: u32,
}

impl Slot {
    const ABSENT: Slot = Slot { start: 0, step: u32::MAX };

    fn is_absent(self) -> bool {
        self.step == u32::MAX
    }
}

/// Items that take no bytes are bounded by nothing in the record; this is what one may have of them.
const EMPTIES: u64 = 1 << 16;

impl Notes {
    fn record(&mut self, plan: &Plan, record: &[u8], columns: &mut Columns) -> Result<Appended, Box<Fault>> {
        self.note(plan, record)?;
        self.values = 0;
        let mut node = 1;
        let result = columns.append(|_, builder| {
            let this = node;
            node = self.outline.node(this).end;
            self.append(plan, record, this, builder).map_err(|fault| fault.in_field(&self.outline.node(this).name))
        });
        Ok(Appended { values: self.values, result })
    }

    /// The first step: is it what the plan says, and where in it stands what.
    fn note(&mut self, plan: &Plan, record: &[u8]) -> Result<(), Box<Fault>> {
        self.forget(0);
        self.empties = 0;
        let mut cursor = Cursor::new(record, 0);
        let read = self.go_past(plan, &mut cursor, plan.root, Some(0), 0).and_then(|()| match cursor.left() {
            0 => Ok(()),
            _ => Err(cursor.flaw("something follows the record")),
        });
        read.map_err(|flaw| no_avro(&flaw))?;
        match plan.step(self.slots[0].step) {
            Step::Record(_) => Ok(()),
            step => Err(Fault::type_of("a record", name(step))),
        }
    }

    /// Forgets what was noted for a node and all below it.
    fn forget(&mut self, node: usize) {
        self.slots[node..self.outline.node(node).end].fill(Slot::ABSENT);
    }

    /// Goes past a value, and notes it and what is below it for `to`.
    fn go_past(
        &mut self,
        plan: &Plan,
        cursor: &mut Cursor<'_>,
        step: u32,
        to: Option<u32>,
        depth: usize,
    ) -> Result<(), Flaw> {
        if to.is_none() && plan.is_empty(step) {
            return Ok(());
        }
        if let Some(node) = to {
            // Of a union it is the branch that stays noted.
            self.slots[node as usize] = Slot { start: cursor.position() as u32, step };
        }
        match plan.step(step) {
            Step::Null => Ok(()),
            Step::Bool => cursor.bool().map(drop),
            Step::Int | Step::Day => cursor.int().map(drop),
            Step::Long | Step::Instant(_) => cursor.long().map(drop),
            Step::Float => cursor.take(4).map(drop),
            Step::Double => cursor.take(8).map(drop),
            Step::Bytes | Step::Text | Step::Decimal { size: None, .. } => cursor.bytes().map(drop),
            Step::Id => cursor.take(16).map(drop),
            Step::Fixed(size) | Step::Decimal { size: Some(size), .. } => cursor.take(*size).map(drop),
            Step::Enum(symbols) => cursor.choice(symbols.len(), "no such symbol of an enum").map(drop),
            Step::Record(fields) => {
                let depth = self.deeper(cursor, depth)?;
                fields.iter().try_for_each(|field| self.go_past(plan, cursor, field.step, to.and(field.to), depth))
            }
            Step::Union(branches) => {
                let branch = branches[cursor.choice(branches.len(), "no such branch of a union")?];
                self.go_past(plan, cursor, branch, to, depth)
            }
            Step::Array { items, read } => self.go_past_blocks(plan, cursor, (*items, false, *read), depth),
            Step::Map(values) => self.go_past_blocks(plan, cursor, (*values, true, false), depth),
        }
    }

    fn deeper(&self, cursor: &Cursor<'_>, depth: usize) -> Result<usize, Flaw> {
        if depth < self.limits.depth { Ok(depth + 1) } else { Err(cursor.flaw("nesting is too deep")) }
    }

    /// Goes past the blocks of a list or a map. Those that nobody reads may be jumped over where they say how long they are.
    fn go_past_blocks(
        &mut self,
        plan: &Plan,
        cursor: &mut Cursor<'_>,
        (item, keyed, read): (u32, bool, bool),
        depth: usize,
    ) -> Result<(), Flaw> {
        let depth = self.deeper(cursor, depth)?;
        while let Some(block) = cursor.block()? {
            let empty = plan.is_empty(item) && !keyed;
            self.allow(&block, empty, cursor)?;
            match block.end {
                Some(end) if !read => cursor.take(end - cursor.position()).map(drop)?,
                _ if empty => {}
                _ => {
                    for _ in 0..block.count {
                        if keyed {
                            cursor.bytes()?;
                        }
                        self.go_past(plan, cursor, item, None, depth)?;
                    }
                }
            }
            block.ended(cursor)?;
        }
        Ok(())
    }

    /// Refuses a block that claims more items than there can be.
    fn allow(&mut self, block: &Block, empty: bool, cursor: &Cursor<'_>) -> Result<(), Flaw> {
        let most = if empty { EMPTIES - self.empties } else { cursor.left() as u64 };
        if block.count > most {
            return Err(Flaw { at: block.start, what: "a block of more items than the record can hold" });
        }
        self.empties += if empty { block.count } else { 0 };
        Ok(())
    }

    /// The second step: appends the value noted for `node`, or a zero if there is a fault in it.
    fn append(&mut self, plan: &Plan, record: &[u8], node: usize, builder: &mut Builder) -> Result<(), Box<Fault>> {
        let slot = self.slots[node];
        if slot.is_absent() {
            return self.outline.append_nothing(node, false, builder);
        }
        let mut cursor = Cursor::new(record, slot.start as usize);
        match (plan.step(slot.step), &mut *builder) {
            (Step::Null, _) => self.outline.append_nothing(node, true, builder),
            (Step::Record(_), Builder::Struct(structs)) => {
                let mut child = node + 1;
                structs.append(|_, builder| {
                    let this = child;
                    child = self.outline.node(this).end;
                    let appended = self.append(plan, record, this, builder);
                    appended.map_err(|fault| fault.in_field(&self.outline.node(this).name))
                })
            }
            (Step::Array { items, .. }, Builder::List(lists)) => {
                self.append_list(plan, record, (node + 1, *items), cursor, lists)
            }
            (step, builder) => match value(step, &mut cursor) {
                Ok(value) => value.append(builder),
                Err(fault) => {
                    builder.append_zero();
                    Err(fault)
                }
            },
        }
    }

    fn append_list(
        &mut self,
        plan: &Plan,
        record: &[u8],
        (element, items): (usize, u32),
        mut cursor: Cursor<'_>,
        lists: &mut Lists,
    ) -> Result<(), Box<Fault>> {
        let (mut result, mut index) = (Ok(()), 0);
        'blocks: while let Ok(Some(block)) = cursor.block() {
            for _ in 0..block.count {
                let appended = self.append_element(plan, record, (element, items), &mut cursor, lists);
                result = appended.map_err(|fault| fault.in_element(index));
                if result.is_err() {
                    break 'blocks;
                }
                index += 1;
            }
        }
        lists.close(true);
        result
    }

    fn append_element(
        &mut self,
        plan: &Plan,
        record: &[u8],
        (element, items): (usize, u32),
        cursor: &mut Cursor<'_>,
        lists: &mut Lists,
    ) -> Result<(), Box<Fault>> {
        self.forget(element);
        self.go_past(plan, cursor, items, Some(element as u32), 0).map_err(|flaw| no_avro(&flaw))?;
        self.values += self.outline.node(element).end - element;
        if self.values > self.limits.record_bytes {
            return Err(Fault::new(Reason::TooLarge, format!("its lists come to more than {} values", self.values)));
        }
        lists.count();
        self.append(plan, record, element, &mut lists.element)
    }
}

/// A single value, which was gone past before.
fn value<'a>(step: &'a Step, cursor: &mut Cursor<'a>) -> Result<Value<'a>, Box<Fault>> {
    read(step, cursor).map_err(|flaw| no_avro(&flaw))
}

fn read<'a>(step: &'a Step, cursor: &mut Cursor<'a>) -> Result<Value<'a>, Flaw> {
    Ok(match step {
        Step::Bool => Value::Bool(cursor.bool()?),
        Step::Int | Step::Long => Value::Integer(cursor.long()?),
        Step::Float => Value::Float(f32::from_le_bytes(array(cursor.take(4)?)).into()),
        Step::Double => Value::Float(f64::from_le_bytes(array(cursor.take(8)?))),
        Step::Bytes => Value::Bytes(cursor.bytes()?),
        Step::Fixed(size) => Value::Bytes(cursor.take(*size)?),
        Step::Text => {
            let bytes = cursor.bytes()?;
            Value::Text(simdutf8::basic::from_utf8(bytes).map_err(|_| cursor.flaw("a string that is not UTF-8"))?)
        }
        Step::Day => Value::Day(cursor.int()?),
        Step::Instant(per_second) => Value::Instant(micros(cursor.long()?, *per_second)),
        Step::Decimal { size, scale } => {
            let bytes = if let Some(size) = size { cursor.take(*size)? } else { cursor.bytes()? };
            Value::Decimal { unscaled: signed(bytes), scale: *scale }
        }
        Step::Enum(symbols) => Value::Text(&symbols[cursor.choice(symbols.len(), "no such symbol of an enum")?]),
        Step::Id => Value::Id(array(cursor.take(16)?)),
        other => Value::Composite(name(other)),
    })
}

/// What is smaller than a microsecond is cut.
fn micros(time: i64, per_second: i64) -> Option<i64> {
    const MICROS: i64 = 1_000_000;
    if per_second > MICROS { Some(time.div_euclid(per_second / MICROS)) } else { time.checked_mul(MICROS / per_second) }
}

/// So many bytes, which were taken as so many.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}

/// What a message calls a value that is no single one.
fn name(step: &Step) -> &'static str {
    match step {
        Step::Null => "null",
        Step::Record(_) => "a record",
        Step::Array { .. } => "a list",
        Step::Map(_) => "a map",
        _ => "a single value",
    }
}

#[cold]
fn no_avro(flaw: &Flaw) -> Box<Fault> {
    Fault::new(Reason::Decode, format!("not Avro of its schema at byte {}: {}", flaw.at, flaw.what))
}

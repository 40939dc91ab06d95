//! A writer's schema beside ours: what is read, what is gone past.
//!
//! Owns which field of the writer is which column: by name, case and all; aliases are the writer's own affair. Made once for a
//! schema. What must stay true: a type that refers to itself makes a plan of bounded size.

use std::borrow::Cow;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, Name, NamespaceRef, RecordSchema, UuidSchema};
use hashbrown::HashMap;

use crate::decode::outline::{Holds, Outline};
use crate::written::Definition;

/// How records of one writer's schema are read.
pub(super) struct Plan {
    steps: Vec<Step>,
    /// For each step, whether its values take no bytes at all.
    empty: Vec<bool>,
    pub(super) root: u32,
}

/// One value of the writer, simple or not.
pub(super) enum Step {
    Null,
    Bool,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Box<[Box<str>]>),
    Day,
    /// A time: so many of it are a second.
    Instant(i64),
    /// A decimal; of a fixed size, or behind its length.
    Decimal {
        size: Option<usize>,
        scale: u32,
    },
    /// An id of 16 bytes.
    Id,
    Record(Box<[Field]>),
    /// A list, and whether it is one of ours.
    Array {
        items: u32,
        read: bool,
    },
    Map(u32),
    Union(Box<[u32]>),
}

/// A field of a writer's record.
pub(super) struct Field {
    pub(super) step: u32,
    /// The column that it goes to.
    pub(super) to: Option<u32>,
}

impl Plan {
    /// Makes the plan of a writer's schema.
    pub(super) fn new(definition: &Definition, outline: &Outline) -> Result<Self, String> {
        let Definition::Avro { schema, references } = definition else { return Err("it is no Avro schema".into()) };
        let parsed = Schema::parse_str_with_list(schema, references);
        let (schema, references) = parsed.map_err(|error| format!("it is no Avro schema that can be read: {error}"))?;
        let mut names = Names::new();
        std::iter::once(&schema).chain(&references).for_each(|schema| collect(schema, None, &mut names));
        let mut making = Making { outline, names: &names, steps: Vec::new(), known: HashMap::new(), depth: 0 };
        let root = making.step(&schema, None, Some(0))?;
        let mut plan = Plan { empty: Vec::new(), steps: making.steps, root };
        let mut known = vec![None; plan.steps.len()];
        plan.empty = (0..plan.steps.len()).map(|step| plan.takes_nothing(step as u32, &mut known)).collect();
        Ok(plan)
    }

    pub(super) fn step(&self, step: u32) -> &Step {
        &self.steps[step as usize]
    }

    /// Whether values of a step take no bytes at all.
    pub(super) fn is_empty(&self, step: u32) -> bool {
        self.empty[step as usize]
    }

    fn takes_nothing(&self, step: u32, known: &mut [Option<bool>]) -> bool {
        if let Some(known) = known[step as usize] {
            return known;
        }
        // A record that holds itself has no end, and is found too deep.
        known[step as usize] = Some(false);
        let nothing = match self.step(step) {
            Step::Null | Step::Fixed(0) | Step::Decimal { size: Some(0), .. } => true,
            Step::Record(fields) => fields.iter().all(|field| self.takes_nothing(field.step, known)),
            _ => false,
        };
        known[step as usize] = Some(nothing);
        nothing
    }
}

/// Named types by their full names.
type Names<'a> = HashMap<String, &'a Schema>;

/// Takes in the named types of a schema, wherever in it they are.
fn collect<'a>(schema: &'a Schema, space: NamespaceRef<'_>, names: &mut Names<'a>) {
    match schema {
        Schema::Array(array) => collect(&array.items, space, names),
        Schema::Map(map) => collect(&map.types, space, names),
        Schema::Union(union) => union.variants().iter().for_each(|branch| collect(branch, space, names)),
        Schema::Record(record) => {
            let name = record.name.fully_qualified_name(space);
            names.insert(name.fullname(None), schema);
            record.fields.iter().for_each(|field| collect(&field.schema, name.namespace(), names));
        }
        Schema::Ref { .. } => {}
        other => {
            if let Some(name) = other.name() {
                names.insert(name.fully_qualified_name(space).fullname(None), other);
            }
        }
    }
}

/// A plan being made.
struct Making<'a> {
    outline: &'a Outline,
    names: &'a Names<'a>,
    steps: Vec<Step>,
    /// Records by name and by what they are read into; so one that holds itself is made once.
    known: HashMap<(String, Option<usize>), u32>,
    depth: usize,
}

/// Records in records, however they refer to each other.
const DEEPEST: usize = 256;

impl Making<'_> {
    /// The step for a value of the writer, which goes to a node of ours or nowhere.
    fn step(&mut self, schema: &Schema, space: NamespaceRef<'_>, to: Option<usize>) -> Result<u32, String> {
        let step = match schema {
            Schema::Ref { name } => {
                let name = name.fully_qualified_name(space);
                return match self.names.get(&name.fullname(None)).copied() {
                    Some(schema) => self.step(schema, name.namespace(), to),
                    None => Err(format!("it refers to {}, which is not there", name.fullname(None))),
                };
            }
            Schema::Record(record) => return self.record(record, space, to),
            Schema::Array(array) => {
                let element = to.filter(|node| self.outline.node(*node).holds == Holds::List).map(|node| node + 1);
                Step::Array { items: self.step(&array.items, space, element)?, read: element.is_some() }
            }
            Schema::Map(map) => Step::Map(self.step(&map.types, space, None)?),
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.step(branch, space, to));
                Step::Union(branches.collect::<Result<_, _>>()?)
            }
            leaf => simple(leaf),
        };
        Ok(self.add(step))
    }

    fn record(&mut self, record: &RecordSchema, space: NamespaceRef<'_>, to: Option<usize>) -> Result<u32, String> {
        let to = to.filter(|node| self.outline.node(*node).holds == Holds::Struct);
        let name: Cow<'_, Name> = record.name.fully_qualified_name(space);
        let key = (name.fullname(None), to);
        if let Some(step) = self.known.get(&key) {
            return Ok(*step);
        }
        if self.depth >= DEEPEST {
            return Err(format!("its records nest deeper than {DEEPEST}"));
        }
        self.depth += 1;
        let step = self.add(Step::Null);
        self.known.insert(key, step);
        let mut fields = Vec::new();
        for field in &record.fields {
            let to = to.and_then(|node| self.outline.field(node, &field.name));
            fields
                .push(Field { step: self.step(&field.schema, name.namespace(), to)?, to: to.map(|node| node as u32) });
        }
        self.depth -= 1;
        self.steps[step as usize] = Step::Record(fields.into());
        Ok(step)
    }

    fn add(&mut self, step: Step) -> u32 {
        self.steps.push(step);
        self.steps.len() as u32 - 1
    }
}

/// A value without others in it. What we have no type for (a time of day, a duration) is what it is written as.
fn simple(schema: &Schema) -> Step {
    const MILLIS: i64 = 1_000;
    const MICROS: i64 = 1_000_000;
    const NANOS: i64 = 1_000_000_000;
    match schema {
        Schema::Boolean => Step::Bool,
        Schema::Int | Schema::TimeMillis => Step::Int,
        Schema::Long | Schema::TimeMicros => Step::Long,
        Schema::Float => Step::Float,
        Schema::Double => Step::Double,
        Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => Step::Bytes,
        Schema::String | Schema::Uuid(UuidSchema::String) => Step::Text,
        Schema::Uuid(UuidSchema::Fixed(_)) => Step::Id,
        Schema::Fixed(fixed) | Schema::Duration(fixed) => Step::Fixed(fixed.size),
        Schema::Enum(symbols) => Step::Enum(symbols.symbols.iter().map(|symbol| symbol.as_str().into()).collect()),
        Schema::Date => Step::Day,
        Schema::TimestampMillis | Schema::LocalTimestampMillis => Step::Instant(MILLIS),
        Schema::TimestampMicros | Schema::LocalTimestampMicros => Step::Instant(MICROS),
        Schema::TimestampNanos | Schema::LocalTimestampNanos => Step::Instant(NANOS),
        Schema::Decimal(decimal) => Step::Decimal {
            size: match &decimal.inner {
                InnerDecimalSchema::Bytes => None,
                InnerDecimalSchema::Fixed(fixed) => Some(fixed.size),
            },
            scale: u32::try_from(decimal.scale).unwrap_or(u32::MAX),
        },
        // The others are no single values, and are not asked for here.
        Schema::Null
        | Schema::Record(_)
        | Schema::Array(_)
        | Schema::Map(_)
        | Schema::Union(_)
        | Schema::Ref { .. } => Step::Null,
    }
}

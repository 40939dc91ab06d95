//! Protobuf's binary form straight into Arrow builders.
//!
//! Written by hand for the reasons of the JSON reader: a bad record costs only itself and says which field is at fault,
//! types are never guessed, and nothing is allocated per record.
//!
//! A record is read in two steps, as JSON is. The first goes over its bytes, and notes for each column where its value stands:
//! of a field that comes once the last, of a message and of a list every stretch that it came in. The second goes over the
//! columns in the order of our schema and appends what was noted. Fields that the schema does not name are gone past.
//!
//! What must stay true: a record that is not Protobuf leaves no trace in the builders, or is refused as a whole; any other
//! appends exactly one row; work and memory are bounded by the record's bytes.

mod cursor;
mod plan;
mod read;

use prost_reflect::DescriptorPool;

use self::cursor::{Cursor, Flaw, Wire};
use self::plan::{Known, Plan, Read, by_place};
use super::builder::{Builder, Lists};
use super::columns::Columns;
use super::fault::Fault;
use super::format::{Appended, FormatSpec, Record, RecordReader, SchemaLanguage};
use super::outline::Outline;
use super::plans::Plans;
use super::value::Value;
use super::{DecodeError, Limits};
use crate::reject::Reason;
use crate::schema::Schema;
use crate::written::{Definition, Root};

pub(super) const FORMAT: FormatSpec = FormatSpec {
    word: "protobuf",
    keys: &["schema", "message", "registry"],
    in_files: Err("comes as the messages of a stream; nothing says where its records end in a file"),
    in_messages: Ok(()),
    schema: Some(SchemaLanguage::Protobuf),
    reader: |options| {
        let reader = ProtobufReader::new(&options.schema, options.written.one(), options.limits);
        Ok(Box::new(reader.map_err(DecodeError::Written)?))
    },
};

/// Reads Protobuf records of one schema, whatever messages they were written as.
pub(super) struct ProtobufReader {
    written: Plans<Written>,
    notes: Notes,
    /// The place of a record's message in its file.
    path: Vec<u32>,
}

/// The files of one schema, and the plans of those messages in them that came.
struct Written {
    pool: DescriptorPool,
    root: Root,
    plans: Vec<(Vec<u32>, Option<Plan>)>,
}

impl ProtobufReader {
    /// For records that are all written with `one`, or else name theirs.
    fn new(schema: &Schema, one: Option<&Definition>, limits: Limits) -> Result<Self, String> {
        let mut written = Plans::new(one, Written::new)?;
        let outline = Outline::new(schema);
        if one.is_some() {
            // So that a message which is not there is found out before there are records.
            written.of(None, None).and_then(|one| one.plan(&[], &outline).map(drop)).map_err(|fault| fault.told())?;
        }
        let slots = vec![Slot::Absent; outline.len()];
        let notes = Notes { outline, slots, stretches: Vec::new(), values: 0, limits };
        Ok(ProtobufReader { written, notes, path: Vec::new() })
    }
}

impl RecordReader for ProtobufReader {
    fn record(&mut self, record: Record<'_>, columns: &mut Columns) -> Result<Appended, Box<Fault>> {
        let Record { id, payload, schemas } = record;
        let record = payload.bytes();
        let start = id.map_or(Ok(0), |_| self.read_path(record)).map_err(|flaw| no_protobuf(&flaw))?;
        let plan = self.written.of(id, schemas)?.plan(&self.path, &self.notes.outline)?;
        self.notes.record(plan, record, start, columns)
    }
}

impl ProtobufReader {
    /// Reads which message of its file a record is; where the record itself begins.
    fn read_path(&mut self, record: &[u8]) -> Result<usize, Flaw> {
        let mut cursor = Cursor::new(record, 0, record.len());
        self.path.clear();
        let count = unsigned(cursor.varint()?).filter(|count| *count <= self.notes.limits.depth as u32);
        for _ in 0..count.ok_or_else(|| cursor.flaw("no such place of a message in its file"))? {
            let place = unsigned(cursor.varint()?);
            self.path.push(place.ok_or_else(|| cursor.flaw("no such place of a message in its file"))?);
        }
        if self.path.is_empty() {
            self.path.push(0);
        }
        Ok(cursor.position())
    }
}

/// A number whose lowest bit is its sign, and which has none.
fn unsigned(value: u64) -> Option<u32> {
    if value & 1 == 0 { u32::try_from(value >> 1).ok() } else { None }
}

impl Written {
    fn new(definition: &Definition) -> Result<Self, String> {
        let Definition::Protobuf { files, root } = definition else { return Err("it is no Protobuf schema".into()) };
        let pool = DescriptorPool::decode(files.as_slice()).map_err(|error| format!("its files: {error}"))?;
        Ok(Written { pool, root: root.clone(), plans: Vec::new() })
    }

    /// The plan of one of its messages.
    fn plan(&mut self, path: &[u32], outline: &Outline) -> Result<&Plan, Box<Fault>> {
        let known = self.plans.iter().position(|(known, _)| known == path);
        let place = known.unwrap_or_else(|| {
            let message = match &self.root {
                Root::Message(name) => self.pool.get_message_by_name(name),
                Root::InFile(file) => by_place(&self.pool, file, path),
            };
            if self.plans.len() >= MESSAGES {
                self.plans.clear();
            }
            self.plans.push((path.to_vec(), message.map(|message| Plan::new(&message, outline))));
            self.plans.len() - 1
        });
        self.plans[place].1.as_ref().ok_or_else(|| {
            let what = match &self.root {
                Root::Message(name) => format!("there is no message {name} in the schema"),
                Root::InFile(_) => format!("its schema has no message at {path:?}"),
            };
            Fault::new(Reason::Decode, what)
        })
    }
}

/// Plans of one schema that are kept. Records decide which come, so their number is bounded.
const MESSAGES: usize = 64;

/// Where the values of the current record stand, one slot for each node of our schema.
struct Notes {
    outline: Outline,
    slots: Vec<Slot>,
    /// The stretches of lists and messages, each chained to the next of its node.
    stretches: Vec<Stretch>,
    /// Values that lists of the current record came to.
    values: usize,
    limits: Limits,
}

/// Where the value of a node stands.
#[derive(Clone, Copy)]
enum Slot {
    Absent,
    /// A single value.
    At {
        start: u32,
        end: u32,
    },
    /// A message whose fields have slots of their own.
    Here,
    /// All that came of a list, or of a message that stands for a value.
    Chain {
        first: u32,
        last: u32,
    },
}

/// A part of a record.
#[derive(Clone, Copy)]
struct Stretch {
    start: u32,
    end: u32,
    /// Whether it is values without keys between them.
    packed: bool,
    next: u32,
}

/// Stretches that room is kept for; a record of more gives its room back.
const STRETCHES: usize = 1 << 16;

/// No further stretch.
const LAST: u32 = u32::MAX;

impl Notes {
    fn record(
        &mut self,
        plan: &Plan,
        record: &[u8],
        start: usize,
        columns: &mut Columns,
    ) -> Result<Appended, Box<Fault>> {
        self.forget(0);
        self.stretches.clear();
        self.stretches.shrink_to(STRETCHES);
        let noted = self.note(plan, Cursor::new(record, start, record.len()), 0, 1);
        noted.map_err(|flaw| no_protobuf(&flaw))?;
        self.values = 0;
        let mut node = 1;
        let result = columns.append(|_, builder| {
            let this = node;
            node = self.outline.node(this).end;
            self.append(plan, record, this, builder).map_err(|fault| fault.in_field(&self.outline.node(this).name))
        });
        Ok(Appended { values: self.values, result })
    }

    /// Forgets what was noted for a node and all below it.
    fn forget(&mut self, node: usize) {
        self.slots[node..self.outline.node(node).end].fill(Slot::Absent);
    }

    /// Goes past a message and notes what is in it. What was noted of it before stays: messages that come twice are one.
    fn note(&mut self, plan: &Plan, mut cursor: Cursor<'_>, node: usize, depth: usize) -> Result<(), Flaw> {
        if depth > self.limits.depth {
            return Err(cursor.flaw("nesting is too deep"));
        }
        self.slots[node] = Slot::Here;
        while !cursor.at_end() {
            let (number, wire) = cursor.key()?;
            let (start, end) = cursor.value(number, wire, self.limits.depth - depth)?;
            let Some(field) = plan.table(node).get(number) else { continue };
            field.rivals.iter().for_each(|rival| self.forget(*rival));
            let Some((to, known)) = field.to.and_then(|to| Some((to, plan.known(to)?))) else { continue };
            let packed = known.list && wire == Wire::Framed && known.wire() != Wire::Framed;
            // A value of another wire type is one that the schema does not know.
            if wire != known.wire() && !packed {
                continue;
            }
            match &known.read {
                Read::Message if !known.list => {
                    let below = Cursor::new(cursor.record(), start, end);
                    self.note(plan, below, to, depth + 1)?;
                }
                Read::Simple(_) if !known.list => {
                    self.slots[to] = Slot::At { start: start as u32, end: end as u32 };
                }
                _ => self.chain(to, Stretch { start: start as u32, end: end as u32, packed, next: LAST }),
            }
        }
        Ok(())
    }

    fn chain(&mut self, node: usize, stretch: Stretch) {
        let new = self.stretches.len() as u32;
        self.stretches.push(stretch);
        self.slots[node] = match self.slots[node] {
            Slot::Chain { first, last } => {
                self.stretches[last as usize].next = new;
                Slot::Chain { first, last: new }
            }
            _ => Slot::Chain { first: new, last: new },
        };
    }

    /// The stretches from `first` on.
    fn stretches(&self, first: u32) -> impl Iterator<Item = Stretch> {
        let at = |index: u32| self.stretches.get(index as usize).copied();
        std::iter::successors(at(first), move |stretch| at(stretch.next))
    }

    /// The second step: appends the value noted for `node`, or a zero if there is a fault in it.
    fn append(&mut self, plan: &Plan, record: &[u8], node: usize, builder: &mut Builder) -> Result<(), Box<Fault>> {
        let Some(known) = plan.known(node) else { return self.outline.append_nothing(node, false, builder) };
        match (&known.read, self.slots[node], &mut *builder) {
            (Read::Map, ..) => Value::Composite("a map").append(builder),
            (_, Slot::Absent, _) if known.presence => self.outline.append_nothing(node, false, builder),
            (_, slot, Builder::List(lists)) if known.list => {
                let first = if let Slot::Chain { first, .. } = slot { first } else { LAST };
                self.append_list(plan, record, (node + 1, first), known, lists)
            }
            _ if known.list => Value::Composite("a list").append(builder),
            (_, _, builder) => self.append_one(plan, record, node, known, builder),
        }
    }

    /// Appends a value that is no list, noted for `node`.
    fn append_one(
        &mut self,
        plan: &Plan,
        record: &[u8],
        node: usize,
        known: &Known,
        builder: &mut Builder,
    ) -> Result<(), Box<Fault>> {
        let value = match (&known.read, self.slots[node]) {
            (Read::Message, _) => {
                if let Builder::Struct(structs) = builder {
                    let mut child = node + 1;
                    return structs.append(|_, builder| {
                        let this = child;
                        child = self.outline.node(this).end;
                        let appended = self.append(plan, record, this, builder);
                        appended.map_err(|fault| fault.in_field(&self.outline.node(this).name))
                    });
                }
                Ok(Value::Composite("a message"))
            }
            (Read::Simple(simple), Slot::At { start, end }) => {
                simple.read(&mut Cursor::new(record, start as usize, end as usize), true)
            }
            (Read::Simple(simple), _) => Ok(simple.default()),
            (Read::Timestamp, Slot::Chain { first, .. }) => read::timestamp(record, self.stretches(first)),
            (Read::Wrapped(simple), Slot::Chain { first, .. }) => read::wrapped(record, simple, self.stretches(first)),
            (Read::Timestamp | Read::Wrapped(_) | Read::Map | Read::Opaque, _) => Ok(Value::Composite("a message")),
        };
        match value {
            Ok(value) => value.append(builder),
            Err(flaw) => {
                builder.append_zero();
                Err(no_protobuf(&flaw))
            }
        }
    }

    fn append_list(
        &mut self,
        plan: &Plan,
        record: &[u8],
        (element, first): (usize, u32),
        known: &Known,
        lists: &mut Lists,
    ) -> Result<(), Box<Fault>> {
        let (mut result, mut index, mut at) = (Ok(()), 0, first);
        while let (Ok(()), Some(stretch)) = (&result, self.stretches.get(at as usize).copied()) {
            let mut left = Cursor::new(record, stretch.start as usize, stretch.end as usize);
            while result.is_ok() && (!stretch.packed || !left.at_end()) {
                let appended = self.append_element(plan, record, (element, stretch), &mut left, known, lists);
                result = appended.map_err(|fault| fault.in_element(index));
                index += 1;
                if !stretch.packed {
                    break;
                }
            }
            at = stretch.next;
        }
        lists.close(true);
        result
    }

    /// Appends the next element of a stretch, which is the stretch itself unless it is packed.
    fn append_element<'r>(
        &mut self,
        plan: &Plan,
        record: &'r [u8],
        (element, stretch): (usize, Stretch),
        left: &mut Cursor<'r>,
        known: &'r Known,
        lists: &mut Lists,
    ) -> Result<(), Box<Fault>> {
        self.values += self.outline.node(element).end - element;
        if self.values > self.limits.record_bytes {
            return Err(Fault::new(Reason::TooLarge, format!("its lists come to more than {} values", self.values)));
        }
        let outer = self.stretches.len();
        self.forget(element);
        match &known.read {
            Read::Simple(simple) => {
                let start = left.position();
                simple.read(left, !stretch.packed).map_err(|flaw| no_protobuf(&flaw))?;
                self.slots[element] = Slot::At { start: start as u32, end: left.position() as u32 };
            }
            Read::Message => {
                let message = Cursor::new(record, stretch.start as usize, stretch.end as usize);
                self.note(plan, message, element, 1).map_err(|flaw| no_protobuf(&flaw))?;
            }
            _ => self.chain(element, Stretch { next: LAST, ..stretch }),
        }
        lists.count();
        let appended = self.append_one(plan, record, element, known, &mut lists.element);
        self.stretches.truncate(outer);
        appended
    }
}

#[cold]
fn no_protobuf(flaw: &Flaw) -> Box<Fault> {
    Fault::new(Reason::Decode, format!("not Protobuf of its schema at byte {}: {}", flaw.at, flaw.what))
}

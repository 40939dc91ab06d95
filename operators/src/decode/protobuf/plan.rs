//! A writer's message beside our schema: which field is which column, and how it is read.
//!
//! Owns the match by name, the `.proto` file's own. Made once for a message. A plan follows our schema and not the writer's, so
//! that messages which hold themselves are no matter.

use prost_reflect::{Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::cursor::Wire;
use crate::decode::outline::{Holds, Outline};

/// How messages of one kind are read: of each node of our schema what the writer says of it.
pub(super) struct Plan {
    nodes: Vec<Option<Known>>,
    /// The fields below each node that is a message.
    tables: Vec<Table>,
}

/// What the writer says of a node.
pub(super) struct Known {
    pub(super) read: Read,
    /// Whether it may come any number of times.
    pub(super) list: bool,
    /// Whether it can be told that it is not there. If not, it has the value that stands for nothing.
    pub(super) presence: bool,
}

/// How a value is read.
pub(super) enum Read {
    Simple(Simple),
    /// A message into a struct.
    Message,
    /// `google.protobuf.Timestamp` into a time.
    Timestamp,
    /// `google.protobuf.StringValue` and its kin into what they wrap.
    Wrapped(Simple),
    /// A map, which is no column.
    Map,
    /// A message that is no single value.
    Opaque,
}

/// A single value.
pub(super) enum Simple {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    Text,
    Bytes,
    Enum(Names),
}

/// The names of an enum by their numbers, and the one that stands for nothing.
pub(super) struct Names {
    names: Vec<(i32, Box<str>)>,
    pub(super) default: i32,
}

/// The fields of a message that matter to us, by their numbers.
#[derive(Default)]
pub(super) struct Table {
    /// Of a low number the place in `fields`, plus one.
    low: Box<[u16]>,
    fields: Vec<(u32, Field)>,
}

/// A field of the writer's.
pub(super) struct Field {
    /// The column that it goes to; none for one that matters only because its coming means that another is not there.
    pub(super) to: Option<usize>,
    /// The columns that are not there once this one is: those of its oneof.
    pub(super) rivals: Box<[usize]>,
}

/// Numbers that are looked up in a table, without a search.
const LOW: usize = 128;

impl Plan {
    pub(super) fn new(message: &MessageDescriptor, outline: &Outline) -> Self {
        let mut plan = Plan {
            nodes: (0..outline.len()).map(|_| None).collect(),
            tables: (0..outline.len()).map(|_| Table::default()).collect(),
        };
        plan.message(message, outline, 0);
        plan
    }

    pub(super) fn known(&self, node: usize) -> Option<&Known> {
        self.nodes[node].as_ref()
    }

    pub(super) fn table(&self, node: usize) -> &Table {
        &self.tables[node]
    }

    /// Matches the fields of a message with those of a struct.
    fn message(&mut self, message: &MessageDescriptor, outline: &Outline, node: usize) {
        for child in outline.fields(node) {
            let field = message.get_field_by_name(&outline.node(child).name).filter(|field| !field.is_group());
            if let Some(field) = field {
                self.field(&field, outline, child);
            }
        }
        self.tables[node] = Table::new(message, outline, node);
    }

    fn field(&mut self, field: &FieldDescriptor, outline: &Outline, node: usize) {
        let list = field.cardinality() == Cardinality::Repeated;
        // A repeated field that goes to a list is read into its element.
        let target = if list && outline.node(node).holds == Holds::List { node + 1 } else { node };
        let into_struct = outline.node(target).holds == Holds::Struct;
        let read = match field.kind() {
            Kind::Message(_) if field.is_map() => Read::Map,
            Kind::Message(message) if into_struct => {
                self.message(&message, outline, target);
                Read::Message
            }
            Kind::Message(message) => well_known(&message),
            kind => simple(&kind).map_or(Read::Opaque, Read::Simple),
        };
        self.nodes[node] = Some(Known { read, list, presence: field.supports_presence() });
    }
}

/// A message that stands for a single value.
fn well_known(message: &MessageDescriptor) -> Read {
    let wrapped = message.full_name().strip_prefix("google.protobuf.").is_some_and(|name| name.ends_with("Value"));
    match message.full_name() {
        "google.protobuf.Timestamp" => Read::Timestamp,
        "google.protobuf.Value" | "google.protobuf.ListValue" => Read::Opaque,
        _ if wrapped => match message.get_field(1).and_then(|value| simple(&value.kind())) {
            Some(simple) => Read::Wrapped(simple),
            None => Read::Opaque,
        },
        _ => Read::Opaque,
    }
}

fn simple(kind: &Kind) -> Option<Simple> {
    Some(match kind {
        Kind::Double => Simple::Double,
        Kind::Float => Simple::Float,
        Kind::Int32 => Simple::Int32,
        Kind::Int64 => Simple::Int64,
        Kind::Uint32 => Simple::Uint32,
        Kind::Uint64 => Simple::Uint64,
        Kind::Sint32 => Simple::Sint32,
        Kind::Sint64 => Simple::Sint64,
        Kind::Fixed32 => Simple::Fixed32,
        Kind::Fixed64 => Simple::Fixed64,
        Kind::Sfixed32 => Simple::Sfixed32,
        Kind::Sfixed64 => Simple::Sfixed64,
        Kind::Bool => Simple::Bool,
        Kind::String => Simple::Text,
        Kind::Bytes => Simple::Bytes,
        Kind::Enum(names) => Simple::Enum(Names::new(names)),
        Kind::Message(_) => return None,
    })
}

impl Simple {
    /// How one value of it lies in the bytes.
    pub(super) fn wire(&self) -> Wire {
        match self {
            Simple::Double | Simple::Fixed64 | Simple::Sfixed64 => Wire::Eight,
            Simple::Float | Simple::Fixed32 | Simple::Sfixed32 => Wire::Four,
            Simple::Text | Simple::Bytes => Wire::Framed,
            _ => Wire::Varint,
        }
    }
}

impl Known {
    /// How one value of it lies in the bytes.
    pub(super) fn wire(&self) -> Wire {
        match &self.read {
            Read::Simple(simple) => simple.wire(),
            Read::Message | Read::Timestamp | Read::Wrapped(_) | Read::Map | Read::Opaque => Wire::Framed,
        }
    }
}

impl Names {
    fn new(of: &EnumDescriptor) -> Self {
        let mut names: Vec<(i32, Box<str>)> = of.values().map(|value| (value.number(), value.name().into())).collect();
        // Of several names for one number the first counts.
        names.sort_by_key(|(number, _)| *number);
        names.dedup_by_key(|(number, _)| *number);
        Names { names, default: of.default_value().number() }
    }

    pub(super) fn get(&self, number: i32) -> Option<&str> {
        let found = self.names.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(&self.names[found].1)
    }
}

impl Table {
    fn new(message: &MessageDescriptor, outline: &Outline, node: usize) -> Self {
        let column = |field: &FieldDescriptor| outline.field(node, field.name()).filter(|_| !field.is_group());
        let mut fields: Vec<(u32, Field)> = Vec::new();
        for field in message.fields() {
            let others = field.containing_oneof().into_iter().flat_map(|oneof| oneof.fields().collect::<Vec<_>>());
            let others = others.filter(|other| other.number() != field.number());
            let rivals: Box<[usize]> = others.filter_map(|other| column(&other)).collect();
            let to = column(&field);
            if to.is_some() || !rivals.is_empty() {
                fields.push((field.number(), Field { to, rivals }));
            }
        }
        fields.sort_by_key(|(number, _)| *number);
        let mut low = vec![0; LOW].into_boxed_slice();
        for (place, (number, _)) in fields.iter().enumerate().take(usize::from(u16::MAX)) {
            if let Some(low) = low.get_mut(*number as usize) {
                *low = place as u16 + 1;
            }
        }
        Table { low, fields }
    }

    /// The field of a number, if it matters.
    pub(super) fn get(&self, number: u32) -> Option<&Field> {
        if let Some(place) = self.low.get(number as usize) {
            return self.fields.get(usize::from(place.checked_sub(1)?)).map(|(_, field)| field);
        }
        let place = self.fields.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(&self.fields[place].1)
    }
}

/// The message of a record, by its place in a file: its number among the file's messages, then among that one's, and so on.
pub(super) fn by_place(pool: &DescriptorPool, file: &str, path: &[u32]) -> Option<MessageDescriptor> {
    let (first, rest) = path.split_first()?;
    let first = pool.get_file_by_name(file)?.messages().nth(*first as usize)?;
    rest.iter().try_fold(first, |message, next| message.child_messages().nth(*next as usize))
}

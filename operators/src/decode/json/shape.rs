//! A schema, made ready for reading JSON: which key leads to which column.
//!
//! Owns the nodes of the schema in the order of the file, each with its whole subtree behind it, and the lookup of keys. A
//! lookup tries the key first that came last time after the one before: records of one stream have their keys in one order,
//! so that is one comparison. Everything else goes over a table of a few short rows.

use crate::decode::required::{first_leaf, is_required};
use crate::schema::{Column, Kind, Schema};

/// A schema as a row of nodes. Node 0 is the record itself.
pub(super) struct Shape {
    pub(super) nodes: Vec<Node>,
}

/// A column, a field of a struct, or the element of a list.
pub(super) struct Node {
    pub(super) name: Box<str>,
    /// Whether a record without it is refused: it is required itself, or something is that it is the way to.
    pub(super) required: bool,
    /// One past the last node below this one.
    pub(super) end: usize,
    /// Of a struct: its fields.
    pub(super) keys: Option<Keys>,
    /// Below which a missing value is reported: the first required leaf of a struct. None where that is the node itself.
    pub(super) missing: Option<Box<str>>,
}

impl Shape {
    pub(super) fn new(schema: &Schema) -> Self {
        let mut shape = Shape { nodes: Vec::new() };
        let record = Column::new("", Kind::Struct(schema.columns.clone()));
        shape.add(&record);
        shape
    }

    fn add(&mut self, column: &Column) {
        let index = self.nodes.len();
        self.nodes.push(Node {
            name: column.name.as_str().into(),
            required: is_required(column),
            end: index + 1,
            keys: None,
            missing: first_leaf(&column.kind).map(Into::into),
        });
        match &column.kind {
            Kind::Struct(fields) => {
                let mut keys = Keys::default();
                for field in fields {
                    keys.add(&field.name, self.nodes.len());
                    self.add(field);
                }
                keys.tabulate();
                self.nodes[index].keys = Some(keys);
            }
            Kind::List(element) => self.add(element),
            _ => {}
        }
        self.nodes[index].end = self.nodes.len();
    }
}

/// The fields of a struct by key.
#[derive(Default)]
pub(super) struct Keys {
    fields: Vec<Key>,
    /// For each field, and at 0 for the beginning of an object: the field that came next the last time.
    followers: Vec<usize>,
    table: Vec<Vec<usize>>,
}

struct Key {
    name: Box<[u8]>,
    /// The name and a closing quote, as it stands in a text; empty for a name that needs escapes there.
    quoted: Box<[u8]>,
    node: usize,
}

impl Keys {
    fn add(&mut self, name: &str, node: usize) {
        let escaped = name.bytes().any(|byte| byte == b'"' || byte == b'\\' || byte < 0x20);
        let quoted = if escaped { String::new() } else { format!("{name}\"") };
        self.fields.push(Key { name: name.as_bytes().into(), quoted: quoted.into_bytes().into(), node });
    }

    fn tabulate(&mut self) {
        // In the order of the file until records show theirs.
        self.followers = (0..=self.fields.len()).collect();
        self.table = vec![Vec::new(); (self.fields.len() * 2).next_power_of_two()];
        for (index, key) in self.fields.iter().enumerate() {
            let row = row(&key.name, self.table.len());
            self.table[row].push(index);
        }
    }

    /// What is likely to come after field `last` (0 at the beginning of an object): the text of its key, and its number.
    pub(super) fn likely(&self, last: usize) -> Option<(&[u8], usize)> {
        let field = *self.followers.get(last)?;
        let key = self.fields.get(field)?;
        (!key.quoted.is_empty()).then_some((&*key.quoted, field))
    }

    /// The field of a key, found the longer way, and remembered as the one that follows `last`.
    pub(super) fn find(&mut self, name: &[u8], last: usize) -> Option<usize> {
        let row = self.table.get(row(name, self.table.len()))?;
        let field = row.iter().copied().find(|field| *self.fields[*field].name == *name)?;
        self.followers[last] = field;
        Some(field)
    }

    /// The node of a field.
    pub(super) fn node(&self, field: usize) -> usize {
        self.fields[field].node
    }
}

/// The row of a table of `rows` (a power of two) in which a name is.
fn row(name: &[u8], rows: usize) -> usize {
    let at = |index: usize| usize::from(name.get(index).copied().unwrap_or(0));
    let middle = at(name.len() / 2);
    let mixed = name.len() + at(0) * 7 + middle * 31 + at(name.len().wrapping_sub(1)) * 131;
    (mixed ^ (mixed >> 5)) & rows.wrapping_sub(1)
}

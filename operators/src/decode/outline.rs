//! A schema as a row of nodes, for readers that go by place and not by key.
//!
//! Owns the nodes in the order of the file, each with its whole subtree behind it, and what becomes of a value that is not
//! there. Node 0 is the record itself.

use super::builder::Builder;
use super::fault::Fault;
use super::required::{first_leaf, is_required};
use crate::schema::{Column, Kind, Schema};

/// A schema as nodes.
pub(super) struct Outline {
    nodes: Vec<Node>,
}

/// A column, a field of a struct, or the element of a list.
pub(super) struct Node {
    pub(super) name: Box<str>,
    pub(super) holds: Holds,
    /// One past the last node below this one.
    pub(super) end: usize,
    /// Whether a record without it is refused: it is required itself, or something is that it is the way to.
    required: bool,
    /// Below which a missing value is reported: the first required leaf of a struct. None where that is the node itself.
    missing: Option<Box<str>>,
}

/// What is below a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Fields, one behind the other.
    Struct,
    /// The element, which is the next node.
    List,
    Nothing,
}

impl Outline {
    pub(super) fn new(schema: &Schema) -> Self {
        let mut outline = Outline { nodes: Vec::new() };
        outline.add(&Column::new("", Kind::Struct(schema.columns.clone())));
        outline
    }

    fn add(&mut self, column: &Column) {
        let index = self.nodes.len();
        let holds = match &column.kind {
            Kind::Struct(_) => Holds::Struct,
            Kind::List(_) => Holds::List,
            _ => Holds::Nothing,
        };
        self.nodes.push(Node {
            name: column.name.as_str().into(),
            holds,
            end: index + 1,
            required: is_required(column),
            missing: first_leaf(&column.kind).map(Into::into),
        });
        match &column.kind {
            Kind::Struct(fields) => fields.iter().for_each(|field| self.add(field)),
            Kind::List(element) => self.add(element),
            _ => {}
        }
        self.nodes[index].end = self.nodes.len();
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, node: usize) -> &Node {
        &self.nodes[node]
    }

    /// The fields of a struct.
    pub(super) fn fields(&self, node: usize) -> impl Iterator<Item = usize> {
        let end = self.nodes[node].end;
        let there = move |field: usize| (field < end).then_some(field);
        std::iter::successors(there(node + 1), move |field| there(self.nodes[*field].end))
    }

    /// The field of a struct by its name.
    pub(super) fn field(&self, node: usize, name: &str) -> Option<usize> {
        self.fields(node).find(|field| *self.nodes[*field].name == *name)
    }

    /// The row of a value that is null, or is not there.
    pub(super) fn append_nothing(&self, node: usize, null: bool, builder: &mut Builder) -> Result<(), Box<Fault>> {
        let node = &self.nodes[node];
        if !node.required {
            builder.append_null();
            return Ok(());
        }
        builder.append_zero();
        Err(match (null, &node.missing) {
            (true, _) => Fault::null(),
            (false, None) => Fault::missing(),
            (false, Some(leaf)) => Fault::missing().in_field(leaf),
        })
    }
}

//! What records are written with: the schemas that Avro and Protobuf cannot be read without.
//!
//! Owns their form only: text or descriptors, as whoever wrote the records published them. Fetching them is the work of the
//! edge, which hands them on beside a batch; making a plan of them is the decoder's. What must stay true: the same id always
//! means the same schema, so that what was made of one can be kept; only what is [`Definition::Unusable`] may change.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What records are written with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Definition {
    /// An Avro schema as JSON, and the named ones that it refers to.
    Avro { schema: String, references: Vec<String> },
    /// Protobuf files with all that they import, as a `FileDescriptorSet`, and which of their messages is meant.
    Protobuf { files: Vec<u8>, root: Root },
    /// There is none that could be used, for this reason.
    Unusable(String),
}

/// Which message a record is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Root {
    /// This one, by its full name.
    Message(String),
    /// One of this file; each record says which.
    InFile(String),
}

/// The schemas that the records of a batch name, by their ids in a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schemas(BTreeMap<u32, Arc<Definition>>);

impl Schemas {
    /// The schema of an id.
    pub fn get(&self, id: u32) -> Option<&Arc<Definition>> {
        self.0.get(&id)
    }

    /// The ids that are there, ascending.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = u32> {
        self.0.keys().copied()
    }

    /// The bytes that they take as text, at most and about.
    pub fn weight(&self) -> usize {
        let weight = |definition: &Arc<Definition>| match &**definition {
            // What is in quotes is escaped; bytes are written as a list of numbers.
            Definition::Avro { schema, references } => {
                2 * (schema.len() + references.iter().map(String::len).sum::<usize>())
            }
            Definition::Protobuf { files, .. } => 4 * files.len(),
            Definition::Unusable(why) => 2 * why.len(),
        };
        self.0.values().map(|definition| 256 + weight(definition)).sum()
    }
}

impl FromIterator<(u32, Arc<Definition>)> for Schemas {
    fn from_iter<T: IntoIterator<Item = (u32, Arc<Definition>)>>(schemas: T) -> Self {
        Schemas(schemas.into_iter().collect())
    }
}

//! A registry of schemas, and what it said so far.
//!
//! Owns which schemas are known. An id means the same for ever, so what was found is kept; what was not found may be
//! registered yet, and is asked for again after a while. What must stay true: an id is asked for once, however many readers
//! want it; what is kept is bounded; a schema comes with all that it refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_operators::Definition;
use millstream_operators::decode::SchemaLanguage;
use millstream_operators::written::Root;
use tokio::time::Instant;

use super::answer::{Found, Reference};
use super::client::Client;
use super::proto;
use crate::config::{self, Format};
use crate::connector::SourceError;

/// How long it is believed that there is no such schema.
const NOT_THERE: Duration = Duration::from_secs(60);
/// Schemas that are kept. Beyond that all are forgotten, and asked for again as they are needed.
const KEPT: usize = 1024;
/// Schemas that one may refer to, directly or not.
const REFERENCES: usize = 256;
/// The file that a Protobuf schema is compiled as; what it imports has other names.
const ROOT: &str = "millstream/schema.proto";

/// A registry.
pub struct Registry {
    client: Client,
    format: Format,
    known: Mutex<BTreeMap<u32, Known>>,
    /// Held while the registry is asked.
    asking: tokio::sync::Mutex<()>,
}

/// What is known of an id.
#[derive(Clone)]
struct Known {
    definition: Arc<Definition>,
    /// When it is to be asked for again; never, where it is there.
    until: Option<Instant>,
}

impl Registry {
    /// A registry for records of a format. Asks nothing yet.
    pub fn new(asked: &config::Registry, format: Format) -> Result<Self, SourceError> {
        let client = Client::new(asked)?;
        Ok(Registry { client, format, known: Mutex::default(), asking: tokio::sync::Mutex::default() })
    }

    /// Asks whether it is there and lets us in; what it is called.
    pub async fn knock(&self) -> Result<&str, SourceError> {
        self.client.knock().await.map(|()| self.client.name())
    }

    /// The schema of an id; where it cannot be had for good, the reason why.
    pub async fn schema(&self, id: u32) -> Result<Arc<Definition>, SourceError> {
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        let _asking = self.asking.lock().await;
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        let definition = Arc::new(self.fetch(id).await?);
        let until = matches!(*definition, Definition::Unusable(_)).then(|| Instant::now() + NOT_THERE);
        if let Definition::Unusable(why) = &*definition {
            tracing::warn!(id, "records of this schema are refused: {why}");
        }
        let mut kept = self.kept();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(id, Known { definition: definition.clone(), until });
        Ok(definition)
    }

    fn known(&self, id: u32) -> Option<Arc<Definition>> {
        let known = self.kept().get(&id).cloned()?;
        known.until.is_none_or(|until| Instant::now() < until).then_some(known.definition)
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<u32, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, id: u32) -> Result<Definition, SourceError> {
        let unusable = |why: String| Ok(Definition::Unusable(why));
        let Some(found) = self.client.by_id(id).await? else {
            return unusable(format!("the registry {} does not have it", self.client.name()));
        };
        let wanted = match self.format.schema {
            Some(SchemaLanguage::Protobuf) => "PROTOBUF",
            Some(SchemaLanguage::Avro) | None => "AVRO",
        };
        if found.kind() != wanted {
            return unusable(format!("it is of the kind {}, and [decode] format wants {wanted}", found.kind()));
        }
        match self.references(&found).await? {
            Ok(references) => Ok(definition(found, references)),
            Err(why) => unusable(why),
        }
    }

    /// All that a schema refers to, by name, or why it cannot be had. What others refer to comes before them.
    async fn references(&self, of: &Found) -> Result<Result<Vec<(String, String)>, String>, SourceError> {
        let mut known: BTreeSet<(String, i64)> = BTreeSet::new();
        let (mut found, mut open): (Vec<(String, String)>, Vec<Reference>) = (Vec::new(), of.references.clone());
        while let Some(reference) = open.pop() {
            let Reference { name, subject, version } = reference;
            if !known.insert((subject.clone(), version)) {
                continue;
            }
            if known.len() > REFERENCES {
                return Ok(Err(format!("it refers to more than {REFERENCES} others")));
            }
            match self.client.version(&subject, version).await? {
                Some(schema) => {
                    open.extend(schema.references);
                    found.insert(0, (name, schema.schema));
                }
                None => return Ok(Err(format!("it refers to version {version} of {subject}, which is not there"))),
            }
        }
        Ok(Ok(found))
    }
}

fn definition(found: Found, references: Vec<(String, String)>) -> Definition {
    if found.kind() == "AVRO" {
        let references = references.into_iter().map(|(_, schema)| schema).collect();
        return Definition::Avro { schema: found.schema, references };
    }
    let mut files: BTreeMap<String, String> = references.into_iter().collect();
    files.insert(ROOT.to_owned(), found.schema);
    match proto::from_texts(files, ROOT) {
        Ok(files) => Definition::Protobuf { files, root: Root::InFile(ROOT.to_owned()) },
        Err(error) => Definition::Unusable(format!("it cannot be compiled: {error}")),
    }
}

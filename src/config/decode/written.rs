//! `[decode]`, of formats that need it: which schema records were written with.

use std::path::Path;
use std::sync::Arc;

use millstream_operators::Definition;
use millstream_operators::decode::{FORMATS, FormatSpec, SchemaLanguage};

use super::Format;
use crate::config::key::Key;
use crate::config::scalar::Endpoint;
use crate::config::secret::Secret;
use crate::config::section::Section;
use crate::config::text::Text;
use crate::schemas::file;

pub(super) const SCHEMA: Key = Key::optional(
    "schema",
    "avro, protobuf: the file with the schema that all records were written with (.avsc; .proto, or a descriptor set), from \
     the folder of the pipeline file on",
    "event.avsc",
);
pub(super) const MESSAGE: Key =
    Key::optional("message", "protobuf: which message of the schema a record is, by its full name", "shop.Event");
pub(super) const REGISTRY: Key = Key::optional(
    "registry",
    "address of a schema registry that speaks as Confluent's does; each record begins with the id of its schema there",
    "https://registry.example.com",
);
pub(super) const USER: Key = Key::optional("registry_user", "the name to say to the registry", "millstream");
pub(super) const PASSWORD: Key =
    Key::optional("registry_password", "the password to it, from a variable", "${REGISTRY_PASSWORD}");
pub(super) const CA_FILE: Key = Key::optional(
    "registry_ca_file",
    "authorities to trust besides those of the system where the registry is asked, in PEM",
    "/etc/millstream/tls/ca.crt",
);

/// Where it is said which schema a record was written with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Nowhere: the format needs none.
    Plainly,
    /// In a file.
    With(Arc<Definition>),
    /// In each record.
    ById(Registry),
}

/// A schema registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    pub url: Text,
    pub user: Option<Text>,
    pub password: Option<Text>,
    pub ca_file: Option<Text>,
}

/// Reads which schema it is; `format` is none where that could not be read.
pub(super) fn read(section: &Section<'_>, format: Option<Format>) -> Written {
    let schema: Option<Text> = section.optional(&SCHEMA);
    let message: Option<Text> = section.optional(&MESSAGE);
    let url: Option<Text> = section.optional::<Endpoint>(&REGISTRY).map(|endpoint| endpoint.0);
    let user: Option<Text> = section.optional(&USER);
    let password: Option<Text> = section.optional::<Secret>(&PASSWORD).map(|secret| secret.0);
    let ca_file: Option<Text> = section.optional(&CA_FILE);
    let Some(format) = format else { return Written::Plainly };
    misplaced(section, format);
    if let Some(url) = url {
        return Written::ById(Registry { url, user, password, ca_file });
    }
    match (schema, format.schema) {
        (Some(schema), Some(SchemaLanguage::Avro)) => loaded(section, &schema, file::avro),
        (Some(schema), Some(SchemaLanguage::Protobuf)) => match message {
            Some(message) => loaded(section, &schema, |path| file::protobuf(path, message.as_str())),
            None => {
                missing(section, &MESSAGE, "is missing: a schema may have many messages");
                Written::Plainly
            }
        },
        (None, Some(_)) if !section.has(&SCHEMA) && !section.has(&REGISTRY) => {
            missing(section, &SCHEMA, "is missing: records of this format cannot be read without, nor by a registry");
            Written::Plainly
        }
        _ => Written::Plainly,
    }
}

fn missing(section: &Section<'_>, key: &Key, problem: &str) {
    let way_out = match key.name {
        "schema" => format!("; write {} = {}, or {} = {}", key.name, key.example(), REGISTRY.name, REGISTRY.example()),
        _ => format!("; write {} = {}", key.name, key.example()),
    };
    section.reader.report(section.at.with_key(key.name).error(format!("{problem}{way_out}")));
}

/// Complains of keys that mean nothing where they are.
fn misplaced(section: &Section<'_>, format: Format) {
    let (registry, file) = (section.has(&REGISTRY), section.has(&SCHEMA));
    let report = |key: &Key, problem: &str| {
        if section.has(key) {
            section.reader.report(section.at_key(key).error(problem));
        }
    };
    for key in super::SPEC.keys.iter().filter(|key| !format.has(key.name)) {
        let quoted = |format: &&FormatSpec| format!("{:?}", format.word);
        let others: Vec<String> = FORMATS.iter().filter(|other| other.keys.contains(&key.name)).map(quoted).collect();
        if let [first @ .., last] = &others[..] {
            let all = if first.is_empty() { last.clone() } else { format!("{} and {last}", first.join(", ")) };
            report(key, &format!("means something for format = {all} only; take it out"));
        }
    }
    if registry && format.has(MESSAGE.name) {
        report(&MESSAGE, "each record of a registry says which message it is; take it out");
    }
    if registry && file && format.needs_schema() {
        report(&SCHEMA, "each record of a registry says which schema it has; take one of the two out");
    }
    if !registry {
        for key in [&USER, &PASSWORD, &CA_FILE] {
            report(key, "is of use with registry alone");
        }
    } else if section.has(&USER) != section.has(&PASSWORD) {
        let (there, other) = if section.has(&USER) { (&USER, &PASSWORD) } else { (&PASSWORD, &USER) };
        report(there, &format!("goes with {}; write {} = {}", other.name, other.name, other.example()));
    }
}

fn loaded(section: &Section<'_>, schema: &Text, load: impl Fn(&Path) -> Result<Definition, String>) -> Written {
    let folder = Path::new(&*section.at.file).parent().unwrap_or(Path::new(""));
    match load(&folder.join(schema.as_str())) {
        Ok(definition) => Written::With(Arc::new(definition)),
        Err(why) => {
            section.reader.report(section.at_key(&SCHEMA).error(format!("{schema:?} {why}")));
            Written::Plainly
        }
    }
}

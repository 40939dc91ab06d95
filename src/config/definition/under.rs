//! From a definition back to a configuration: the file of today with the definition of another day.
//!
//! Owns which parts come from where: everything that a definition holds comes from it, and connections, credentials, paths,
//! memory and the cluster from the file of today. What must stay true: the result has the given definition (but for how a
//! stream of today is addressed); no credential of today is sent to a service of the other day.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millstream_operators::protocol::Place;
use millstream_operators::{Column, Definition as WriterSchema, Kind, Schema};

use super::read::{self, registry_address};
use super::said::Said;
use super::{
    AverageForm, ChoiceForm, ColumnForm, CsvForm, DecodeForm, DedupForm, Definition, ExpressionForm, KindForm,
    LimitsForm, SinkForm, WrittenForm,
};
use crate::config::error::{ConfigError, ConfigErrors, Located};
use crate::config::reader::Places;
use crate::config::scalar::{Fault, Scalar};
use crate::config::text::Text;
use crate::config::{
    Average, Choice, Config, Csv, Decode, Dedup, Expression, Limits, Registry, Sink, Source, Written, schema,
};

/// The sections that a definition holds, and how each is written.
const SECTIONS: [(&str, &str); 9] = [
    ("source", "[source]"),
    ("decode", "[decode]"),
    ("limits", "[limits]"),
    ("schema", "[schema]"),
    ("validate", "[validate]"),
    ("enrich", "[enrich]"),
    ("dedup", "[dedup]"),
    ("average", "[[average]]"),
    ("sink", "[sink]"),
];

impl Config {
    /// This configuration with a past definition put in, to be compiled. `name` is what messages call that definition: `the
    /// definition of commit 7`.
    ///
    /// A source of another type than this one has no connection: it can be compiled and not read ([`Definition::same_source`]
    /// tells beforehand).
    pub fn under(&self, past: &Definition, name: &str) -> Result<Config, ConfigErrors> {
        let Definition { source, decode, limits: LimitsForm { record, depth }, .. } = past;
        let Definition { schema, validate, enrich, dedup, average, sink, more_sinks, .. } = past;
        let mut reading = Past::new(name);
        let source = Source::new(source.kind().under(source.json(), &*self.source, &mut reading));
        let config = Config {
            name: self.name.clone(),
            origin: source.origin(),
            source,
            decode: reading.decode(decode, &self.decode),
            schema: Schema { columns: schema.iter().map(|column| reading.column(column)).collect() },
            validate: validate.iter().map(|rule| reading.expression("[validate]", rule)).collect(),
            enrich: enrich.iter().map(|column| reading.expression("[enrich]", column)).collect(),
            dedup: dedup.as_ref().map(|DedupForm { by, within_days }| Dedup {
                by: by.clone(),
                within: *within_days,
                at: reading.at("[dedup]", ""),
            }),
            averages: average.iter().map(|average| reading.average(average)).collect(),
            sinks: std::iter::once(sink).chain(more_sinks).map(|sink| reading.sink(sink, self)).collect(),
            log: self.log.clone(),
            rejects: self.rejects.clone(),
            epoch: self.epoch.clone(),
            limits: Limits { record: *record, depth: *depth, memory: self.limits.memory.max(*record) },
            balance: self.balance.clone(),
            cluster: self.cluster.clone(),
            notify: self.notify.clone(),
            observe: self.observe.clone(),
            tests: Vec::new(),
            places: reading.places(),
            file: reading.at("", ""),
        };
        reading.finish().map(|()| config)
    }
}

/// A past definition that is made a configuration, and what of it this release does not know.
pub struct Past<'a> {
    name: &'a str,
    errors: Vec<ConfigError>,
}

impl<'a> Past<'a> {
    /// `name` is what messages call the definition.
    pub fn new(name: &'a str) -> Self {
        Past { name, errors: Vec::new() }
    }

    /// Ends with all that was not known.
    pub fn finish(self) -> Result<(), ConfigErrors> {
        if self.errors.is_empty() { Ok(()) } else { Err(ConfigErrors::new(self.errors)) }
    }

    fn at(&self, section: &str, key: &str) -> Located {
        Located { file: self.name.into(), section: section.into(), key: key.into(), ..Located::default() }
    }

    fn places(&self) -> Places {
        SECTIONS.iter().map(|(path, heading)| ((*path).to_owned(), self.at(heading, ""))).collect()
    }

    /// Complains of what this release does not know: the definition may be of a later one.
    fn unknown(&mut self, section: &str, key: &str, problem: impl fmt::Display) {
        self.errors.push(self.at(section, key).error(format!("{problem}")));
    }

    /// A value from its text.
    pub fn read<T: Scalar>(&mut self, section: &str, key: &str, text: &str) -> T {
        T::read(text).unwrap_or_else(|fault| {
            let problem = match fault {
                Fault::Said(problem) => problem,
                Fault::Unlike | Fault::Hidden(_) => format!("is not {}", T::wanted()),
            };
            self.unknown(section, key, format!("{text:?} {problem}"));
            T::default()
        })
    }

    fn decode(&mut self, past: &DecodeForm, now: &Decode) -> Decode {
        let DecodeForm { format, compression, csv: CsvForm { header, delimiter, null }, written } = past;
        Decode {
            format: self.read("[decode]", "format", format),
            compression: self.read("[decode]", "compression", compression),
            csv: Csv {
                header: *header,
                delimiter: u8::try_from(*delimiter).unwrap_or_else(|_| {
                    self.unknown("[decode]", "delimiter", format!("{delimiter:?} is more than one byte"));
                    b','
                }),
                null: text(null),
            },
            written: written.as_ref().map_or(Written::Plainly, |written| self.written(written, &now.written)),
        }
    }

    fn written(&mut self, past: &WrittenForm, now: &Written) -> Written {
        match past {
            WrittenForm::Avro { schema, references } => {
                let (schema, references) = (schema.clone(), references.clone());
                Written::With(Arc::new(WriterSchema::Avro { schema, references }))
            }
            WrittenForm::Protobuf { files, root } => match STANDARD.decode(files) {
                Ok(files) => Written::With(Arc::new(WriterSchema::Protobuf { files, root: root.clone() })),
                Err(error) => {
                    self.unknown("[decode]", "schema", format!("is not base64: {error}"));
                    Written::Plainly
                }
            },
            WrittenForm::Hashed { hash: _, bytes } => match now {
                Written::With(schema) if read::written(schema) == *past => now.clone(),
                _ => {
                    let problem = format!(
                        "its {bytes} bytes are too many for the log, which has their hash alone, and the schema file is not \
                         the one that it was; put the file back as it was then"
                    );
                    self.unknown("[decode]", "schema", problem);
                    Written::Plainly
                }
            },
            WrittenForm::Registry { url } => match now {
                Written::ById(registry) if registry_address(registry.url.as_str()) == url.meant() => now.clone(),
                _ => Written::ById(Registry { url: text(url), user: None, password: None, ca_file: None }),
            },
        }
    }

    fn column(&mut self, ColumnForm { name, kind, required }: &ColumnForm) -> Column {
        let kind = match kind {
            KindForm::Fields(fields) => Kind::Struct(fields.iter().map(|field| self.column(field)).collect()),
            KindForm::Element(element) => Kind::List(Box::new(self.column(element))),
            KindForm::Word(word) => schema::kind(word).unwrap_or_else(|problem| {
                self.unknown("[schema]", name, format!("{word:?} {problem}"));
                Kind::String
            }),
        };
        Column { name: name.clone(), kind, required: *required }
    }

    fn expression(&self, section: &str, ExpressionForm { name, sql }: &ExpressionForm) -> Expression {
        Expression { name: name.clone(), sql: text(sql), at: self.at(section, name) }
    }

    fn average(&mut self, AverageForm { name, of, by, time, group, keep_millis }: &AverageForm) -> Average {
        Average {
            name: text(name),
            of: of.clone(),
            by: by.iter().map(|bucket| self.read("[[average]]", "by", bucket)).collect(),
            time: time.clone(),
            group: group.clone(),
            keep: keep_millis.map(Duration::from_millis),
            max_groups: u32::MAX,
            at: self.at("[[average]]", ""),
        }
    }

    /// Where the sink lies today: by its name, or as the first one. One that there is no more lies where it did, which the log
    /// tells; here nothing depends on it.
    fn sink(&mut self, past: &SinkForm, now: &Config) -> Sink {
        let SinkForm { name, filter, partition, keep_partition_columns, select, compression, .. } = past;
        let SinkForm { file_size, row_group_size, page_size, dictionary, statistics, bloom, page_index, .. } = past;
        let place = name.as_deref().map_or_else(Place::default, Place::sink);
        let today = now.sinks.iter().find(|sink| sink.place == place).unwrap_or_else(|| now.first_sink());
        Sink {
            filter: filter.as_ref().map(|sql| Expression {
                name: "where".to_owned(),
                sql: text(sql),
                at: self.at("[sink]", "where"),
            }),
            location: today.location.clone(),
            place,
            partition: partition.clone(),
            keep_partition_columns: *keep_partition_columns,
            compression: self.read("[sink]", "compression", compression),
            select: select.clone(),
            file_size: *file_size,
            row_group_size: *row_group_size,
            page_size: *page_size,
            dictionary: choice(dictionary),
            statistics: choice(statistics),
            bloom: bloom.clone(),
            page_index: *page_index,
            key: "sink".to_owned(),
        }
    }
}

fn text(said: &Said) -> Text {
    said.0.clone()
}

fn choice(choice: &Option<ChoiceForm>) -> Choice {
    match choice {
        None => Choice::ByColumn,
        Some(ChoiceForm::All(true)) => Choice::All,
        Some(ChoiceForm::All(false)) => Choice::None,
        Some(ChoiceForm::Columns(columns)) => Choice::Columns(columns.clone()),
    }
}

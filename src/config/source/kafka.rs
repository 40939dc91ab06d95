//! `type = "kafka"`: one or more topics of a Kafka cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::DateTime;
use millstream_operators::decode::origin_everywhere;
use millstream_operators::{Column, Kind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::TYPE;
use crate::config::error::Located;
use crate::config::key::{Key, Spec};
use crate::config::scalar::{Fault, Scalar, Words};
use crate::config::secret;
use crate::config::section::Section;
use crate::config::text::Text;
use crate::config::units::Span;

const BROKERS: Key = Key::required(
    "brokers",
    "where to find the cluster, as host:port; some of its brokers are enough: \"one:9092,another:9092\", or a list",
    "localhost:9092",
);
const TOPICS: Key = Key::required(
    "topics",
    "the topic, a list of topics, or a pattern that begins with ^: \"^events-\" (new topics are noticed while running)",
    "events",
);
const START: Key = Key::with_default(
    "start",
    "where to begin in a partition of which nothing is committed: earliest (the oldest record), latest (what arrives after \
     the pipeline's first start), or a time as 2024-02-28T10:00:00Z",
    "earliest",
);
const GROUP: Key = Key::optional(
    "group",
    "show committed offsets under this group, for those who watch its lag; they are never read back",
    "millstream",
);
const HEADERS: Key = Key::with_default(
    "headers",
    "names of headers that expressions may use as fields of _headers: _headers.trace_id",
    "[]",
);
const TOMBSTONES: Key = Key::with_default(
    "tombstones",
    "what becomes of messages without a value: reject, or skip (they leave no trace then)",
    "reject",
);
const INTERVAL: Key = Key::with_default("interval", "how often to look for new topics and partitions", "10s");
const OPTIONS: Key = Key::optional(
    "options",
    "a table of librdkafka's own properties: [source.options], \"security.protocol\" = \"SASL_SSL\"; secrets as ${VARIABLE}",
    "{ \"fetch.wait.max.ms\" = 100 }",
);

pub(super) const SPEC: Spec = Spec {
    heading: "[source]",
    what: "kafka: each partition a split, each message a record; _topic, _partition, _offset, _timestamp, _key and _headers \
           are columns that expressions may use",
    keys: &[TYPE, BROKERS, TOPICS, START, GROUP, HEADERS, TOMBSTONES, INTERVAL, OPTIONS],
};

/// Properties that the source stands on: nobody else may say them.
const KEPT: [&str; 6] = [
    "bootstrap.servers",
    "group.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "enable.partition.eof",
];

/// Where reading begins in a partition of which nothing is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    #[default]
    Earliest,
    Latest,
    /// Microseconds since 1970, UTC.
    At(i64),
}

impl Scalar for Start {
    const WANTED: &'static str =
        "a place to start; write \"earliest\", \"latest\" or a time with its zone as \"2024-02-28T10:00:00Z\"";

    fn takes(value: &DeValue<'_>) -> bool {
        value.is_str() || matches!(value, DeValue::Datetime(_))
    }

    fn read(text: &str) -> Result<Self, Fault> {
        match text {
            "earliest" => Ok(Start::Earliest),
            "latest" => Ok(Start::Latest),
            time => {
                let time = DateTime::parse_from_rfc3339(time).map_err(|_| Fault::Unlike)?;
                Ok(Start::At(time.timestamp_micros()))
            }
        }
    }
}

/// What becomes of messages without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tombstones {
    #[default]
    Reject,
    Skip,
}

impl Words for Tombstones {
    const WORDS: &'static [(&'static str, Self)] = &[("reject", Tombstones::Reject), ("skip", Tombstones::Skip)];
}

/// Topics as a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kafka {
    pub brokers: Vec<Text>,
    /// Names, or a single pattern that begins with `^`.
    pub topics: Vec<Text>,
    pub start: Start,
    pub group: Option<Text>,
    pub headers: Vec<Text>,
    pub tombstones: Tombstones,
    pub interval: Duration,
    /// librdkafka's properties.
    pub options: BTreeMap<String, Text>,
}

impl Kafka {
    /// The columns that say where a record came from.
    pub(super) fn origin(&self) -> Vec<Column> {
        let header = |name: &Text| Column::new(name.as_str(), Kind::String);
        let headers = Kind::Struct(self.headers.iter().map(header).collect());
        let own = [
            ("_topic", Kind::String),
            ("_partition", Kind::Int32),
            ("_offset", Kind::Int64),
            ("_timestamp", Kind::Timestamp),
            ("_key", Kind::String),
            ("_headers", headers),
        ];
        let wanted = own.into_iter().filter(|(name, _)| *name != "_headers" || !self.headers.is_empty());
        origin_everywhere().into_iter().chain(wanted.map(|(name, kind)| Column::new(name, kind))).collect()
    }
}

pub(super) fn read(section: &Section<'_>) -> Kafka {
    let kafka = Kafka {
        brokers: one_or_more(section, &BROKERS),
        topics: one_or_more(section, &TOPICS),
        start: section.get(&START),
        group: section.optional(&GROUP),
        headers: section.list::<Text>(&HEADERS).into_iter().map(|(_, name)| name).collect(),
        tombstones: section.get(&TOMBSTONES),
        interval: section.get::<Span>(&INTERVAL).0,
        options: options(section),
    };
    check_brokers(section, &kafka.brokers);
    check_topics(section, &kafka.topics);
    let mut names = BTreeSet::new();
    if let Some(twice) = kafka.headers.iter().find(|name| name.as_str().is_empty() || !names.insert(name.as_str())) {
        section.reader.report(section.at_key(&HEADERS).error(format!("{twice:?} is empty, or is there twice")));
    }
    kafka
}

/// A key that takes a text or a list of them.
fn one_or_more(section: &Section<'_>, key: &Key) -> Vec<Text> {
    let listed = section.value(key).is_some_and(|(_, value)| value.get_ref().is_array());
    if !listed {
        return section.optional(key).into_iter().collect();
    }
    let texts: Vec<Text> = section.list(key).into_iter().map(|(_, text)| text).collect();
    if texts.is_empty() {
        let problem = format!("is an empty list; write {} = {}", key.name, key.example());
        section.reader.report(section.at_key(key).error(problem));
    }
    texts
}

fn check_brokers(section: &Section<'_>, brokers: &[Text]) {
    let named = |broker: &str| {
        let host = broker.rsplit_once("://").map_or(broker, |(_, host)| host);
        host.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    for text in brokers {
        if !text.as_str().split(',').all(|broker| named(broker.trim())) {
            let problem = format!("{text:?} is no list of brokers; write host:port, several with commas between");
            section.reader.report(section.at_key(&BROKERS).error(problem));
        }
    }
}

fn check_topics(section: &Section<'_>, topics: &[Text]) {
    let report = |problem: String| section.reader.report(section.at_key(&TOPICS).error(problem));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let mut names = BTreeSet::new();
    for topic in topics {
        let name = topic.as_str();
        match name.strip_prefix('^') {
            Some(_) if topics.len() > 1 => {
                report(format!("{topic:?} is a pattern, which stands alone; put all into one: ^(one|another)"))
            }
            Some(_) => {}
            None if name.is_empty() || name.len() > 249 || !name.bytes().all(plain) => report(format!(
                "{topic:?} is no topic; its name may hold letters, digits, _ . and -; a pattern begins with ^"
            )),
            None if !names.insert(name) => report(format!("{topic:?} is there twice")),
            None => {}
        }
    }
}

/// The properties, whether their dots are quoted or make tables.
fn options(section: &Section<'_>) -> BTreeMap<String, Text> {
    let mut options = BTreeMap::new();
    let Some((at, value)) = section.value(&OPTIONS) else { return options };
    match value.get_ref().as_table() {
        Some(table) => flatten(section, &at, "", table, &mut options),
        None => section.reader.report(at.error("is a table; begin it with a line that says [source.options]")),
    }
    options
}

fn flatten(
    section: &Section<'_>,
    of: &Located,
    prefix: &str,
    table: &DeTable<'_>,
    options: &mut BTreeMap<String, Text>,
) {
    for (key, value) in table.iter() {
        let name = format!("{prefix}{}", key.get_ref());
        let at = Located {
            key: format!("options.{name}").into(),
            section: of.section.clone(),
            ..section.reader.locate(key.span())
        };
        match value.get_ref().as_table() {
            Some(table) => flatten(section, of, &format!("{name}."), table, options),
            None => {
                if let Some(text) = property(section, &at, &name, value) {
                    options.insert(name, text);
                }
            }
        }
    }
}

fn property(section: &Section<'_>, at: &Located, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Text> {
    let report = |problem: String| section.reader.report(at.error(problem));
    if let Some(kept) = KEPT.iter().find(|kept| **kept == name) {
        report(format!("{kept} is Millstream's to set; {}", instead(kept)));
        return None;
    }
    if !matches!(value.get_ref(), DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)) {
        report("takes a string, a number, true or false".to_owned());
        return None;
    }
    let text = section.reader.text(value, at)?;
    if is_secret(name) && text.written() == text.as_str() && !text.as_str().is_empty() {
        report(
            "a secret has no place in this file; write \"${VARIABLE}\", and set the variable where the pipeline runs"
                .to_owned(),
        );
        return None;
    }
    Some(text)
}

/// Whether the value of a property is a secret. Names and places of secrets are none.
fn is_secret(name: &str) -> bool {
    let place = ["location", "url", "username", "client.id", "scope", "ms"].iter().any(|end| name.ends_with(end));
    !place && (secret::is_secret(name) || matches!(name, "ssl.key.pem" | "sasl.oauthbearer.config"))
}

fn instead(kept: &str) -> &'static str {
    match kept {
        "bootstrap.servers" => "write `brokers`",
        "group.id" => "write `group`",
        "auto.offset.reset" => "write `start`",
        _ => "positions are kept in the commit log",
    }
}

#[cfg(test)]
mod tests {
    //! Would catch a secret that may stand in the file, and a time that is taken in another zone.
    use super::*;

    #[test]
    fn a_start_is_a_word_or_a_time() {
        assert_eq!((Start::read("earliest"), Start::read("latest")), (Ok(Start::Earliest), Ok(Start::Latest)));
        assert_eq!(Start::read("1970-01-01T01:00:00.5+01:00"), Ok(Start::At(500_000)));
        for none in ["oldest", "2024-02-28", "2024-02-28T10:00:00"] {
            assert_eq!(Start::read(none), Err(Fault::Unlike), "{none}");
        }
    }

    #[test]
    fn secrets_are_known_by_the_names_of_properties() {
        for name in [
            "sasl.password",
            "ssl.key.password",
            "ssl.keystore.password",
            "ssl.key.pem",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.config",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["sasl.username", "ssl.key.location", "sasl.oauthbearer.token.endpoint.url", "fetch.min.bytes"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}

//! `type = "kafka"`: one or more topics of a Kafka cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millstream_operators::decode::origin_everywhere;
use millstream_operators::{Column, Kind};
use regex::Regex;
use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Access, Kafka, Options, Start, Tombstones, Wishes};
use crate::config::{
    Besides, Fact, Fault, Key, Located, Moment, Past, SOURCE_TYPE, Said, Scalar, Section, Span, Spec, Text, Words,
    came_and_went, is_secret_name, joined,
};
use crate::connector::Source;
use crate::connector::kind::{Connecting, Kept, SourceType};
use crate::exit::Fatal;
use crate::memory::Memory;

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

const SPEC: Spec = Spec {
    heading: "[source]",
    what: "kafka: each partition a split, each message a record; _topic, _partition, _offset, _timestamp, _key and _headers \
           are columns that expressions may use",
    keys: &[SOURCE_TYPE, BROKERS, TOPICS, START, GROUP, HEADERS, TOMBSTONES, INTERVAL, OPTIONS],
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

impl Scalar for Start {
    const WANTED: &'static str =
        "a place to start; write \"earliest\", \"latest\" or a time with its zone as \"2024-02-28T10:00:00Z\"";

    fn takes(value: &DeValue<'_>) -> bool {
        Moment::takes(value)
    }

    fn read(text: &str) -> Result<Self, Fault> {
        match text {
            "earliest" => Ok(Start::Earliest),
            "latest" => Ok(Start::Latest),
            time => Moment::read(time).map(|time| Start::At(time.0)),
        }
    }
}

impl Words for Tombstones {
    const WORDS: &'static [(&'static str, Self)] = &[("reject", Tombstones::Reject), ("skip", Tombstones::Skip)];
}

/// The section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    brokers: Vec<Text>,
    /// Names, or a single pattern that begins with `^`.
    topics: Vec<Text>,
    start: Start,
    group: Option<Text>,
    headers: Vec<Text>,
    tombstones: Tombstones,
    interval: Duration,
    /// librdkafka's properties.
    options: BTreeMap<String, Text>,
}

/// What decides which messages are read.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Form {
    /// By name, or a single pattern.
    topics: Vec<Said>,
    start: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Said>,
    tombstones: String,
    /// Whether records of transactions that were not committed are read, where the file says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    isolation: Option<String>,
}

#[async_trait]
impl SourceType for Config {
    const WORD: &'static str = "kafka";
    const SPEC: Spec = SPEC;
    type Form = Form;

    fn read(section: &Section<'_>) -> Self {
        let config = Config {
            brokers: one_or_more(section, &BROKERS),
            topics: one_or_more(section, &TOPICS),
            start: section.get(&START),
            group: section.optional(&GROUP),
            headers: section.list::<Text>(&HEADERS).into_iter().map(|(_, name)| name).collect(),
            tombstones: section.get(&TOMBSTONES),
            interval: section.get::<Span>(&INTERVAL).0,
            options: options(section),
        };
        check_brokers(section, &config.brokers);
        check_topics(section, &config.topics);
        let mut names = BTreeSet::new();
        let twice = config.headers.iter().find(|name| name.as_str().is_empty() || !names.insert(name.as_str()));
        if let Some(twice) = twice {
            section.report(&HEADERS, format!("{twice:?} is empty, or is there twice"));
        }
        config
    }

    fn form(&self, besides: &mut Besides<'_>) -> Form {
        let Config { brokers: _, topics, start, group, headers, tombstones, interval: _, options } = self;
        besides.add("group", group.as_ref().map(Text::as_str));
        let mut topics: Vec<Said> = topics.iter().map(Said::from).collect();
        topics.sort();
        let start = match start {
            Start::Earliest => "earliest".to_owned(),
            Start::Latest => "latest".to_owned(),
            Start::At(micros) => Moment(*micros).to_string(),
        };
        Form {
            topics,
            start,
            headers: headers.iter().map(Said::from).collect(),
            tombstones: tombstones.word().into(),
            isolation: isolation(options).map(str::to_owned),
        }
    }

    fn under(form: Form, now: Option<&Self>, past: &mut Past<'_>) -> Self {
        let Form { topics, start, headers, tombstones, isolation: level } = form;
        let now = now.cloned().unwrap_or_default();
        let mut options = now.options;
        if isolation(&options) != level.as_deref() {
            options.remove(ISOLATION);
            options.extend(level.as_deref().map(|word| (ISOLATION.to_owned(), Text::from(word))));
        }
        Config {
            topics: topics.into_iter().map(Text::from).collect(),
            start: past.read("[source]", "start", &start),
            headers: headers.into_iter().map(Text::from).collect(),
            tombstones: past.read("[source]", "tombstones", &tombstones),
            options,
            ..now
        }
    }

    fn shown(&self) -> String {
        format!("partitions of {}", joined(self.topics.iter().map(Text::written)))
    }

    fn described(form: &Form) -> String {
        format!("kafka {}", joined(form.topics.iter().map(Said::shown)))
    }

    fn facts(Form { topics: _, start, headers, tombstones, isolation }: &Form) -> Vec<Fact> {
        vec![
            Fact::new("start", start),
            Fact::list("headers", headers),
            Fact::new("tombstones", tombstones),
            Fact::new("isolation.level", isolation.as_deref().unwrap_or("as the client has it")),
        ]
    }

    async fn connect(&self, with: Connecting<'_>) -> Result<Arc<dyn Source>, Fatal> {
        let texts = |texts: &[Text]| texts.iter().map(|text| text.as_str().to_owned()).collect::<Vec<_>>();
        let uses = |name: &str| with.origin.iter().any(|column| column.name == name);
        let options = Options {
            access: Access {
                brokers: texts(&self.brokers).join(","),
                group: self.group.as_ref().map(|group| group.as_str().to_owned()),
                properties: self.options.iter().map(|(key, value)| (key.clone(), value.as_str().to_owned())).collect(),
                clock: with.clock.as_source(),
            },
            topics: texts(&self.topics),
            start: self.start,
            wishes: Wishes {
                tombstones: self.tombstones,
                topic: uses("_topic"),
                partition: uses("_partition"),
                offset: uses("_offset"),
                timestamp: uses("_timestamp"),
                key: uses("_key"),
                headers: if uses("_headers") { texts(&self.headers) } else { Vec::new() },
            },
            interval: self.interval,
            ahead: Memory::of(with.config, 1).ahead,
            bounds: with.bounds,
        };
        Ok(Arc::new(Kafka::new(options)?))
    }

    fn origin(&self) -> Vec<Column> {
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

    fn fetches_ahead(&self) -> bool {
        true
    }

    fn kept(before: &Form, now: &Form) -> Kept {
        Kept::of(before.topics == now.topics, may_share(&before.topics, &now.topics))
    }

    fn changes(before: &Form, now: &Form) -> Vec<String> {
        came_and_went("topic", &before.topics, &now.topics, |topic| topic.shown().to_owned())
    }
}

/// Whether two lists of topics can have one in common. Two patterns can.
fn may_share(before: &[Said], now: &[Said]) -> bool {
    let fits = |pattern: &Said, topics: &[Said]| {
        let pattern = pattern.meant();
        let Some(known) = pattern.starts_with('^').then(|| Regex::new(pattern)) else { return false };
        known.is_ok_and(|known| topics.iter().any(|t| t.meant().starts_with('^') || known.is_match(t.meant())))
    };
    before.iter().any(|topic| now.contains(topic) || fits(topic, now)) || now.iter().any(|topic| fits(topic, before))
}

/// The name of the one property that decides which records are read.
const ISOLATION: &str = "isolation.level";

/// Its value, where it is one of its two words; no other property comes near a definition.
fn isolation(options: &BTreeMap<String, Text>) -> Option<&'static str> {
    let said = options.get(ISOLATION)?.as_str();
    ["read_committed", "read_uncommitted"].into_iter().find(|word| *word == said)
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
        section.report(key, problem);
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
            section.report(&BROKERS, problem);
        }
    }
}

fn check_topics(section: &Section<'_>, topics: &[Text]) {
    let report = |problem: String| section.report(&TOPICS, problem);
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
    !place && (is_secret_name(name) || matches!(name, "ssl.key.pem" | "sasl.oauthbearer.config"))
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

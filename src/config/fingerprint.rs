//! One number for what a pipeline does, so that processes can tell whether they were given the same one.
//!
//! Owns what counts: all that changes which rows, rejects, averages and files come out, variables put in. What may
//! differ between machines does not count: credentials' profile, memory, the listener, `[cluster]`; nor do `[[test]]` cases. How a thing
//! is spelled (`30s`, `30000ms`) plays no part either. Each struct is taken apart by name, so that a new key cannot be
//! forgotten here.

use millstream_operators::Schema;
use xxhash_rust::xxh3::xxh3_64;

use super::Config;
use super::average::Average;
use super::balance::Balance;
use super::decode::{Csv, Decode, Registry, Written};
use super::epoch::Epoch;
use super::expressions::Expression;
use super::limits::Limits;
use super::location::Location;
use super::sink::Sink;
use super::source::{Files, Generate, Kafka, Kinesis, Source};
use super::text::Text;

pub(super) fn of(config: &Config) -> u64 {
    let Config {
        name, source, decode, schema, validate, enrich, averages, sink, rejects, epoch, limits, balance, ..
    } = config;
    let mut form = Form::default();
    form.text("name", name);
    form.source(source);
    form.decode(decode);
    form.schema(schema);
    form.expressions("validate", validate);
    form.expressions("enrich", enrich);
    averages.iter().for_each(|average| form.average(average));
    form.sink(sink);
    form.location("rejects", rejects);
    let Epoch { interval, max_bytes } = epoch;
    form.debug("epoch", (interval.as_millis(), max_bytes));
    let Limits { record, depth, memory: _ } = limits;
    form.debug("limits", (record, depth));
    let Balance { exchange } = balance;
    form.debug("exchange", exchange);
    xxh3_64(form.0.as_bytes())
}

/// The canonical text of a pipeline. It holds what variables stand for and must not leave this file.
#[derive(Default)]
struct Form(String);

impl Form {
    /// A value whose `Debug` is all that it is; never a [`Text`].
    fn debug(&mut self, key: &str, value: impl std::fmt::Debug) {
        self.0.push_str(&format!("{key}={value:?}\n"));
    }

    fn text(&mut self, key: &str, text: &Text) {
        self.debug(key, text.as_str());
    }

    fn source(&mut self, source: &Source) {
        match source {
            Source::Kinesis(kinesis) => self.kinesis(kinesis),
            Source::Kafka(kafka) => self.kafka(kafka),
            Source::Files(Files { location, interval: _ }) => self.location("files", location),
            Source::Generate(Generate { kind, splits, rate, count, seed, broken }) => {
                self.debug("generate", (kind, splits, rate, count, seed, broken));
            }
        }
    }

    /// As whom a stream is read changes nothing of what is read.
    fn kinesis(&mut self, kinesis: &Kinesis) {
        let Kinesis { streams, start, region, endpoint, consumer, profile: _, role_arn: _, external_id: _ } = kinesis;
        streams.iter().for_each(|stream| self.text("kinesis", stream));
        let meant = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
        self.debug("from", (start, meant(endpoint), meant(region), meant(consumer)));
    }

    /// As whom, and over which connections, plays no part; what is read of a transaction does.
    fn kafka(&mut self, kafka: &Kafka) {
        let Kafka { brokers: _, topics, start, group, headers, tombstones, interval: _, options } = kafka;
        topics.iter().for_each(|topic| self.text("kafka", topic));
        headers.iter().for_each(|header| self.text("header", header));
        let isolation = options.get("isolation.level").map(|text| text.as_str().to_owned());
        let group = group.as_ref().map(|group| group.as_str().to_owned());
        self.debug("from", (start, tombstones, group, isolation));
    }

    fn location(&mut self, key: &str, location: &Location) {
        let Location { path, endpoint, region, profile: _, path_style } = location;
        self.text(key, path);
        let (endpoint, region) = (endpoint.as_ref().map(Text::as_str), region.as_ref().map(Text::as_str));
        self.debug("at", (endpoint, region, path_style));
    }

    /// Of a schema file it is the content that counts, and of a registry where it is, not as whom it is asked.
    fn decode(&mut self, Decode { format, compression, csv, written }: &Decode) {
        let Csv { header, delimiter, null } = csv;
        match written {
            Written::Plainly => {}
            Written::With(definition) => self.debug("written", definition),
            Written::ById(Registry { url, user: _, password: _, ca_file: _ }) => self.text("registry", url),
        }
        self.debug("decode", (format, compression, header, delimiter, null.as_str()));
    }

    fn schema(&mut self, Schema { columns }: &Schema) {
        self.debug("schema", columns);
    }

    fn expressions(&mut self, key: &str, expressions: &[Expression]) {
        for Expression { name, sql, at: _ } in expressions {
            self.debug(key, (name, sql.as_str()));
        }
    }

    fn average(&mut self, Average { name, of, by, time, group, at: _ }: &Average) {
        self.debug("average", (name.as_str(), of, by, time, group));
    }

    fn sink(&mut self, sink: &Sink) {
        let Sink { location, partition, compression, select, file_size, row_group_size, page_size, .. } = sink;
        let Sink { dictionary, statistics, bloom, page_index, .. } = sink;
        self.location("sink", location);
        self.debug("layout", (partition, compression, select, file_size, row_group_size, page_size));
        self.debug("columns", (dictionary, statistics, bloom, page_index));
    }
}

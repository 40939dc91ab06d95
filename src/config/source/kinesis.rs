//! `type = "kinesis"`: one or more streams of Amazon Kinesis.

use std::collections::BTreeSet;

use chrono::DateTime;
use toml::de::DeValue;

use super::TYPE;
use crate::config::key::{Key, Spec};
use crate::config::scalar::{Endpoint, Fault, Scalar};
use crate::config::section::Section;
use crate::config::text::Text;

const STREAM: Key =
    Key::required("stream", "the stream, by name or ARN, or a list of streams: [\"one\", \"another\"]", "MyStream");
const START: Key = Key::with_default(
    "start",
    "where to begin in a shard of which nothing is committed: trim_horizon (the oldest record), latest (what arrives after \
     the pipeline's first start with the stream), or a time as 2024-02-28T10:00:00Z",
    "trim_horizon",
);
const REGION: Key =
    Key::optional("region", "region of the streams, where neither an ARN nor the environment says it", "eu-central-1");
const ENDPOINT: Key =
    Key::optional("endpoint", "address of a Kinesis service that is not Amazon's", "http://127.0.0.1:4566");
const PROFILE: Key = Key::optional("profile", "profile in the AWS credential files", "training");
const ROLE_ARN: Key = Key::optional(
    "role_arn",
    "a role to take on, with the credentials that are found otherwise",
    "arn:aws:iam::123456789012:role/reader",
);
const EXTERNAL_ID: Key = Key::optional("external_id", "what the owner of the role asks others to say", "millstream");
const CONSUMER: Key = Key::optional(
    "consumer",
    "read by enhanced fan-out as the consumer of this name, which is registered where it is not there; polled unless said",
    "millstream",
);

pub(super) const SPEC: Spec = Spec {
    heading: "[source]",
    what: "kinesis: each shard a split, each record (or each user record of a KPL aggregate) a record",
    keys: &[TYPE, STREAM, START, REGION, ENDPOINT, PROFILE, ROLE_ARN, EXTERNAL_ID, CONSUMER],
};

/// Where reading begins in a shard of which nothing is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    #[default]
    TrimHorizon,
    Latest,
    /// Microseconds since 1970, UTC.
    At(i64),
}

impl Scalar for Start {
    const WANTED: &'static str =
        "a place to start; write \"trim_horizon\", \"latest\" or a time with its zone as \"2024-02-28T10:00:00Z\"";

    fn takes(value: &DeValue<'_>) -> bool {
        value.is_str() || matches!(value, DeValue::Datetime(_))
    }

    fn read(text: &str) -> Result<Self, Fault> {
        match text {
            "trim_horizon" => Ok(Start::TrimHorizon),
            "latest" => Ok(Start::Latest),
            time => {
                let time = DateTime::parse_from_rfc3339(time).map_err(|_| Fault::Unlike)?;
                Ok(Start::At(time.timestamp_micros()))
            }
        }
    }
}

/// Streams as a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinesis {
    /// Names or ARNs; no two of one name.
    pub streams: Vec<Text>,
    pub start: Start,
    pub region: Option<Text>,
    pub endpoint: Option<Text>,
    pub profile: Option<Text>,
    pub role_arn: Option<Text>,
    pub external_id: Option<Text>,
    pub consumer: Option<Text>,
}

pub(super) fn read(section: &Section<'_>) -> Kinesis {
    let kinesis = Kinesis {
        streams: streams(section),
        start: section.get(&START),
        region: section.optional(&REGION),
        endpoint: section.optional::<Endpoint>(&ENDPOINT).map(|endpoint| endpoint.0),
        profile: section.optional(&PROFILE),
        role_arn: section.optional(&ROLE_ARN),
        external_id: section.optional(&EXTERNAL_ID),
        consumer: section.optional(&CONSUMER),
    };
    if kinesis.external_id.is_some() && kinesis.role_arn.is_none() {
        let problem = "says something to the owner of a role, but no role is named; write role_arn, or take it out";
        section.reader.report(section.at_key(&EXTERNAL_ID).error(problem));
    }
    kinesis
}

fn streams(section: &Section<'_>) -> Vec<Text> {
    let listed = section.value(&STREAM).is_some_and(|(_, value)| value.get_ref().is_array());
    let streams: Vec<Text> = if listed {
        section.list(&STREAM).into_iter().map(|(_, stream)| stream).collect()
    } else {
        section.optional(&STREAM).into_iter().collect()
    };
    let report = |problem: String| section.reader.report(section.at_key(&STREAM).error(problem));
    if listed && streams.is_empty() {
        report(format!("names no stream; write stream = {}", STREAM.example()));
    }
    let mut names = BTreeSet::new();
    for stream in &streams {
        match name(stream.as_str()) {
            None => report(format!(
                "{stream:?} is no stream; write its name (letters, digits, _, . and -) or its ARN \
                 (arn:aws:kinesis:<region>:<account>:stream/<name>)"
            )),
            Some(name) if !names.insert(name.to_owned()) => report(format!(
                "{stream:?} has the name of another stream here, and positions are kept by name; read it in a pipeline of its own"
            )),
            Some(_) => {}
        }
    }
    streams
}

/// The parts of a stream's ARN.
pub(in crate::config) struct Arn<'a> {
    pub(in crate::config) region: &'a str,
    pub(in crate::config) account: &'a str,
    pub(in crate::config) name: &'a str,
}

impl<'a> Arn<'a> {
    pub(in crate::config) fn parse(stream: &'a str) -> Option<Self> {
        match stream.strip_prefix("arn:")?.splitn(5, ':').collect::<Vec<_>>()[..] {
            [_, "kinesis", region, account, stream] if !region.is_empty() && !account.is_empty() => {
                Some(Arn { region, account, name: stream.strip_prefix("stream/")? })
            }
            _ => None,
        }
    }
}

/// The name of a stream that is named by it or by its ARN.
fn name(stream: &str) -> Option<&str> {
    let name = if stream.starts_with("arn:") { Arn::parse(stream)?.name } else { stream };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (!name.is_empty() && name.len() <= 128 && name.bytes().all(plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    //! Would catch a stream that is told apart from itself, and a time that is taken in another zone.
    use super::*;

    #[test]
    fn streams_have_names() {
        let arn = "arn:aws:kinesis:eu-central-1:123456789012:stream/My.Stream-1";
        assert_eq!((name("MyStream"), name(arn)), (Some("MyStream"), Some("My.Stream-1")));
        let long = "x".repeat(129);
        for none in
            ["", "a/b", "a b", &long, "arn:aws:kinesis:r:1:stream/", "arn:aws:s3:::b", "arn:aws:kinesis::1:stream/x"]
        {
            assert_eq!(name(none), None, "{none}");
        }
    }

    #[test]
    fn a_start_is_a_word_or_a_time() {
        assert_eq!(Start::read("latest"), Ok(Start::Latest));
        assert_eq!(Start::read("1970-01-01T01:00:00.5+01:00"), Ok(Start::At(500_000)));
        for none in ["oldest", "2024-02-28", "2024-02-28T10:00:00"] {
            assert_eq!(Start::read(none), Err(Fault::Unlike), "{none}");
        }
    }
}

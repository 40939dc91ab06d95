//! `type = "kinesis"`: one or more streams of Amazon Kinesis.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use super::{Kinesis, Options, Start};
use crate::config::{
    Besides, Endpoint, Fact, Fault, Key, Moment, Past, SOURCE_TYPE, Said, Scalar, Section, Spec, Text, came_and_went,
    joined,
};
use crate::connector::Source;
use crate::connector::aws::{Access, Role};
use crate::connector::kind::{Connecting, Kept, SourceType};
use crate::exit::Fatal;

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

const SPEC: Spec = Spec {
    heading: "[source]",
    what: "kinesis: each shard a split, each record (or each user record of a KPL aggregate) a record",
    keys: &[SOURCE_TYPE, STREAM, START, REGION, ENDPOINT, PROFILE, ROLE_ARN, EXTERNAL_ID, CONSUMER],
};

impl Scalar for Start {
    const WANTED: &'static str =
        "a place to start; write \"trim_horizon\", \"latest\" or a time with its zone as \"2024-02-28T10:00:00Z\"";

    fn takes(value: &DeValue<'_>) -> bool {
        Moment::takes(value)
    }

    fn read(text: &str) -> Result<Self, Fault> {
        match text {
            "trim_horizon" => Ok(Start::TrimHorizon),
            "latest" => Ok(Start::Latest),
            time => Moment::read(time).map(|time| Start::At(time.0)),
        }
    }
}

/// The section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Names or ARNs; no two of one name.
    streams: Vec<Text>,
    start: Start,
    region: Option<Text>,
    endpoint: Option<Text>,
    profile: Option<Text>,
    role_arn: Option<Text>,
    external_id: Option<Text>,
    consumer: Option<Text>,
}

/// What decides which records are read. Credentials and the way of reading do not.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Form {
    streams: Vec<StreamForm>,
    start: String,
}

/// A stream, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct StreamForm {
    name: Said,
    /// Where the file says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<Said>,
    /// Where the stream is given by its ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
}

#[async_trait]
impl SourceType for Config {
    const WORD: &'static str = "kinesis";
    const SPEC: Spec = SPEC;
    type Form = Form;

    fn read(section: &Section<'_>) -> Self {
        let config = Config {
            streams: streams(section),
            start: section.get(&START),
            region: section.optional(&REGION),
            endpoint: section.optional::<Endpoint>(&ENDPOINT).map(|endpoint| endpoint.0),
            profile: section.optional(&PROFILE),
            role_arn: section.optional(&ROLE_ARN),
            external_id: section.optional(&EXTERNAL_ID),
            consumer: section.optional(&CONSUMER),
        };
        if config.external_id.is_some() && config.role_arn.is_none() {
            let problem = "says something to the owner of a role, but no role is named; write role_arn, or take it out";
            section.report(&EXTERNAL_ID, problem);
        }
        config
    }

    fn form(&self, besides: &mut Besides<'_>) -> Form {
        let Config { streams, start, region, endpoint, consumer, profile: _, role_arn: _, external_id: _ } = self;
        let meant = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
        besides.add("kinesis", (meant(endpoint), meant(region), meant(consumer)));
        let stream = |text: &Text| match Arn::parse(text.as_str()) {
            Some(Arn { region, account, name }) => StreamForm {
                name: Said::meaning(text, name),
                region: Some(Said::meaning(text, region)),
                account: Some(account.to_owned()),
            },
            None => StreamForm { name: text.into(), region: region.as_ref().map(Said::from), account: None },
        };
        let mut streams: Vec<StreamForm> = streams.iter().map(stream).collect();
        streams.sort();
        let start = match start {
            Start::TrimHorizon => "trim_horizon".to_owned(),
            Start::Latest => "latest".to_owned(),
            Start::At(micros) => Moment(*micros).to_string(),
        };
        Form { streams, start }
    }

    fn under(Form { streams, start }: Form, now: Option<&Self>, past: &mut Past<'_>) -> Self {
        let now = now.cloned().unwrap_or_default();
        let region = now.region.clone().or_else(|| streams.iter().find_map(plain_region));
        let streams = streams.iter().map(|stream| addressed(stream, &now.streams)).collect();
        Config { streams, region, start: past.read("[source]", "start", &start), ..now }
    }

    fn shown(&self) -> String {
        format!("shards of {}", joined(self.streams.iter().map(Text::written)))
    }

    fn described(form: &Form) -> String {
        format!("kinesis {}", joined(form.streams.iter().map(StreamForm::shown)))
    }

    fn facts(Form { streams: _, start }: &Form) -> Vec<Fact> {
        vec![Fact::new("start", start)]
    }

    async fn connect(&self, with: Connecting<'_>) -> Result<Arc<dyn Source>, Fatal> {
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
        let options = Options {
            streams: self.streams.iter().map(|stream| stream.as_str().to_owned()).collect(),
            start: self.start,
            access: Access {
                endpoint: text(&self.endpoint),
                region: text(&self.region),
                profile: text(&self.profile),
                role: text(&self.role_arn).map(|arn| Role { arn, external_id: text(&self.external_id) }),
                credentials: None,
            },
            consumer: text(&self.consumer),
            bounds: with.bounds,
            clock: with.clock.as_source(),
        };
        Ok(Arc::new(Kinesis::connect(options).await?))
    }

    fn kept(before: &Form, now: &Form) -> Kept {
        let has = |streams: &[StreamForm], wanted: &StreamForm| streams.iter().any(|stream| stream.may_be(wanted));
        let (before, now) = (&before.streams, &now.streams);
        let all = before.iter().all(|stream| has(now, stream)) && now.iter().all(|stream| has(before, stream));
        Kept::of(all, before.iter().any(|stream| has(now, stream)))
    }

    fn changes(before: &Form, now: &Form) -> Vec<String> {
        came_and_went("stream", &before.streams, &now.streams, StreamForm::shown)
    }
}

impl StreamForm {
    /// Whether two descriptions can be of one stream: what one of them does not say may be anything.
    fn may_be(&self, other: &StreamForm) -> bool {
        let agree = |same: Option<bool>| same.unwrap_or(true);
        self.name == other.name
            && agree(self.region.as_ref().zip(other.region.as_ref()).map(|(one, two)| one == two))
            && agree(self.account.as_ref().zip(other.account.as_ref()).map(|(one, two)| one == two))
    }

    fn shown(&self) -> String {
        match &self.region {
            Some(region) => format!("{} in {}", self.name.shown(), region.shown()),
            None => self.name.shown().to_owned(),
        }
    }
}

fn plain_region(stream: &StreamForm) -> Option<Text> {
    let StreamForm { name: _, region, account } = stream;
    region.clone().filter(|_| account.is_none()).map(Text::from)
}

/// A stream as the file of today names it, or as it was named then.
fn addressed(stream: &StreamForm, now: &[Text]) -> Text {
    let StreamForm { name, region, account } = stream;
    let name_of = |text: &Text| Arn::parse(text.as_str()).map_or(text.as_str().to_owned(), |arn| arn.name.to_owned());
    if let Some(same) = now.iter().find(|now| name_of(now) == name.meant()) {
        return same.clone();
    }
    match (region, account) {
        (Some(region), Some(account)) => {
            let arn = format!("arn:aws:kinesis:{}:{account}:stream/{}", region.meant(), name.meant());
            Text::from(arn.as_str())
        }
        _ => Text::from(name.clone()),
    }
}

fn streams(section: &Section<'_>) -> Vec<Text> {
    let listed = section.value(&STREAM).is_some_and(|(_, value)| value.get_ref().is_array());
    let streams: Vec<Text> = if listed {
        section.list(&STREAM).into_iter().map(|(_, stream)| stream).collect()
    } else {
        section.optional(&STREAM).into_iter().collect()
    };
    let report = |problem: String| section.report(&STREAM, problem);
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
struct Arn<'a> {
    region: &'a str,
    account: &'a str,
    name: &'a str,
}

impl<'a> Arn<'a> {
    fn parse(stream: &'a str) -> Option<Self> {
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

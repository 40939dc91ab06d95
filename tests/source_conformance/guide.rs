//! The source of `docs/adding-a-connector.md`: the laws, and what its definition promises.

use std::sync::Arc;

use futures::FutureExt;
use millstream::clock::Clock;
use millstream::config::{Config, read_source};
use millstream::connector::kind::{Configured, Connecting, Kind, SourceKind};
use millstream::connector::registry::SOURCES;
use millstream::connector::{Bounds, Source};

use super::inline::Inline;
use super::laws;

const SECTION: &str = "type = \"inline\"\nrecords = [\"one\", \"two\", \"three\"]";
/// A pipeline to connect in; its own source is not read.
const PIPELINE: &str =
    "name = \"guide\"\n[source]\ntype = \"generate\"\n[schema]\na = \"string\"\n[sink]\npath = \"out\"";

#[tokio::test]
async fn it_keeps_the_laws() {
    let config = Config::parse("pipeline.toml", PIPELINE, &|_| None).unwrap();
    let inline: Inline = read_source(SECTION, &|_| None).unwrap();
    let make = || -> Arc<dyn Source> {
        let with = Connecting { config: &config, origin: &[], bounds: Bounds::UntilEnd, clock: &Clock::system() };
        Configured::connect(&inline, with).now_or_never().expect("it connects to nothing").unwrap()
    };
    let wanted = |_: &str| ["one", "two", "three"].map(|record| record.as_bytes().to_vec()).to_vec();
    laws::all(&make, &wanted, 5).await;
}

#[test]
fn its_definition_comes_back_from_the_log() {
    let inline: Inline = read_source(SECTION, &|_| None).unwrap();
    let kind: &dyn SourceKind = &Kind::<Inline>::NEW;
    laws::definition(kind, &inline);
}

/// Would catch a form that loses a key, or that is read as another source.
#[test]
fn every_definition_comes_back_from_the_log() {
    let sections = [
        "type = \"kinesis\"\nstream = [\"one\", \"arn:aws:kinesis:eu-central-1:123456789012:stream/two\"]\nstart = \"latest\"",
        "type = \"kafka\"\nbrokers = \"b:1\"\ntopics = [\"two\", \"one\"]\nheaders = [\"trace\"]\nstart = \"2024-02-28T10:00:00Z\"",
        "type = \"files\"\npath = \"in/*.json\"",
        "type = \"generate\"\nkind = \"events\"\nsplits = 3\nbroken = 0.1",
    ];
    assert_eq!(sections.len(), SOURCES.len());
    for (kind, section) in SOURCES.iter().zip(sections) {
        let text = PIPELINE.replace("type = \"generate\"", section);
        let config = Config::parse("pipeline.toml", &text, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
        laws::definition(*kind, &*config.source);
    }
}

#[test]
fn a_key_that_it_does_not_have_is_refused() {
    let wrong = read_source::<Inline>("type = \"inline\"\nrecord = []", &|_| None).unwrap_err().to_string();
    assert!(wrong.contains("did you mean \"records\"?"), "{wrong}");
}

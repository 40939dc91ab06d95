//! `type = "generate"`: records made up on the spot, the same in every run.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Generate, Kind, Options};
use crate::config::{AtLeastOne, Besides, Fact, Key, Past, Rate, SOURCE_TYPE, Section, Share, Spec, Words};
use crate::connector::Source;
use crate::connector::kind::{Carries, Connecting, SourceType};
use crate::exit::Fatal;

const KIND: Key = Key::with_default("kind", "articles or events", "articles");
const SPLITS: Key = Key::with_default("splits", "how many splits", "1");
const RATE: Key =
    Key::optional("rate", "records a second, of all splits together; as fast as it can unless said", "1000");
const COUNT: Key = Key::optional("count", "records in all; for ever unless said", "100000");
const SEED: Key = Key::with_default("seed", "another seed, other records", "0");
const BROKEN: Key = Key::with_default("broken", "share of records that are bad on purpose, from 0 to 1", "0");

const SPEC: Spec = Spec {
    heading: "[source]",
    what: "generate: articles or user events made up on the spot, the same in every run",
    keys: &[SOURCE_TYPE, KIND, SPLITS, RATE, COUNT, SEED, BROKEN],
};

impl Words for Kind {
    const WORDS: &'static [(&'static str, Self)] = &[("articles", Kind::Articles), ("events", Kind::Events)];
}

/// The section.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    kind: Kind,
    splits: u32,
    /// Records a second, of all splits together; `None` is as fast as it can.
    pub rate: Option<f64>,
    /// Records in all; `None` is for ever.
    pub count: Option<u64>,
    pub seed: u64,
    /// The share of records that are bad on purpose, from 0 to 1.
    broken: f64,
}

/// All that the records are made of.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Form {
    kind: String,
    seed: u64,
    splits: u32,
    /// As text, which reads back as the very same number.
    broken: String,
}

#[async_trait]
impl SourceType for Config {
    const WORD: &'static str = "generate";
    const SPEC: Spec = SPEC;
    type Form = Form;

    fn read(section: &Section<'_>) -> Self {
        Config {
            kind: section.get(&KIND),
            splits: section.get::<AtLeastOne>(&SPLITS).0,
            rate: section.optional::<Rate>(&RATE).map(|rate| rate.0),
            count: section.optional(&COUNT),
            seed: section.get(&SEED),
            broken: section.get::<Share>(&BROKEN).0,
        }
    }

    fn form(&self, besides: &mut Besides<'_>) -> Form {
        let Config { kind, splits, rate, count, seed, broken } = self;
        besides.add("generate", (rate, count));
        Form { kind: kind.word().into(), seed: *seed, splits: *splits, broken: broken.to_string() }
    }

    fn under(Form { kind, seed, splits, broken }: Form, now: Option<&Self>, past: &mut Past<'_>) -> Self {
        let Share(broken) = past.read("[source]", "broken", &broken);
        let kind = past.read("[source]", "kind", &kind);
        Config { kind, seed, splits, broken, ..now.cloned().unwrap_or_default() }
    }

    fn shown(&self) -> String {
        format!("generated, {} splits", self.splits)
    }

    fn described(Form { kind, seed, splits, broken }: &Form) -> String {
        format!("generate {kind}, seed {seed}, splits {splits}, broken {broken}")
    }

    fn facts(Form { kind, seed, splits, broken }: &Form) -> Vec<Fact> {
        vec![Fact::new("kind", kind), Fact::new("seed", seed), Fact::new("splits", splits), Fact::new("broken", broken)]
    }

    async fn connect(&self, with: Connecting<'_>) -> Result<Arc<dyn Source>, Fatal> {
        let Config { kind, splits, rate, count, seed, broken } = *self;
        let options = Options { kind, seed, splits: splits.into(), count, rate, broken };
        Ok(Arc::new(Generate::new(options, with.bounds, with.clock.as_source())?))
    }

    fn carries(&self) -> Carries {
        Carries::Json
    }
}

//! `type = "generate"`: records made up on the spot, the same in every run.

use super::TYPE;
use crate::config::key::{Key, Spec};
use crate::config::scalar::{AtLeastOne, Rate, Share, Words};
use crate::config::section::Section;

const KIND: Key = Key::with_default("kind", "articles or events", "articles");
const SPLITS: Key = Key::with_default("splits", "how many splits", "1");
const RATE: Key =
    Key::optional("rate", "records a second, of all splits together; as fast as it can unless said", "1000");
const COUNT: Key = Key::optional("count", "records in all; for ever unless said", "100000");
const SEED: Key = Key::with_default("seed", "another seed, other records", "0");
const BROKEN: Key = Key::with_default("broken", "share of records that are bad on purpose, from 0 to 1", "0");

pub(super) const SPEC: Spec = Spec {
    heading: "[source]",
    what: "generate: articles or user events made up on the spot, the same in every run",
    keys: &[TYPE, KIND, SPLITS, RATE, COUNT, SEED, BROKEN],
};

/// What is made up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Material {
    #[default]
    Articles,
    Events,
}

impl Words for Material {
    const WORDS: &'static [(&'static str, Self)] = &[("articles", Material::Articles), ("events", Material::Events)];
}

/// Made-up records as a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generate {
    pub kind: Material,
    pub splits: u32,
    /// Records a second, of all splits together; `None` is as fast as it can.
    pub rate: Option<f64>,
    /// Records in all; `None` is for ever.
    pub count: Option<u64>,
    pub seed: u64,
    /// The share of records that are bad on purpose, from 0 to 1.
    pub broken: f64,
}

pub(super) fn read(section: &Section<'_>) -> Generate {
    Generate {
        kind: section.get(&KIND),
        splits: section.get::<AtLeastOne>(&SPLITS).0,
        rate: section.optional::<Rate>(&RATE).map(|rate| rate.0),
        count: section.optional(&COUNT),
        seed: section.get(&SEED),
        broken: section.get::<Share>(&BROKEN).0,
    }
}

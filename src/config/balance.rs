//! `[balance]`: whether whole batches go to other workers than those that read them.

use super::key::{Key, Spec};
use super::scalar::Words;
use super::section::Section;

const EXCHANGE: Key = Key::with_default(
    "exchange",
    "none, or batches: whole batches are dealt out to all workers, which spreads a hot split and gives up the order \
     between its batches; with several processes a quarter of [limits] memory is for batches of the others",
    "none",
);

pub(super) const SPEC: Spec = Spec {
    heading: "[balance]",
    what: "what is sent from worker to worker; nothing wide unless asked for",
    keys: &[EXCHANGE],
};

/// What is exchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exchange {
    /// Records stay with the worker that read them.
    #[default]
    None,
    /// Whole batches are dealt out to all workers.
    Batches,
}

impl Words for Exchange {
    const WORDS: &'static [(&'static str, Self)] = &[("none", Exchange::None), ("batches", Exchange::Batches)];
}

/// `[balance]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    pub exchange: Exchange,
}

pub(super) fn read(section: Section<'_>) -> Balance {
    let balance = Balance { exchange: section.get(&EXCHANGE) };
    section.finish();
    balance
}

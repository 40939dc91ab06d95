//! `[epoch]`: how much one commit takes in.

use std::time::Duration;

use super::key::{Key, Spec};
use super::section::Section;
use super::units::{Size, Span};

const INTERVAL: Key = Key::with_default("interval", "how long an epoch takes in records", "30s");
const MAX_BYTES: Key =
    Key::with_default("max_bytes", "how much it takes in at most, over all workers of a process", "256MiB");

pub(super) const SPEC: Spec = Spec {
    heading: "[epoch]",
    what: "how much one commit takes in; whichever comes first ends it",
    keys: &[INTERVAL, MAX_BYTES],
};

/// `[epoch]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    pub interval: Duration,
    pub max_bytes: u64,
}

pub(super) fn read(section: Section<'_>) -> Epoch {
    let epoch = Epoch { interval: section.get::<Span>(&INTERVAL).0, max_bytes: section.get::<Size>(&MAX_BYTES).0 };
    section.finish();
    epoch
}

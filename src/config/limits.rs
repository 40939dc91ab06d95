//! `[limits]`: what a record and the process may cost.

use super::key::{Key, Spec};
use super::scalar::AtLeastOne;
use super::section::Section;
use super::units::Size;

const RECORD: Key =
    Key::with_default("record", "the largest record, packed or unpacked; a larger one is a reject", "10MiB");
const DEPTH: Key = Key::with_default("depth", "how deep a record may nest; a deeper one is a reject", "64");
const MEMORY: Key = Key::with_default(
    "memory",
    "bytes that each process holds at a time: records, borrowed ones too, and the state of operators",
    "256MiB",
);

pub(super) const SPEC: Spec =
    Spec { heading: "[limits]", what: "what a record and the process may cost", keys: &[RECORD, DEPTH, MEMORY] };

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one record.
    pub record: u64,
    pub depth: u32,
    /// The byte budget of the process.
    pub memory: u64,
}

pub(super) fn read(section: Section<'_>) -> Limits {
    let limits = Limits {
        record: section.get::<Size>(&RECORD).0,
        depth: section.get::<AtLeastOne>(&DEPTH).0,
        memory: section.get::<Size>(&MEMORY).0,
    };
    // A stand-in is zero: what was complained of once is not complained of twice.
    if limits.memory > 0 && limits.record > limits.memory {
        let problem = "is less than one record may take; make it at least [limits] record";
        section.reader.report(section.at_key(&MEMORY).error(problem));
    }
    section.finish();
    limits
}

//! `[log]`: where the commit log lies, if not in the first sink.

use super::key::{Key, Spec};
use super::location::{ENDPOINT, Location, PATH_STYLE, PROFILE, REGION};
use super::section::Section;

const PATH: Key = Key::optional(
    "path",
    "a folder, or s3://bucket/prefix, for the commit log; by default the path of the first sink",
    "out-log",
);

pub(super) const SPEC: Spec = Spec {
    heading: "[log]",
    what: "where the commit log lies; with several sinks it may lie beside them",
    keys: &[PATH, ENDPOINT, REGION, PROFILE, PATH_STYLE],
};

/// `None`: in the first sink.
pub(super) fn read(section: Section<'_>) -> Option<Location> {
    let location = section.has(&PATH).then(|| Location::read(&section, &PATH));
    if location.is_none() && section.is_there() {
        section
            .reader
            .report(section.at.with_key(PATH.name).error("is missing; write path = \"…\", or take [log] out"));
    }
    section.finish();
    location
}

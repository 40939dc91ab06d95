//! `type = "files"`: a folder or a pattern, here or in a bucket.

use std::time::Duration;

use super::TYPE;
use crate::config::key::{Key, Spec};
use crate::config::location::{ENDPOINT, Location, PATH_STYLE, PROFILE, REGION};
use crate::config::section::Section;
use crate::config::units::Span;

pub(in crate::config) const PATH: Key =
    Key::required("path", "a folder, a pattern as logs/**/*.json.gz, or either as s3://bucket/…", "articles");
const INTERVAL: Key = Key::with_default("interval", "how often to look for new files", "5s");

pub(super) const SPEC: Spec = Spec {
    heading: "[source]",
    what: "files: each a split, each line of it a record; new files and new lines are noticed",
    keys: &[TYPE, PATH, INTERVAL, ENDPOINT, REGION, PROFILE, PATH_STYLE],
};

/// Files as a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// A folder or a pattern.
    pub location: Location,
    /// How often to look for new files.
    pub interval: Duration,
}

pub(super) fn read(section: &Section<'_>) -> Files {
    Files { location: Location::read(section, &PATH), interval: section.get::<Span>(&INTERVAL).0 }
}

//! `[source]`: where records come from.
//!
//! Owns the key that every source has, `type`. All others are those of the type, which the registry of connectors lists.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::error::ConfigErrors;
use super::key::{Key, Spec};
use super::reader::Reader;
use super::scalar::nearest;
use super::section::Section;
use super::text::{Env, Text};
use crate::connector::kind::{Configured, SourceType, of_type};
use crate::connector::registry::{SOURCES, source_kind};

/// The key with the type, which is the first of every source.
pub const TYPE: Key = Key::required("type", "the type of source", "files");

/// A `[source]` of which only the type is known so far.
pub(super) const SPEC: Spec = Spec { heading: "[source]", what: "where records come from", keys: &[TYPE] };

/// Types of later builds.
const NOT_YET: [&str; 1] = ["bigquery"];

/// `[source]`, of any type.
#[derive(Clone)]
pub struct Source {
    configured: Arc<dyn Configured>,
    /// `false` for a placeholder, used to read on after a complaint.
    said: bool,
}

impl Source {
    pub(super) fn new(configured: Arc<dyn Configured>) -> Self {
        Source { configured, said: true }
    }

    fn stand_in() -> Self {
        Source { configured: SOURCES[0].stand_in(), said: false }
    }

    /// The section of a source that is of type `T`.
    pub fn of_type<T: SourceType>(&self) -> Option<&T> {
        of_type(&*self.configured)
    }

    pub(super) fn is_said(&self) -> bool {
        self.said
    }
}

impl Deref for Source {
    type Target = dyn Configured;

    fn deref(&self) -> &Self::Target {
        &*self.configured
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.said == other.said && self.configured.equals(&*other.configured)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.configured.fmt(f)
    }
}

/// The section of each type, for whoever prints them.
pub(super) fn specs() -> impl Iterator<Item = &'static Spec> {
    SOURCES.iter().map(|kind| kind.spec())
}

pub(super) fn read(section: Section<'_>) -> Source {
    if section.is_there() && !section.has(&TYPE) {
        section.report(&TYPE, format!("is missing: {}; write type = {}", one_of_them(), TYPE.example()));
        return Source::stand_in();
    }
    let Some(word) = section.optional::<Text>(&TYPE) else { return Source::stand_in() };
    let Some(kind) = source_kind(word.as_str()) else {
        section.report(&TYPE, format!("{word:?} {}", no_such_type(word.as_str())));
        return Source::stand_in();
    };
    let section = section.known_as(kind.spec());
    let source = kind.read(&section);
    section.finish();
    Source::new(source)
}

/// Reads the keys of one `[source]` without a pipeline around them, for the tests of its connector.
pub fn read_source<T: SourceType>(text: &str, env: Env<'_>) -> Result<T, ConfigErrors> {
    let reader = Reader::new("[source]", text, env);
    let document = reader.document()?;
    let section = Section::top(&reader, &const { T::SPEC }, &document);
    let source = T::read(&section);
    section.finish();
    reader.finish().map(|_| source)
}

/// The types, as a choice.
fn one_of_them() -> String {
    let [first @ .., last] = &SOURCES;
    format!("{} or {}", first.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", "), last.word())
}

fn no_such_type(word: &str) -> String {
    let words = || SOURCES.iter().map(|kind| kind.word());
    let there = words().collect::<Vec<_>>().join(", ");
    if NOT_YET.contains(&word) {
        return format!("is not in this build yet; there are {there}");
    }
    match nearest(word, words()) {
        Some(near) => format!("is no source; did you mean {near:?}?"),
        None => format!("is no source; there are {there}"),
    }
}

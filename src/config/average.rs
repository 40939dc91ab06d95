//! `[[average]]`: averages that are kept up to date.

use super::columns::{Columns, Reach};
use super::error::Located;
use super::key::{Key, Spec};
use super::scalar::Words;
use super::section::Section;
use super::text::Text;

const NAME: Key = Key::optional("name", "what it is called; by default `of`, and `group` where there is one", "words");
const OF: Key = Key::required("of", "the column to average", "word_count");
const BY: Key = Key::with_default("by", "overall, hour, day: one average of each bucket of `time`", "[\"overall\"]");
const TIME: Key = Key::optional("time", "the column that puts a record into an hour or a day", "publish_date");
const GROUP: Key = Key::with_default("group", "columns to group by", "[]");

pub(super) const SPEC: Spec = Spec {
    heading: "[[average]]",
    what: "averages that are kept up to date, exact to the last digit; any number of them",
    keys: &[NAME, OF, BY, TIME, GROUP],
};

/// What one average is taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    #[default]
    Overall,
    Hour,
    Day,
}

impl Words for Bucket {
    const WORDS: &'static [(&'static str, Self)] =
        &[("overall", Bucket::Overall), ("hour", Bucket::Hour), ("day", Bucket::Day)];
}

/// An `[[average]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Average {
    /// No two have the same.
    pub name: Text,
    /// The column to average.
    pub of: String,
    /// In the order of the file, each once, at least one.
    pub by: Vec<Bucket>,
    /// There where a bucket needs it.
    pub time: Option<String>,
    pub group: Vec<String>,
    /// Where it stands.
    pub at: Located,
}

pub(super) fn read(sections: Vec<Section<'_>>, columns: &Columns) -> Vec<Average> {
    let mut averages: Vec<Average> = Vec::new();
    for section in sections {
        let average = one(&section, columns);
        if averages.iter().any(|before| before.name == average.name) {
            let name = average.name.written();
            let problem = format!("there is an average called {name:?} already; give one of them a name of its own");
            section.reader.report(section.at_key(&NAME).error(problem));
        }
        averages.push(average);
        section.finish();
    }
    averages
}

fn one(section: &Section<'_>, columns: &Columns) -> Average {
    let of = columns.one(section, &OF).unwrap_or_default();
    let group = columns.many(section, &GROUP, Reach::Columns);
    let (by, time) = (buckets(section), columns.one(section, &TIME));
    if time.is_none() && !section.has(&TIME) && by.iter().any(|bucket| *bucket != Bucket::Overall) {
        let problem = "is missing: an average by hour or day needs a column to tell them from; write time = \"…\"";
        section.reader.report(section.at.with_key(TIME.name).error(problem));
    }
    let name = section.optional(&NAME).unwrap_or_else(|| Text::from(default_name(&of, &group).as_str()));
    Average { name, of, by, time, group, at: section.at.clone() }
}

fn buckets(section: &Section<'_>) -> Vec<Bucket> {
    let mut by: Vec<Bucket> = Vec::new();
    for (at, bucket) in section.list(&BY) {
        if by.contains(&bucket) {
            section.reader.report(at.error(format!("{:?} is there twice", bucket.word())));
        }
        by.push(bucket);
    }
    if by.is_empty()
        && section.value(&BY).is_some_and(|(_, value)| value.get_ref().as_array().is_some_and(|list| list.is_empty()))
    {
        section
            .reader
            .report(section.at_key(&BY).error("is empty; write at least one of \"overall\", \"hour\", \"day\""));
    }
    if by.is_empty() { vec![Bucket::Overall] } else { by }
}

fn default_name(of: &str, group: &[String]) -> String {
    if group.is_empty() { of.to_owned() } else { format!("{of}_by_{}", group.join("_")) }
}

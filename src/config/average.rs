//! `[[average]]`: averages that are kept up to date.

use std::time::Duration;

use super::columns::{Columns, Reach};
use super::error::Located;
use super::key::{Key, Spec};
use super::scalar::{AtLeastOne, Words};
use super::section::Section;
use super::text::Text;
use super::units::Span;

const NAME: Key = Key::optional("name", "what it is called; by default `of`, and `group` where there is one", "words");
const OF: Key = Key::required("of", "the column to average", "word_count");
const BY: Key = Key::with_default("by", "overall, hour, day: one average of each bucket of `time`", "[\"overall\"]");
const TIME: Key = Key::optional("time", "the column that puts a record into an hour or a day", "publish_date");
const GROUP: Key = Key::with_default("group", "columns to group by", "[]");
const KEEP: Key = Key::optional(
    "keep",
    "how long hours and days are kept, counted back from the newest one of their kind; older ones are folded away. By \
     default for ever",
    "90 days",
);
const MAX_GROUPS: Key = Key::with_default(
    "max_groups",
    "how many totals there may be, one for each bucket of each group; the run ends when there are more",
    "1000000",
);

pub(super) const SPEC: Spec = Spec {
    heading: "[[average]]",
    what: "averages that are kept up to date, exact to the last digit; any number of them",
    keys: &[NAME, OF, BY, TIME, GROUP, KEEP, MAX_GROUPS],
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
    /// How long hours and days are kept; none: for ever.
    pub keep: Option<Duration>,
    /// How many totals there may be.
    pub max_groups: u32,
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
    let keep = section.optional::<Span>(&KEEP).map(|span| span.0);
    if keep.is_some() && by.iter().all(|bucket| *bucket == Bucket::Overall) {
        let problem = "folds away old hours and days, and this average has neither; write by = [\"hour\"] or \"day\", or take \
                       it out";
        section.reader.report(section.at_key(&KEEP).error(problem));
    }
    let max_groups = section.get::<AtLeastOne>(&MAX_GROUPS).0;
    let name = section.optional(&NAME).unwrap_or_else(|| Text::from(default_name(&of, &group).as_str()));
    Average { name, of, by, time, group, keep, max_groups, at: section.at.clone() }
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

//! The one equation: every record of an epoch is in exactly one place per sink.
//!
//! ```text
//! read + released + added = laid down + rejected + filtered + held + merged
//! ```
//! It is asked per epoch, split and sink: by the commit operator before an epoch is committed, and by the predicate of
//! [`check`](super::check) of every commit in a log. `read` comes from the source, `laid down` and `rejected` from the files;
//! each other term is reported by the operator that causes it. What must stay true: a pipeline says beforehand which terms
//! are reported, and one that is then missing, or that nobody announced, is an error and not a zero.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::position::Split;
use crate::protocol::commit::{FileRecord, SplitProgress};
use crate::protocol::place::Place;

/// What an operator can do with records besides laying them down or rejecting them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Term {
    /// Records that left the state of an operator.
    Released,
    /// Rows beyond the first that one record became; −1 for a record that became none.
    Added,
    /// Records that are left out.
    Filtered,
    /// Records kept in the state of an operator until later.
    Held,
    /// Records beyond the first that became one row.
    Merged,
}

impl Term {
    /// Whether it stands on the side of what was read.
    fn adds(self) -> bool {
        matches!(self, Term::Released | Term::Added)
    }

    fn word(self) -> &'static str {
        match self {
            Term::Released => "released",
            Term::Added => "added",
            Term::Filtered => "filtered",
            Term::Held => "held",
            Term::Merged => "merged",
        }
    }
}

/// A report of one operator: so many records of a split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub term: Term,
    /// The sink that it concerns; [`Counts::every`] where it is all of them.
    pub place: Place,
    pub split: Split,
    pub records: i64,
}

/// The reports of an epoch, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts(BTreeMap<Term, BTreeMap<Place, BTreeMap<Split, i64>>>);

impl Counts {
    /// Stands for all sinks in a report.
    pub fn every() -> Place {
        Place::sink("*")
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a report.
    pub fn add(&mut self, Counted { term, place, split, records }: Counted) {
        let by_split = self.0.entry(term).or_default().entry(place).or_default();
        *by_split.entry(split).or_default() += records;
    }

    /// What was reported of a split: `None` where nothing was, not even zero.
    pub fn of(&self, term: Term, place: &Place, split: &Split) -> Option<i64> {
        self.0.get(&term)?.get(place)?.get(split).copied()
    }

    /// What was reported of all splits.
    pub fn total(&self, term: Term, place: &Place) -> i64 {
        self.0.get(&term).and_then(|places| places.get(place)).map_or(0, |splits| splits.values().sum())
    }

    /// The same without zeros, as the log keeps it.
    pub fn without_zeros(mut self) -> Self {
        self.0.retain(|_, places| {
            places.retain(|_, splits| {
                splits.retain(|_, records| *records != 0);
                !splits.is_empty()
            });
            !places.is_empty()
        });
        self
    }

    fn reported(&self) -> impl Iterator<Item = (Term, &Place, &Split, i64)> {
        self.0.iter().flat_map(|(term, places)| {
            let splits = places.iter().flat_map(|(place, splits)| splits.iter().map(move |split| (place, split)));
            splits.map(|(place, (split, records))| (*term, place, split, *records))
        })
    }
}

/// Which operators report what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// The sinks that records are laid down in.
    pub sinks: BTreeSet<Place>,
    /// The terms that are reported of every split of which a record was not rejected.
    pub terms: BTreeSet<(Term, Place)>,
}

/// The two sides for one split (or all of them) and one sink.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    read: i64,
    laid_down: i64,
    rejected: i64,
    terms: [i64; 5],
}

const TERMS: [Term; 5] = [Term::Released, Term::Added, Term::Filtered, Term::Held, Term::Merged];

impl Account {
    fn holds(&self) -> bool {
        let side = |adds: bool| -> i64 {
            TERMS.iter().zip(self.terms).filter(|(term, _)| term.adds() == adds).map(|(_, records)| records).sum()
        };
        self.read + side(true) == self.laid_down + self.rejected + side(false)
    }

    fn told(&self) -> String {
        let Account { read, laid_down, rejected, terms } = self;
        let mut text = format!("{read} records were read, {laid_down} rows and {rejected} rejects laid down");
        for (term, records) in TERMS.iter().zip(terms).filter(|(_, records)| **records != 0) {
            // Writing to a text cannot fail.
            let _ = write!(text, ", {records} {}", term.word());
        }
        text
    }
}

/// The facts of one epoch.
#[derive(Clone, Copy, Debug)]
pub struct Epoch<'a> {
    pub positions: &'a BTreeMap<Split, SplitProgress>,
    pub counts: &'a Counts,
}

/// Rows by split, of one place.
type Rows<'a> = BTreeMap<&'a Split, i64>;

/// Rows of files by place and split, as their ranges tell; `None` where a file does not tell.
fn by_split<'a>(files: impl Iterator<Item = (&'a Place, &'a FileRecord)>) -> Option<BTreeMap<&'a Place, Rows<'a>>> {
    let mut rows: BTreeMap<&Place, Rows<'_>> = BTreeMap::new();
    for (place, file) in files {
        if file.ranges.iter().map(|range| range.rows).sum::<u64>() != file.rows {
            return None;
        }
        let of_place = rows.entry(place).or_default();
        for range in &file.ranges {
            *of_place.entry(&range.split).or_default() += range.rows as i64;
        }
    }
    Some(rows)
}

impl<'a> Epoch<'a> {
    /// Why an epoch about to be committed does not add up; `None`: it does. Its files have their ranges.
    pub fn problem(
        self,
        announced: &Announced,
        files: impl Iterator<Item = (&'a Place, &'a FileRecord)> + Clone,
    ) -> Option<String> {
        if let Some((term, place, split, _)) =
            self.counts.reported().find(|(term, place, ..)| !announced.terms.contains(&(*term, (*place).clone())))
        {
            return Some(format!("{split}: somebody reported {} records for {place}, unannounced", term.word()));
        }
        if let Some((place, _)) =
            files.clone().find(|(place, _)| !place.is_rejects() && !announced.sinks.contains(*place))
        {
            return Some(format!("a file was laid down in {place}, which is no sink of the pipeline"));
        }
        let Some(rows) = by_split(files) else {
            return Some("a file does not tell which records it holds".into());
        };
        self.unreported(announced, &rows).or_else(|| self.unbalanced(announced.sinks.iter(), &rows))
    }

    fn unreported(self, announced: &Announced, rows: &BTreeMap<&Place, Rows<'_>>) -> Option<String> {
        let rejects = Place::rejects();
        for (split, progress) in self.positions {
            let rejected = rows.get(&rejects).and_then(|rows| rows.get(split)).copied().unwrap_or(0);
            if progress.records as i64 <= rejected {
                continue;
            }
            let silent = |(term, place): &&(Term, Place)| self.counts.of(*term, place, split).is_none();
            if let Some((term, place)) = announced.terms.iter().find(silent) {
                return Some(format!("{split}: nobody reported how many records were {} for {place}", term.word()));
            }
        }
        None
    }

    fn unbalanced<'p>(
        self,
        sinks: impl Iterator<Item = &'p Place>,
        rows: &BTreeMap<&Place, Rows<'_>>,
    ) -> Option<String> {
        let (rejects, every) = (Place::rejects(), Counts::every());
        let mut splits: BTreeSet<&Split> = self.positions.keys().collect();
        splits.extend(rows.values().flat_map(|rows| rows.keys().copied()));
        splits.extend(self.counts.reported().map(|(_, _, split, _)| split));
        for sink in sinks {
            for split in &splits {
                let laid = |place: &Place| rows.get(place).and_then(|rows| rows.get(*split)).copied().unwrap_or(0);
                let term = |term| {
                    let of = |place: &Place| self.counts.of(term, place, split).unwrap_or(0);
                    of(&every) + of(sink)
                };
                let account = Account {
                    read: self.positions.get(*split).map_or(0, |progress| progress.records as i64),
                    laid_down: laid(sink),
                    rejected: laid(&rejects),
                    terms: TERMS.map(term),
                };
                if !account.holds() {
                    return Some(format!("{split} in {sink}: {}", account.told()));
                }
            }
        }
        None
    }

    /// Why a commit of a log does not add up for these sinks; `None`: it does. Asked by split where the files tell of splits,
    /// and of the whole epoch where their ranges are shared.
    pub fn problem_in_log<'p>(
        self,
        sinks: impl Iterator<Item = &'p Place> + Clone,
        files: impl Iterator<Item = (&'a Place, &'a FileRecord)> + Clone,
    ) -> Option<String> {
        if let Some(rows) = by_split(files.clone()) {
            return self.unbalanced(sinks, &rows);
        }
        let rows = |place: &Place| {
            let of_place = files.clone().filter(|(of, _)| *of == place);
            of_place.map(|(_, file)| file.rows as i64).sum::<i64>()
        };
        let every = Counts::every();
        let account = |sink: &Place| Account {
            read: self.positions.values().map(|progress| progress.records as i64).sum(),
            laid_down: rows(sink),
            rejected: rows(&Place::rejects()),
            terms: TERMS.map(|term| self.counts.total(term, &every) + self.counts.total(term, sink)),
        };
        let accounts = sinks.map(|sink| (sink, account(sink)));
        let mut wrong = accounts.filter(|(_, account)| !account.holds());
        wrong.next().map(|(sink, account)| format!("{sink}: {}", account.told()))
    }
}

#[cfg(test)]
mod tests {
    //! Would catch an epoch that lost a record or has one twice in one of its sinks, and a filter that keeps silent.

    use super::*;
    use crate::position::Position;
    use crate::protocol::commit::Range;

    fn file(sink: &str, split: &str, rows: u64) -> (Place, FileRecord) {
        let range =
            Range { split: split.into(), refused_by: None, first: Position::at(1), last: Position::at(2), rows };
        let file = FileRecord { path: format!("{sink}/{split}"), rows, ranges: vec![range], ..FileRecord::default() };
        (Place::sink(sink), file)
    }

    fn read(splits: &[(&str, u64)]) -> BTreeMap<Split, SplitProgress> {
        let progress = |records| SplitProgress { at: Position::at(9), records, digest: None, done: false };
        splits.iter().map(|(split, records)| ((*split).into(), progress(*records))).collect()
    }

    fn counted(term: Term, place: Place, split: &str, records: i64) -> Counted {
        Counted { term, place, split: split.into(), records }
    }

    fn counts(reports: &[Counted]) -> Counts {
        let mut counts = Counts::default();
        reports.iter().cloned().for_each(|report| counts.add(report));
        counts
    }

    fn announced(sinks: &[&str], terms: &[(Term, Place)]) -> Announced {
        Announced {
            sinks: sinks.iter().map(|name| Place::sink(name)).collect(),
            terms: terms.iter().cloned().collect(),
        }
    }

    #[test]
    fn every_term_has_its_side() {
        let every = Counts::every;
        for (term, adds) in TERMS.map(|term| (term, term.adds())) {
            let laid = if adds { 7 } else { 3 };
            let files = [file("a", "s", laid)];
            let (positions, counts) = (read(&[("s", 5)]), counts(&[counted(term, every(), "s", 2)]));
            let epoch = Epoch { positions: &positions, counts: &counts };
            let announced = announced(&["a"], &[(term, every())]);
            let files = || files.iter().map(|(place, file)| (place, file));
            assert_eq!(epoch.problem(&announced, files()), None, "{term:?}");
            let none = Counts::default();
            let silent = Epoch { counts: &none, ..epoch };
            let problem = silent.problem(&announced, files()).unwrap();
            assert!(problem.contains("nobody reported"), "{problem}");
            let problem = silent.problem(&super::tests::announced(&["a"], &[]), files()).unwrap();
            assert!(problem.contains("5 records were read"), "{problem}");
            let unannounced = super::tests::announced(&["a"], &[]);
            assert!(epoch.problem(&unannounced, files()).unwrap().contains("unannounced"));
        }
    }

    /// Two splits that are wrong in opposite ways, and two sinks of which one is.
    #[test]
    fn it_is_asked_of_every_split_and_every_sink() {
        let positions = read(&[("s", 5), ("t", 5)]);
        let long = Place::sink("long");
        let reports = [counted(Term::Filtered, long.clone(), "s", 4), counted(Term::Filtered, long.clone(), "t", 5)];
        let counts = counts(&reports);
        let epoch = Epoch { positions: &positions, counts: &counts };
        let announced = announced(&["all", "long"], &[(Term::Filtered, long)]);
        let problem = |files: &[(Place, FileRecord)]| {
            let files = files.iter().map(|(place, file)| (place, file));
            assert_eq!(
                epoch.problem(&announced, files.clone()).is_none(),
                epoch.problem_in_log(announced.sinks.iter(), files.clone()).is_none()
            );
            epoch.problem(&announced, files)
        };
        let rejected = file("rejects", "t", 1);
        let right = [file("all", "s", 5), file("all", "t", 5), file("long", "s", 1)];
        assert_eq!(problem(&right), None);
        let shifted = [file("all", "s", 6), file("all", "t", 4), file("long", "s", 1)];
        assert!(problem(&shifted).unwrap().starts_with("s in all: 5 records were read, 6 rows"));
        assert!(problem(&right[..2]).unwrap().starts_with("s in long"));
        let twice = [right.as_slice(), &[rejected]].concat();
        assert!(problem(&twice).unwrap().starts_with("t in all"));
        let stray = [right.as_slice(), &[file("other", "s", 1)]].concat();
        let files = stray.iter().map(|(place, file)| (place, file));
        assert!(epoch.problem(&announced, files).unwrap().contains("no sink"));
    }

    /// With shared ranges a log is asked of the whole epoch.
    #[test]
    fn files_without_ranges_are_asked_together() {
        let (positions, none) = (read(&[("s", 5)]), Counts::default());
        let epoch = Epoch { positions: &positions, counts: &none };
        let (place, mut file) = file("a", "s", 5);
        file.ranges.clear();
        let sinks = [place.clone()];
        let problem = |file: &FileRecord| epoch.problem_in_log(sinks.iter(), [(&place, file)].into_iter());
        assert_eq!(problem(&file), None);
        file.rows = 4;
        assert!(problem(&file).unwrap().contains("5 records were read, 4 rows"));
    }

    #[test]
    fn zeros_are_reports_and_are_not_kept() {
        let zero = counted(Term::Filtered, Counts::every(), "s", 0);
        let counts = counts(&[zero]);
        assert_eq!(counts.of(Term::Filtered, &Counts::every(), &"s".into()), Some(0));
        assert!(counts.without_zeros().is_empty());
    }
}

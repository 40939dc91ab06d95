//! What befalls a log, its files and its source while nobody lives, and what has to come of it.
//!
//! A damaged log is refused and nothing is changed; with the objects put back, or rolled back, it goes on. A published file
//! that is gone is reported and never written again. A lost file whose records the source no longer gives as they were stops
//! the start, and an accepted loss is known for ever.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use millstream::clock::Clock;
use millstream::connector::memory::MemoryStore;
use millstream::connector::memory::source::MemorySource;
use millstream::connector::{Bounds, Source, SourceError, Store};
use millstream::exit::Fatal;
use millstream::log::repair::{self, Choice};
use millstream::log::verify;
use millstream::run::{self, Options, Sources};
use rand::RngExt;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::oracle::{self, Objects, Rows};
use crate::world::World;

const COMMITS: &str = ".millstream/commits/";
const HINT: &str = ".millstream/hint.json";

fn commit_key(number: u64) -> String {
    format!("{COMMITS}{number}.json")
}

impl World {
    /// Something may happen while nobody lives.
    pub(crate) fn incident(&mut self) {
        if self.lives.iter().any(|life| !life.is_over()) || self.rng.random_range(0..3) > 0 {
            return;
        }
        // What is still on its way arrives.
        self.pass(Duration::from_secs(12));
        let last = oracle::commits(&self.data.objects()).len() as u64;
        if last < 3 {
            return;
        }
        match self.rng.random_range(0..8) {
            0 => self.hint_is_lost(),
            1 => self.last_commits_are_lost(last),
            2 => self.first_commits_are_lost(last),
            3 => self.last_commit_is_cut(last),
            4 => self.snapshot_is_lost(last),
            5 => self.visible_file_is_removed(),
            6 => self.source_is_not_what_it_was(last, true),
            _ => self.source_is_not_what_it_was(last, false),
        }
    }

    fn put(&self, store: &MemoryStore, key: &str, bytes: Bytes) {
        self.rt.block_on(store.put(key, bytes)).unwrap();
    }

    fn delete(&self, store: &MemoryStore, key: &str) {
        self.rt.block_on(store.delete(key)).unwrap();
    }

    /// A start in good weather with the definition of the log, and nothing more.
    fn calm_start(&mut self) -> Result<(), Fatal> {
        let now = self.now.clone();
        let clock = Clock::new(move || now.load(Ordering::Relaxed));
        let source: Arc<dyn Source> =
            Arc::new(MemorySource::new(self.lake.clone(), Bounds::UntilEnd, 4, clock.as_source()));
        let same = source.clone();
        let sources: Sources = Arc::new(move |_| Box::pin(futures::future::ready(Ok(same.clone()))));
        self.calm_starts += 1;
        let (accept, take_over) = Default::default();
        let options = Options {
            workers: 1,
            bounds: Bounds::UntilEnd,
            clock,
            writer: format!("calm-{}", self.calm_starts),
            on_commit: Arc::new(|_| {}),
            accept,
            take_over,
            sources,
            stop: CancellationToken::new(),
        };
        let stages = self.variants[self.claimed].stages.clone();
        self.rt.block_on(run::begin(&stages, &options, self.places(), source)).map(drop)
    }

    /// A start that has to go well, after which all is as it should be.
    fn goes_on(&mut self) {
        self.calm_start().unwrap_or_else(|fatal| panic!("a start that has nothing in its way ended with: {fatal}"));
        self.check(true);
    }

    /// Takes a choice of `repair`, which has to offer it.
    fn repaired(&mut self, choice: Choice) {
        let places = self.places();
        let stages = self.variants[self.claimed].stages.clone();
        self.calm_starts += 1;
        let writer = format!("repair-{}", self.calm_starts);
        let now = self.now.clone();
        let clock = Clock::new(move || now.load(Ordering::Relaxed));
        let who = run::inspector(&stages, &writer).unwrap();
        self.rt.block_on(async {
            let report = repair::look(&places, &stages, &who).await.unwrap();
            assert!(!report.ok && report.choices().contains(&choice), "{report:?}");
            repair::act(&places, &report, choice, &writer, &clock).await.unwrap();
        });
    }

    /// A start must refuse this log and change nothing. Then the objects are put back, or the log is rolled back.
    fn refused(&mut self, before: &Objects, what: &str, can_roll_back: bool) {
        let damaged = self.data.objects();
        match self.calm_start() {
            Err(Fatal::Log(_)) => {}
            other => panic!("{what}: a damaged log was not refused: {other:?}"),
        }
        assert_eq!(self.data.objects().keys().collect::<Vec<_>>(), damaged.keys().collect::<Vec<_>>(), "{what}");
        self.story.happened(what);
        if can_roll_back && self.rng.random() {
            self.repaired(Choice::RollBack);
            self.story.happened("log rolled back");
            self.find_claimed();
        } else {
            for (key, bytes) in before.iter().filter(|(key, bytes)| damaged.get(*key) != Some(bytes)) {
                self.put(&self.data.clone(), key, bytes.clone());
            }
            self.story.happened("log put back");
        }
        self.goes_on();
    }

    /// The definition that the log says is in force.
    fn find_claimed(&mut self) {
        let log = oracle::commits(&self.data.objects());
        let Some(definition) = log.iter().rev().find_map(|commit| commit.get("definition").filter(|d| !d.is_null()))
        else {
            return;
        };
        let of = |variant: &crate::drawn::Variant| variant.stages.config().definition().to_json();
        self.claimed = self.variants.iter().position(|variant| of(variant) == *definition).unwrap();
    }

    fn hint_is_lost(&mut self) {
        match self.rng.random() {
            true => self.delete(&self.data.clone(), HINT),
            false => self.put(&self.data.clone(), HINT, Bytes::from_static(b"{\"commit\":1}")),
        }
        self.story.happened("hint lost or stale");
        self.goes_on();
    }

    fn last_commits_are_lost(&mut self, last: u64) {
        let before = self.data.objects();
        let hint: Value = before.get(HINT).map_or(Value::Null, |hint| serde_json::from_slice(hint).unwrap());
        // A hint that knows no more tells nothing; then a start cannot know either.
        if hint["commit"].as_u64() != Some(last) {
            return;
        }
        let lost = self.rng.random_range(1..=2);
        (last + 1 - lost..=last).for_each(|number| self.delete(&self.data.clone(), &commit_key(number)));
        self.refused(&before, "last commits lost", true);
    }

    fn first_commits_are_lost(&mut self, last: u64) {
        let before = self.data.objects();
        let lost = self.rng.random_range(1..last);
        (1..=lost).for_each(|number| self.delete(&self.data.clone(), &commit_key(number)));
        if self.rng.random() {
            self.delete(&self.data.clone(), HINT);
        }
        self.refused(&before, "first commits lost", false);
    }

    fn last_commit_is_cut(&mut self, last: u64) {
        let before = self.data.objects();
        let whole = &before[&commit_key(last)];
        self.put(&self.data.clone(), &commit_key(last), whole.slice(..whole.len() / 2));
        self.refused(&before, "commit cut", true);
    }

    /// Snapshots are lost, all of them or the one that the last commit names: a start reads the commits instead, and `verify`
    /// misses the snapshot until it is back.
    fn snapshot_is_lost(&mut self, last: u64) {
        let before = self.data.objects();
        let log = oracle::commits(&before);
        let Some(named) = log[last as usize - 1]["snapshot"]["key"].as_str() else { return };
        let all = self.rng.random::<bool>();
        let lost = |key: &&String| *key == named || (all && key.starts_with(".millstream/snapshots/"));
        let lost: Vec<String> = before.keys().filter(lost).cloned().collect();
        lost.iter().for_each(|key| self.delete(&self.data.clone(), key));
        match self.calm_start() {
            Ok(()) => {}
            // What dedup knows lies in no file, and the objects of older commits are gone.
            Err(Fatal::Log(why)) if why.contains("[dedup]") => {
                self.story.happened("snapshot lost, and dedup's state in it")
            }
            Err(fatal) => panic!("a lost snapshot held a start up: {fatal}"),
        }
        lost.iter().for_each(|key| self.put(&self.data.clone(), key, before[key].clone()));
        self.story.happened("snapshot lost");
        self.goes_on();
    }

    /// Somebody takes a published file away: it is missed by `verify`, and never written again.
    fn visible_file_is_removed(&mut self) {
        self.goes_on();
        let parquet = |key: &&String| key.ends_with(".parquet");
        let ours = self.ours(&self.data.objects());
        let keys: Vec<String> = ours.keys().filter(parquet).cloned().collect();
        if keys.is_empty() {
            return;
        }
        let key = keys[self.rng.random_range(0..keys.len())].clone();
        self.delete(&self.data.clone(), &key);
        self.calm_start().unwrap_or_else(|fatal| panic!("a removed file held a start up: {fatal}"));
        let named = |commit: &Value| commit["replaces"].to_string().contains(&format!("\"path\":\"{key}\""));
        assert!(!oracle::commits(&self.data.objects()).iter().any(named), "{key} was written again");
        let stages = self.variants[self.claimed].stages.clone();
        let report = self.rt.block_on(verify::verify(&self.places(), &stages, |_| {})).unwrap();
        assert!(report.problems.iter().any(|problem| problem.contains(&key)), "{key} is not missed: {report:?}");
        self.put(&self.data.clone(), &key, ours[&key].clone());
        self.story.happened("visible file removed");
        self.goes_on();
    }

    /// A file is lost before it was published, and the source does not give its records as they were: it was edited, or
    /// they are gone.
    fn source_is_not_what_it_was(&mut self, last: u64, edited: bool) {
        let Some((path, rows)) = self.lose_an_unpublished_file(last) else { return };
        let ((split, index), _) = &rows[0];
        if edited {
            self.lake.edit(split, *index, Bytes::from_static(b"{\"article_id\":\"x/0\",\"content\":\"forged\"}"));
        } else {
            self.lake.trim(split, index + 1);
        }
        let what = if edited { "source edited" } else { "source expired" };
        match self.calm_start() {
            Err(Fatal::Failed(said)) if edited => assert!(said.contains("cannot be written again"), "{said}"),
            Err(Fatal::Source(SourceError::Gone { message, .. })) if !edited => {
                assert!(message.contains("millstream repair"), "{message}");
            }
            other => panic!("{what}: {other:?}"),
        }
        self.story.happened(what);
        if self.rng.random() {
            self.repaired(Choice::AcceptLoss);
            self.lost.insert(path, rows);
            self.story.happened("loss accepted");
        }
        self.lake.undo_edits();
        self.lake.splits().iter().for_each(|(name, _)| self.lake.untrim(name));
        self.goes_on();
    }

    /// Takes away a file that no mark says is published, as a rule of the store that aborts uploads would; its rows.
    fn lose_an_unpublished_file(&mut self, last: u64) -> Option<(String, Rows)> {
        let objects = self.data.objects();
        let log = oracle::commits(&objects);
        let published = log[last as usize - 1]["published"].as_u64().unwrap();
        // To accept a loss is to accept all that is lost; here it is to be this file alone.
        if self.something_is_lost(&log[published as usize..]) {
            return None;
        }
        let files = log[published as usize..].iter().filter_map(|commit| commit["files"].as_array()).flatten();
        let in_data = files.filter(|file| file["sink"] != "wordy").map(|file| file["path"].as_str().unwrap());
        let visible: BTreeSet<&str> = in_data.filter(|path| objects.contains_key(*path)).collect();
        let path = visible.into_iter().next()?.to_owned();
        let rows = oracle::data_rows(&path, &objects[&path]);
        self.delete(&self.data.clone(), &path);
        for key in objects.keys().filter(|key| key.starts_with(".millstream/ends/")) {
            self.delete(&self.data.clone(), key);
        }
        Some((path, rows))
    }

    /// Whether a file of these commits neither is there nor has an upload.
    fn something_is_lost(&self, commits: &[Value]) -> bool {
        let stores = [&self.data, &self.wordy, &self.rejects].map(MemoryStore::objects);
        let uploads: BTreeSet<String> = self.uploads().map(|(_, upload)| upload.id).collect();
        let lists = |commit: &Value| {
            let of = |field: &str| commit[field].as_array().cloned().unwrap_or_default();
            [of("files"), of("rejects")].concat()
        };
        commits.iter().flat_map(lists).any(|file| {
            let (path, upload) = (file["path"].as_str().unwrap(), file["upload"].as_str().unwrap());
            !uploads.contains(upload) && !stores.iter().any(|objects| objects.contains_key(path))
        })
    }
}

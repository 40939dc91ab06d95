//! One world: a lake, two stores, a clock, and lives of the pipeline that follow and meet each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream::clock::Clock;
use millstream::connector::memory::source::{Lake, MemorySource};
use millstream::connector::memory::{Call, Chance, Fate, Faults, MemoryStore, Operation, Unreliable, When};
use millstream::connector::store::Upload;
use millstream::connector::{Bounds, Source, SourceError, Store, StoreError};
use millstream::exit::Fatal;
use millstream::log::{Places, verify};
use millstream::run::{Options, Sources};
use millstream::stages::Stages;
use millstream_operators::protocol::Place;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::drawn::{self, Destiny, Variant};
use crate::flaky::Flaky;
use crate::lakeside;
use crate::life::{Life, News};
use crate::oracle::{self, Facts, Objects, Rows};
use crate::story::Story;

/// Moments after which a world that is not through is stuck. With little memory and long epochs an epoch may hold a batch
/// alone, and there may be hundreds to read.
pub(crate) const PATIENCE: u32 = 240_000;
/// The longest that a call is slow or late.
const LONGEST: Duration = Duration::from_secs(3);

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) rng: StdRng,
    pub(crate) rt: Runtime,
    pub(crate) lake: Arc<Lake>,
    pub(crate) data: MemoryStore,
    pub(crate) rejects: MemoryStore,
    /// Of the second sink, where a definition has one.
    pub(crate) wordy: MemoryStore,
    /// The definitions that lives may have, and the newest one that claimed the log.
    pub(crate) variants: Vec<Variant>,
    pub(crate) claimed: usize,
    /// The definition that the file has now.
    edited: usize,
    faults: Arc<Faults>,
    /// Once set, nothing goes wrong any more.
    pub(crate) calm: Arc<AtomicBool>,
    /// Of the virtual clock, in microseconds.
    pub(crate) now: Arc<AtomicI64>,
    trace: Arc<AtomicU64>,
    away: Arc<AtomicU64>,
    pub(crate) lives: Vec<Life>,
    born: u64,
    /// What of each split was there when a bounded life began.
    seen: BTreeMap<u64, BTreeMap<String, u64>>,
    /// Whether a rule of the stores takes uploads away after every life, and lives like to die when they publish.
    ruled: bool,
    /// Uploads that no commit names, found between lives: the next start is to abort them.
    stale: BTreeSet<String>,
    pub(crate) story: Story,
    /// Starts between lives.
    pub(crate) calm_starts: u64,
    /// Rows whose loss was accepted, by the path of their file.
    pub(crate) lost: BTreeMap<String, Rows>,
    /// Another pipeline below ours.
    pub(crate) neighbour: Option<Life>,
    pub(crate) their_lake: Arc<Lake>,
    pub(crate) their_stages: Stages,
    pub(crate) their_starts: u64,
    /// Whether stores refuse calls for good now and then.
    refusing: bool,
}

fn mix(trace: &AtomicU64, what: &str) {
    trace.store(xxh3_64_with_seed(what.as_bytes(), trace.load(Ordering::Relaxed)), Ordering::Relaxed);
}

/// All places that some definition has: the first sink has two names.
fn places(data: Arc<dyn Store>, rejects: Arc<dyn Store>, wordy: Arc<dyn Store>) -> Places {
    let sinks = [(Place::data(), data.clone()), (Place::sink("all"), data.clone()), (Place::sink("wordy"), wordy)];
    Places::new(data, sinks.into_iter().chain([(Place::rejects(), rejects)]).collect())
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let rt = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let calm = Arc::new(AtomicBool::new(false));
        let refusing = rng.random_range(0..5) == 0;
        let refused = if refusing { 3 } else { 0 };
        let chance = Chance { refused, ..Chance::each(rng.random_range(0..12), LONGEST) };
        let drawing = (Mutex::new(StdRng::seed_from_u64(seed ^ 1)), calm.clone());
        let fate = move |call: &Call<'_>| {
            if drawing.1.load(Ordering::Relaxed) {
                return Fate::Works;
            }
            let mut rng = drawing.0.lock().unwrap();
            // These calls are seldom made.
            let seldom = matches!(call.operation, Operation::Delete | Operation::Abort | Operation::Uploads);
            if refusing && seldom && rng.random_range(0..6) == 0 {
                return Fate::Refused;
            }
            chance.draw(&mut rng)
        };
        let min_part = [1, 700, 2000][rng.random_range(0..3)];
        World {
            seed,
            lake: lakeside::new(seed, &mut rng),
            variants: drawn::variants(&mut rng),
            claimed: 0,
            edited: 0,
            data: MemoryStore::new("data").with_min_part(min_part),
            rejects: MemoryStore::new("rejects").with_min_part(min_part),
            wordy: MemoryStore::new("wordy").with_min_part(min_part),
            faults: Arc::new(Faults::new(fate)),
            calm,
            now: Arc::new(AtomicI64::new(1_700_000_000_000_000)),
            trace: Arc::default(),
            away: Arc::default(),
            lives: Vec::new(),
            born: 0,
            seen: BTreeMap::new(),
            ruled: rng.random_range(0..4) == 0,
            stale: BTreeSet::new(),
            story: Story::default(),
            calm_starts: 0,
            lost: BTreeMap::new(),
            neighbour: None,
            their_lake: Lake::new(lakeside::neighbours_seed(seed), lakeside::make),
            their_stages: drawn::neighbour(),
            their_starts: 0,
            refusing,
            rng,
            rt,
        }
    }

    /// The stores as nobody but the test sees them.
    pub(crate) fn places(&self) -> Places {
        let [data, rejects, wordy] = [&self.data, &self.rejects, &self.wordy].map(|store| Arc::new(store.clone()) as _);
        places(data, rejects, wordy)
    }

    /// Of the objects below our prefix those that are not the neighbour's.
    pub(crate) fn ours(&self, objects: &Objects) -> Objects {
        let ours = objects.iter().filter(|(key, _)| !key.starts_with("below/"));
        ours.map(|(key, bytes)| (key.clone(), bytes.clone())).collect()
    }

    /// The id of our log, once there is one.
    fn log_id(&self) -> Option<String> {
        let first = self.data.objects().get(".millstream/commits/1.json").cloned()?;
        let first: Value = serde_json::from_slice(&first).unwrap();
        Some(first["log"].as_str().unwrap().to_owned())
    }

    /// Lives it through, to the last record.
    pub(crate) fn run(mut self) -> Story {
        for _ in 0..self.rng.random_range(2..6) {
            self.lifecycle();
            let destiny = match self.ruled && self.rng.random() {
                true => Destiny::KilledPublishing { left: self.rng.random_range(0..3) },
                false => drawn::destiny(&mut self.rng),
            };
            self.birth(destiny);
            self.until_next();
            self.moves(3);
            self.incident();
            if self.rng.random_range(0..4) == 0 {
                self.neighbour_begins();
            }
        }
        self.last_life();
        self.neighbour_ends();
        self.all_is_there();
        self.story.faults = self.faults.counters();
        self.story
            .events
            .extend([("source away".to_owned(), self.away.load(Ordering::Relaxed))].into_iter().filter(|e| e.1 > 0));
        for (key, bytes) in self.data.objects().into_iter().chain(self.rejects.objects()).chain(self.wordy.objects()) {
            mix(&self.trace, &format!("{key} {:?}", xxh3_64_with_seed(&bytes, 0)));
        }
        self.story.trace = self.trace.load(Ordering::Relaxed);
        self.story
    }

    fn birth(&mut self, destiny: Destiny) {
        let bounds = if matches!(destiny, Destiny::Bounded) { Bounds::UntilEnd } else { Bounds::Unbounded };
        let (places, process) = self.process(destiny);
        let workers = self.rng.random_range(1..=4);
        self.story.happened(&format!("{workers} worker{}", if workers == 1 { "" } else { "s" }));
        let now = self.now.clone();
        let clock = Clock::new(move || now.load(Ordering::Relaxed));
        let inner = MemorySource::new(self.lake.clone(), bounds, self.rng.random_range(1..9), clock.as_source());
        let away = if self.calm.load(Ordering::Relaxed) { 0 } else { self.rng.random_range(0..12) };
        let concurrency = [1, 2, usize::MAX, usize::MAX][self.rng.random_range(0..4)];
        let source = Flaky::new(inner, self.rng.random(), away, concurrency, self.away.clone());
        self.born += 1;
        let writer = format!("life-{}", self.born);
        let (on_commit, stop) = (Arc::new(|_: &_| {}), CancellationToken::new());
        let (accept, take_over) = Default::default();
        let source: Arc<dyn Source> = Arc::new(source);
        let same = source.clone();
        let sources: Sources = Arc::new(move |_| Box::pin(futures::future::ready(Ok(same.clone()))));
        let options = Options { workers, bounds, clock, writer, on_commit, accept, take_over, sources, stop };
        if bounds == Bounds::UntilEnd {
            let there = self.lake.splits().into_iter().map(|(name, known)| (name.to_string(), known.arrived));
            self.seen.insert(self.born, there.collect());
        }
        // Most edits are tried out for more than one life.
        if self.rng.random_range(0..3) == 0 {
            self.edited = self.rng.random_range(0..self.variants.len());
        }
        let stages = &self.variants[self.edited].stages;
        self.lives.push(Life::start(&self.rt, stages, self.edited, options, (places, process), source, destiny));
    }

    /// The stores as a new process sees them, which dies where it is destined to.
    fn process(&self, destiny: Destiny) -> (Places, Arc<Unreliable>) {
        let halt = Mutex::new(destiny.halt());
        let trace = self.trace.clone();
        let halt = move |call: &Call<'_>, at: When| {
            mix(&trace, &format!("{call:?} {at:?}"));
            halt.lock().unwrap()(call.operation, at)
        };
        let data = Arc::new(Unreliable::new(Arc::new(self.data.clone()), self.faults.clone()).with_halt(halt));
        let rejects = Arc::new(data.beside(Arc::new(self.rejects.clone())));
        let wordy = Arc::new(data.beside(Arc::new(self.wordy.clone())));
        (places(data.clone(), rejects, wordy), data)
    }

    /// Goes on until it is time for the next life.
    fn until_next(&mut self) {
        for _ in 0..PATIENCE {
            self.moment();
            let life = self.lives.last_mut().unwrap();
            life.moments += 1;
            if life.is_over() {
                return;
            }
            match life.destiny {
                Destiny::FrozenAt(moments) if life.moments > moments && !life.is_starting() => {
                    life.process.freeze();
                    life.frozen = true;
                    return;
                }
                Destiny::RivalledAt(moments) if life.moments > moments => return self.story.happened("two at once"),
                Destiny::StoppedAt(moments) if life.moments > moments => life.options.stop.cancel(),
                Destiny::KilledAt(moments) if life.moments > moments => {
                    life.process.kill();
                    self.story.happened("killed between calls");
                }
                // The call that it was to die in does not come.
                Destiny::Killed { .. } | Destiny::KilledPublishing { .. } if life.moments > 4_000 => {
                    life.process.kill()
                }
                _ => {}
            }
        }
        panic!("stuck: life {} does not end: {}", self.born, self.describe());
    }

    /// The last life: calm, to the end of the lake.
    fn last_life(&mut self) {
        for life in self.lives.iter().filter(|life| life.is_starting()) {
            life.process.kill();
        }
        self.calm.store(true, Ordering::Relaxed);
        // What was still on its way arrives.
        self.pass(4 * LONGEST);
        let bounded = self.rng.random::<bool>();
        if !bounded {
            lakeside::ends(&self.lake);
        }
        self.birth(if bounded { Destiny::Bounded } else { Destiny::StoppedAt(u32::MAX) });
        for _ in 0..PATIENCE {
            self.moment();
            if self.lives.iter().all(Life::is_over) {
                return;
            }
        }
        panic!("stuck: the last life does not end: {}", self.describe());
    }

    /// For whoever has to find out why a world is stuck.
    fn describe(&self) -> String {
        let lives = self.lives.iter().enumerate().filter(|(_, life)| !life.is_over()).map(|(index, life)| {
            let (destiny, workers, starting) = (life.destiny, life.options.workers, life.is_starting());
            let (frozen, held) = (life.frozen, life.budget.as_ref().map(|budget| budget.held()));
            format!(
                "life {index}: {destiny:?}, {workers} workers, frozen {frozen}, starting {starting}, holds {held:?}"
            )
        });
        let committed = oracle::positions(&oracle::commits(&self.data.objects()));
        let config = self.variants[self.claimed].stages.config();
        let (limits, epoch, sink) = (&config.limits, &config.epoch, config.first_sink());
        let lake = self.lake.splits();
        let lives = lives.collect::<Vec<_>>();
        let commits = oracle::commits(&self.data.objects()).len();
        let uploads = self.rt.block_on(self.data.uploads("")).unwrap().len();
        format!(
            "{lives:?}, {commits} commits, {uploads} uploads\nlake {lake:?}\ncommitted {committed:?}\n{limits:?} {epoch:?} {sink:?}"
        )
    }

    /// At the end every record is committed, and one more start leaves no upload behind.
    fn all_is_there(&mut self) {
        let positions = oracle::positions(&oracle::commits(&self.data.objects()));
        for (split, known) in self.lake.splits() {
            let committed = positions.get(&*split).copied().unwrap_or(0);
            assert_eq!(committed, known.arrived, "records of {split} that are committed, of those that arrived");
        }
        self.birth(Destiny::StoppedAt(u32::MAX));
        while self.lives.last().unwrap().is_starting() {
            self.moment();
        }
        self.lives.last().unwrap().options.stop.cancel();
        while !self.lives.last().unwrap().is_over() {
            self.moment();
        }
        let left: Vec<Upload> = self.uploads().map(|(_, upload)| upload).collect();
        assert!(left.is_empty(), "uploads are left under way: {left:?}");
        self.check(true);
    }

    /// One thing happens, somewhere.
    pub(crate) fn moment(&mut self) {
        match self.rng.random_range(0..100) {
            0..60 => self.turn(),
            60..85 => self.run_tasks(),
            85..98 => {
                let longest = if self.rng.random_range(0..12) == 0 { 4_000 } else { 120 };
                let time = Duration::from_millis(self.rng.random_range(1..longest));
                self.pass(time);
            }
            _ if self.calm.load(Ordering::Relaxed) => self.thaw(),
            98 => self.moves(1),
            _ => self.thaw(),
        }
        for index in 0..self.lives.len() {
            if !self.lives[index].frozen {
                let news = self.lives[index].look(&self.rt);
                self.hear(index, news);
            }
        }
        self.neighbours_moment();
    }

    fn turn(&mut self) {
        let able: Vec<usize> =
            (0..self.lives.len()).filter(|&life| !self.lives[life].is_over() && !self.lives[life].frozen).collect();
        let Some(&index) = able.get(self.rng.random_range(0..able.len().max(1))) else { return };
        if let Some(worker) = self.lives[index].turn(&mut self.rng) {
            mix(&self.trace, &format!("life {index} worker {worker}"));
        }
    }

    fn run_tasks(&mut self) {
        let times = self.rng.random_range(1..10);
        self.rt.block_on(async {
            for _ in 0..times {
                tokio::task::yield_now().await;
            }
        });
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now.fetch_add(time.as_micros() as i64, Ordering::Relaxed);
        self.rt.block_on(tokio::time::advance(time));
        mix(&self.trace, &format!("{time:?}"));
    }

    fn moves(&mut self, times: u32) {
        for _ in 0..times {
            let what = lakeside::moves(&self.lake, &mut self.rng);
            self.story.happened(what);
        }
    }

    /// Frozen lives go on once a newer one is at work.
    fn thaw(&mut self) {
        let newest_is_at_work = self.lives.last().is_some_and(|life| !life.is_starting() && !life.frozen);
        for life in self.lives.iter_mut().filter(|life| life.frozen && newest_is_at_work) {
            life.frozen = false;
            life.process.thaw();
            self.story.happened("frozen and thawed");
        }
    }

    fn hear(&mut self, index: usize, news: News) {
        match news {
            News::Nothing => {}
            News::AtWork { generation, commit } => {
                mix(&self.trace, &format!("at work {generation} {commit}"));
                let log = oracle::commits(&self.data.objects());
                let claimed = log.iter().rev().find(|entry| entry["generation"] == generation).unwrap();
                if log.last().unwrap()["generation"] == generation {
                    self.claimed = self.lives[index].variant;
                    self.story.happened(self.variants[self.claimed].name);
                }
                if log.iter().any(|commit| !commit["body"].is_null()) {
                    self.story.happened("lists beside a commit");
                }
                if log.iter().any(|commit| !commit["state"]["averages"]["objects"].is_null()) {
                    self.story.happened("state beside a commit");
                }
                let before = claimed["commit"].as_u64().unwrap() - 1;
                if claimed["published"].as_u64().unwrap() == before && before > 0 {
                    self.story.happened("mark of a clean end found");
                }
                if !claimed["snapshot"].is_null() {
                    self.story.happened("snapshot read at a start");
                }
                self.written_again(&log, claimed);
                self.aborted();
                self.check(log.len() as u64 == commit);
            }
            News::Clean { generation } => {
                self.story.happened("ended: clean");
                self.ended_clean(index, generation);
            }
            News::Killed { starting } => {
                self.story.happened(if starting { "ended: killed while starting" } else { "ended: killed" });
                self.check(false);
            }
            News::Failed { fatal, starting } => self.failed(fatal, starting),
        }
    }

    fn ended_clean(&mut self, index: usize, generation: Option<u64>) {
        let Some(generation) = generation else { return self.story.happened("ended: stopped while starting") };
        let log = oracle::commits(&self.data.objects());
        let life = &self.lives[index];
        let stopped = life.options.stop.is_cancelled();
        self.story.happened(if stopped { "stopped by a token" } else { "bounded run ended by itself" });
        let newest = log.last().unwrap()["generation"] == generation;
        if newest && life.is_bounded() && !stopped {
            let positions = oracle::positions(&log);
            for (split, there) in &self.seen[&(index as u64 + 1)] {
                assert!(positions.get(split).copied().unwrap_or(0) >= *there, "{split} was not read to its end");
            }
        }
        self.check(newest);
    }

    /// The ends that a life may come to, other than a clean one.
    fn failed(&mut self, fatal: Fatal, starting: bool) {
        match &fatal {
            Fatal::Fenced { ours, theirs, .. } => {
                assert!(theirs > ours, "fenced by an older one: {fatal}");
                self.story.happened("ended: fenced");
            }
            Fatal::Store(error) if starting && error.can_retry() => {
                self.story.happened("ended: store away at the start")
            }
            Fatal::Store(StoreError::Refused { .. }) if self.refusing => self.story.happened("ended: refused"),
            Fatal::Source(SourceError::Unavailable { .. }) if starting => {
                self.story.happened("ended: source away at the start");
            }
            _ => panic!("a life ended with: {fatal}"),
        }
        self.check(false);
    }

    /// The one predicate and the oracle. `published`: all that is committed must be visible.
    pub(crate) fn check(&mut self, published: bool) {
        let data = self.ours(&self.data.objects());
        let Some(id) = self.log_id() else { return };
        let rejects = self.rejects.objects().into_iter().filter(|(key, _)| key.contains(&id)).collect();
        let Variant { stages, averages, .. } = &self.variants[self.claimed];
        // An average that is counted anew from the files lacks what is lost.
        let averages = match (self.lost.is_empty(), self.counted_again()) {
            (true, _) => averages,
            (false, false) => &averages[..1],
            (false, true) => &averages[..0],
        };
        let files = data.keys().filter(|key| key.ends_with(".parquet")).count();
        let facts = Facts {
            seed: self.seed,
            data,
            rejects,
            wordy: self.wordy.objects(),
            lost: &self.lost,
            published: published.then_some(averages),
        };
        if oracle::check(&facts) > 0 {
            self.story.happened("record left out");
        }
        if published {
            let report = self.rt.block_on(verify::verify(&self.places(), stages, |_| {})).unwrap();
            assert_eq!(report.problems, Vec::<String>::new());
            let wordy = facts.wordy.keys().filter(|key| key.ends_with(".parquet")).count();
            assert_eq!(report.files, (files + wordy) as u64, "files that verify counts");
        }
        let most = oracle::most_files_of_a_worker(&facts.data);
        if most > 16 {
            self.story.happened("more partitions than open files");
        }
    }

    /// Whether averages that were there from the beginning were counted from the files since.
    fn counted_again(&self) -> bool {
        let log = oracle::commits(&self.ours(&self.data.objects()));
        let defined = |commit: &Value| !commit["state"]["averages"]["defined"]["words"].is_null();
        log.iter().filter(|commit| !commit["positions"].is_null() || commit["epoch"].as_u64() > Some(0)).any(defined)
    }

    /// Counts what a start wrote again, of what was written for the first time and of what stood in for it.
    fn written_again(&mut self, log: &[Value], claimed: &Value) {
        let replaced = |commit: &Value| commit["replaces"].as_array().cloned().unwrap_or_default();
        for lost in replaced(claimed) {
            self.story.happened("lost file written again");
            if log.iter().flat_map(replaced).any(|earlier| earlier["by"] == lost["path"]) {
                self.story.happened("lost file lost again");
            }
        }
    }

    /// Counts the old uploads that a start has aborted.
    fn aborted(&mut self) {
        let there: BTreeSet<String> = self.uploads().map(|(_, upload)| upload.id).collect();
        let gone: Vec<String> = self.stale.iter().filter(|id| !there.contains(*id)).cloned().collect();
        for id in gone {
            self.stale.remove(&id);
            self.story.happened("old upload aborted");
        }
    }

    /// Every upload of ours under way, with its store.
    pub(crate) fn uploads(&self) -> impl Iterator<Item = (MemoryStore, Upload)> + use<> {
        let id = self.log_id().unwrap_or_default();
        let of = |store: &MemoryStore| {
            let uploads = self.rt.block_on(store.uploads("")).unwrap().into_iter();
            let ours = uploads.filter(|upload| !upload.key.starts_with("below/") && upload.key.contains(&id));
            ours.map(|upload| (store.clone(), upload)).collect::<Vec<_>>()
        };
        let all = [of(&self.data), of(&self.rejects), of(&self.wordy)];
        all.into_iter().flatten()
    }

    /// A rule of the store may take away uploads that are committed and not yet complete.
    fn lifecycle(&mut self) {
        if self.lives.iter().any(|life| !life.is_over()) || !(self.ruled || self.rng.random_range(0..4) == 0) {
            return;
        }
        let log = oracle::commits(&self.data.objects());
        for (store, upload) in self.uploads() {
            let named = |file: &Value| file["upload"] == upload.id && file["path"] == *upload.key;
            let lists = |commit: &Value| {
                let of = |field: &str| commit[field].as_array().cloned().unwrap_or_default();
                [of("files"), of("rejects")].concat()
            };
            if !log.iter().flat_map(lists).any(|file| named(&file)) {
                self.stale.insert(upload.id);
            } else if self.rng.random() {
                self.rt.block_on(store.abort(&upload)).unwrap();
                self.story.happened("upload vanished");
            }
        }
    }
}

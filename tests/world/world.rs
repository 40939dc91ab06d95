//! One world: a lake, two stores, a clock, and lives of the pipeline that follow and meet each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream::clock::Clock;
use millstream::connector::memory::source::{Lake, MemorySource};
use millstream::connector::memory::{Call, Chance, Fate, Faults, MemoryStore, Unreliable, When};
use millstream::connector::store::Upload;
use millstream::connector::{Bounds, Source, SourceError, Store};
use millstream::exit::Fatal;
use millstream::log::{Places, verify};
use millstream::run::{Options, Sources};
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
use crate::oracle;
use crate::story::Story;

/// Moments after which a world that is not through is stuck.
const PATIENCE: u32 = 30_000;
/// The longest that a call is slow or late.
const LONGEST: Duration = Duration::from_secs(3);

pub(crate) struct World {
    seed: u64,
    rng: StdRng,
    rt: Runtime,
    lake: Arc<Lake>,
    data: MemoryStore,
    rejects: MemoryStore,
    /// The definitions that lives may have, and the newest one that claimed the log.
    variants: Vec<Variant>,
    claimed: usize,
    /// The definition that the file has now.
    edited: usize,
    faults: Arc<Faults>,
    /// Once set, nothing goes wrong any more.
    calm: Arc<AtomicBool>,
    /// Of the virtual clock, in microseconds.
    now: Arc<AtomicI64>,
    trace: Arc<AtomicU64>,
    away: Arc<AtomicU64>,
    lives: Vec<Life>,
    born: u64,
    /// What of each split was there when a bounded life began.
    seen: BTreeMap<u64, BTreeMap<String, u64>>,
    /// Whether a rule of the stores takes uploads away after every life, and lives like to die when they publish.
    ruled: bool,
    /// Uploads that no commit names, found between lives: the next start is to abort them.
    stale: BTreeSet<String>,
    story: Story,
}

fn mix(trace: &AtomicU64, what: &str) {
    trace.store(xxh3_64_with_seed(what.as_bytes(), trace.load(Ordering::Relaxed)), Ordering::Relaxed);
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let rt = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let calm = Arc::new(AtomicBool::new(false));
        let chance = Chance::each(rng.random_range(0..12), LONGEST);
        let drawing = (Mutex::new(StdRng::seed_from_u64(seed ^ 1)), calm.clone());
        let fate = move |_: &Call<'_>| match drawing.1.load(Ordering::Relaxed) {
            true => Fate::Works,
            false => chance.draw(&mut drawing.0.lock().unwrap()),
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
            rng,
            rt,
        }
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
        }
        self.last_life();
        self.all_is_there();
        self.story.faults = self.faults.counters();
        self.story
            .events
            .extend([("source away".to_owned(), self.away.load(Ordering::Relaxed))].into_iter().filter(|e| e.1 > 0));
        for (key, bytes) in self.data.objects().into_iter().chain(self.rejects.objects()) {
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
        (Places::single(data.clone(), rejects), data)
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
        for store in [&self.data, &self.rejects] {
            let left = self.rt.block_on(store.uploads("")).unwrap();
            assert!(left.is_empty(), "uploads are left under way: {left:?}");
        }
        self.check(true);
    }

    /// One thing happens, somewhere.
    fn moment(&mut self) {
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

    fn pass(&mut self, time: Duration) {
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
            Fatal::Source(SourceError::Unavailable { .. }) if starting => {
                self.story.happened("ended: source away at the start");
            }
            _ => panic!("a life ended with: {fatal}"),
        }
        self.check(false);
    }

    /// The one predicate and the oracle. `published`: all that is committed must be visible.
    fn check(&mut self, published: bool) {
        let (data, rejects) = (self.data.objects(), self.rejects.objects());
        let Variant { stages, averages, .. } = &self.variants[self.claimed];
        oracle::check(self.seed, &data, &rejects, published.then_some(averages));
        if published {
            let places = Places::single(Arc::new(self.data.clone()), Arc::new(self.rejects.clone()));
            let report = self.rt.block_on(verify::verify(&places, stages, |_| {})).unwrap();
            assert_eq!(report.problems, Vec::<String>::new());
        }
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

    /// Every upload under way, and the field of a commit that would name it.
    fn uploads(&self) -> impl Iterator<Item = (&'static str, Upload)> + use<> {
        let of = |store: &MemoryStore| self.rt.block_on(store.uploads("")).unwrap();
        let (data, rejects) = (of(&self.data), of(&self.rejects));
        let data = data.into_iter().map(|upload| ("files", upload));
        data.chain(rejects.into_iter().map(|upload| ("rejects", upload)))
    }

    /// A rule of the store may take away uploads that are committed and not yet complete.
    fn lifecycle(&mut self) {
        if self.lives.iter().any(|life| !life.is_over()) || !(self.ruled || self.rng.random_range(0..4) == 0) {
            return;
        }
        let log = oracle::commits(&self.data.objects());
        for (field, upload) in self.uploads() {
            let named = |file: &Value| file["upload"] == upload.id;
            if !log.iter().filter_map(|commit| commit[field].as_array()).flatten().any(named) {
                self.stale.insert(upload.id);
            } else if self.rng.random() {
                let store = if field == "files" { &self.data } else { &self.rejects };
                self.rt.block_on(store.abort(&upload)).unwrap();
                self.story.happened("upload vanished");
            }
        }
    }
}

//! The pipeline that lives below ours, with the same rejects folder: nobody touches what is the other's.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream::clock::Clock;
use millstream::connector::memory::source::MemorySource;
use millstream::connector::memory::{Faults, Unreliable};
use millstream::connector::{Bounds, Source};
use millstream::log::Places;
use millstream::run::{Options, Sources};
use rand::RngExt;
use tokio_util::sync::CancellationToken;

use crate::below::Below;
use crate::drawn::Destiny;
use crate::lakeside;
use crate::life::{Life, News};
use crate::oracle::{self, Objects};
use crate::world::World;

impl World {
    /// A life of the pipeline below ours. Nothing goes wrong with its calls.
    fn neighbours_life(&mut self) -> Life {
        self.their_starts += 1;
        let now = self.now.clone();
        let clock = Clock::new(move || now.load(Ordering::Relaxed));
        let below = Below { inner: self.data.clone(), prefix: "below/" };
        let data = Arc::new(Unreliable::new(Arc::new(below), Arc::new(Faults::none())));
        let rejects = Arc::new(data.beside(Arc::new(self.rejects.clone())));
        let source: Arc<dyn Source> =
            Arc::new(MemorySource::new(self.their_lake.clone(), Bounds::UntilEnd, 3, clock.as_source()));
        let same = source.clone();
        let sources: Sources = Arc::new(move |_| Box::pin(futures::future::ready(Ok(same.clone()))));
        let writer = format!("neighbour-{}", self.their_starts);
        let (on_commit, stop) = (Arc::new(|_: &_| {}), CancellationToken::new());
        let (accept, take_over) = Default::default();
        let bounds = Bounds::UntilEnd;
        let options = Options { workers: 1, bounds, clock, writer, on_commit, accept, take_over, sources, stop };
        let places = (Places::single(data.clone(), rejects), data);
        Life::start(&self.rt, &self.their_stages, 0, options, places, source, Destiny::Bounded)
    }

    pub(crate) fn neighbours_moment(&mut self) {
        let Some(life) = &mut self.neighbour else { return };
        if life.is_over() {
            return;
        }
        let dies = !self.calm.load(Ordering::Relaxed) && self.rng.random_range(0..300) == 0;
        if dies {
            life.process.kill();
        } else if self.rng.random() {
            life.turn(&mut self.rng);
        }
        match life.look(&self.rt) {
            News::Failed { fatal, .. } => panic!("the neighbour ended with: {fatal}"),
            News::Killed { .. } => self.story.happened("neighbour killed"),
            News::Clean { .. } => self.story.happened("neighbour ended"),
            News::Nothing | News::AtWork { .. } => {}
        }
    }

    /// A pipeline of another name, below ours and with our rejects folder: it begins now and goes on beside us.
    pub(crate) fn neighbour_begins(&mut self) {
        if self.neighbour.as_ref().is_some_and(|life| !life.is_over()) {
            return;
        }
        for split in 0..2 {
            self.their_lake.open(&format!("n{split}"), &[]);
            self.their_lake.arrive(&format!("n{split}"), self.rng.random_range(0..12));
        }
        let life = self.neighbours_life();
        self.neighbour = Some(life);
        self.story.happened("neighbour begins");
    }

    /// To its end, and then it has to have all of its own.
    pub(crate) fn neighbour_ends(&mut self) {
        if self.their_lake.splits().is_empty() {
            return;
        }
        if let Some(life) = &self.neighbour {
            life.process.kill();
        }
        let life = self.neighbours_life();
        self.neighbour = Some(life);
        for _ in 0..crate::world::PATIENCE {
            self.moment();
            if self.neighbour.as_ref().is_some_and(Life::is_over) {
                self.check_neighbour();
                return;
            }
        }
        panic!("stuck: the neighbour does not end");
    }

    fn check_neighbour(&self) {
        let all = self.data.objects();
        let data: Objects = all
            .iter()
            .filter_map(|(key, bytes)| Some((key.strip_prefix("below/")?.to_owned(), bytes.clone())))
            .collect();
        let log = oracle::commits(&data);
        let id = log[0]["log"].as_str().unwrap().to_owned();
        let rejects = self.rejects.objects().into_iter().filter(|(key, _)| key.contains(&id)).collect();
        for (split, known) in self.their_lake.splits() {
            let committed = oracle::positions(&log).get(&*split).copied().unwrap_or(0);
            assert_eq!(committed, known.arrived, "{split} of the neighbour");
        }
        let (lost, wordy) = Default::default();
        let seed = lakeside::neighbours_seed(self.seed);
        let published = Some(["words", "by_tongue"].as_slice());
        oracle::check(&oracle::Facts { seed, data, wordy, rejects, lost: &lost, published });
    }
}

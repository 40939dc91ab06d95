//! One life of the pipeline: a start, its workers, its end.

use std::sync::Arc;

use millstream::bridge::{Budget, Trouble};
use millstream::connector::memory::Unreliable;
use millstream::connector::{Bounds, Source, Store};
use millstream::exit::Fatal;
use millstream::log::append::Large;
use millstream::log::committer::Worth;
use millstream::log::{Places, ending};
use millstream::pipeline::Plan;
use millstream::run::{self, Options, Ready};
use millstream::stages::Stages;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::crew::Crew;
use crate::drawn::Destiny;

/// Objects beside the commits come soon.
const WORTH: Worth = Worth { snapshot: 3 << 10, commits: 40, large: Large { body: 2 << 10, state: 1 << 10 } };

pub(crate) struct Life {
    pub(crate) destiny: Destiny,
    /// Which definition it has.
    pub(crate) variant: usize,
    pub(crate) process: Arc<Unreliable>,
    pub(crate) options: Options,
    pub(crate) phase: Phase,
    pub(crate) moments: u32,
    pub(crate) frozen: bool,
    /// Its memory, once it has any.
    pub(crate) budget: Option<Budget>,
    stages: Stages,
    trouble: Trouble,
}

pub(crate) enum Phase {
    /// None comes of a start that was stopped.
    Starting(JoinHandle<Result<Option<Ready>, Fatal>>),
    Running {
        crew: Crew,
        generation: u64,
        log: Arc<dyn Store>,
    },
    /// All is committed and published; the log is tidied up.
    Ending {
        tidied: JoinHandle<Result<(), Fatal>>,
        generation: u64,
    },
    Over,
}

/// What a moment of a life brought.
pub(crate) enum News {
    Nothing,
    /// It has claimed the log and finished what was left there.
    AtWork {
        generation: u64,
        commit: u64,
    },
    Clean {
        generation: Option<u64>,
    },
    Killed {
        starting: bool,
    },
    Failed {
        fatal: Fatal,
        starting: bool,
    },
}

impl Life {
    pub(crate) fn start(
        rt: &Runtime,
        stages: &Stages,
        variant: usize,
        options: Options,
        places: (Places, Arc<Unreliable>),
        source: Arc<dyn Source>,
        destiny: Destiny,
    ) -> Self {
        let (places, process) = places;
        let (stages, given) = (stages.clone(), options.clone());
        let beginning = stages.clone();
        let start = rt.spawn(async move {
            tokio::select! {
                biased;
                () = given.stop.cancelled() => Ok(None),
                ready = run::begin(&beginning, &given, places, source) => ready.map(Some),
            }
        });
        let (phase, trouble) = (Phase::Starting(start), Trouble::default());
        Life { destiny, variant, process, options, phase, moments: 0, frozen: false, budget: None, stages, trouble }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    pub(crate) fn is_starting(&self) -> bool {
        matches!(self.phase, Phase::Starting(_))
    }

    pub(crate) fn is_bounded(&self) -> bool {
        self.options.bounds == Bounds::UntilEnd
    }

    /// Gives one of its workers a turn, if it has any.
    pub(crate) fn turn(&mut self, rng: &mut StdRng) -> Option<usize> {
        match &mut self.phase {
            Phase::Running { crew, .. } if !crew.is_through() => Some(crew.turn(|of| rng.random_range(0..of))),
            _ => None,
        }
    }

    /// Looks what has become of it.
    pub(crate) fn look(&mut self, rt: &Runtime) -> News {
        let starting = self.is_starting();
        if self.process.is_dead() && !self.is_over() {
            self.end();
            return News::Killed { starting };
        }
        match &mut self.phase {
            Phase::Starting(start) if start.is_finished() => {
                let ready = rt.block_on(start).expect("a start broke off");
                self.started(rt, ready)
            }
            Phase::Ending { tidied, generation } if tidied.is_finished() => {
                let generation = Some(*generation);
                let tidied = rt.block_on(tidied).expect("the end broke off");
                self.end();
                match tidied {
                    Err(Fatal::Store(error)) if error.can_retry() => News::Clean { generation },
                    Err(fatal) => News::Failed { fatal, starting: false },
                    Ok(()) => News::Clean { generation },
                }
            }
            Phase::Running { crew, generation, log } => {
                let generation = *generation;
                if let Some(fatal) = self.trouble.look() {
                    self.end();
                    News::Failed { fatal, starting: false }
                } else if crew.is_through() {
                    let log = log.clone();
                    let tidied = rt.spawn(async move { ending::clean(&*log, generation).await });
                    self.phase = Phase::Ending { tidied, generation };
                    News::Nothing
                } else {
                    News::Nothing
                }
            }
            _ => News::Nothing,
        }
    }

    fn started(&mut self, rt: &Runtime, ready: Result<Option<Ready>, Fatal>) -> News {
        match ready {
            Err(fatal) => {
                self.end();
                News::Failed { fatal, starting: true }
            }
            Ok(None) => {
                self.end();
                News::Clean { generation: None }
            }
            Ok(Some(ready)) => {
                let (generation, commit) = (ready.state.generation, ready.state.commit);
                let log = ready.places.log.clone();
                let mut plan: Plan =
                    run::plan(&self.stages, &self.options, ready, self.trouble.clone(), rt.handle().clone()).unwrap();
                self.budget = Some(plan.budget.clone());
                plan.committing.worth = WORTH;
                let crew = Crew::new(self.options.workers, &Arc::new(plan));
                self.phase = Phase::Running { crew, generation, log };
                News::AtWork { generation, commit }
            }
        }
    }

    /// Whatever was left of the process is gone: its calls wait for ever, its workers are let go.
    fn end(&mut self) {
        self.process.kill();
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Starting(start) => start.abort(),
            Phase::Ending { tidied, .. } => tidied.abort(),
            Phase::Running { .. } | Phase::Over => {}
        }
    }
}

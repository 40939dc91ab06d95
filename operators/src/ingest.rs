//! The source operator: batches from readers in, epochs opened and closed.
//!
//! Owns the capability of the open epoch on its worker. Everything that arrives while an epoch is open is part of it; when
//! the epoch closes (its interval is over, or it is full, on whichever worker), what each split delivered is summed up as
//! one [`Progress`], and the capability moves on. Owns no reader: those are started and stopped through its port, and put
//! what they read into a bounded queue behind it.
//!
//! What must stay true: an epoch's progress says exactly what its batches hold, no more and no less; a split is never read
//! on in an earlier epoch than the last of it was.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, StreamVec};
use timely::scheduling::Activator;

use crate::batch::RawBatch;
use crate::control::{Control, Word};
use crate::digest::RecordDigest;
use crate::port::Port;
use crate::position::{Position, Split};
use crate::protocol::assign::{End, SplitInfo};

/// What the ingest of a worker asks of its readers.
#[derive(Clone, Debug)]
pub enum ReadRequest {
    /// Start a reader of this split, from behind `from`.
    Start { split: SplitInfo, from: Option<Position> },
    /// Stop all readers; nothing that is still queued will be taken.
    Stop,
}

/// What readers deliver.
pub enum Read {
    /// The next records of a split.
    Batch(Arc<RawBatch>),
    /// A reader is through; nothing of its split comes after this.
    Ended { split: Split, end: End },
}

/// How far a split was read in an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub split: Split,
    /// Where reading goes on.
    pub at: Position,
    /// Records read in the epoch.
    pub records: u64,
    /// Which records these were.
    pub digest: RecordDigest,
    /// Whether the split is read to its end.
    pub done: bool,
}

impl Progress {
    fn none(split: &Split, at: Position) -> Self {
        Progress { split: split.clone(), at, records: 0, digest: RecordDigest::default(), done: false }
    }
}

/// Counts what the workers of one process put into the open epoch, so that a full one can be closed.
#[derive(Debug)]
pub struct EpochMeter {
    epoch: AtomicU64,
    bytes: AtomicU64,
    full: u64,
}

impl EpochMeter {
    /// An epoch is full at `full` bytes.
    pub fn new(full: u64) -> Self {
        EpochMeter { epoch: AtomicU64::new(0), bytes: AtomicU64::new(0), full: full.max(1) }
    }

    /// Counts bytes taken into `epoch`; tells whether that made it full.
    fn took(&self, epoch: u64, bytes: u64) -> bool {
        if self.epoch.fetch_max(epoch, Ordering::Relaxed) < epoch {
            self.bytes.store(0, Ordering::Relaxed);
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes >= self.full
    }
}

/// Batches taken in one activation, before other operators get their turn.
const FUEL: usize = 4;

struct Ingest {
    port: Box<dyn Port<ReadRequest, Read>>,
    control: Rc<Control>,
    meter: Arc<EpochMeter>,
    activator: Activator,
    open: u64,
    /// What each split delivered in the open epoch.
    progress: BTreeMap<Split, Progress>,
    /// The last position of each split that is being read here.
    at: BTreeMap<Split, Position>,
    finished: bool,
}

/// What one activation did.
struct Turn {
    batches: Vec<Arc<RawBatch>>,
    /// Progress of epochs closed now, oldest first.
    closed: Vec<(u64, Vec<Progress>)>,
}

/// Builds the operator. `port` is made from the address to wake when something was delivered; `first` is the epoch to begin
/// with.
pub fn ingest<'scope>(
    scope: Scope<'scope, u64>,
    first: u64,
    control: Rc<Control>,
    meter: Arc<EpochMeter>,
    port: impl FnOnce(Vec<usize>) -> Box<dyn Port<ReadRequest, Read>>,
) -> (StreamVec<'scope, u64, Arc<RawBatch>>, StreamVec<'scope, u64, Progress>) {
    let mut builder = OperatorBuilder::new("ingest".into(), scope);
    let (batches_out, batches) = builder.new_output::<Vec<Arc<RawBatch>>>();
    let (progress_out, progress) = builder.new_output::<Vec<Progress>>();
    let mut batches_out = OutputBuilder::<_, CapacityContainerBuilder<Vec<Arc<RawBatch>>>>::from(batches_out);
    let mut progress_out = OutputBuilder::<_, CapacityContainerBuilder<Vec<Progress>>>::from(progress_out);
    let address = builder.operator_info().address;
    let activator = scope.activator_for(address.clone());
    control.ingest.replace(Some(scope.activator_for(address.clone())));
    let port = port(address.to_vec());
    let (progress_now, at) = Default::default();
    let mut state =
        Ingest { port, control, meter, activator, open: first, progress: progress_now, at, finished: false };
    builder.build(move |capabilities| {
        let mut capabilities = Capabilities::at(capabilities, first);
        move |_frontiers| {
            let Some(held) = capabilities.as_mut() else { return };
            loop {
                let turn = state.turn();
                if !turn.batches.is_empty() {
                    let mut out = batches_out.activate();
                    out.session(&held.batches).give_iterator(turn.batches.into_iter());
                }
                let closed = !turn.closed.is_empty();
                for (epoch, progress) in turn.closed {
                    if !progress.is_empty() {
                        held.move_progress_to(epoch);
                        progress_out.activate().session(&held.progress).give_iterator(progress.into_iter());
                    }
                }
                if state.finished {
                    capabilities = None;
                    return;
                }
                held.move_to(state.open);
                if !closed {
                    return;
                }
            }
        }
    });
    (batches, progress)
}

struct Capabilities {
    batches: Capability<u64>,
    progress: Capability<u64>,
}

impl Capabilities {
    fn at(mut minted: Vec<Capability<u64>>, first: u64) -> Option<Self> {
        let progress = minted.pop()?;
        let mut held = Capabilities { batches: minted.pop()?, progress };
        held.move_to(first);
        Some(held)
    }

    fn move_to(&mut self, epoch: u64) {
        self.batches.downgrade(&epoch);
        self.move_progress_to(epoch);
    }

    fn move_progress_to(&mut self, epoch: u64) {
        if *self.progress.time() < epoch {
            self.progress.downgrade(&epoch);
        }
    }
}

impl Ingest {
    /// Takes words and batches until the epoch closes, the fuel is used up or nothing is there.
    fn turn(&mut self) -> Turn {
        let mut turn = Turn { batches: Vec::new(), closed: Vec::new() };
        self.take_words(&mut turn);
        for _ in 0..FUEL {
            if self.finished || !turn.closed.is_empty() {
                return turn;
            }
            match self.port.receive() {
                Some(Read::Batch(batch)) => self.take_batch(batch, &mut turn),
                Some(Read::Ended { split, end }) => self.split_ended(split, end),
                None => return turn,
            }
        }
        self.activator.activate();
        turn
    }

    fn take_words(&mut self, turn: &mut Turn) {
        while turn.closed.is_empty() && !self.finished {
            let Some(word) = self.control.for_ingest.borrow_mut().pop_front() else { return };
            match word {
                Word::Start(start) => {
                    if start.not_before > self.open {
                        self.close_up_to(start.not_before, turn);
                    }
                    // A split may end without another record: its position is then where this reader began.
                    match &start.from {
                        Some(from) => self.at.insert(start.split.name.clone(), from.clone()),
                        None => self.at.remove(&start.split.name),
                    };
                    self.port.send(ReadRequest::Start { split: start.split, from: start.from });
                }
                Word::Close(epoch) if epoch >= self.open => self.close_up_to(epoch + 1, turn),
                Word::Close(_) | Word::Ended { .. } | Word::Returned(_) => {}
                Word::Finish => self.finish(turn),
            }
        }
    }

    fn take_batch(&mut self, batch: Arc<RawBatch>, turn: &mut Turn) {
        let (size, records) = (batch.size as u64, batch.records.len() as u64);
        let (split, at) = (batch.split.clone(), batch.until.clone());
        self.at.insert(split.clone(), at.clone());
        let fresh = || Progress::none(&split, at.clone());
        let progress = self.progress.entry(split.clone()).or_insert_with(fresh);
        progress.at = at.clone();
        progress.records += records;
        progress.digest += RecordDigest::of(&batch);
        if records > 0 {
            turn.batches.push(batch);
        }
        if self.meter.took(self.open, size) {
            self.control.close_epoch(self.open);
            self.close_up_to(self.open + 1, turn);
        }
    }

    fn split_ended(&mut self, split: Split, end: End) {
        let at = self.at.remove(&split);
        if end == End::Finished {
            let last = at.clone().unwrap_or_else(|| Position::new(""));
            let fresh = || Progress::none(&split, last);
            self.progress.entry(split.clone()).or_insert_with(fresh).done = true;
        }
        self.control.tell_desk(Word::Ended { split, end, at, epoch: self.open });
    }

    fn close_up_to(&mut self, next: u64, turn: &mut Turn) {
        let progress = std::mem::take(&mut self.progress).into_values().collect();
        turn.closed.push((self.open, progress));
        self.open = next;
    }

    fn finish(&mut self, turn: &mut Turn) {
        self.port.send(ReadRequest::Stop);
        self.close_up_to(self.open + 1, turn);
        self.finished = true;
    }
}

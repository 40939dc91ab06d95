//! What workers tell each other beside the data: who reads which split, which epoch is over, which loan is, when to stop.
//!
//! ```text
//!             ┌────────── words, exchanged by worker ──────────┐
//! ingest ──► Control ──► input ──► exchange ──► inbox ──► Control ──► ingest
//!               ▲ (worker 0 only)
//!              desk: discovery, ticks, the coordinator
//! ```
//! It is a dataflow of its own, without frontiers that anybody waits for, so that words may go round in circles while the
//! main dataflow has none. It works the same within a process and across machines, since timely carries the words.
//!
//! What must stay true: only worker 0 decides; every worker hears of a closed epoch, so that none holds up the others.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::InputHandle;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator;
use timely::scheduling::Activator;
use timely::worker::Worker;

use crate::port::Port;
use crate::position::{Position, Split};
use crate::protocol::assign::{Bounds, Coordinator, End, Exhausted, SplitInfo, Start};
use crate::protocol::state::SplitState;
use crate::spread::{Lending, Returns};

/// What one worker says to another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Word {
    /// To a worker: read this split.
    Start(Start),
    /// To every worker: this epoch takes in no more.
    Close(u64),
    /// To every worker: there is nothing more to read, or a stop was asked for.
    Finish,
    /// To worker 0: a split is through; the last of it was read in `epoch`.
    Ended { split: Split, end: End, at: Option<Position>, epoch: u64 },
    /// To a worker: the batches that it lent under these numbers are encoded.
    Returned(Vec<u64>),
}

/// What the outside tells worker 0.
#[derive(Clone, Debug)]
pub enum Told {
    /// A look at the source found these splits, new or changed since the look before.
    Discovered { splits: Vec<SplitInfo>, complete: bool },
    /// The epoch's interval is over.
    Tick,
    /// Take in no more, commit what there is, and end.
    Stop,
}

/// What worker 0 asks of the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Look at the source now.
    Look,
    /// Never look again.
    LookNoMore,
}

/// How worker 0 decides.
pub struct DeskOptions {
    pub bounds: Bounds,
    /// How many splits a worker reads side by side.
    pub concurrency: usize,
    /// The committed positions. Only worker 0 needs them.
    pub committed: BTreeMap<Split, SplitState>,
    /// Which splits need no reader at a start.
    pub exhausted: Exhausted,
}

struct Desk {
    coordinator: Coordinator,
    port: Box<dyn Port<Ask, Told>>,
    finished: bool,
}

type Words = InputHandle<u64, CapacityContainerBuilder<Vec<(u64, Word)>>>;

/// A worker's end of the conversation.
pub struct Control {
    peers: u64,
    input: RefCell<Option<Words>>,
    inbox: Rc<RefCell<VecDeque<Word>>>,
    outbox: RefCell<Vec<(u64, Word)>>,
    desk: RefCell<Option<Desk>>,
    /// Words for the ingest of this worker, and how to wake it.
    pub(crate) for_ingest: RefCell<VecDeque<Word>>,
    pub(crate) ingest: RefCell<Option<Activator>>,
    /// The newest epoch that this worker knows to be open.
    open: RefCell<u64>,
    /// Where batches are lent: what this process lent to others, and what this worker has to give back.
    loans: RefCell<Option<(Arc<Lending>, Arc<Returns>)>>,
}

impl Control {
    /// Builds the conversation on a worker. `desk` makes the port of worker 0 from the address to wake when a word from the
    /// outside is there; it is called on worker 0 alone. `first` is the epoch that is open at the start.
    pub fn build(
        worker: &mut Worker,
        first: u64,
        options: DeskOptions,
        desk: impl FnOnce(&mut Worker, Vec<usize>) -> Box<dyn Port<Ask, Told>>,
    ) -> Rc<Self> {
        let mut input = Words::new();
        let inbox: Rc<RefCell<VecDeque<Word>>> = Rc::default();
        let heard = inbox.clone();
        let address = worker.dataflow_named::<u64, _, _>("control", |scope| {
            let words = input.to_stream(scope);
            words.sink(Exchange::new(|word: &(u64, Word)| word.0), "words", move |(input, _frontier)| {
                input.for_each(|_, words| heard.borrow_mut().extend(words.drain(..).map(|(_, word)| word)));
            });
            scope.addr().to_vec()
        });
        let (peers, index) = (worker.peers(), worker.index());
        let DeskOptions { bounds, concurrency, committed, exhausted } = options;
        let desk = (index == 0).then(|| Desk {
            coordinator: Coordinator::new(peers, concurrency, bounds, committed).skip(exhausted),
            port: desk(worker, address),
            finished: false,
        });
        Rc::new(Control {
            peers: peers as u64,
            input: RefCell::new(Some(input)),
            inbox,
            outbox: RefCell::default(),
            desk: RefCell::new(desk),
            for_ingest: RefCell::default(),
            ingest: RefCell::default(),
            open: RefCell::new(first),
            loans: RefCell::default(),
        })
    }

    /// Passes on what was said since the last turn. To be called before every step of the worker.
    pub fn turn(&self) {
        let heard: Vec<Word> = self.inbox.borrow_mut().drain(..).collect();
        for word in heard {
            self.hear(word);
        }
        self.listen_outside();
        self.give_back();
        self.send();
    }

    /// Ends the conversation, once the main dataflow is done. What was not said until then nobody waits for: all splits have
    /// ended, all epochs are closed, and no reader needs the memory of a loan.
    pub fn close(&self) {
        self.input.borrow_mut().take();
    }

    /// From now on, words of loans go between these two.
    pub(crate) fn lends(&self, lending: Arc<Lending>, returns: Arc<Returns>) {
        self.loans.replace(Some((lending, returns)));
    }

    /// Says something to worker 0.
    pub(crate) fn tell_desk(&self, word: Word) {
        self.outbox.borrow_mut().push((0, word));
    }

    /// Closes an epoch for every worker.
    pub(crate) fn close_epoch(&self, epoch: u64) {
        self.tell_all(Word::Close(epoch));
    }

    /// Whether something waits to be sent: the worker must not park then.
    pub fn has_words(&self) -> bool {
        !self.outbox.borrow().is_empty() || !self.inbox.borrow().is_empty()
    }

    fn tell_all(&self, word: Word) {
        self.outbox.borrow_mut().extend((0..self.peers).map(|peer| (peer, word.clone())));
    }

    fn hear(&self, word: Word) {
        match word {
            Word::Ended { split, end, at, epoch } => {
                let starts = self.with_desk(|desk| desk.coordinator.ended(&split, end, at, epoch));
                self.give_out(starts.unwrap_or_default());
                self.after_decision(end == End::Finished);
            }
            Word::Returned(ids) => {
                if let Some((lending, _)) = self.loans.borrow().as_ref() {
                    lending.returned(&ids);
                }
            }
            Word::Close(epoch) => {
                self.open.replace_with(|open| (*open).max(epoch + 1));
                self.tell_ingest(word);
            }
            Word::Start(_) | Word::Finish => self.tell_ingest(word),
        }
    }

    fn tell_ingest(&self, word: Word) {
        self.for_ingest.borrow_mut().push_back(word);
        if let Some(activator) = self.ingest.borrow().as_ref() {
            activator.activate();
        }
    }

    fn listen_outside(&self) {
        while let Some(told) = self.with_desk(|desk| desk.port.receive()).flatten() {
            match told {
                Told::Discovered { splits, complete } => {
                    let starts = self.with_desk(|desk| desk.coordinator.discovered(splits, complete));
                    self.give_out(starts.unwrap_or_default());
                    self.after_decision(false);
                }
                Told::Tick => self.close_epoch(*self.open.borrow()),
                Told::Stop => self.finish(),
            }
        }
    }

    fn give_out(&self, starts: Vec<Start>) {
        let to = |start: Start| (start.worker as u64, Word::Start(start));
        self.outbox.borrow_mut().extend(starts.into_iter().map(to));
    }

    fn after_decision(&self, look: bool) {
        let over = self.with_desk(|desk| desk.coordinator.is_over()).unwrap_or(false);
        if over {
            self.finish();
        } else if look {
            self.with_desk(|desk| desk.port.send(Ask::Look));
        }
    }

    fn finish(&self) {
        let first = self.with_desk(|desk| !std::mem::replace(&mut desk.finished, true)).unwrap_or(false);
        if first {
            self.with_desk(|desk| desk.port.send(Ask::LookNoMore));
            self.tell_all(Word::Finish);
        }
    }

    fn with_desk<R>(&self, act: impl FnOnce(&mut Desk) -> R) -> Option<R> {
        self.desk.borrow_mut().as_mut().map(act)
    }

    fn give_back(&self) {
        if let Some((_, returns)) = self.loans.borrow().as_ref() {
            let words = returns.take().into_iter().map(|(lender, ids)| (lender as u64, Word::Returned(ids)));
            self.outbox.borrow_mut().extend(words);
        }
    }

    fn send(&self) {
        let mut outbox = self.outbox.borrow_mut();
        match self.input.borrow_mut().as_mut() {
            // Kept, they would keep the worker from parking.
            None => outbox.clear(),
            Some(input) if !outbox.is_empty() => {
                for word in outbox.drain(..) {
                    input.send(word);
                }
                // A flush alone leaves words for other workers in the exchange's buffers; moving on sends them.
                let next = *input.time() + 1;
                input.advance_to(next);
            }
            Some(_) => {}
        }
    }
}

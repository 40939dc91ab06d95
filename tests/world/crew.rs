//! The workers of a life: timely workers on threads of their own, of which one at a time is given a turn.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use millstream::pipeline::{Flow, Plan};
use timely::communication::{Allocator, allocator::AllocatorBuilder};
use timely::worker::Worker;
use timely::{CommunicationConfig, WorkerConfig};

pub(crate) struct Crew {
    hands: Vec<Hand>,
}

struct Hand {
    /// An order is a turn; hanging up lets the worker go.
    orders: Option<Sender<()>>,
    answers: Receiver<bool>,
    thread: Option<JoinHandle<()>>,
    works: bool,
}

impl Crew {
    /// Builds the dataflow on each worker, in order.
    pub(crate) fn new(workers: usize, plan: &Arc<Plan>) -> Self {
        let (builders, _) = CommunicationConfig::Process(workers).try_build().unwrap();
        let mut crew = Crew { hands: builders.into_iter().map(|builder| Hand::new(builder, plan.clone())).collect() };
        for hand in &mut crew.hands {
            hand.turn();
        }
        crew
    }

    /// Gives a worker that is not through yet a turn; `pick` says which of so many.
    pub(crate) fn turn(&mut self, pick: impl FnOnce(usize) -> usize) -> usize {
        let working: Vec<usize> = (0..self.hands.len()).filter(|&index| self.hands[index].works).collect();
        let index = working[pick(working.len())];
        self.hands[index].turn();
        index
    }

    pub(crate) fn is_through(&self) -> bool {
        self.hands.iter().all(|hand| !hand.works)
    }
}

impl Hand {
    fn new(builder: AllocatorBuilder, plan: Arc<Plan>) -> Self {
        let ((orders, ordered), (answer, answers)) = (channel(), channel());
        let thread = std::thread::spawn(move || work(builder, plan, ordered, answer));
        Hand { orders: Some(orders), answers, thread: Some(thread), works: true }
    }

    fn turn(&mut self) {
        self.orders.as_ref().unwrap().send(()).expect("the worker broke off");
        self.works = self.answers.recv().expect("the worker broke off");
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for hand in &mut self.hands {
            hand.orders.take();
            // One that broke off has said so already.
            let _ = hand.thread.take().map(JoinHandle::join);
        }
    }
}

fn work(builder: AllocatorBuilder, plan: Arc<Plan>, orders: Receiver<()>, answers: Sender<bool>) {
    let AllocatorBuilder::Process(builder) = builder else { panic!("workers of a process were asked for") };
    let mut worker = Worker::new(WorkerConfig::default(), Allocator::Process(builder.build()), None);
    let mut flow = None;
    while orders.recv().is_ok() {
        let works = match &mut flow {
            None => {
                flow = Some(Flow::build(&mut worker, &plan).unwrap());
                true
            }
            Some(flow) => flow.turn(&mut worker, Some(Duration::ZERO)),
        };
        if answers.send(works).is_err() {
            return;
        }
    }
}

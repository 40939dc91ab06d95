//! What breaks when these fail: a process that holds more than it may because others send to it; a lender that believes its
//! memory free while its batch is still held elsewhere, or never gets it back; a run that waits for a borrower.
//!
//! Timely's own binary channels stand between the workers, so that each of them is a process of one worker; once, two
//! processes of two workers speak over sockets.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use timely::CommunicationConfig;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::vec::Input;
use timely::dataflow::operators::{Inspect, Probe};
use timely::dataflow::{InputHandle, ProbeHandle};
use timely::worker::Worker;

use super::{Dealer, Lending, spread, wire};
use crate::batch::{Beside, Permit, Positions, RawBatch, Records, Reserve, Unlimited};
use crate::control::{Control, DeskOptions};
use crate::port::Queues;
use crate::position::Position;
use crate::protocol::assign::Bounds;

/// Moments after which something will not happen any more.
const PATIENCE: usize = 15_000;
const MOMENT: Duration = Duration::from_millis(1);
/// Bytes of a batch's one record.
const BYTES: usize = 5_000;

fn batch(number: u64, permit: Permit) -> RawBatch {
    RawBatch {
        split: "split".into(),
        records: Records::Payloads(vec![Bytes::from(vec![number as u8; BYTES])]),
        positions: Positions::Counted { first: number },
        until: Position::at(number),
        arrived_at: 0,
        refused: Vec::new(),
        beside: Beside::default(),
        permit,
        size: BYTES,
    }
}

fn weight() -> usize {
    wire::weight(&batch(0, Permit::free()))
}

/// What the workers of a test know of each other.
#[derive(Clone, Default)]
struct Scene {
    /// The bytes that the lender pays for.
    paid: Arc<AtomicUsize>,
    /// Where and when each batch came out.
    seen: Arc<Mutex<BTreeMap<u64, (usize, u64)>>>,
    /// The batches that borrowers have and hold on to.
    kept: Arc<Mutex<BTreeSet<u64>>>,
    phase: Arc<AtomicUsize>,
}

/// Stands behind a permit.
struct Paid(Scene, usize);

impl Drop for Paid {
    fn drop(&mut self) {
        self.0.paid.fetch_sub(self.1, Ordering::SeqCst);
    }
}

impl Reserve for Scene {
    fn reserve(&self, bytes: usize) -> Permit {
        self.paid.fetch_add(bytes, Ordering::SeqCst);
        Permit::new(Paid(self.clone(), bytes))
    }
}

impl Scene {
    fn paid(&self) -> usize {
        self.paid.load(Ordering::SeqCst)
    }

    /// Whether the lender pays for what others keep, and for nothing else.
    fn is_even(&self) -> bool {
        self.paid() == self.kept() * weight()
    }

    fn kept(&self) -> usize {
        self.kept.lock().unwrap().len()
    }

    fn seen(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// How many batches came out at a worker.
    fn seen_at(&self, worker: usize) -> usize {
        self.seen.lock().unwrap().values().filter(|(at, _)| *at == worker).count()
    }

    fn is_in(&self, phase: usize) -> bool {
        self.phase.load(Ordering::SeqCst) >= phase
    }

    fn enter(&self, phase: usize) {
        self.phase.store(phase, Ordering::SeqCst);
    }
}

/// A worker, most often the only one of its process.
struct Process<'a> {
    index: usize,
    worker: &'a mut Worker,
    scene: Scene,
    lending: Arc<Lending>,
    control: Rc<Control>,
    input: InputHandle<u64, CapacityContainerBuilder<Vec<Arc<RawBatch>>>>,
    probe: ProbeHandle<u64>,
    /// What it borrowed and holds on to.
    borrowed: Rc<RefCell<Vec<Arc<RawBatch>>>>,
    /// The next batch, and its epoch.
    next: u64,
}

fn number(batch: &RawBatch) -> u64 {
    batch.until.as_str().parse().unwrap()
}

impl<'a> Process<'a> {
    fn build(worker: &'a mut Worker, scene: Scene, lending: Arc<Lending>) -> Self {
        let index = worker.index();
        let borrowed: Rc<RefCell<Vec<_>>> = Rc::default();
        let options = DeskOptions {
            bounds: Bounds::Unbounded,
            concurrency: 1,
            committed: BTreeMap::new(),
            exhausted: Box::new(|_, _| false),
        };
        let control = Control::build(worker, 0, options, |_, _| Box::new(Queues::default()));
        let (keep, witness) = (borrowed.clone(), scene.clone());
        let (input, probe) = worker.dataflow::<u64, _, _>(|scope| {
            let (input, batches) = scope.new_input();
            let dealt = spread(batches, lending.clone(), &control).inspect_time(move |epoch, batch: &Arc<RawBatch>| {
                assert!(batch.records.bytes(0).unwrap().iter().all(|byte| u64::from(*byte) == number(batch) % 256));
                if index > 0 {
                    witness.kept.lock().unwrap().insert(number(batch));
                    keep.borrow_mut().push(batch.clone());
                }
                let twice = witness.seen.lock().unwrap().insert(number(batch), (index, *epoch));
                assert_eq!(twice, None);
            });
            (input, dealt.probe().0)
        });
        Process { index, worker, scene, lending, control, input, probe, borrowed, next: 0 }
    }

    /// Reads so many batches, one in each epoch.
    fn read(&mut self, batches: u64) {
        for _ in 0..batches {
            self.input.send(Arc::new(batch(self.next, self.scene.reserve(3 * BYTES))));
            self.next += 1;
            self.input.advance_to(self.next);
            self.turn(Duration::ZERO);
        }
    }

    fn turn(&mut self, wait: Duration) {
        self.control.turn();
        let wait = if self.control.has_words() { Duration::ZERO } else { wait };
        self.worker.step_or_park(Some(wait));
    }

    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..PATIENCE {
            if done(self) {
                return;
            }
            self.turn(MOMENT);
        }
        panic!("worker {} waits for ever: {what}", self.index);
    }

    /// Gives so many borrowed batches back, from another thread, as an upload does.
    fn give_back(&mut self, batches: usize) {
        let over: Vec<_> = self.borrowed.borrow_mut().drain(..batches).collect();
        self.scene.kept.lock().unwrap().retain(|kept| over.iter().all(|batch| number(batch) != *kept));
        std::thread::spawn(move || drop(over)).join().unwrap();
    }

    /// Ends as a run does.
    fn end(self) {
        self.input.close();
        for _ in 0..PATIENCE {
            if self.probe.done() {
                self.control.close();
            }
            if !self.worker.has_dataflows() {
                return;
            }
            self.control.turn();
            self.worker.step_or_park(Some(MOMENT));
        }
        panic!("worker {} does not come to an end", self.index);
    }
}

/// Plays a scene with so many processes of one worker; `share` is in batches.
fn play(processes: usize, share: usize, act: impl Fn(Process<'_>) + Send + Sync + 'static) -> Scene {
    let scene = Scene::default();
    let reserve = scene.clone();
    let lending = move |index| Arc::new(Lending::new(index, 1, share * weight(), Arc::new(reserve.clone())));
    run(CommunicationConfig::ProcessBinary(processes), &scene, lending, Arc::new(act));
    scene
}

/// Plays a scene with two processes of two workers.
fn play_over_sockets(share: usize, act: impl Fn(Process<'_>) + Send + Sync + 'static) -> Scene {
    let (scene, act) = (Scene::default(), Arc::new(act));
    let ports: Vec<_> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<_> = ports.iter().map(|port| port.local_addr().unwrap().to_string()).collect();
    drop(ports);
    let processes: Vec<_> = (0..2)
        .map(|process| {
            let addresses = addresses.clone();
            let cluster =
                CommunicationConfig::Cluster { threads: 2, process, addresses, report: false, zerocopy: false };
            let lending = Arc::new(Lending::new(process, 2, share * weight(), Arc::new(scene.clone())));
            let (scene, act) = (scene.clone(), act.clone());
            std::thread::spawn(move || run(cluster, &scene, move |_| lending.clone(), act))
        })
        .collect();
    processes.into_iter().for_each(|process| process.join().unwrap());
    scene
}

fn run(
    communication: CommunicationConfig,
    scene: &Scene,
    lending: impl Fn(usize) -> Arc<Lending> + Send + Sync + 'static,
    act: Arc<impl Fn(Process<'_>) + Send + Sync + 'static>,
) {
    let scene = scene.clone();
    let config = timely::Config { communication, worker: timely::WorkerConfig::default() };
    let guards = timely::execute(config, move |worker| {
        let lending = lending(worker.index());
        act(Process::build(worker, scene.clone(), lending));
    });
    guards.unwrap().join().into_iter().for_each(|ended| ended.unwrap());
}

/// Would catch a budget that is free before the borrower is done, one that stays taken after it, and a share that does not
/// bound what another process holds.
#[test]
fn a_batch_is_paid_for_by_its_lender_for_as_long_as_it_is_borrowed() {
    let scene = play(3, 4, |mut process| {
        let scene = process.scene.clone();
        match process.index {
            0 => {
                process.read(60);
                process.until("all batches come out", |_| scene.seen() == 60);
                (0..100).for_each(|_| process.turn(MOMENT));
                assert_eq!((scene.paid(), scene.kept()), (8 * weight(), 8));
                scene.enter(1);
                process.until("one is given back", |_| scene.is_in(2) && scene.is_even());
                assert_eq!((process.lending.lent(1), process.lending.lent(2)), (3 * weight(), 4 * weight()));
                process.read(60);
                process.until("there is room for one again", |_| scene.seen() == 120 && scene.is_even());
                assert_eq!((process.lending.lent(1), process.lending.lent(2)), (4 * weight(), 4 * weight()));
                scene.enter(3);
                process.until("all are given back", |_| scene.paid() == 0);
                assert_eq!((process.lending.lent(1), process.lending.lent(2)), (0, 0));
                assert_eq!(scene.kept(), 0);
            }
            borrower => {
                process.until("the lender has looked", |_| scene.is_in(1));
                if borrower == 1 {
                    process.give_back(1);
                    scene.enter(2);
                }
                process.until("the lender has looked again", |_| scene.is_in(3));
                process.give_back(4);
            }
        }
        process.end();
    });
    let seen = scene.seen.lock().unwrap();
    assert_eq!(
        seen.iter().map(|(number, (_, epoch))| (*number, *epoch)).collect::<Vec<_>>(),
        Vec::from_iter((0..120).map(|n| (n, n)))
    );
}

/// Would catch a lender that waits for room at a borrower that does nothing.
#[test]
fn a_slow_borrower_does_not_stop_the_lender() {
    let scene = play(2, 3, |mut process| {
        let scene = process.scene.clone();
        if process.index == 0 {
            process.read(60);
            process.until("it does the rest itself", |_| scene.seen_at(0) == 57);
            scene.enter(1);
        } else {
            // It takes no turn meanwhile; its thread may be woken early by what is sent to it.
            (0..PATIENCE).take_while(|_| !scene.is_in(1)).for_each(|_| std::thread::park_timeout(MOMENT));
        }
        process.end();
    });
    assert_eq!((scene.seen_at(0), scene.seen_at(1)), (57, 3));
}

/// Would catch a run that does not end before its loans are back, and one that a loan which comes back late upsets.
#[test]
fn a_run_ends_though_loans_are_still_out() {
    let late = Arc::new(Mutex::new(Vec::new()));
    let kept = late.clone();
    let scene = play(3, 5, move |mut process| {
        if process.index == 0 {
            process.read(60);
        }
        let (borrowed, control) = (process.borrowed.clone(), process.control.clone());
        process.end();
        borrowed.borrow_mut().pop();
        control.turn();
        assert!(!control.has_words(), "a worker that has something to say never rests");
        kept.lock().unwrap().append(&mut borrowed.borrow_mut());
    });
    assert_eq!([0, 1, 2].map(|worker| scene.seen_at(worker)), [50, 5, 5]);
    assert_eq!(scene.paid(), 0, "what was lent is paid for after its run");
    late.lock().unwrap().clear();
}

/// Would catch a loan whose end is told only when something else wakes the borrower.
#[test]
fn a_borrower_at_rest_is_woken_to_give_back() {
    play(2, 3, |mut process| {
        let scene = process.scene.clone();
        if process.index == 0 {
            process.read(60);
            process.until("the borrower is about to rest", |_| scene.is_in(1));
            process.until("all are given back", |_| scene.paid() == 0);
        } else {
            process.until("all batches come out", |_| scene.seen() == 60);
            // Until nothing more is said of the epochs.
            (0..100).for_each(|_| process.turn(MOMENT));
            let over = std::mem::take(&mut *process.borrowed.borrow_mut());
            scene.enter(1);
            let upload = std::thread::spawn(move || drop(over));
            process.turn(2 * PATIENCE as u32 * MOMENT);
            upload.join().unwrap();
        }
        process.end();
    });
}

/// Would catch an exchange that comes to a stop after the first loans.
#[test]
fn what_comes_back_is_lent_again() {
    let scene = play(2, 2, |mut process| {
        let scene = process.scene.clone();
        if process.index == 0 {
            for read in 1..=40 {
                process.read(1);
                process.until("every loan comes back", |_| scene.seen() == read && scene.paid() == 0);
            }
            scene.enter(1);
        }
        while process.index == 1 && !scene.is_in(1) {
            process.turn(MOMENT);
            let borrowed = process.borrowed.borrow().len();
            process.give_back(borrowed);
        }
        process.end();
    });
    assert_eq!((scene.seen_at(0), scene.seen_at(1)), (20, 20));
}

/// Would catch a batch that loses its permit on the way to a worker of its own process, and one that is lent to the wrong one.
#[test]
fn inside_a_process_a_batch_keeps_its_permit() {
    let scene = play_over_sockets(6, |mut process| {
        let scene = process.scene.clone();
        if process.index == 0 {
            process.read(24);
            process.until("all batches come out", |_| scene.seen() == 24);
            let neighbours = scene.seen_at(1);
            process.until("what was not lent to others is done", |_| {
                scene.paid() == neighbours * 3 * BYTES + 6 * weight()
            });
            assert_eq!((process.lending.lent(0), process.lending.lent(1)), (0, 6 * weight()));
            scene.enter(1);
            process.until("all are given back", |_| scene.paid() == 0);
        } else {
            process.until("the lender has looked", |_| scene.is_in(1));
            let borrowed = process.borrowed.borrow().len();
            process.give_back(borrowed);
        }
        process.end();
    });
    assert_eq!([0, 1, 2, 3].map(|worker| scene.seen_at(worker)), [9, 9, 3, 3]);
}

#[test]
fn a_batch_stays_in_its_process_where_it_may_not_leave() {
    let dealt = |share: usize| {
        let mut dealer =
            Dealer { index: 2, next: 2, lending: Arc::new(Lending::new(1, 2, share, Arc::new(Unlimited))) };
        (0..12).map(|number| dealer.deal(&batch(number, Permit::free()), 6).0).collect::<Vec<_>>()
    };
    let (home, all) = ([2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3], [2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1]);
    assert_eq!(dealt(weight() - 1), home, "a batch over the whole share is never lent");
    assert_eq!(dealt(4 * weight()), all);
    assert_eq!(dealt(2 * weight()), [2, 3, 4, 5, 0, 1, 2, 3, 2, 3, 2, 3], "each process holds its share");
}

//! Links to all other processes, and what they agree on.
//!
//! ```text
//! forming ── all linked to each other ──► (process 0 claims the log) ── terms ──► joining ── all joined ──► running
//!    ▲ │ a link lost: call again                                      └──────── a link lost: the end ────────┘
//!    └─┘
//! ```
//! Owns the door, the calls and the links, on a thread of its own, so that a process that is busy is not taken for a dead
//! one. A process that comes and goes while the mesh forms costs the others nothing: each says to process 0 which start of
//! which process it is linked to, and only once all of them say the same are the terms given. What must stay true: those who
//! join are the very starts that process 0 has named; after that, whoever loses one of them ends, and says why to the rest.

use std::sync::Arc;
use std::time::Duration;

use millstream_operators::protocol::State;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::dial::{LastTry, keep_calling};
use super::door;
use super::frame::{Terms, Word};
use super::hello::{Acquainted, Myself};
use super::link::{Event, Link, Traffic};
use super::pipe::Pipe;
use super::turned::TurnedAway;
use crate::exit::{Exit, Fatal};

/// Events of links that may wait for the mesh.
const EVENTS: usize = 256;
/// How often to say who is still missing.
const MISSING: Duration = Duration::from_secs(10);
/// How long a last word may take to be written.
const LAST_WORD: Duration = Duration::from_millis(500);
/// How long the ends of all links may take, once all is said.
const PARTING: Duration = Duration::from_secs(5);

/// What the mesh tells the run.
pub(super) enum Told {
    /// To process 0: all are linked to each other.
    Formed,
    /// To the others: where to start.
    Terms(Box<Terms>),
    /// All take part; here is the way to each.
    Joined(Vec<Option<Pipe>>),
    /// Somebody asks all to stop.
    Stop,
    /// A peer has left because it was asked to stop.
    Stopped,
    /// It is over.
    Over(Fatal),
}

/// What the run asks of the mesh.
pub(super) enum Ask {
    /// Give these terms to the others.
    Lead(Box<State>),
    /// Pass on that a stop was asked for.
    Stop,
    /// Say goodbye, and why; then end.
    Leave { exit: Exit, why: String },
    /// All is done: wait until it is so everywhere, then end.
    Part,
}

/// Makes links out of acquaintances.
#[derive(Clone)]
pub(super) struct Maker {
    serials: Arc<std::sync::atomic::AtomicU64>,
    traffic: Arc<Traffic>,
    events: mpsc::Sender<Event>,
}

impl Maker {
    pub(super) fn up(&self, acquainted: Acquainted) -> Event {
        let serial = self.serials.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let start = acquainted.start;
        Event::Up { start, link: Link::begin(acquainted, serial, self.traffic.clone(), self.events.clone()) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Forming,
    /// Process 0: the log is being claimed.
    Leading,
    Joining,
    Running,
}

/// What is known of a peer.
struct Peer {
    link: Option<(u64, Link)>,
    /// The generation that it has joined.
    joined: Option<u64>,
    /// To process 0: which starts it is linked to.
    roster: Vec<Option<u64>>,
    /// Whether it and we have said all.
    done: bool,
    lost: Arc<Notify>,
    last: LastTry,
}

/// The mesh of one process. It lives on a thread of its own.
pub(super) struct Mesh {
    me: Arc<Myself>,
    phase: Phase,
    generation: u64,
    peers: Vec<Peer>,
    turned_away: TurnedAway,
    told: mpsc::Sender<Told>,
    /// The door and the calls; none once the mesh has formed.
    outside: Vec<AbortOnDropHandle<()>>,
    wait: Duration,
}

impl Mesh {
    /// Forms, and runs until it is told to end or the run is gone.
    pub(super) async fn run(
        me: Myself,
        listener: TcpListener,
        wait: Duration,
        traffic: Arc<Traffic>,
        told: mpsc::Sender<Told>,
        asks: mpsc::Receiver<Ask>,
    ) {
        let (me, turned_away) = (Arc::new(me), TurnedAway::default());
        let (events, heard) = mpsc::channel(EVENTS);
        let maker = Maker { serials: Arc::default(), traffic, events: events.clone() };
        let peer = |_| Peer {
            link: None,
            joined: None,
            roster: Vec::new(),
            done: false,
            lost: Arc::default(),
            last: LastTry::default(),
        };
        let peers: Vec<Peer> = (0..me.hosts.len()).map(peer).collect();
        let door = door::attend(listener, me.clone(), maker.clone(), turned_away.clone(), events.clone());
        let mut outside = vec![AbortOnDropHandle::new(tokio::spawn(door))];
        for (lower, peer) in peers.iter().enumerate().take(me.process) {
            let (lost, last) = (peer.lost.clone(), peer.last.clone());
            let calls = keep_calling(lower, me.clone(), maker.clone(), lost, last, events.clone());
            outside.push(AbortOnDropHandle::new(tokio::spawn(calls)));
        }
        let mesh = Mesh { me, phase: Phase::Forming, generation: 0, peers, turned_away, told, outside, wait };
        mesh.serve(heard, asks).await;
    }

    async fn serve(mut self, mut heard: mpsc::Receiver<Event>, mut asks: mpsc::Receiver<Ask>) {
        let began = Instant::now();
        let mut missing = interval_at(began + MISSING, MISSING);
        missing.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                ask = asks.recv() => match ask {
                    Some(Ask::Lead(state)) => self.lead(*state).await,
                    Some(Ask::Stop) => self.say_to(0, Word::Stop),
                    Some(Ask::Leave { exit, why }) => return self.leave(exit, &why).await,
                    Some(Ask::Part) => return self.part(heard).await,
                    None => return,
                },
                Some(event) = heard.recv() => self.take(event).await,
                () = sleep_until(began + self.wait), if self.phase == Phase::Forming => {
                    // Told once: the phase is over with it.
                    self.phase = Phase::Running;
                    let fatal = Fatal::NotFormed { within: self.wait, missing: self.missing().join("; ") };
                    self.tell(Told::Over(fatal)).await;
                }
                _ = missing.tick(), if self.phase == Phase::Forming => {
                    tracing::info!("waiting for the cluster to form: {}", self.missing().join("; "));
                }
            }
        }
    }

    async fn tell(&self, told: Told) {
        // A run that is gone drops the asks, too.
        let _ = self.told.send(told).await;
    }

    fn say_to(&self, peer: usize, word: Word) {
        if let Some((_, link)) = &self.peers[peer].link {
            link.say(word);
        }
    }

    fn others(&self) -> impl Iterator<Item = (usize, &Peer)> {
        self.peers.iter().enumerate().filter(|(process, _)| *process != self.me.process)
    }

    async fn take(&mut self, event: Event) {
        match event {
            // Whoever is there stays until it is gone, lest two that were started by mistake push each other out for ever.
            Event::Up { start, link } if self.phase == Phase::Forming && self.peers[link.peer].link.is_none() => {
                self.up(start, link).await;
            }
            // A link that nobody waits for falls, and its peer learns of it.
            Event::Up { .. } => {}
            Event::Heard { peer, serial, word } if self.is_current(peer, serial) => self.hear(peer, *word).await,
            Event::Lost { peer, serial, why } if self.is_current(peer, serial) => self.lost(peer, why).await,
            Event::Done { peer, serial } if self.is_current(peer, serial) => self.peers[peer].done = true,
            Event::Heard { .. } | Event::Lost { .. } | Event::Done { .. } => {}
        }
    }

    fn is_current(&self, peer: usize, serial: u64) -> bool {
        self.peers[peer].link.as_ref().is_some_and(|(_, link)| link.serial == serial)
    }

    async fn up(&mut self, start: u64, link: Link) {
        let peer = link.peer;
        tracing::debug!(peer, "linked");
        self.peers[peer].link = Some((start, link));
        self.peers[peer].roster.clear();
        self.links_changed().await;
    }

    /// The starts that this process is linked to, its own among them.
    fn roster(&self) -> Vec<Option<u64>> {
        let start = |(process, peer): (usize, &Peer)| match process == self.me.process {
            true => Some(self.me.introduction.start),
            false => peer.link.as_ref().map(|(start, _)| *start),
        };
        self.peers.iter().enumerate().map(start).collect()
    }

    async fn links_changed(&mut self) {
        if self.me.process == 0 {
            self.see_whether_formed().await;
        } else {
            self.say_to(0, Word::Roster(self.roster()));
        }
    }

    async fn see_whether_formed(&mut self) {
        let ours = self.roster();
        let complete = ours.iter().all(Option::is_some) && self.others().all(|(_, peer)| peer.roster == ours);
        if self.phase == Phase::Forming && complete {
            self.formed(Phase::Leading);
            self.tell(Told::Formed).await;
        }
    }

    fn formed(&mut self, next: Phase) {
        self.phase = next;
        self.outside.clear();
        let count = self.turned_away.count();
        if count > 0 {
            tracing::info!("the cluster has formed; {count} connections were turned away");
        }
    }

    async fn hear(&mut self, peer: usize, word: Word) {
        match word {
            Word::Roster(roster) => {
                self.peers[peer].roster = roster;
                if self.me.process == 0 {
                    self.see_whether_formed().await;
                }
            }
            Word::Terms(terms) if peer == 0 && self.phase == Phase::Forming => self.take_terms(terms).await,
            Word::Join(generation) => {
                self.peers[peer].joined = Some(generation);
                self.see_whether_joined().await;
            }
            Word::Stop => self.tell(Told::Stop).await,
            Word::Bye { exit, why } => self.bye(peer, exit, why).await,
            Word::Terms(_) => tracing::debug!(peer, "terms that nobody waits for"),
        }
    }

    async fn lead(&mut self, state: State) {
        let generation = state.generation;
        let terms = Terms { roster: self.roster().into_iter().flatten().collect(), state };
        for (_, peer) in self.others() {
            if let Some((_, link)) = &peer.link {
                link.say(Word::Terms(Box::new(terms.clone())));
            }
        }
        self.join(generation).await;
    }

    async fn take_terms(&mut self, terms: Box<Terms>) {
        self.formed(Phase::Joining);
        let ours: Option<Vec<u64>> = self.roster().into_iter().collect();
        if ours.as_ref() != Some(&terms.roster) {
            let why = "the terms name another start of a process than the one that is here".to_owned();
            return self.over(0, why).await;
        }
        let generation = terms.state.generation;
        self.tell(Told::Terms(terms)).await;
        self.join(generation).await;
    }

    async fn join(&mut self, generation: u64) {
        self.phase = Phase::Joining;
        self.generation = generation;
        for (_, peer) in self.others() {
            if let Some((_, link)) = &peer.link {
                link.say(Word::Join(generation));
            }
        }
        self.see_whether_joined().await;
    }

    async fn see_whether_joined(&mut self) {
        if self.phase != Phase::Joining {
            return;
        }
        let stranger = self.others().find(|(_, peer)| peer.joined.is_some_and(|joined| joined != self.generation));
        if let Some((process, peer)) = stranger {
            let (theirs, ours) = (peer.joined.unwrap_or_default(), self.generation);
            return self.over(process, format!("it is of generation {theirs}, and this process of {ours}")).await;
        }
        if self.others().all(|(_, peer)| peer.joined.is_some()) {
            self.phase = Phase::Running;
            let pipe = |peer: &mut Peer| peer.link.as_mut().and_then(|(_, link)| link.pipe.take());
            let pipes = self.peers.iter_mut().map(pipe).collect();
            self.tell(Told::Joined(pipes)).await;
        }
    }

    async fn lost(&mut self, peer: usize, why: String) {
        if self.phase != Phase::Forming {
            return self.over(peer, why).await;
        }
        tracing::info!("process {peer} ({}) is gone again: {why}. Waiting for it", self.me.hosts.of(peer));
        self.peers[peer].link = None;
        self.peers[peer].roster.clear();
        self.peers[peer].lost.notify_one();
        self.links_changed().await;
    }

    async fn over(&mut self, process: usize, why: String) {
        let host = self.me.hosts.of(process).to_string();
        self.tell(Told::Over(Fatal::PeerLost { process, host, why })).await;
    }

    /// A peer has left, and said why. Where that is true of the whole generation, it is of this process.
    async fn bye(&mut self, process: usize, exit: u8, why: String) {
        let exit = [Exit::Done, Exit::Fenced, Exit::Gone].into_iter().find(|known| *known as u8 == exit);
        let host = self.me.hosts.of(process).to_string();
        match (self.phase, exit) {
            (Phase::Leading | Phase::Joining, Some(Exit::Done)) => self.tell(Told::Stopped).await,
            (Phase::Forming, _) | (_, None | Some(Exit::Done)) => {
                self.lost(process, format!("it has left: {why}")).await
            }
            (_, Some(exit)) => self.tell(Told::Over(Fatal::Left { exit, process, host, why })).await,
        }
    }

    /// Who is not there yet, and why.
    fn missing(&self) -> Vec<String> {
        let missing = |(process, peer): (usize, &Peer)| {
            let host = self.me.hosts.of(process);
            let why = peer.last.why().map(|why| format!(" ({why})")).unwrap_or_default();
            let unlinked = || format!("process {process} at {host} is not there{why}");
            let (found, all) = (peer.roster.iter().flatten().count().saturating_sub(1), self.peers.len() - 1);
            match (&peer.link, self.me.process) {
                (None, _) => Some(unlinked()),
                (Some(_), 0) if found < all => {
                    Some(format!("process {process} at {host} has found {found} of {all} others"))
                }
                _ => None,
            }
        };
        let found: Vec<String> = self.others().filter_map(missing).collect();
        if found.is_empty() { vec!["process 0 has not given the word to start".to_owned()] } else { found }
    }

    async fn leave(mut self, exit: Exit, why: &str) {
        // Others make it a part of what they say.
        let why = why.trim_end_matches('.');
        let mut links: Vec<Link> =
            self.peers.iter_mut().filter_map(|peer| peer.link.take()).map(|(_, link)| link).collect();
        for link in &links {
            link.say(Word::Bye { exit: exit as u8, why: why.to_owned() });
        }
        let written = futures::future::join_all(links.iter_mut().map(Link::written));
        // Whoever cannot be told will notice.
        let _ = timeout(LAST_WORD, written).await;
    }

    async fn part(mut self, mut heard: mpsc::Receiver<Event>) {
        let all = async {
            while self.others().any(|(_, peer)| !peer.done) {
                let Some(event) = heard.recv().await else { return };
                self.take(event).await;
            }
        };
        // All is committed; a peer that does not say so in time loses nothing by it.
        if timeout(PARTING, all).await.is_err() {
            tracing::debug!("not every process has closed its links");
        }
    }
}

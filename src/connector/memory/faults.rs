//! What can go wrong with a call to a store, who decides it, and how often each thing did.
//!
//! Owns the words of the seeded world's weather and its counters; carrying a fate out is [`super::unreliable`]'s. What must
//! stay true: a decision depends on the seed and on the calls before it alone, and every fault that was carried out is
//! counted under its operation, so that a world in which one never fired can be told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

/// A call of [`crate::connector::Store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    Create,
    Put,
    Get,
    GetRange,
    Read,
    Look,
    List,
    Delete,
    Begin,
    PutPart,
    Complete,
    Abort,
    Uploads,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Operation; 13] = [
        Operation::Create,
        Operation::Put,
        Operation::Get,
        Operation::GetRange,
        Operation::Read,
        Operation::Look,
        Operation::List,
        Operation::Delete,
        Operation::Begin,
        Operation::PutPart,
        Operation::Complete,
        Operation::Abort,
        Operation::Uploads,
    ];

    /// Whether the call changes what is stored.
    pub fn writes(self) -> bool {
        use Operation::*;
        matches!(self, Create | Put | Delete | Begin | PutPart | Complete | Abort)
    }
}

/// A call about to be made.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub operation: Operation,
    /// The key, or the prefix of a listing.
    pub key: &'a str,
    /// How many calls the same [`super::Unreliable`] was asked for before.
    pub number: u64,
}

/// On which side of what a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it should be.
    Works,
    /// It does not happen, and the answer says so ([`crate::connector::StoreError::Unavailable`]).
    Fails,
    /// It happens, and no answer comes. A `Read` breaks off after its first piece.
    LostAnswer,
    /// It does not happen, and no answer comes.
    LostRequest,
    /// No answer comes, and it happens after this time all the same: a request that was still on its way, maybe of a
    /// process that is dead by then.
    Late(Duration),
    /// It happens after this time.
    Slow(Duration),
    /// It happens at once, and the answer takes this time.
    SlowAnswer(Duration),
    /// A listing without what was made within this time.
    Stale(Duration),
    /// It does not happen, and the answer says that it never will ([`crate::connector::StoreError::Refused`]). Nobody
    /// tries again, so that once is enough to end a run.
    Refused,
    /// Of `Complete`: it happens and is answered, and for this time nobody sees the object.
    Unseen(Duration),
    /// The same, and no answer comes: the upload is not known any more, and for a while the object is not to be seen.
    UnseenUnclear(Duration),
}

/// A [`Fate`] without its numbers, and the two ways to die: what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Fails,
    LostAnswer,
    LostRequest,
    Late,
    Slow,
    SlowAnswer,
    Stale,
    Refused,
    Unseen,
    UnseenUnclear,
    KilledBefore,
    KilledAfter,
}

impl Kind {
    /// Every kind of fault that can befall an operation and that a run gets over, or that a start gets over after a death.
    /// [`Kind::Refused`], which befalls all of them, is not among these: a run ends of it.
    pub fn of(operation: Operation) -> Vec<Kind> {
        let mut kinds = vec![Kind::Fails, Kind::Slow, Kind::SlowAnswer, Kind::KilledBefore, Kind::KilledAfter];
        if operation.writes() {
            kinds.extend([Kind::LostAnswer, Kind::LostRequest, Kind::Late]);
        }
        match operation {
            Operation::Read => kinds.push(Kind::LostAnswer),
            Operation::List | Operation::Uploads => kinds.push(Kind::Stale),
            Operation::Complete => kinds.extend([Kind::Unseen, Kind::UnseenUnclear]),
            _ => {}
        }
        kinds
    }
}

impl Fate {
    /// What is counted when it is carried out; `None` for what works.
    pub fn kind(self) -> Option<Kind> {
        match self {
            Fate::Works => None,
            Fate::Fails => Some(Kind::Fails),
            Fate::LostAnswer => Some(Kind::LostAnswer),
            Fate::LostRequest => Some(Kind::LostRequest),
            Fate::Late(_) => Some(Kind::Late),
            Fate::Slow(_) => Some(Kind::Slow),
            Fate::SlowAnswer(_) => Some(Kind::SlowAnswer),
            Fate::Stale(_) => Some(Kind::Stale),
            Fate::Refused => Some(Kind::Refused),
            Fate::Unseen(_) => Some(Kind::Unseen),
            Fate::UnseenUnclear(_) => Some(Kind::UnseenUnclear),
        }
    }

    /// The same where it makes sense for the operation. A reading call whose answer is lost simply failed; what is no
    /// listing cannot be stale, what makes no object cannot hide one.
    fn fit(self, operation: Operation) -> Fate {
        match self.kind() {
            Some(kind) if kind == Kind::Refused || Kind::of(operation).contains(&kind) => self,
            None | Some(Kind::Stale | Kind::Unseen | Kind::UnseenUnclear) => Fate::Works,
            Some(_) => Fate::Fails,
        }
    }
}

/// How often each kind of fault befell each operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<(Operation, Kind), u64>);

impl Counters {
    /// How often `kind` befell `operation`.
    pub fn get(&self, operation: Operation, kind: Kind) -> u64 {
        self.0.get(&(operation, kind)).copied().unwrap_or(0)
    }

    /// Takes the counts of another world in.
    pub fn add(&mut self, other: &Counters) {
        for (fault, count) in &other.0 {
            *self.0.entry(*fault).or_default() += count;
        }
    }

    /// Every one of `operations` that was never refused.
    pub fn never_refused(&self, operations: &[Operation]) -> Vec<Operation> {
        operations.iter().copied().filter(|&operation| self.get(operation, Kind::Refused) == 0).collect()
    }

    /// Every fault of [`Kind::of`] that could have befallen one of `operations` and never did.
    pub fn never(&self, operations: &[Operation]) -> Vec<(Operation, Kind)> {
        let possible =
            operations.iter().flat_map(|&operation| Kind::of(operation).into_iter().map(move |k| (operation, k)));
        possible.filter(|&(operation, kind)| self.get(operation, kind) == 0).collect()
    }
}

/// How likely each fault is, in thousandths of all calls, and how long the slow ones take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance {
    pub fails: u32,
    pub lost_answer: u32,
    pub lost_request: u32,
    pub late: u32,
    pub slow: u32,
    pub slow_answer: u32,
    pub stale: u32,
    pub unseen: u32,
    pub unseen_unclear: u32,
    pub refused: u32,
    /// The longest that something slow, late, stale or unseen takes.
    pub longest: Duration,
}

impl Chance {
    /// Nothing goes wrong.
    pub const NEVER: Chance = Chance {
        fails: 0,
        lost_answer: 0,
        lost_request: 0,
        late: 0,
        slow: 0,
        slow_answer: 0,
        stale: 0,
        unseen: 0,
        unseen_unclear: 0,
        refused: 0,
        longest: Duration::from_secs(1),
    };

    /// Each fault that a run gets over befalls this many calls of a thousand; none is refused.
    pub fn each(thousandths: u32, longest: Duration) -> Chance {
        let n = thousandths;
        Chance {
            fails: n,
            lost_answer: n,
            lost_request: n,
            late: n,
            slow: n,
            slow_answer: n,
            stale: n,
            unseen: n,
            unseen_unclear: n,
            refused: 0,
            longest,
        }
    }

    /// Draws the fate of a call.
    pub fn draw(&self, rng: &mut StdRng) -> Fate {
        // Both numbers are drawn each time, so that a changed chance of one fault leaves the draws of others in place.
        let mut left = rng.random_range(0..1000u32);
        let longest = u64::try_from(self.longest.as_millis()).unwrap_or(u64::MAX);
        let time = Duration::from_millis(rng.random_range(0..=longest));
        let fates = [
            (self.fails, Fate::Fails),
            (self.lost_answer, Fate::LostAnswer),
            (self.lost_request, Fate::LostRequest),
            (self.late, Fate::Late(time)),
            (self.slow, Fate::Slow(time)),
            (self.slow_answer, Fate::SlowAnswer(time)),
            (self.stale, Fate::Stale(time)),
            (self.unseen, Fate::Unseen(time)),
            (self.unseen_unclear, Fate::UnseenUnclear(time)),
            (self.refused, Fate::Refused),
        ];
        for (chance, fate) in fates {
            if left < chance {
                return fate;
            }
            left -= chance;
        }
        Fate::Works
    }
}

type Decide = dyn Fn(&Call<'_>) -> Fate + Send + Sync;

/// The weather of one world, shared by all who talk to its store.
pub struct Faults {
    decide: Box<Decide>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    counters: Counters,
    /// What was made of late and when, oldest first: keys, and ids of uploads.
    made: VecDeque<(Instant, String)>,
    /// Objects that nobody sees yet, by store and key, and until when.
    unseen: BTreeMap<(String, String), Instant>,
}

/// How many of the newest names are remembered for stale listings.
const REMEMBERED: usize = 1024;

impl Faults {
    /// Each call is decided by `decide`; a fate that makes no sense for an operation becomes the nearest that does.
    pub fn new(decide: impl Fn(&Call<'_>) -> Fate + Send + Sync + 'static) -> Self {
        Faults { decide: Box::new(decide), seen: Mutex::default() }
    }

    /// Each call is decided by a draw from `seed`.
    pub fn seeded(seed: u64, chance: Chance) -> Self {
        let rng = Mutex::new(StdRng::seed_from_u64(seed));
        Faults::new(move |_| chance.draw(&mut rng.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Nothing goes wrong.
    pub fn none() -> Self {
        Faults::new(|_| Fate::Works)
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.seen().counters.clone()
    }

    /// Decides a call and counts the decision.
    pub(super) fn decide(&self, call: &Call<'_>) -> Fate {
        let fate = (self.decide)(call).fit(call.operation);
        if let Some(kind) = fate.kind() {
            self.count(call.operation, kind);
        }
        fate
    }

    pub(super) fn count(&self, operation: Operation, kind: Kind) {
        *self.seen().counters.0.entry((operation, kind)).or_default() += 1;
    }

    /// Remembers that a key, or the id of an upload, is new.
    pub(super) fn made(&self, name: &str) {
        let mut seen = self.seen();
        if seen.made.len() == REMEMBERED {
            seen.made.pop_front();
        }
        seen.made.push_back((Instant::now(), name.to_owned()));
    }

    /// Whether `name` was made within `age`.
    pub(super) fn is_new(&self, name: &str, age: Duration) -> bool {
        let now = Instant::now();
        let seen = self.seen();
        let young = seen.made.iter().rev().take_while(|(at, _)| now.duration_since(*at) <= age);
        young.into_iter().any(|(_, made)| made == name)
    }

    /// From now on and for `time` nobody sees the object under `key`.
    pub(super) fn hide(&self, store: &str, key: &str, time: Duration) {
        self.seen().unseen.insert((store.to_owned(), key.to_owned()), Instant::now() + time);
    }

    /// Whether nobody sees the object under `key` yet.
    pub(super) fn is_unseen(&self, store: &str, key: &str) -> bool {
        let now = Instant::now();
        let mut seen = self.seen();
        seen.unseen.retain(|_, until| *until > now);
        seen.unseen.contains_key(&(store.to_owned(), key.to_owned()))
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

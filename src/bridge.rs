//! The only crossing between timely's workers and tokio.
//!
//! ```text
//! operator ── request ──► tokio task ── reply ──► operator, woken by its activator
//! ```
//! Owns three things: [`Wires`], which make the two ends of a [`Port`]; the byte [`Budget`] of the process; and [`Trouble`],
//! through which a task that cannot go on ends the run with its error.
//!
//! What must stay true: an operator never waits for tokio; tokio never touches an operator, but only wakes it. Requests lie
//! in a queue without a bound of its own, since each is backed by a capability or a permit that is bounded elsewhere.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_operators::batch::Held;
use millstream_operators::{Permit, Port, Reserve};
use timely::scheduling::SyncActivator;
use tokio::sync::{Notify, mpsc};

use crate::exit::Fatal;

/// An operator's end of a port.
pub struct OperatorEnd<Request, Reply> {
    requests: mpsc::UnboundedSender<Request>,
    replies: mpsc::Receiver<Reply>,
}

impl<Request, Reply> Port<Request, Reply> for OperatorEnd<Request, Reply> {
    fn send(&mut self, request: Request) {
        // A task that is gone has reported why, and the run is ending.
        let _ = self.requests.send(request);
    }

    fn receive(&mut self) -> Option<Reply> {
        self.replies.try_recv().ok()
    }
}

/// The replying side of a port: sends, and wakes the operator.
pub struct Replies<Reply> {
    sender: mpsc::Sender<Reply>,
    activator: Arc<SyncActivator>,
}

impl<Reply> Clone for Replies<Reply> {
    fn clone(&self) -> Self {
        Replies { sender: self.sender.clone(), activator: self.activator.clone() }
    }
}

impl<Reply> Replies<Reply> {
    /// Hands a reply over, waiting for a place in the queue; `false` once the operator is gone.
    pub async fn send(&self, reply: Reply) -> bool {
        self.sender.send(reply).await.is_ok() && self.activator.activate().is_ok()
    }
}

/// Tokio's end of a port.
pub struct TokioEnd<Request, Reply> {
    pub requests: mpsc::UnboundedReceiver<Request>,
    pub replies: Replies<Reply>,
}

/// Makes both ends of a port. `places` is how many replies may wait for the operator to look.
pub fn port<Request, Reply>(
    activator: SyncActivator,
    places: usize,
) -> (OperatorEnd<Request, Reply>, TokioEnd<Request, Reply>) {
    #[expect(clippy::disallowed_methods, reason = "requests are backed by capabilities and permits, bounded elsewhere")]
    let (requests, asked) = mpsc::unbounded_channel();
    let (sender, replies) = mpsc::channel(places);
    let replying = Replies { sender, activator: Arc::new(activator) };
    (OperatorEnd { requests, replies }, TokioEnd { requests: asked, replies: replying })
}

/// The bytes that a process may hold.
///
/// What is about to be fetched waits for room; what is already inside takes what it needs at once, if need be into
/// overdraft, and fetching waits until that is paid back. A single batch larger than the whole budget passes when nothing
/// else is held, so that nothing can wait for ever. Standing bytes (the totals of averages) are not given back while the run
/// lasts: they leave less for reading, and reading never waits for them.
#[derive(Clone)]
pub struct Budget(Arc<Ledger>);

struct Ledger {
    size: i64,
    held: Mutex<Bytes>,
    given_back: Notify,
}

#[derive(Clone, Copy, Default)]
struct Bytes {
    all: i64,
    /// Those of them that stand.
    standing: i64,
}

impl Budget {
    /// A budget of `size` bytes.
    pub fn new(size: usize) -> Self {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        Budget(Arc::new(Ledger { size, held: Mutex::default(), given_back: Notify::new() }))
    }

    /// Takes `bytes` once there is room.
    pub async fn take(&self, bytes: usize) -> Permit {
        loop {
            let given_back = self.0.given_back.notified();
            {
                let mut held = self.0.held();
                if held.all <= held.standing || held.all + bytes as i64 <= self.0.size {
                    return self.hold(&mut held, bytes, false);
                }
            }
            given_back.await;
        }
    }

    /// The bytes that are held now.
    pub fn held(&self) -> i64 {
        self.0.held().all
    }

    fn hold(&self, held: &mut Bytes, bytes: usize, stands: bool) -> Permit {
        held.all += bytes as i64;
        held.standing += if stands { bytes as i64 } else { 0 };
        Permit::of(Share { ledger: self.0.clone(), bytes: AtomicI64::new(bytes as i64), stands })
    }
}

impl Reserve for Budget {
    fn reserve(&self, bytes: usize) -> Permit {
        self.hold(&mut self.0.held(), bytes, false)
    }

    fn stand(&self, bytes: usize) -> Permit {
        self.hold(&mut self.0.held(), bytes, true)
    }
}

impl Ledger {
    fn held(&self) -> MutexGuard<'_, Bytes> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn give_back(&self, bytes: i64, stood: bool) {
        let mut held = self.held();
        held.all -= bytes;
        held.standing -= if stood { bytes } else { 0 };
        drop(held);
        self.given_back.notify_waiters();
    }
}

/// Bytes that somebody holds.
struct Share {
    ledger: Arc<Ledger>,
    bytes: AtomicI64,
    stands: bool,
}

impl Held for Share {
    fn keep(&self, bytes: usize) {
        let kept = i64::try_from(bytes).unwrap_or(i64::MAX);
        let before = self.bytes.fetch_min(kept, Ordering::Relaxed);
        if before > kept {
            self.ledger.give_back(before - kept, self.stands);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.ledger.give_back(*self.bytes.get_mut(), self.stands);
    }
}

/// How a task that cannot go on ends the run. The first trouble is the one that is told.
#[derive(Clone, Default)]
pub struct Trouble(Arc<(Mutex<Option<Fatal>>, Notify)>);

impl Trouble {
    /// Ends the run with this error.
    pub fn report(&self, fatal: Fatal) {
        let mut first = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(fatal);
        self.0.1.notify_one();
    }

    /// Waits until there is trouble.
    pub async fn wait(&self) -> Fatal {
        loop {
            if let Some(fatal) = self.look() {
                return fatal;
            }
            self.0.1.notified().await;
        }
    }

    /// The trouble so far, taken.
    pub fn look(&self) -> Option<Fatal> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    //! What breaks when these fail: memory without a bound, or a pipeline that waits for ever.

    use super::*;

    #[tokio::test]
    async fn fetching_waits_for_room_and_for_overdraft_to_be_paid_back() {
        let budget = Budget::new(100);
        let first = budget.take(60).await;
        let inside = budget.reserve(70);
        assert_eq!(budget.held(), 130);
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.take(40).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(inside);
        let _second = waiting.await.unwrap();
        assert_eq!(budget.held(), 100);
        drop(first);
        assert_eq!(budget.held(), 40);
    }

    #[tokio::test]
    async fn what_was_not_needed_is_given_back_at_once_and_only_once() {
        let budget = Budget::new(100);
        let permit = budget.take(90).await;
        let shared = permit.clone();
        permit.keep(30);
        shared.keep(50);
        assert_eq!(budget.held(), 30);
        drop((permit, shared));
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn what_stands_leaves_less_room_and_is_never_waited_for() {
        let budget = Budget::new(100);
        let standing = budget.stand(70);
        let first = budget.take(30).await;
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.take(40).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        let alone = waiting.await.unwrap();
        assert_eq!(budget.held(), 110, "one batch at a time passes, however much stands");
        drop((standing, alone));
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn one_batch_over_the_whole_budget_passes_alone() {
        let budget = Budget::new(10);
        let _big = budget.take(1_000).await;
        assert_eq!(budget.held(), 1_000);
    }
}

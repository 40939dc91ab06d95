//! The end of a link that timely holds: bytes in, bytes out, for threads that may wait.
//!
//! Owns the crossing from timely's sending and receiving threads to the tasks of a link, through two short queues. What must
//! stay true: when a link breaks, nobody here is told so; a reader then waits for ever and a writer writes into nothing. The
//! mesh ends the process with the reason instead, where timely could only panic, thread by thread.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use timely::communication::allocator::zero_copy::stream::Stream;
use tokio::sync::mpsc;

use super::frame::{Frame, MOST_DATA};

/// Frames that may wait on either way.
const WAITING: usize = 16;

/// Timely's end.
#[derive(Clone)]
pub struct Pipe(Arc<Ends>);

struct Ends {
    outgoing: Mutex<Option<mpsc::Sender<Frame>>>,
    incoming: Mutex<(mpsc::Receiver<Bytes>, Bytes)>,
    ended: Arc<AtomicBool>,
}

/// The link's end.
pub(super) struct Far {
    pub(super) outgoing: mpsc::Receiver<Frame>,
    pub(super) incoming: Incoming,
}

/// Where a link puts what arrives.
pub(super) struct Incoming {
    queue: mpsc::Sender<Bytes>,
    ended: Arc<AtomicBool>,
}

/// Both ends.
pub(super) fn pipe() -> (Pipe, Far) {
    let (outgoing, to_send) = mpsc::channel(WAITING);
    let (queue, arrived) = mpsc::channel(WAITING);
    let ended = Arc::new(AtomicBool::new(false));
    let ends = Ends {
        outgoing: Mutex::new(Some(outgoing)),
        incoming: Mutex::new((arrived, Bytes::new())),
        ended: ended.clone(),
    };
    (Pipe(Arc::new(ends)), Far { outgoing: to_send, incoming: Incoming { queue, ended } })
}

impl Incoming {
    /// Passes bytes on; waits for a place.
    pub(super) async fn give(&self, bytes: Bytes) {
        // A reader that is gone is one whose process ends.
        let _ = self.queue.send(bytes).await;
    }

    /// No more follows.
    pub(super) fn end(self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Stays, so that nobody takes a broken link for the end of the data.
    pub(super) async fn hold_on(self) {
        std::future::pending::<()>().await;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (queue, rest) = &mut *locked(&self.0.incoming);
        while rest.is_empty() {
            match queue.blocking_recv() {
                Some(bytes) => *rest = bytes,
                None if self.0.ended.load(Ordering::Acquire) => return Ok(0),
                None => loop {
                    std::thread::park();
                },
            }
        }
        let taken = rest.len().min(into.len());
        into[..taken].copy_from_slice(&rest[..taken]);
        rest.advance(taken);
        Ok(taken)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(MOST_DATA);
        if let Some(outgoing) = &*locked(&self.0.outgoing) {
            // Where the link is gone, so is the process soon.
            let _ = outgoing.blocking_send(Frame::Data(Bytes::copy_from_slice(&bytes[..taken])));
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Pipe {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(self.clone())
    }

    fn set_nonblocking(&self, _nonblocking: bool) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read
            && let Some(outgoing) = locked(&self.0.outgoing).take()
        {
            let _ = outgoing.blocking_send(Frame::End);
        }
        Ok(())
    }
}

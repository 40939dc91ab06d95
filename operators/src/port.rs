//! The one way in which an operator asks something of the outside: a request goes out, a reply comes in some later turn.
//!
//! A port never blocks. Whoever ties it to the outside wakes the operator when a reply is there.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// Requests out, replies in.
pub trait Port<Request, Reply> {
    /// Asks; the answer comes through [`Port::receive`].
    fn send(&mut self, request: Request);
    /// The next reply, if one is there.
    fn receive(&mut self) -> Option<Reply>;
}

impl<Request, Reply, P: Port<Request, Reply> + ?Sized> Port<Request, Reply> for Box<P> {
    fn send(&mut self, request: Request) {
        (**self).send(request);
    }
    fn receive(&mut self) -> Option<Reply> {
        (**self).receive()
    }
}

/// A port whose outside is a pair of queues, for tests and doctests that play the outside by hand.
pub struct Queues<Request, Reply> {
    /// What was asked and not yet looked at.
    pub asked: Rc<RefCell<VecDeque<Request>>>,
    /// What will be heard.
    pub replies: Rc<RefCell<VecDeque<Reply>>>,
}

impl<Request, Reply> Default for Queues<Request, Reply> {
    fn default() -> Self {
        Queues { asked: Rc::default(), replies: Rc::default() }
    }
}

impl<Request, Reply> Clone for Queues<Request, Reply> {
    fn clone(&self) -> Self {
        Queues { asked: self.asked.clone(), replies: self.replies.clone() }
    }
}

impl<Request, Reply> Port<Request, Reply> for Queues<Request, Reply> {
    fn send(&mut self, request: Request) {
        self.asked.borrow_mut().push_back(request);
    }
    fn receive(&mut self) -> Option<Reply> {
        self.replies.borrow_mut().pop_front()
    }
}

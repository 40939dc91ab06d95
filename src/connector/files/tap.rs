//! An outlet that remembers whether anything went through it.

use async_trait::async_trait;
use millstream_operators::{Permit, RawBatch};

use crate::connector::Outlet;

pub(super) struct Tap<'a> {
    pub(super) outlet: &'a mut dyn Outlet,
    pub(super) sent: bool,
}

#[async_trait]
impl Outlet for Tap<'_> {
    async fn reserve(&mut self, bytes: usize) -> Option<Permit> {
        self.outlet.reserve(bytes).await
    }

    async fn send(&mut self, batch: RawBatch) -> bool {
        self.sent = true;
        self.outlet.send(batch).await
    }
}

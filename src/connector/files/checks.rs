//! When all that was read of a growing file is hashed again.
//!
//! A file that grew is hashed from its beginning, to see that it only grew. For a log of many gigabytes that grows every few
//! seconds that would cost more and more; so a large file is hashed whole at its first growth in a process, and then each
//! time it has grown by an eighth, which is a constant cost per byte. In between its last block, up to 1 MiB, is checked.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use millstream_operators::Split;

/// Up to here a file is always hashed whole.
const SMALL: u64 = 64 << 20;

/// How far each large growing file was last hashed whole.
#[derive(Default)]
pub(super) struct Checks(Mutex<BTreeMap<Split, u64>>);

impl Checks {
    /// Whether a file that was read up to `offset` has to be hashed whole now.
    pub(super) fn due(&self, split: &Split, offset: u64) -> bool {
        let checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        offset <= SMALL || checks.get(split).is_none_or(|last| offset >= last + last / 8)
    }

    /// It was, and was right.
    pub(super) fn done(&self, split: &Split, offset: u64) {
        if offset > SMALL {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(split.clone(), offset);
        }
    }
}

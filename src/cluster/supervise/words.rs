//! What supervisor and processes say to each other: a line of JSON each.

use serde::{Deserialize, Serialize};

/// From a process.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(super) enum Up {
    /// It listens on this port of 127.0.0.1.
    Listens(u16),
    /// Something was committed.
    Committed(u64),
}

/// To a process.
#[derive(Serialize, Deserialize)]
pub(super) enum Down {
    /// Begin: the ports of all processes, and the key they share.
    Begin { ports: Vec<u16>, key: Vec<u8> },
    /// Commit what there is, and leave.
    Stop,
}

//! What happened in a world, counted; and what must happen in some world for the test to mean anything.

use std::collections::BTreeMap;
use std::fmt;

use millstream::connector::memory::{Counters, Operation};

/// The calls that a running pipeline makes. The others are made by looking commands alone.
const MADE: [Operation; 10] = [
    Operation::Create,
    Operation::Put,
    Operation::Get,
    Operation::Look,
    Operation::Delete,
    Operation::Begin,
    Operation::PutPart,
    Operation::Complete,
    Operation::Abort,
    Operation::Uploads,
];

/// What has to happen in 400 worlds.
const EXPECTED: [&str; 54] = [
    "1 worker",
    "2 workers",
    "3 workers",
    "4 workers",
    "split appears",
    "split divides",
    "splits merge",
    "split closes",
    "records arrive",
    "source away",
    "ended: killed",
    "ended: killed while starting",
    "ended: clean",
    "ended: fenced",
    "ended: stopped while starting",
    "frozen and thawed",
    "two at once",
    "bounded run ended by itself",
    "stopped by a token",
    "killed between calls",
    "upload vanished",
    "lost file written again",
    "lost file lost again",
    "snapshot read at a start",
    "old upload aborted",
    "definition: as at first",
    "definition: a column more",
    "definition: an average more",
    "definition: a field more",
    "definition: an average less",
    "definition: another partition",
    "lists beside a commit",
    "mark of a clean end found",
    "definition: a sink more",
    "definition: dedup",
    "definition: dedup by another key",
    "record left out",
    "state beside a commit",
    "ended: refused",
    "hint lost or stale",
    "last commits lost",
    "first commits lost",
    "commit cut",
    "snapshot lost",
    "log put back",
    "log rolled back",
    "visible file removed",
    "source edited",
    "source expired",
    "loss accepted",
    "more partitions than open files",
    "neighbour begins",
    "neighbour killed",
    "neighbour ended",
];

#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    pub(crate) trace: u64,
    pub(crate) faults: Counters,
    pub(crate) events: BTreeMap<String, u64>,
}

impl Story {
    pub(crate) fn happened(&mut self, what: &str) {
        *self.events.entry(what.to_owned()).or_default() += 1;
    }

    /// Takes another world's story in.
    pub(crate) fn add(&mut self, other: &Story) {
        self.faults.add(&other.faults);
        for (event, count) in &other.events {
            *self.events.entry(event.clone()).or_default() += count;
        }
    }

    /// What should have happened and did not.
    pub(crate) fn never(&self) -> Vec<String> {
        let faults = self.faults.never(&MADE).into_iter().map(|(operation, kind)| format!("{operation:?} {kind:?}"));
        let events = EXPECTED.iter().filter(|event| !self.events.contains_key(**event)).map(|event| event.to_string());
        let refused = self.faults.never_refused(&MADE).into_iter().map(|operation| format!("{operation:?} Refused"));
        faults.chain(refused).chain(events).collect()
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (event, count) in &self.events {
            writeln!(f, "{count:>9}  {event}")?;
        }
        for operation in MADE {
            let kinds = millstream::connector::memory::Kind::of(operation);
            let counts = kinds.iter().map(|&kind| format!("{kind:?} {}", self.faults.get(operation, kind)));
            writeln!(f, "{operation:>12?}: {}", counts.collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}

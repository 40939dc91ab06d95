//! How a process divides the memory that it may use for records.
//!
//! ```text
//! [limits] memory ─┬─ own: what this process reads, and its open files      (the byte budget)
//!                  ├─ ahead: what a source's client fetches before it is wanted
//!                  └─ guests: batches borrowed from the other processes     (a share for each of them)
//! ```
//! Only where batches go from process to process are there guests, and only a client with a mind of its own (librdkafka)
//! fetches ahead. What is lent counts as own until it is given back. What must stay true: own bytes, those ahead and all
//! shares together are never more than `[limits] memory`; all that a process may have lent
//! and all its open files leave some of its own, so that it goes on reading while those who borrowed are slow. So do
//! open files and the state of operators, which may take a little less than half: the rest is always for reading.

use crate::config::{Config, Exchange};

/// The part of all memory that is for guests.
const GUESTS: usize = 4;
/// The part of all memory that a client may fetch ahead.
const AHEAD: usize = 8;
/// As much as a batch usually takes, and a few of them on their way.
const USUAL: usize = 4 << 20;
/// The part of its own memory that open files may hold.
const OPEN_FILES: usize = 2;
/// The part of its own memory that the state of operators may take, in thirty-seconds.
const STATE: usize = 15;

/// A process's memory, divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The byte budget.
    pub own: usize,
    /// What a source's client may fetch before it is wanted.
    pub ahead: usize,
    /// The most bytes that each other process may hold of this one's, and this one of each other's.
    pub share: usize,
}

impl Memory {
    /// The memory of each of `processes` processes that run this pipeline.
    pub fn of(config: &Config, processes: usize) -> Self {
        let all = usize::try_from(config.limits.memory).unwrap_or(usize::MAX);
        let ahead = if config.source.fetches_ahead() { all / AHEAD } else { 0 };
        match config.balance.exchange {
            Exchange::Batches if processes > 1 => {
                let guests = all / GUESTS;
                Memory { own: all - guests - ahead, ahead, share: guests / (processes - 1) }
            }
            Exchange::Batches | Exchange::None => Memory { own: all - ahead, ahead, share: 0 },
        }
    }

    /// The bytes that open files may hold.
    pub fn open_files(self) -> usize {
        self.own / OPEN_FILES
    }

    /// The bytes that the state of operators may take.
    pub fn state(self) -> usize {
        self.own / 32 * STATE
    }

    /// What is to be said where batches can hardly be lent, though that was asked for.
    pub fn warning(self, config: &Config, processes: usize) -> Option<String> {
        let asked = config.balance.exchange == Exchange::Batches && processes > 1;
        (asked && self.share < USUAL).then(|| {
            let enough = (GUESTS * USUAL * (processes - 1)).div_ceil(1 << 20);
            format!(
                "[balance] exchange: with {processes} processes each may lend {} bytes to another, less than a batch often \
                 takes, so most batches stay where they were read; set [limits] memory to {enough}MiB or more",
                self.share
            )
        })
    }
}

#[cfg(test)]
mod tests {
    //! What breaks when these fail: a process that holds more than it may, or an exchange that does nothing and says nothing.

    use super::*;

    fn config(memory: &str, exchange: &str) -> Config {
        over("type = \"generate\"\nkind = \"articles\"\ncount = 1", memory, exchange)
    }

    fn over(source: &str, memory: &str, exchange: &str) -> Config {
        let text = format!(
            "name = \"memory\"\n[source]\n{source}\n\
             [schema]\ntitle = \"string\"\n[sink]\npath = \"out\"\n\
             [limits]\nmemory = \"{memory}\"\n[balance]\nexchange = \"{exchange}\"\n"
        );
        Config::parse("pipeline.toml", &text, &|_| None).unwrap()
    }

    #[test]
    fn own_memory_and_all_shares_are_within_the_limit() {
        for (exchange, processes, own, share) in [
            ("none", 1, 64 << 20, 0),
            ("none", 5, 64 << 20, 0),
            ("batches", 1, 64 << 20, 0),
            ("batches", 2, 48 << 20, 16 << 20),
            ("batches", 5, 48 << 20, 4 << 20),
        ] {
            let memory = Memory::of(&config("64MiB", exchange), processes);
            assert_eq!(memory, Memory { own, ahead: 0, share }, "{exchange}, {processes}");
            let guests = memory.share * (processes - 1);
            assert!(memory.own + guests <= 64 << 20);
            assert!(guests + memory.open_files() < memory.own, "nothing is left to read with");
            assert!(memory.state() + memory.open_files() < memory.own, "nothing is left to read with");
        }
    }

    #[test]
    fn what_a_client_fetches_ahead_is_part_of_the_limit() {
        let kafka = over("type = \"kafka\"\nbrokers = \"b:1\"\ntopics = \"t\"", "64MiB", "batches");
        for (processes, share) in [(1, 0), (3, 8 << 20)] {
            let memory = Memory::of(&kafka, processes);
            assert_eq!((memory.ahead, memory.share), (8 << 20, share));
            assert_eq!(memory.own + memory.ahead + share * (processes - 1), 64 << 20);
        }
    }

    #[test]
    fn a_share_that_no_batch_fits_is_warned_of_with_what_is_enough() {
        let config = config("64MiB", "batches");
        let warning = |processes| Memory::of(&config, processes).warning(&config, processes);
        assert_eq!([warning(1), warning(2), warning(5)], [None, None, None]);
        assert!(warning(6).unwrap().ends_with("set [limits] memory to 80MiB or more"));
    }
}

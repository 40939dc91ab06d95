//! The seeded world: proves exactly once for the whole pipeline, with the real operators, tasks and log, in one process.
//!
//! A world is a lake of splits that grow, divide, merge and close; a memory store whose every call may fail, be lost, come
//! late or be the last of its process; a virtual clock; and lives of the pipeline, one after the other or side by side, each
//! with its own number of workers that are stepped in an order the seed draws. Lives are killed before and after every kind
//! of call, stopped, frozen and thawed once a newer one is at work; uploads vanish between lives, and the definition changes
//! (a column, a field, an average more or less, another partition, a second sink). Between lives logs and hints are damaged,
//! published files removed, and a source is edited or forgets what a lost file needs. Another pipeline lives below, with the
//! same rejects folder. Whenever a life has claimed and recovered the log, and when it ends, the one predicate is asked and
//! an oracle of its own counts every record.
//!
//! Would catch: a record lost or committed twice, a file visible that no commit names, an average that differs from a
//! recount, a commit by a process that was fenced out, a start that cannot get over what a crash left, a pipeline that hangs.
//!
//! ```text
//! cargo test --workspace --test world                            # 400 seeds
//! MILLSTREAM_SEEDS=50000 cargo test --workspace --test world     # that many, from MILLSTREAM_FIRST_SEED on
//! MILLSTREAM_SEED=123 cargo test --workspace --test world        # one, as a failure says
//! ```
//! Every fault, every named kill and every scenario has a counter, and a run of 400 seeds or more in which one never fired
//! fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod below;
mod crew;
mod drawn;
mod flaky;
mod incident;
mod lakeside;
mod life;
mod neighbour;
mod oracle;
mod story;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use story::Story;
use world::World;

const SEEDS: u64 = 400;

#[test]
fn every_record_is_there_exactly_once_whatever_happens() {
    let one: Option<u64> = number("MILLSTREAM_SEED");
    let first = number("MILLSTREAM_FIRST_SEED").unwrap_or(0);
    let seeds = one.map_or(first..first + number("MILLSTREAM_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let whole = seeds.end - seeds.start >= SEEDS;
    let (mut all, mut failed) = (Story::default(), Vec::new());
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| World::new(seed).run())) {
            Ok(story) => all.add(&story),
            Err(_) => {
                println!("seed {seed} failed; again: MILLSTREAM_SEED={seed} cargo test --workspace --test world");
                failed.push(seed);
            }
        }
    }
    println!("{all}");
    assert!(failed.is_empty(), "{} seeds failed: {failed:?}", failed.len());
    if whole {
        assert_eq!(all.never(), Vec::<String>::new(), "these never happened: the world proves nothing about them");
    }
}

/// Would catch chance that is not the seed's: a failure could then not be seen again.
#[test]
fn a_seed_is_one_run() {
    for seed in 0..40 {
        assert_eq!(World::new(seed).run().trace, World::new(seed).run().trace, "seed {seed}");
    }
}

#[expect(clippy::disallowed_methods, reason = "how many seeds, and which, is for whoever runs the test to say")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

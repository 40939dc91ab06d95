//! Shards that split and merge, while the pipeline runs and while it does not.

use crate::services::kinesis::{Kind, server};
use crate::whole::reader::{comes_out, reader, until_committed};
use crate::whole::stream::Stream;

/// What becomes of two shards.
#[derive(Clone, Copy, Debug)]
enum Step {
    Split(usize),
    Merge(usize),
}

use Step::{Merge, Split};

impl Step {
    async fn take(self, stream: &Stream) {
        match self {
            Split(place) => stream.split_at(place).await,
            Merge(place) => stream.merge_at(place).await,
        }
    }
}

/// Each step comes while the pipeline runs and has read a part; every second one while it is behind.
async fn while_running(kind: Kind, test: &str, steps: &[Step]) {
    let mut stream = Stream::new(kind, test, 2).await;
    let mut pipeline = reader(&[&stream], &server(kind).await.endpoint, "").await;
    stream.put(48).await;
    let mut process = pipeline.run(2, &[]);
    until_committed(&mut pipeline, &mut process, 48).await;
    for (number, step) in steps.iter().enumerate() {
        step.take(&stream).await;
        stream.put(48).await;
        if number % 2 == 0 {
            until_committed(&mut pipeline, &mut process, stream.puts.len()).await;
        }
    }
    assert!(stream.shards_used() > 2, "no record ever went to a child");
    comes_out(&mut pipeline, process, &stream.expected()).await;
}

/// All steps come while nobody reads, from a stream that was read, read half, and never read.
async fn while_stopped(kind: Kind, test: &str, steps: &[Step]) {
    for read_before in [0, 1, 2] {
        let mut stream = Stream::new(kind, &format!("{test}-{read_before}"), 2).await;
        let mut pipeline = reader(&[&stream], &server(kind).await.endpoint, "").await;
        stream.put(48).await;
        if read_before > 0 {
            pipeline.run_to_the_end(1).await;
        }
        if read_before < 2 {
            stream.put(24).await;
        }
        for step in steps {
            step.take(&stream).await;
            stream.put(48).await;
        }
        pipeline.run_to_the_end(2).await;
        pipeline.check(&stream.expected()).await;
    }
}

const SPLIT: &[Step] = &[Split(0)];
const MERGE: &[Step] = &[Merge(0)];
const MERGE_THEN_SPLIT: &[Step] = &[Merge(0), Split(0)];
const SPLIT_OF_SPLIT: &[Step] = &[Split(1), Split(1), Split(2)];

/// Declares a test of each server for a way of resharding.
macro_rules! reshards {
    ($($(#[$doc:meta])* $name:ident: $how:ident($steps:ident);)*) => {
        $(mod $name {
            use super::*;

            $(#[$doc])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_kinesis_local() {
                $how(Kind::KinesisLocal, stringify!($name), $steps).await;
            }

            $(#[$doc])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_kinesalite() {
                $how(Kind::Kinesalite, stringify!($name), $steps).await;
            }
        })*
    };
}

reshards! {
    /// Would catch a closed shard that is dropped with records unread, and children that are never found.
    a_shard_that_splits_while_it_is_read_is_read_to_its_end: while_running(SPLIT);
    /// Would catch a child that begins when one of its parents is done.
    shards_that_merge_while_they_are_read_lose_nothing: while_running(MERGE);
    /// Would catch a shard that is forgotten because it was born and closed between two looks.
    a_merged_shard_that_splits_at_once_is_read: while_running(MERGE_THEN_SPLIT);
    /// Would catch grandchildren that nobody waits for.
    children_of_children_are_read_while_running: while_running(SPLIT_OF_SPLIT);
    /// Would catch a start that reads open shards only.
    a_shard_that_closed_while_we_were_down_is_read_to_its_end: while_stopped(SPLIT);
    /// Would catch a parent that is read twice, once for each child or merge.
    shards_that_merged_while_we_were_down_are_read_once: while_stopped(MERGE);
    /// Would catch lineage that is known one generation deep.
    a_merged_shard_that_split_while_we_were_down_is_read: while_stopped(MERGE_THEN_SPLIT);
    /// The same, over three generations.
    children_of_children_that_came_while_we_were_down_are_read: while_stopped(SPLIT_OF_SPLIT);
}

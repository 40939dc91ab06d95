//! Kafka, as it goes wrong elsewhere: each test runs the real binary against the real broker, and holds what lies in the sink
//! against the list of what its producer was told that the broker took.
//!
//! Would catch records that are read twice or not at all through kills and restarts of either side, records of aborted
//! transactions, partitions that nobody reads, offsets that hold no record taken for a loss or a loss taken for such offsets,
//! and a secret that is wrong and tried for ever.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod services;
mod whole;

#[path = "kafka/access.rs"]
mod access;
#[path = "kafka/gone.rs"]
mod gone;
#[path = "kafka/kills.rs"]
mod kills;
#[path = "kafka/origin.rs"]
mod origin;
#[path = "kafka/partitions.rs"]
mod partitions;
#[path = "kafka/starts.rs"]
mod starts;
#[path = "kafka/transactions.rs"]
mod transactions;

use services::kafka::Broker;
use whole::pipeline::Pipeline;

/// A pipeline over topics, from their beginning unless `more` of `[source]` says otherwise.
async fn reader(broker: &Broker, topics: &str, more: &str) -> Pipeline {
    reader_at(&broker.plain(), topics, more).await
}

/// The same, at any listener.
async fn reader_at(brokers: &str, topics: &str, more: &str) -> Pipeline {
    let source = source(brokers, topics, more);
    Pipeline::new(tempfile::tempdir().unwrap(), "kafka", false, &source).await
}

/// The `[source]` of topics.
fn source(brokers: &str, topics: &str, more: &str) -> String {
    let (start, interval) = ("start = \"earliest\"\n", "interval = \"500ms\"\n");
    let start = if more.contains("start =") { "" } else { start };
    format!("type = \"kafka\"\nbrokers = {brokers:?}\ntopics = {topics}\n{start}{interval}{more}\n")
}

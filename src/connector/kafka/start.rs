//! Where the reading of a partition begins of which nothing is committed.
//!
//! Owns what `earliest`, `latest` and a time mean. `latest` is what arrives after the pipeline's first start: its time is
//! pinned in the log. The first reader asks for the end as well, and begins at whichever comes first, so that neither a
//! producer whose clock is slow nor a record that arrived between claim and reading is missed; the place is then handed on
//! at once, without records, so that the next commit keeps it.

use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;

use super::Start;
use super::client::{Client, Consumer};
use super::topics::{self, Topics};
use crate::connector::SourceError;

/// The first offset that is to be read. `pinned`: when the pipeline first started, in microseconds since 1970.
pub(super) async fn offset(
    client: &Client,
    topic: &str,
    partition: i32,
    start: Start,
    pinned: i64,
) -> Result<i64, SourceError> {
    let asked = (topic.to_owned(), partition);
    client
        .ask(move |consumer| {
            let (topic, partition) = &asked;
            match start {
                Start::Earliest => at(consumer, topic, *partition, Offset::Beginning),
                Start::Latest => time(consumer, topic, *partition, pinned),
                Start::At(micros) => time(consumer, topic, *partition, micros),
            }
        })
        .await
}

/// The first record of a time or later; the end where there is none yet.
fn time(consumer: &Consumer, topic: &str, partition: i32, micros: i64) -> KafkaResult<i64> {
    // The end first: what arrives between the two answers comes behind either.
    let end = at(consumer, topic, partition, Offset::End)?;
    let millis = micros.div_euclid(1000).max(0);
    let mut asked = rdkafka::TopicPartitionList::new();
    asked.add_partition_offset(topic, partition, Offset::Offset(millis))?;
    let answered = consumer.offsets_for_times(asked, super::client::PATIENCE)?;
    let first = answered.elements().first().map(|element| element.offset());
    Ok(match first {
        Some(Offset::Offset(first)) => first.min(end),
        _ => end,
    })
}

/// The offset at a logical place of one partition.
pub(super) fn at(consumer: &Consumer, topic: &str, partition: i32, place: Offset) -> KafkaResult<i64> {
    let one = Topics::from([(topic.to_owned(), [partition].into())]);
    let no_answer = rdkafka::error::KafkaError::OffsetFetch(rdkafka::types::RDKafkaErrorCode::LeaderNotAvailable);
    topics::offsets(consumer, &one, place)?.into_values().next().ok_or(no_answer)
}

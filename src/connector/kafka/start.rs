//! Where the reading of a partition begins of which nothing is committed.
//!
//! Owns what `earliest`, `latest` and a time mean. `latest` is what arrives after the pipeline's first start: the claim pins the
//! offsets at which the partitions ended, and a partition that is not among them is read from its beginning, because all of it
//! came later.
//!
//! A log of an earlier release pins the time of the first start instead. There the first reader asks for the end as well, and
//! begins at whichever comes first, so that neither a producer whose clock is slow nor a record that arrived between claim and
//! reading is missed. The place is handed on at once, without records, so that the next commit keeps it.

use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;

use super::Start;
use super::client::{Client, Consumer};
use super::place::Place;
use super::topics::{self, Topics};
use crate::connector::SourceError;

/// What is known of a topic when the reading of one of its partitions begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Known {
    /// Where the partition ended when the pipeline first began with the topic; `None` if it was not there.
    End(Option<i64>),
    /// Of an earlier release: when that was, in microseconds since 1970, and how many partitions the topic had then.
    Time { pinned: i64, of: i32 },
}

/// The place where reading begins.
pub(super) async fn place(
    client: &Client,
    topic: &str,
    partition: i32,
    start: Start,
    known: Known,
) -> Result<Place, SourceError> {
    if let (Start::Latest, Known::End(Some(end))) = (start, known) {
        return Ok(Place::at(end));
    }
    let asked = topic.to_owned();
    let offset = client.ask(move |consumer| match (start, known) {
        (Start::Latest, Known::Time { pinned, of }) if partition < of => time(consumer, &asked, partition, pinned),
        (Start::At(micros), _) => time(consumer, &asked, partition, micros),
        (Start::Earliest | Start::Latest, _) => at(consumer, &asked, partition, Offset::Beginning),
    });
    let of = match (start, known) {
        (Start::Latest, Known::Time { of, .. }) => Some(of),
        _ => None,
    };
    Ok(Place { of, ..Place::at(offset.await?) })
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

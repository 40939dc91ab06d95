//! Which topics and partitions there are, and whether all that the log knows of are among them.
//!
//! Owns what a pattern means and the name of a partition as a split: `<topic>/<partition>`. What must stay true: a topic that
//! was read before is never missing in silence. Where its end was known to be read, that is said and the rest goes on;
//! otherwise it is [`SourceError::Gone`].

use std::collections::{BTreeMap, BTreeSet};

use millstream_operators::Split;
use millstream_operators::protocol::state::SplitState;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use regex::Regex;

use super::client::PATIENCE;
use super::place::Place;
use crate::connector::SourceError;

/// What is to be read.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    Listed(Vec<String>),
    /// All topics whose names match, but those that the cluster keeps for itself.
    Pattern(Regex),
}

/// The partitions of each topic.
pub(super) type Topics = BTreeMap<String, BTreeSet<i32>>;

impl Wanted {
    /// What `topics` says: names, or a single pattern that begins with `^`.
    pub(super) fn parse(topics: &[String]) -> Result<Self, SourceError> {
        let refused = |message: String| SourceError::Refused { name: "kafka".to_owned(), message };
        match topics {
            [] => Err(refused("`topics` in [source] names no topic".to_owned())),
            [pattern] if pattern.starts_with('^') => match Regex::new(pattern) {
                Ok(pattern) => Ok(Wanted::Pattern(pattern)),
                Err(error) => Err(refused(format!("{pattern:?} is no pattern: {error}"))),
            },
            names => Ok(Wanted::Listed(names.to_vec())),
        }
    }

    /// The wanted topics that there are.
    pub(super) fn list<C: ConsumerContext>(&self, consumer: &BaseConsumer<C>) -> KafkaResult<Topics> {
        let mut topics = Topics::new();
        let asked: Vec<Option<&str>> = match self {
            Wanted::Listed(names) => names.iter().map(|name| Some(name.as_str())).collect(),
            Wanted::Pattern(_) => vec![None],
        };
        for name in asked {
            for topic in consumer.fetch_metadata(name, PATIENCE)?.topics() {
                let wanted = match self {
                    Wanted::Listed(_) => true,
                    Wanted::Pattern(pattern) => !topic.name().starts_with("__") && pattern.is_match(topic.name()),
                };
                match topic.error().map(RDKafkaErrorCode::from) {
                    _ if !wanted => {}
                    None => drop(
                        topics.insert(topic.name().to_owned(), topic.partitions().iter().map(|p| p.id()).collect()),
                    ),
                    Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {}
                    Some(code) => return Err(KafkaError::MetadataFetch(code)),
                }
            }
        }
        Ok(topics)
    }

    /// A topic that is named and is not there.
    pub(super) fn missing<'a>(&'a self, there: &Topics) -> Option<&'a str> {
        match self {
            Wanted::Listed(names) => names.iter().map(String::as_str).find(|name| !there.contains_key(*name)),
            Wanted::Pattern(_) => None,
        }
    }
}

/// The offset at a logical place of each partition: its beginning, its end.
pub(super) fn offsets<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: &Topics,
    at: Offset,
) -> KafkaResult<BTreeMap<Split, i64>> {
    let mut asked = TopicPartitionList::new();
    for (topic, partition) in topics.iter().flat_map(|(topic, ids)| ids.iter().map(move |id| (topic, *id))) {
        asked.add_partition_offset(topic, partition, at)?;
    }
    let answered = consumer.offsets_for_times(asked, PATIENCE)?;
    let offset = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        element.error()?;
        match element.offset() {
            Offset::Offset(offset) => Ok((split(element.topic(), element.partition()), offset)),
            _ => Err(KafkaError::OffsetFetch(RDKafkaErrorCode::LeaderNotAvailable)),
        }
    };
    answered.elements().iter().map(offset).collect()
}

/// The name of a partition as a split.
pub(super) fn split(topic: &str, partition: i32) -> Split {
    format!("{topic}/{partition}").into()
}

/// The partition that a split names.
pub(super) fn partition(split: &Split) -> Result<(&str, i32), SourceError> {
    let named = split.rsplit_once('/').and_then(|(topic, partition)| Some((topic, partition.parse().ok()?)));
    named.ok_or_else(|| SourceError::Refused {
        name: split.to_string(),
        message: "it is no partition of a topic; was this path written by another source?".to_owned(),
    })
}

/// Holds the partitions that are there against those that were read before.
pub(super) fn check(known: &BTreeMap<Split, SplitState>, there: &Topics) -> Result<(), SourceError> {
    for (name, state) in known {
        let (topic, id) = partition(name)?;
        if there.get(topic).is_some_and(|ids| ids.contains(&id)) {
            continue;
        }
        if Place::parse(&state.at).is_some_and(|place| place.end) {
            tracing::warn!(split = %name, "the topic is gone; all of it had been read when it was last looked at");
            continue;
        }
        return Err(SourceError::Gone {
            split: name.to_string(),
            range: format!("offset {} on", state.at),
            message:
                "the topic was deleted, or made anew with fewer partitions, before it was read to its end. To go on \
                      with what is there, give the pipeline another `path` in [sink]"
                    .to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    //! Would catch a topic that vanishes unnoticed, and one that stops a pipeline though nothing of it is missing.
    use millstream_operators::Position;

    use super::*;

    fn known(name: &str, at: &str) -> BTreeMap<Split, SplitState> {
        [(name.into(), SplitState { at: Position::new(at), done: false })].into()
    }

    #[test]
    fn a_topic_that_was_read_is_there_or_read_to_its_end() {
        let there = Topics::from([("events".to_owned(), BTreeSet::from([0, 1]))]);
        check(&known("events/1", "7"), &there).unwrap();
        check(&known("other/0", "7#last=6:1,end"), &there).unwrap();
        for lost in ["events/2", "other/0"] {
            let error = check(&known(lost, "7#last=6:1"), &there).unwrap_err();
            assert!(matches!(&error, SourceError::Gone { split, .. } if split == lost), "{error}");
        }
        assert!(matches!(check(&known("shardId-1", "7"), &there), Err(SourceError::Refused { .. })));
    }

    #[test]
    fn names_and_patterns() {
        let parse = |topics: &[&str]| Wanted::parse(&topics.iter().map(|t| t.to_string()).collect::<Vec<_>>());
        assert!(matches!(parse(&["a", "b"]), Ok(Wanted::Listed(names)) if names == ["a", "b"]));
        assert!(matches!(parse(&["^a.*"]), Ok(Wanted::Pattern(_))));
        assert!(parse(&["^a("]).unwrap_err().to_string().contains("is no pattern"));
        assert!(parse(&[]).is_err());
        assert_eq!(partition(&"a.b/12".into()).unwrap(), ("a.b", 12));
    }
}

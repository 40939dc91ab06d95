//! A stream on a real server, its producer, and the list of what was put into it: the oracle of every test.

use std::collections::BTreeSet;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, StreamStatus};
use tokio::time::{Duration, Instant, sleep};

use super::articles::Articles;
use super::oracle::Expected;
use crate::services::kinesis::{Kind, server};

/// Partition keys, enough for every quarter of the hash range to get some. A call carries each at most once, so that the order
/// of calls is the order of a key's records.
const KEYS: usize = 24;

/// A stream and its producer.
pub(crate) struct Stream {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) puts: Vec<Put>,
    articles: Articles,
}

/// A record that the server took.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    pub(crate) shard: String,
    pub(crate) sequence: String,
    pub(crate) data: Vec<u8>,
}

/// A record to put.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) key: String,
    /// Where it goes, instead of where its key says.
    pub(crate) hash_key: Option<u128>,
    pub(crate) data: Vec<u8>,
}

/// A shard as the stream lists it.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    pub(crate) id: String,
    pub(crate) first: u128,
    pub(crate) last: u128,
    open: bool,
}

impl Stream {
    /// A new stream with so many shards.
    pub(crate) async fn new(kind: Kind, name: &str, shards: i32) -> Self {
        let client = server(kind).await.client();
        // A seed of its own gives every stream other articles, under other ids.
        let stream = Stream { client, name: name.to_owned(), puts: Vec::new(), articles: Articles::named(name) };
        stream.create(shards).await;
        stream
    }

    pub(crate) async fn create(&self, shards: i32) {
        self.client.create_stream().stream_name(&self.name).shard_count(shards).send().await.unwrap();
        self.until_active().await;
    }

    pub(crate) async fn delete(&self) {
        self.client.delete_stream().stream_name(&self.name).send().await.unwrap();
        let asked = || self.client.describe_stream_summary().stream_name(&self.name).send();
        while asked().await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Puts so many articles, a call for each round of the keys.
    pub(crate) async fn put(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            let round = left.min(KEYS);
            let record = |at| Record { key: format!("key-{at}"), data: self.articles.record(), ..Record::default() };
            let records: Vec<Record> = (0..round).map(record).collect();
            self.put_all(records).await;
            left -= round;
        }
    }

    /// Puts records in one call, which must work for all of them.
    pub(crate) async fn put_all(&mut self, records: Vec<Record>) {
        let entry = |record: &Record| {
            let (key, data) = (record.key.clone(), Blob::new(record.data.clone()));
            let entry = PutRecordsRequestEntry::builder().partition_key(key).data(data);
            entry.set_explicit_hash_key(record.hash_key.map(|key| key.to_string())).build().unwrap()
        };
        let entries = records.iter().map(entry).collect();
        let done = self.client.put_records().stream_name(&self.name).set_records(Some(entries)).send().await.unwrap();
        for (record, taken) in records.into_iter().zip(done.records()) {
            let (Some(shard), Some(sequence)) = (taken.shard_id(), taken.sequence_number()) else {
                panic!("a record was not taken: {taken:?}")
            };
            let (shard, sequence) = (shard.to_owned(), sequence.to_owned());
            self.puts.push(Put { shard, sequence, data: record.data });
        }
    }

    /// What must come out of everything that was put.
    pub(crate) fn expected(&self) -> Expected {
        self.expected_of(&self.puts)
    }

    /// What must come out of some of it.
    pub(crate) fn expected_of(&self, puts: &[Put]) -> Expected {
        let mut expected = Expected::default();
        for put in puts {
            self.take(&mut expected, put);
        }
        expected
    }

    /// What must become of one record.
    pub(crate) fn take(&self, expected: &mut Expected, put: &Put) {
        self.take_part(expected, put, 0, &put.data);
    }

    /// What must become of a part of an aggregate.
    pub(crate) fn take_part(&self, expected: &mut Expected, put: &Put, number: usize, data: &[u8]) {
        expected.take(&format!("{}/{}", self.name, put.shard), format!("{}.{number}", put.sequence), data);
    }

    /// The shards that take records, by their place in the hash range.
    pub(crate) async fn open_shards(&self) -> Vec<Shard> {
        let listed = self.client.list_shards().stream_name(&self.name).send().await.unwrap();
        let shard = |shard: &aws_sdk_kinesis::types::Shard| {
            let keys = shard.hash_key_range().unwrap();
            Shard {
                id: shard.shard_id().to_owned(),
                first: keys.starting_hash_key().parse().unwrap(),
                last: keys.ending_hash_key().parse().unwrap(),
                open: shard.sequence_number_range().unwrap().ending_sequence_number().is_none(),
            }
        };
        let mut shards: Vec<Shard> = listed.shards().iter().map(shard).filter(|shard| shard.open).collect();
        shards.sort_by_key(|shard| shard.first);
        shards
    }

    /// Splits the open shard at this place of the hash range, counted from 0, in the middle.
    pub(crate) async fn split_at(&self, place: usize) {
        let shard = self.open_shards().await.remove(place);
        let middle = shard.first + (shard.last - shard.first) / 2 + 1;
        let asked = self.client.split_shard().stream_name(&self.name).shard_to_split(shard.id);
        asked.new_starting_hash_key(middle.to_string()).send().await.unwrap();
        self.until_active().await;
    }

    /// Merges the open shard at this place with the one behind it.
    pub(crate) async fn merge_at(&self, place: usize) {
        let shards = self.open_shards().await;
        let asked = self.client.merge_shards().stream_name(&self.name).shard_to_merge(&shards[place].id);
        asked.adjacent_shard_to_merge(&shards[place + 1].id).send().await.unwrap();
        self.until_active().await;
    }

    /// The shards that records went to.
    pub(crate) fn shards_used(&self) -> usize {
        self.puts.iter().map(|put| &put.shard).collect::<BTreeSet<_>>().len()
    }

    /// Its ARN.
    pub(crate) async fn arn(&self) -> String {
        let asked = self.client.describe_stream_summary().stream_name(&self.name).send().await.unwrap();
        asked.stream_description_summary().unwrap().stream_arn().to_owned()
    }

    async fn until_active(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let asked = self.client.describe_stream_summary().stream_name(&self.name).send().await;
            let active = |asked: &aws_sdk_kinesis::operation::describe_stream_summary::DescribeStreamSummaryOutput| {
                asked.stream_description_summary().is_some_and(|stream| *stream.stream_status() == StreamStatus::Active)
            };
            if asked.as_ref().is_ok_and(active) {
                return;
            }
            assert!(Instant::now() < deadline, "{} does not become active: {asked:?}", self.name);
            sleep(Duration::from_millis(5)).await;
        }
    }
}

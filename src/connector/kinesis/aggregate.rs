//! KPL aggregates: many user records in one Kinesis record.
//!
//! Owns the format: four magic bytes, a protobuf message, and the MD5 sum of the message. What must stay true: a payload that
//! only looks like one (another sum, no such message, keys that are not in its tables) is a record like any other; the parts
//! of an aggregate share its bytes and copy none.

use bytes::Bytes;
use md5::{Digest, Md5};
use prost::Message;

const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
const SUM: usize = 16;

/// The message inside, as the KPL lays it down.
#[derive(Clone, PartialEq, Message)]
struct Aggregate {
    #[prost(string, repeated, tag = "1")]
    partition_keys: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    explicit_hash_keys: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<Packed>,
}

#[derive(Clone, PartialEq, Message)]
struct Packed {
    #[prost(uint64, tag = "1")]
    partition_key: u64,
    #[prost(uint64, optional, tag = "2")]
    explicit_hash_key: Option<u64>,
    #[prost(bytes = "bytes", tag = "3")]
    data: Bytes,
}

/// The range of hash keys that a shard holds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HashKeys {
    pub(super) first: u128,
    pub(super) last: u128,
}

impl HashKeys {
    /// All that there are.
    pub(super) const ALL: HashKeys = HashKeys { first: 0, last: u128::MAX };
}

/// A user record of an aggregate; none where it belongs to another shard.
pub(super) type Part = Option<Bytes>;

/// The user records of an aggregate, in order; `None` where the payload is none.
///
/// The KPL packs by what it last knew of the shards. After a split or a merge a part can lie in a shard whose hash keys do
/// not include its own; the KPL learns so from the answer and sends that part again, so here it is left out.
pub(super) fn open(payload: &Bytes, shard: HashKeys) -> Option<Vec<Part>> {
    let message = payload.strip_prefix(&MAGIC)?;
    let (message, sum) = message.split_at_checked(message.len().checked_sub(SUM)?)?;
    if Md5::digest(message)[..] != *sum {
        return None;
    }
    let aggregate = Aggregate::decode(payload.slice_ref(message)).ok()?;
    let hash_keys = HashKeysOf::new(&aggregate, shard)?;
    aggregate
        .records
        .iter()
        .map(|record| hash_keys.is_here(record).map(|here| here.then(|| record.data.clone())))
        .collect()
}

/// Which of an aggregate's keys are the shard's.
struct HashKeysOf {
    by_partition_key: Vec<bool>,
    by_explicit_key: Vec<bool>,
}

impl HashKeysOf {
    fn new(aggregate: &Aggregate, shard: HashKeys) -> Option<Self> {
        let here = |key: u128| (shard.first..=shard.last).contains(&key);
        let explicit = aggregate.explicit_hash_keys.iter().map(|key| key.parse().ok().map(here));
        let hashed = |key: &String| here(u128::from_be_bytes(Md5::digest(key.as_bytes()).into()));
        let all = shard == HashKeys::ALL;
        Some(HashKeysOf {
            by_partition_key: aggregate.partition_keys.iter().map(|key| all || hashed(key)).collect(),
            by_explicit_key: explicit.collect::<Option<_>>()?,
        })
    }

    /// None where the record names a key that is not in the tables.
    fn is_here(&self, record: &Packed) -> Option<bool> {
        let at = |table: &[bool], index: u64| table.get(usize::try_from(index).ok()?).copied();
        let by_partition_key = at(&self.by_partition_key, record.partition_key)?;
        match record.explicit_hash_key {
            Some(index) => at(&self.by_explicit_key, index),
            None => Some(by_partition_key),
        }
    }
}

#[cfg(test)]
#[path = "aggregate_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;

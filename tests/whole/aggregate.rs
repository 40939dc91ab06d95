//! Records packed into one as the Kinesis Producer Library packs them, byte by byte, so that nothing of the reader's own
//! reading of the format is in it: four magic bytes, a protobuf message, the MD5 of the message.

use md5::{Digest, Md5};

const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

/// A record of an aggregate.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) key: String,
    pub(crate) hash_key: Option<u128>,
    pub(crate) data: Vec<u8>,
}

/// An aggregate of these, as a payload.
pub(crate) fn aggregate(parts: &[Part]) -> Vec<u8> {
    sealed(&message(parts))
}

/// Anything, with the magic before it and its checksum behind it.
pub(crate) fn sealed(message: &[u8]) -> Vec<u8> {
    [&MAGIC, message, Md5::digest(message).as_slice()].concat()
}

/// The shard's hash key of a partition key.
pub(crate) fn hash_of(key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(key).into())
}

fn message(parts: &[Part]) -> Vec<u8> {
    let mut keys: Vec<&str> = Vec::new();
    let mut hash_keys: Vec<u128> = Vec::new();
    let mut records = Vec::new();
    for part in parts {
        let mut record = [vec![0x08], varint(index(&mut keys, &part.key))].concat();
        if let Some(hash_key) = part.hash_key {
            record.push(0x10);
            record.extend(varint(index(&mut hash_keys, hash_key)));
        }
        record.extend(field(3, &part.data));
        // A tag, which nobody reads.
        record.extend(field(4, &field(1, b"ignored")));
        records.extend(field(3, &record));
    }
    let keys: Vec<u8> = keys.iter().flat_map(|key| field(1, key.as_bytes())).collect();
    let hash_keys: Vec<u8> = hash_keys.iter().flat_map(|key| field(2, key.to_string().as_bytes())).collect();
    [keys, hash_keys, records].concat()
}

/// The place of a value in a table, put there where it is new.
fn index<T: PartialEq + Copy>(table: &mut Vec<T>, value: T) -> u64 {
    let place = table.iter().position(|other| *other == value).unwrap_or_else(|| {
        table.push(value);
        table.len() - 1
    });
    place as u64
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [vec![number << 3 | 2], varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

//! Aggregates put together by hand, byte by byte, so that reading is not tried on what its own code wrote. Would catch KPL
//! payloads passed on as garbage, an innocent payload taken apart, and a record that is counted in two shards or in none.

use super::*;

/// A field of a protobuf message: its number, and bytes.
fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![field << 3 | 2];
    let mut length = value.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    [out, value.to_vec()].concat()
}

fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

/// Partition key, explicit hash key, payload.
type User<'a> = (u8, Option<u8>, &'a [u8]);

fn message(keys: &[&str], explicit: &[&str], users: &[User<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    keys.iter().for_each(|key| out.extend(bytes(1, key.as_bytes())));
    explicit.iter().for_each(|key| out.extend(bytes(2, key.as_bytes())));
    for (key, explicit, payload) in users {
        let mut user = number(1, *key);
        user.extend(explicit.map(|key| number(2, key)).unwrap_or_default());
        user.extend(bytes(3, payload));
        // A tag, which nobody reads.
        user.extend(bytes(4, &bytes(1, b"tag")));
        out.extend(bytes(3, &user));
    }
    out
}

fn sealed(message: &[u8]) -> Bytes {
    [&MAGIC[..], message, &Md5::digest(message)[..]].concat().into()
}

fn texts(parts: Option<Vec<Part>>) -> Option<Vec<Option<String>>> {
    let text = |part: Part| part.map(|part| String::from_utf8(part.to_vec()).unwrap());
    parts.map(|parts| parts.into_iter().map(text).collect())
}

#[test]
fn user_records_come_out_in_order_and_share_the_bytes() {
    let long = "x".repeat(300);
    let payload = sealed(&message(&["a", "b"], &[], &[(0, None, b"one"), (1, None, b""), (0, None, long.as_bytes())]));
    let parts = open(&payload, HashKeys::ALL).unwrap();
    let inside = payload.as_ptr_range();
    assert!(inside.contains(&parts[2].as_ref().unwrap().as_ptr()), "a part was copied");
    assert_eq!(texts(Some(parts)).unwrap(), [Some("one".into()), Some(String::new()), Some(long)]);
}

#[test]
fn a_part_that_belongs_to_another_shard_is_left_out() {
    // MD5("a") is 0cc1…, MD5("b") is 92eb….
    let half = u128::MAX / 2;
    let (low, high) = (HashKeys { first: 0, last: half }, HashKeys { first: half + 1, last: u128::MAX });
    let explicit = [(half + 1).to_string(), "0".to_owned()];
    let explicit: Vec<&str> = explicit.iter().map(String::as_str).collect();
    let users: [User<'_>; 4] = [(0, None, b"a"), (1, None, b"b"), (0, Some(0), b"a up"), (1, Some(1), b"b down")];
    let payload = sealed(&message(&["a", "b"], &explicit, &users));
    let here = |shard| texts(open(&payload, shard)).unwrap().into_iter().collect::<Vec<_>>();
    assert_eq!(here(low), [Some("a".into()), None, None, Some("b down".into())]);
    assert_eq!(here(high), [None, Some("b".into()), Some("a up".into()), None]);
}

#[test]
fn what_only_looks_like_an_aggregate_is_a_record() {
    let whole = sealed(&message(&["a"], &["7"], &[(0, Some(0), b"one")]));
    assert!(open(&whole, HashKeys::ALL).is_some());
    for cut in 0..whole.len() {
        assert!(open(&whole.slice(..cut), HashKeys::ALL).is_none(), "cut after {cut} bytes");
        let mut other = whole.to_vec();
        other[cut] ^= 1;
        assert!(open(&other.into(), HashKeys::ALL).is_none(), "byte {cut} is another");
    }
    let wrong_key = message(&["a"], &[], &[(1, None, b"one")]);
    let wrong_explicit = message(&["a"], &["7"], &[(0, Some(1), b"one")]);
    let no_number = message(&["a"], &["seven"], &[(0, Some(0), b"one")]);
    for message in [&b"{\"json\": 1}"[..], &[0xFF; 9], &wrong_key, &wrong_explicit, &no_number] {
        assert!(open(&sealed(message), HashKeys::ALL).is_none(), "{message:?}");
    }
}

#[test]
fn an_aggregate_of_nothing_holds_nothing() {
    assert_eq!(open(&sealed(b""), HashKeys::ALL), Some(Vec::new()));
}

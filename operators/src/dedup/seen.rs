//! [`Seen`]: the keys of dedup as the log stores them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::columns::DedupSpec;
use super::{Key, horizon};
use crate::state::{Defined, Keeps};

/// Keys per batch and per chunk.
const ROWS: usize = 1 << 16;
const KEY_BYTES: i32 = 16;

static COLUMNS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("day", DataType::Int32, false),
        // Null in the row that stores the newest day.
        Field::new("key", DataType::FixedSizeBinary(KEY_BYTES), true),
    ]))
});

/// Keys by day of arrival, 16 bytes each.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// The newest day of any record, with a key or without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest: Option<i32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    days: BTreeMap<i32, Keys>,
}

/// Unordered. Full chunks are shared, never copied or grown: memory is 16 bytes a key.
#[derive(Clone, Debug, Default)]
struct Keys {
    chunks: Vec<Arc<[[u8; 16]]>>,
    /// Less than a chunk.
    open: Vec<[u8; 16]>,
}

impl Keys {
    fn push(&mut self, key: [u8; 16]) {
        self.open.push(key);
        if self.open.len() == ROWS {
            self.chunks.push(std::mem::take(&mut self.open).into());
        }
    }

    fn extend(&mut self, keys: &[[u8; 16]]) {
        keys.iter().for_each(|key| self.push(*key));
    }

    fn take_in(&mut self, newer: &Keys) {
        self.chunks.extend(newer.chunks.iter().cloned());
        self.extend(&newer.open);
    }

    fn len(&self) -> usize {
        self.parts().map(<[_]>::len).sum()
    }

    fn parts(&self) -> impl Iterator<Item = &[[u8; 16]]> {
        let open = Some(&*self.open).filter(|open| !open.is_empty());
        self.chunks.iter().map(|chunk| &**chunk).chain(open)
    }

    fn iter(&self) -> impl Iterator<Item = &[u8; 16]> {
        self.parts().flatten()
    }
}

impl Seen {
    pub(super) fn add(&mut self, day: i32, key: Key) {
        self.days.entry(day).or_default().push(key.to_be_bytes());
    }

    pub(super) fn met(&mut self, day: i32) {
        self.newest = self.newest.max(Some(day));
    }

    pub(super) fn forget_before(&mut self, day: i32) {
        self.days.retain(|of, _| *of >= day);
    }

    /// The newest day, and the keys by day in chunks, freed as they are taken. If there is a newest day, there is at least one
    /// chunk.
    pub(super) fn into_parts(self) -> (Option<i32>, impl Iterator<Item = (i32, Vec<Key>)>) {
        let newest = self.newest.map(|newest| (newest, Vec::new()));
        let parts = self.days.into_iter().flat_map(|(day, Keys { chunks, open })| {
            let open = Some(Arc::from(open)).filter(|open: &Arc<[[u8; 16]]>| !open.is_empty());
            let keys = |chunk: Arc<[[u8; 16]]>| chunk.iter().map(|key| Key::from_be_bytes(*key)).collect();
            chunks.into_iter().chain(open).map(move |chunk| (day, keys(chunk)))
        });
        (self.newest, newest.into_iter().chain(parts))
    }
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        let sorted = |keys: &Keys| keys.iter().copied().collect::<BTreeSet<_>>();
        self.len() == other.len() && sorted(self) == sorted(other)
    }
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        self.newest == other.newest && self.days == other.days
    }
}

impl Serialize for Keys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|key| format!("{:032x}", Key::from_be_bytes(*key))))
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = |text: &String| Key::from_str_radix(text, 16).map(Key::to_be_bytes);
        let mut keys = Keys::default();
        for text in Vec::<String>::deserialize(deserializer)? {
            keys.push(key(&text).map_err(serde::de::Error::custom)?);
        }
        Ok(keys)
    }
}

impl Keeps for Seen {
    const NAME: &'static str = "dedup";
    const COUNTS_BACK: bool = false;

    fn len(&self) -> usize {
        self.days.values().map(Keys::len).sum::<usize>() + usize::from(self.newest.is_some())
    }

    fn weight(&self) -> usize {
        self.days.values().map(Keys::len).sum::<usize>() * size_of::<[u8; 16]>()
    }

    fn take_in(&mut self, newer: &Self) {
        self.newest = self.newest.max(newer.newest);
        for (day, keys) in &newer.days {
            self.days.entry(*day).or_default().take_in(keys);
        }
    }

    /// Keys of other columns are useless. A longer `within` does not bring expired keys back.
    fn redefine(&mut self, _: &str, before: Option<&str>, now: &str) -> bool {
        let by = |definition: &str| DedupSpec::read(definition).map(|(_, by)| by.to_owned());
        let anew = before.is_none_or(|before| by(before) != by(now));
        if anew {
            *self = Seen::default();
        }
        anew
    }

    fn drop_part(&mut self, _: &str) -> bool {
        *self = Seen::default();
        true
    }

    fn compact(&mut self, defined: &Defined) {
        let within = defined.values().find_map(|definition| DedupSpec::read(definition)).map(|(within, _)| within);
        if let Some((newest, within)) = self.newest.zip(within) {
            self.forget_before(horizon(newest, within));
        }
    }

    fn columns() -> SchemaRef {
        COLUMNS.clone()
    }

    fn rows(&self) -> Box<dyn Iterator<Item = RecordBatch> + Send + '_> {
        let newest = self.newest.map(|newest| in_columns(newest, std::iter::once(None), 1));
        let keys = self
            .days
            .iter()
            .flat_map(|(day, keys)| keys.parts().map(|keys| in_columns(*day, keys.iter().map(Some), keys.len())));
        Box::new(newest.into_iter().chain(keys))
    }

    fn add_rows(&mut self, rows: &RecordBatch) -> Result<(), String> {
        if rows.schema().fields() != COLUMNS.fields() {
            return Err(format!("dedup has no columns {}", rows.schema()));
        }
        let (days, keys) = (rows.column(0).as_primitive::<Int32Type>(), rows.column(1).as_fixed_size_binary());
        for row in 0..rows.num_rows() {
            match keys.is_null(row) {
                true => self.met(days.value(row)),
                false => {
                    let key = keys.value(row).try_into().map_err(|_| "a key has no 16 bytes")?;
                    self.days.entry(days.value(row)).or_default().push(key);
                }
            }
        }
        Ok(())
    }
}

fn in_columns<'a>(day: i32, keys: impl Iterator<Item = Option<&'a [u8; 16]>>, rows: usize) -> RecordBatch {
    let mut column = FixedSizeBinaryBuilder::with_capacity(rows, KEY_BYTES);
    for key in keys {
        match key {
            // A key has as many bytes as the column says.
            Some(key) => column.append_value(key).unwrap_or_default(),
            None => column.append_null(),
        }
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(vec![day; rows])), Arc::new(column.finish())];
    #[expect(clippy::expect_used, reason = "both columns have a value for each key, of the type that the schema says")]
    RecordBatch::try_new(COLUMNS.clone(), columns).expect("keys fit their columns")
}

#[cfg(test)]
mod tests {
    //! Would catch a key that changes on its way through the log, and old keys that survive a new definition.

    use super::*;

    fn seen(days: &[(i32, &[Key])], newest: i32) -> Seen {
        let mut seen = Seen::default();
        for (day, keys) in days {
            keys.iter().for_each(|key| seen.add(*day, *key));
        }
        seen.met(newest);
        seen
    }

    #[test]
    fn keys_go_into_columns_and_into_json_and_come_back() {
        let many: Vec<Key> = (0..ROWS as u128 + 3).map(|n| n << 90 | n).collect();
        let all = seen(&[(19_000, &many), (19_001, &[Key::MAX, 0])], 19_005);
        let mut back = Seen::default();
        Keeps::rows(&all).for_each(|rows| back.add_rows(&rows).unwrap());
        assert!(back == all && back.len() == many.len() + 3);
        assert!(back.add_rows(&RecordBatch::new_empty(Arc::new(Schema::empty()))).is_err());
        let few = seen(&[(3, &[1, Key::MAX])], 4);
        let json = serde_json::to_string(&few).unwrap();
        assert_eq!(
            json,
            r#"{"newest":4,"days":{"3":["00000000000000000000000000000001","ffffffffffffffffffffffffffffffff"]}}"#
        );
        assert_eq!(serde_json::from_str::<Seen>(&json).unwrap(), few);
        let (newest, parts) = few.into_parts();
        assert_eq!((newest, parts.collect::<Vec<_>>()), (Some(4), vec![(4, vec![]), (3, vec![1, Key::MAX])]));
    }

    #[test]
    fn the_log_forgets_what_the_operator_forgets_and_begins_anew_with_other_columns() {
        let spec = |within, by: &str| DedupSpec { by: vec![by.to_owned()], within };
        let mut log = seen(&[(1, &[7]), (3, &[8])], 3);
        log.take_in(&seen(&[(3, &[9])], 5));
        log.compact(&spec(2, "id").defined());
        assert_eq!(log, seen(&[(3, &[9, 8])], 5));
        let text = |spec: DedupSpec| spec.defined().into_values().next().unwrap();
        let (two, nine, other) = (text(spec(2, "id")), text(spec(9, "id")), text(spec(2, "title")));
        log.redefine("keys", Some(&two), &nine);
        assert_eq!(log.len(), 3);
        log.redefine("keys", Some(&two), &other);
        assert_eq!(log, Seen::default());
    }
}

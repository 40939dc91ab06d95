//! [`Entries`]: entries of any operator behind one type, and the list of stateful operators.

use std::any::Any;
use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{Defined, Keeps, OperatorState};
use crate::average::AverageTotals;
use crate::dedup::Seen;

/// All stateful operators.
pub static KINDS: [Kind; 2] = [Kind::of::<AverageTotals>(), Kind::of::<Seen>()];

/// Finds a stateful operator by name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// A stateful operator.
pub struct Kind {
    /// Its name in the log.
    pub name: &'static str,
    /// See [`Keeps::COUNTS_BACK`].
    pub counts_back: bool,
    /// The columns of its entries.
    pub columns: fn() -> SchemaRef,
    none: fn() -> Box<dyn Kept>,
    read: fn(Value) -> serde_json::Result<Box<dyn Kept>>,
    /// See [`Keeps::from_before`].
    pub(super) from_before: fn(&[u8]) -> Option<OperatorState>,
}

impl Kind {
    const fn of<K: Keeps>() -> Self {
        Kind {
            name: K::NAME,
            counts_back: K::COUNTS_BACK,
            columns: K::columns,
            none: || Box::new(K::default()),
            read: |json| Ok(Box::new(serde_json::from_value::<K>(json)?)),
            from_before: K::from_before,
        }
    }

    /// No entries.
    pub fn none(&self) -> Entries {
        Entries((self.none)())
    }

    pub(super) fn read(&self, json: Value) -> serde_json::Result<Entries> {
        (self.read)(json).map(Entries)
    }
}

/// The object-safe part of [`Keeps`].
trait Kept: fmt::Debug + Send + Sync {
    fn name(&self) -> &'static str;
    fn len(&self) -> usize;
    fn weight(&self) -> usize;
    fn take_in(&mut self, newer: &dyn Any);
    fn redefine(&mut self, part: &str, before: Option<&str>, now: &str) -> bool;
    fn drop_part(&mut self, part: &str) -> bool;
    fn compact(&mut self, defined: &Defined);
    fn rows(&self) -> Box<dyn Iterator<Item = RecordBatch> + Send + '_>;
    fn add_rows(&mut self, rows: &RecordBatch) -> Result<(), String>;
    fn to_json(&self) -> serde_json::Result<Value>;
    fn is(&self, other: &dyn Any) -> bool;
    fn copied(&self) -> Box<dyn Kept>;
    fn as_any(&self) -> &dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<K: Keeps> Kept for K {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn len(&self) -> usize {
        Keeps::len(self)
    }

    fn weight(&self) -> usize {
        Keeps::weight(self)
    }

    fn take_in(&mut self, newer: &dyn Any) {
        if let Some(newer) = newer.downcast_ref() {
            Keeps::take_in(self, newer);
        }
    }

    fn redefine(&mut self, part: &str, before: Option<&str>, now: &str) -> bool {
        Keeps::redefine(self, part, before, now)
    }

    fn drop_part(&mut self, part: &str) -> bool {
        Keeps::drop_part(self, part)
    }

    fn compact(&mut self, defined: &Defined) {
        Keeps::compact(self, defined);
    }

    fn rows(&self) -> Box<dyn Iterator<Item = RecordBatch> + Send + '_> {
        Keeps::rows(self)
    }

    fn add_rows(&mut self, rows: &RecordBatch) -> Result<(), String> {
        Keeps::add_rows(self, rows)
    }

    fn to_json(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }

    fn is(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<K>().is_some_and(|other| other == self)
    }

    fn copied(&self) -> Box<dyn Kept> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// Entries of some operator.
pub struct Entries(Box<dyn Kept>);

impl Entries {
    pub fn new(entries: impl Keeps) -> Self {
        Entries(Box::new(entries))
    }

    /// The name of the operator.
    pub fn operator(&self) -> &'static str {
        self.0.name()
    }

    /// Downcasts.
    pub fn get<K: Keeps>(&self) -> Option<&K> {
        self.0.as_any().downcast_ref()
    }

    /// Downcasts by value; empty if they belong to another operator.
    pub fn take<K: Keeps>(self) -> K {
        self.0.into_any().downcast().map(|entries| *entries).unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// Approximate bytes of memory.
    pub fn weight(&self) -> usize {
        self.0.weight()
    }

    /// Merges newer entries of the same operator. Entries of another operator are ignored.
    pub fn take_in(&mut self, newer: &Entries) {
        self.0.take_in(newer.0.as_any());
    }

    pub(super) fn redefine(&mut self, part: &str, before: Option<&str>, now: &str) -> bool {
        self.0.redefine(part, before, now)
    }

    pub(super) fn drop_part(&mut self, part: &str) -> bool {
        self.0.drop_part(part)
    }

    pub(super) fn compact(&mut self, defined: &Defined) {
        self.0.compact(defined);
    }

    /// See [`Keeps::rows`].
    pub fn rows(&self) -> impl Iterator<Item = RecordBatch> + Send + '_ {
        self.0.rows()
    }

    /// See [`Keeps::add_rows`].
    pub fn add_rows(&mut self, rows: &RecordBatch) -> Result<(), String> {
        self.0.add_rows(rows)
    }
}

impl Clone for Entries {
    fn clone(&self) -> Self {
        Entries(self.0.copied())
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        self.0.is(other.0.as_any())
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Entries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = self.0.to_json().map_err(serde::ser::Error::custom)?;
        (self.operator(), json).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let (name, json) = <(String, Value)>::deserialize(deserializer)?;
        let kind = kind(&name).ok_or_else(|| D::Error::custom(format!("no operator {name} is known")))?;
        kind.read(json).map_err(D::Error::custom)
    }
}

/// The JSON of the entries, without the operator's name.
pub(super) fn bare(entries: &Entries) -> serde_json::Result<Value> {
    entries.0.to_json()
}

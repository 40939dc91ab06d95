//! [`Operators`]: the state of all operators, as a commit changes it and as the log adds it up.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::entries::{Entries, KINDS, bare, kind};
use super::{Defined, Keeps};
use crate::protocol::commit::ObjectRef;

/// The state of one operator: in a commit its changes, in the log's state all of it.
#[derive(Clone, Debug, Default)]
pub struct OperatorState {
    /// Definitions. A commit holds new and changed ones only.
    pub defined: Defined,
    /// Parts that were removed. Commits only.
    pub dropped: Vec<String>,
    /// `None` if there are none, or if they are in `objects` and were not loaded.
    pub entries: Option<Entries>,
    /// Where large entries are stored.
    pub objects: Vec<ObjectRef>,
}

/// The JSON form of [`OperatorState`]. Its key in the map, the operator's name, tells how to read the entries.
#[derive(Default, Serialize, Deserialize)]
struct Written<D, P, O> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    defined: Option<D>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dropped: Option<P>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entries: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    objects: Option<O>,
}

impl OperatorState {
    /// Whether it is empty in every respect.
    fn is_nothing(&self) -> bool {
        let OperatorState { defined, dropped, entries, objects } = self;
        let empty = entries.as_ref().is_none_or(Entries::is_empty);
        defined.is_empty() && dropped.is_empty() && empty && objects.is_empty()
    }

    /// Entries stored inline rather than in objects.
    fn beside(&self) -> Option<&Entries> {
        self.entries.as_ref().filter(|entries| self.objects.is_empty() && !entries.is_empty())
    }

    fn written(&self) -> serde_json::Result<Written<&Defined, &[String], &[ObjectRef]>> {
        let OperatorState { defined, dropped, objects, .. } = self;
        Ok(Written {
            defined: Some(defined).filter(|defined| !defined.is_empty()),
            dropped: Some(&**dropped).filter(|dropped| !dropped.is_empty()),
            entries: self.beside().map(bare).transpose()?,
            objects: Some(&**objects).filter(|objects| !objects.is_empty()),
        })
    }
}

/// State by operator name.
#[derive(Clone, Debug, Default)]
pub struct Operators(BTreeMap<String, OperatorState>);

/// Missing entries equal empty ones.
impl PartialEq for OperatorState {
    fn eq(&self, other: &Self) -> bool {
        fn some(change: &OperatorState) -> Option<&Entries> {
            change.entries.as_ref().filter(|entries| !entries.is_empty())
        }
        let same = self.defined == other.defined && self.dropped == other.dropped && self.objects == other.objects;
        same && some(self) == some(other)
    }
}

/// An operator with empty state equals a missing one.
impl PartialEq for Operators {
    fn eq(&self, other: &Self) -> bool {
        let some = |(_, change): &(&String, &OperatorState)| !change.is_nothing();
        self.0.iter().filter(some).eq(other.0.iter().filter(some))
    }
}

impl Operators {
    pub fn is_empty(&self) -> bool {
        self.0.values().all(OperatorState::is_nothing)
    }

    /// All operators.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OperatorState)> {
        self.0.iter().map(|(name, change)| (name.as_str(), change))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut OperatorState)> {
        self.0.iter_mut().map(|(name, change)| (name.as_str(), change))
    }

    /// The state of an operator, inserted if missing.
    pub fn of(&mut self, name: &str) -> &mut OperatorState {
        self.0.entry(name.to_owned()).or_default()
    }

    /// The entries of an operator, if loaded.
    pub fn get<K: Keeps>(&self) -> Option<&K> {
        self.0.get(K::NAME)?.entries.as_ref()?.get()
    }

    /// Removes and returns the entries of an operator.
    pub fn take<K: Keeps>(&mut self) -> K {
        self.0.get_mut(K::NAME).and_then(|change| change.entries.take()).map(Entries::take).unwrap_or_default()
    }

    /// The definitions of an operator.
    pub fn defined<K: Keeps>(&self) -> &Defined {
        static NONE: Defined = Defined::new();
        self.0.get(K::NAME).map_or(&NONE, |change| &change.defined)
    }

    /// Merges changes of an epoch.
    pub fn add(&mut self, entries: Entries) {
        let change = self.of(entries.operator());
        match &mut change.entries {
            Some(known) => known.take_in(&entries),
            none => *none = Some(entries),
        }
    }

    /// Merges more of the same commit.
    pub fn add_changes(&mut self, more: Operators) {
        for (name, OperatorState { defined, dropped, entries, objects }) in more.0 {
            let change = self.of(&name);
            change.defined.extend(defined);
            change.dropped.extend(dropped);
            change.objects.extend(objects);
            if let Some(entries) = entries {
                self.add(entries);
            }
        }
    }

    /// A copy without entries: small, whatever the operators keep.
    pub fn without_entries(&self) -> Self {
        let head = |(name, change): (&String, &OperatorState)| {
            (name.clone(), OperatorState { defined: change.defined.clone(), ..OperatorState::default() })
        };
        Operators(self.0.iter().map(head).collect())
    }

    /// A copy of what the commit object itself holds: entries in objects are left out.
    pub fn as_written(&self) -> Self {
        let written = |(name, change): (&String, &OperatorState)| {
            let OperatorState { defined, dropped, objects, .. } = change;
            let (defined, dropped, objects) = (defined.clone(), dropped.clone(), objects.clone());
            (name.clone(), OperatorState { defined, dropped, objects, entries: change.beside().cloned() })
        };
        Operators(self.0.iter().map(written).collect())
    }

    /// Total size of the objects.
    pub fn object_bytes(&self) -> u64 {
        self.0.values().flat_map(|change| &change.objects).map(|object| object.bytes).sum()
    }

    /// Merges a commit. `incomplete` lists the operators with entries in objects that were not loaded, and is kept up to date.
    pub(crate) fn take_in(&mut self, commit: &Operators, incomplete: &mut BTreeSet<String>) {
        for (name, change) in &commit.0 {
            let Some(kind) = kind(name) else { continue };
            let standing = self.of(name);
            let entries = standing.entries.get_or_insert_with(|| kind.none());
            let mut forgotten = false;
            for part in &change.dropped {
                standing.defined.remove(part);
                forgotten |= entries.drop_part(part);
            }
            for (part, now) in &change.defined {
                let before = standing.defined.insert(part.clone(), now.clone());
                forgotten |= entries.redefine(part, before.as_deref(), now);
            }
            if forgotten {
                incomplete.remove(name);
            }
            match &change.entries {
                Some(newer) => entries.take_in(newer),
                None if change.objects.is_empty() => {}
                None => {
                    incomplete.insert(name.clone());
                }
            }
            entries.compact(&standing.defined);
        }
    }

    /// Removes an operator.
    pub fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// The changes of a claim with the current definitions. `fresh`: no record was read yet.
    pub(crate) fn claimed(&self, now: &BTreeMap<String, Defined>, fresh: bool) -> Operators {
        let (mut claimed, none) = (Operators::default(), Defined::new());
        for kind in &KINDS {
            let before = self.0.get(kind.name).map_or(&none, |change| &change.defined);
            let now = now.get(kind.name).unwrap_or(&none);
            let dropped: Vec<String> = before.keys().filter(|part| !now.contains_key(*part)).cloned().collect();
            let mut defined = now.clone();
            // Parts computed from committed records are defined once that is done. With no records there is nothing to compute.
            match (fresh, kind.counts_back) {
                (true, true) => {}
                (false, true) => defined.clear(),
                (_, false) => defined.retain(|part, text| before.get(part) != Some(text)),
            }
            if !dropped.is_empty() || !defined.is_empty() {
                *claimed.of(kind.name) = OperatorState { defined, dropped, ..OperatorState::default() };
            }
        }
        claimed
    }

    /// Reads the state from an object of format 2 or older.
    pub fn from_before(json: &[u8]) -> Self {
        let said = KINDS.iter().filter_map(|kind| Some((kind.name.to_owned(), (kind.from_before)(json)?)));
        Operators(said.filter(|(_, change)| !change.is_nothing()).collect())
    }
}

impl Serialize for Operators {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let said = self.0.iter().filter(|(_, change)| !change.is_nothing());
        let written = said.map(|(name, change)| Ok((name, change.written()?)));
        written.collect::<serde_json::Result<BTreeMap<_, _>>>().map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Operators {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut operators = Operators::default();
        type Read = BTreeMap<String, Written<Defined, Vec<String>, Vec<ObjectRef>>>;
        for (name, written) in Read::deserialize(deserializer)? {
            let kind = kind(&name)
                .ok_or_else(|| D::Error::custom(format!("this build knows of no operator {name} that has state")))?;
            let Written { defined, dropped, entries, objects } = written;
            let entries = entries.map(|json| kind.read(json)).transpose().map_err(D::Error::custom)?;
            let (defined, dropped) = (defined.unwrap_or_default(), dropped.unwrap_or_default());
            operators.0.insert(name, OperatorState { defined, dropped, entries, objects: objects.unwrap_or_default() });
        }
        Ok(operators)
    }
}

#[cfg(test)]
mod tests {
    //! Would catch state that is taken for complete while objects are missing, entries that are written twice, and a claim that defines an
    //! average before it is computed.

    use super::*;
    use crate::average::{AverageId, AverageTotals, Total};
    use crate::dedup::{DedupSpec, Seen};

    fn averages() -> Entries {
        let id = AverageId { average: "words".into(), by: "overall".into(), ..AverageId::default() };
        Entries::new(AverageTotals::from_iter([(id, Total { sum: "7".into(), count: 3 })]))
    }

    fn in_objects() -> OperatorState {
        let object = ObjectRef { key: "state/3-g1-x-0.arrow.zst".into(), bytes: 9, crc: "c".into() };
        OperatorState { objects: vec![object], ..OperatorState::default() }
    }

    fn keys(within: u32, by: &str) -> Defined {
        DedupSpec { by: vec![by.into()], within }.defined()
    }

    fn of(name: &str, state: OperatorState) -> Operators {
        let mut operators = Operators::default();
        *operators.of(name) = state;
        operators
    }

    #[test]
    fn entries_are_written_inline_or_in_objects_and_never_in_both() {
        let inline = of("averages", OperatorState { entries: Some(averages()), ..OperatorState::default() });
        let json = serde_json::to_string(&inline).unwrap();
        assert_eq!(json, r#"{"averages":{"entries":[[{"average":"words","by":"overall"},{"sum":"7","count":3}]]}}"#);
        assert_eq!(serde_json::from_str::<Operators>(&json).unwrap(), inline);
        let both = of("averages", OperatorState { entries: Some(averages()), ..in_objects() });
        assert!(!serde_json::to_string(&both).unwrap().contains("entries"));
        assert_eq!((both.object_bytes(), both.as_written().get::<AverageTotals>()), (9, None));
        let nothing = of(
            "averages",
            OperatorState { entries: Some(kind("averages").unwrap().none()), ..OperatorState::default() },
        );
        assert!(nothing.is_empty() && nothing == Operators::default());
        let error = serde_json::from_str::<Operators>(r#"{"joins":{}}"#).unwrap_err().to_string();
        assert!(error.contains("no operator joins"), "{error}");
    }

    #[test]
    fn state_with_objects_that_were_not_loaded_stays_incomplete_until_it_starts_anew() {
        let (mut log, mut incomplete) = (Operators::default(), BTreeSet::new());
        let mut merge = |name: &str, state| {
            log.take_in(&of(name, state), &mut incomplete);
            incomplete.iter().cloned().collect::<Vec<String>>()
        };
        let defined = |defined| OperatorState { defined, ..OperatorState::default() };
        let dropped = |part: &str| OperatorState { dropped: vec![part.into()], ..OperatorState::default() };
        merge("dedup", defined(keys(7, "id")));
        assert_eq!(merge("dedup", in_objects()), ["dedup"]);
        assert_eq!(merge("dedup", defined(keys(3, "id"))), ["dedup"], "the keys live on");
        assert_eq!(merge("dedup", defined(keys(3, "title"))), [] as [String; 0]);
        assert_eq!(merge("dedup", in_objects()), ["dedup"]);
        assert_eq!(merge("dedup", dropped("keys")), [] as [String; 0]);
        merge("averages", defined(Defined::from([("words".into(), "of words".into())])));
        assert_eq!(merge("averages", in_objects()), ["averages"]);
        assert_eq!(merge("averages", dropped("words")), ["averages"], "removed averages are still shown");
    }

    #[test]
    fn a_claim_defines_what_needs_no_computing_and_drops_what_is_gone() {
        let words = Defined::from([("words".to_owned(), "of words".to_owned())]);
        let now = BTreeMap::from([("averages".to_owned(), words.clone()), ("dedup".to_owned(), keys(7, "id"))]);
        let mut log = Operators::default();
        let fresh = log.claimed(&now, true);
        assert_eq!((&fresh.0["averages"].defined, &fresh.0["dedup"].defined), (&words, &keys(7, "id")));
        let mut later = log.claimed(&now, false);
        assert_eq!((later.of("averages").defined.len(), &later.of("dedup").defined), (0, &keys(7, "id")));
        log.take_in(&fresh, &mut BTreeSet::new());
        assert!(log.claimed(&now, false).is_empty(), "nothing changed");
        let gone = log.claimed(&BTreeMap::new(), false);
        assert_eq!(
            (&*gone.0["averages"].dropped, &*gone.0["dedup"].dropped),
            (&["words".to_owned()][..], &["keys".to_owned()][..])
        );
        assert_eq!(log.get::<Seen>(), Some(&Seen::default()));
    }
}

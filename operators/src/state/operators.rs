//! What the log says of operators that have state: what a commit changes, and what all commits add up to.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::entries::{Entries, KINDS, bare, kind};
use super::{Defined, Keeps};
use crate::protocol::commit::ObjectRef;

/// Of one operator what a commit changes, or what the log adds up to.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Its parts. In a commit those alone that are new or not what they were.
    pub defined: Defined,
    /// Parts that the definition no longer has; in commits alone.
    pub dropped: Vec<String>,
    /// Its entries; `None` where there are none, or where they lie in `objects` and were not read.
    pub entries: Option<Entries>,
    /// Where the entries lie, when they are too many for the commit itself.
    pub objects: Vec<ObjectRef>,
}

/// [`Change`] as it is written down. The name of the operator, which says how its entries are read, stands before it.
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

impl Change {
    /// Whether it says nothing at all.
    fn is_nothing(&self) -> bool {
        let Change { defined, dropped, entries, objects } = self;
        let empty = entries.as_ref().is_none_or(Entries::is_empty);
        defined.is_empty() && dropped.is_empty() && empty && objects.is_empty()
    }

    /// The entries that are written down beside the rest: those that do not lie in objects.
    fn beside(&self) -> Option<&Entries> {
        self.entries.as_ref().filter(|entries| self.objects.is_empty() && !entries.is_empty())
    }

    fn written(&self) -> serde_json::Result<Written<&Defined, &[String], &[ObjectRef]>> {
        let Change { defined, dropped, objects, .. } = self;
        Ok(Written {
            defined: Some(defined).filter(|defined| !defined.is_empty()),
            dropped: Some(&**dropped).filter(|dropped| !dropped.is_empty()),
            entries: self.beside().map(bare).transpose()?,
            objects: Some(&**objects).filter(|objects| !objects.is_empty()),
        })
    }
}

/// By operator, what a commit changes or what the log adds up to.
#[derive(Clone, Debug, Default)]
pub struct Operators(BTreeMap<String, Change>);

/// No entries are as good as an empty list of them.
impl PartialEq for Change {
    fn eq(&self, other: &Self) -> bool {
        fn some(change: &Change) -> Option<&Entries> {
            change.entries.as_ref().filter(|entries| !entries.is_empty())
        }
        let same = self.defined == other.defined && self.dropped == other.dropped && self.objects == other.objects;
        same && some(self) == some(other)
    }
}

/// An operator of which nothing is said is as good as none.
impl PartialEq for Operators {
    fn eq(&self, other: &Self) -> bool {
        let some = |(_, change): &(&String, &Change)| !change.is_nothing();
        self.0.iter().filter(some).eq(other.0.iter().filter(some))
    }
}

impl Operators {
    pub fn is_empty(&self) -> bool {
        self.0.values().all(Change::is_nothing)
    }

    /// The operators with what is said of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Change)> {
        self.0.iter().map(|(name, change)| (name.as_str(), change))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Change)> {
        self.0.iter_mut().map(|(name, change)| (name.as_str(), change))
    }

    /// What is said of an operator.
    pub fn of(&mut self, name: &str) -> &mut Change {
        self.0.entry(name.to_owned()).or_default()
    }

    /// The entries of an operator, where there are any.
    pub fn get<K: Keeps>(&self) -> Option<&K> {
        self.0.get(K::NAME)?.entries.as_ref()?.get()
    }

    /// The same by value; none are left here.
    pub fn take<K: Keeps>(&mut self) -> K {
        self.0.get_mut(K::NAME).and_then(|change| change.entries.take()).map(Entries::take).unwrap_or_default()
    }

    /// The parts of an operator as they are defined.
    pub fn defined<K: Keeps>(&self) -> &Defined {
        static NONE: Defined = Defined::new();
        self.0.get(K::NAME).map_or(&NONE, |change| &change.defined)
    }

    /// Adds entries to what an epoch changed.
    pub fn add(&mut self, entries: Entries) {
        let change = self.of(entries.operator());
        match &mut change.entries {
            Some(known) => known.take_in(&entries),
            none => *none = Some(entries),
        }
    }

    /// Takes in more that the same commit says.
    pub fn add_changes(&mut self, more: Operators) {
        for (name, Change { defined, dropped, entries, objects }) in more.0 {
            let change = self.of(&name);
            change.defined.extend(defined);
            change.dropped.extend(dropped);
            change.objects.extend(objects);
            if let Some(entries) = entries {
                self.add(entries);
            }
        }
    }

    /// What is said without the entries: it is small however much is kept.
    pub fn without_entries(&self) -> Self {
        let head = |(name, change): (&String, &Change)| {
            (name.clone(), Change { defined: change.defined.clone(), ..Change::default() })
        };
        Operators(self.0.iter().map(head).collect())
    }

    /// What is written down of a commit, small however much changed: the rest lies in objects.
    pub fn as_written(&self) -> Self {
        let written = |(name, change): (&String, &Change)| {
            let Change { defined, dropped, objects, .. } = change;
            let (defined, dropped, objects) = (defined.clone(), dropped.clone(), objects.clone());
            (name.clone(), Change { defined, dropped, objects, entries: change.beside().cloned() })
        };
        Operators(self.0.iter().map(written).collect())
    }

    /// How many bytes the objects have that entries lie in.
    pub fn object_bytes(&self) -> u64 {
        self.0.values().flat_map(|change| &change.objects).map(|object| object.bytes).sum()
    }

    /// Takes in what a commit changes. `incomplete`: the operators of which some entries lie in objects that were not read;
    /// kept up to date.
    pub(crate) fn take_in(&mut self, commit: &Operators, incomplete: &mut BTreeSet<String>) {
        for (name, change) in &commit.0 {
            let Some(kind) = kind(name) else { continue };
            let standing = self.of(name);
            let entries = standing.entries.get_or_insert_with(|| kind.none());
            for part in &change.dropped {
                standing.defined.remove(part);
                entries.drop_part(part);
            }
            let mut goes_on: BTreeSet<&String> = standing.defined.keys().collect();
            let mut anew = Vec::new();
            for (part, now) in &change.defined {
                if entries.redefine(part, standing.defined.get(part).map(String::as_str), now) {
                    goes_on.remove(part);
                }
                anew.push((part.clone(), now.clone()));
            }
            if goes_on.is_empty() {
                // What is missing of entries before is missed no longer.
                incomplete.remove(name);
            }
            standing.defined.extend(anew);
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

    /// Forgets an operator.
    pub fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// What a claim says for the parts that are defined now; `fresh`: no record was read yet.
    pub(crate) fn claimed(&self, now: &BTreeMap<String, Defined>, fresh: bool) -> Operators {
        let (mut claimed, none) = (Operators::default(), Defined::new());
        for kind in &KINDS {
            let before = self.0.get(kind.name).map_or(&none, |change| &change.defined);
            let now = now.get(kind.name).unwrap_or(&none);
            let dropped: Vec<String> = before.keys().filter(|part| !now.contains_key(*part)).cloned().collect();
            let mut defined = now.clone();
            // What counts back is defined by the commit that says what it came to. As long as nothing was read, that is nothing.
            match (fresh, kind.counts_back) {
                (true, true) => {}
                (false, true) => defined.clear(),
                (_, false) => defined.retain(|part, text| before.get(part) != Some(text)),
            }
            if !dropped.is_empty() || !defined.is_empty() {
                *claimed.of(kind.name) = Change { defined, dropped, ..Change::default() };
            }
        }
        claimed
    }

    /// What an object of the log says in a format that knew of no operators.
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
            operators.0.insert(name, Change { defined, dropped, entries, objects: objects.unwrap_or_default() });
        }
        Ok(operators)
    }
}

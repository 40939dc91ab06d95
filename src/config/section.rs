//! A section of the file as a cursor that hands out typed values by key.
//!
//! Owns what is the same for every section: absent keys and their defaults, values of the wrong type, keys that do not
//! exist. A reading method always answers; where it had to complain, with a stand-in.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Located;
use super::key::{Absent, Key, Spec};
use super::reader::{Entry, Reader, in_file_order};
use super::scalar::{Fault, Scalar, nearest};
use super::secret;
use super::text::Text;

/// A section being read.
pub struct Section<'a> {
    pub(crate) reader: &'a Reader<'a>,
    spec: &'static Spec,
    /// `None` where the file does not have it.
    table: Option<&'a DeTable<'a>>,
    /// Where it begins.
    pub(crate) at: Located,
    /// Its path in [`super::Config::at`].
    path: String,
}

impl<'a> Section<'a> {
    /// The top of the file.
    pub(super) fn top(reader: &'a Reader<'a>, spec: &'static Spec, table: &'a DeTable<'a>) -> Self {
        Section { reader, spec, table: Some(table), at: reader.file(), path: String::new() }
    }

    /// A section of this name, there or not.
    pub(super) fn open(&self, name: &str, spec: &'static Spec) -> Section<'a> {
        let entry = self.entry(name);
        let mut at = entry.map_or_else(|| self.reader.file(), |(key, _)| self.reader.locate(key.span()));
        at.section = spec.heading.into();
        let table = entry.and_then(|(_, value)| {
            let table = value.get_ref().as_table();
            if table.is_none() {
                self.reader.report(at.error(format!("is a table; begin it with a line that says {}", spec.heading)));
            }
            table
        });
        self.reader.remember(name.to_owned(), at.clone());
        Section { reader: self.reader, spec, table, at, path: format!("{name}.") }
    }

    /// The sections of an array of tables, in the order of the file.
    pub(super) fn open_each(&self, name: &str, spec: &'static Spec) -> Vec<Section<'a>> {
        let Some((key, value)) = self.entry(name) else { return Vec::new() };
        let mut header = self.reader.locate(key.span());
        header.section = spec.heading.into();
        let tables: Option<Vec<_>> = value.get_ref().as_array().map(|items| {
            items.iter().filter_map(|item| item.get_ref().as_table().map(|table| (item, table))).collect()
        });
        let whole = |tables: &Vec<_>| Some(tables.len()) == value.get_ref().as_array().map(|items| items.len());
        let Some(tables) = tables.filter(whole) else {
            self.reader.report(header.error(format!("comes any number of times; begin each with {}", spec.heading)));
            return Vec::new();
        };
        let section = |(index, (item, table)): (usize, (&'a Spanned<DeValue<'a>>, &'a DeTable<'a>))| {
            let at = Located { section: spec.heading.into(), ..self.reader.locate(item.span()) };
            let path = format!("{name}.{index}");
            self.reader.remember(path.clone(), at.clone());
            Section { reader: self.reader, spec, table: Some(table), at, path: format!("{path}.") }
        };
        tables.into_iter().enumerate().map(section).collect()
    }

    /// Whether a section is written as a list, `[[name]]`.
    pub(super) fn is_list(&self, name: &str) -> bool {
        self.entry(name).is_some_and(|(_, value)| value.get_ref().is_array())
    }

    /// The same section, known to have these keys.
    pub(super) fn known_as(self, spec: &'static Spec) -> Self {
        Section { spec, ..self }
    }

    /// Whether the file has the section.
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// Whether the file has the key.
    pub fn has(&self, key: &Key) -> bool {
        self.entry(key.name).is_some()
    }

    /// All that the section says, in the order of the file: for sections whose keys are the user's own.
    pub(super) fn entries(&self) -> Vec<(Located, &'a Spanned<DeValue<'a>>)> {
        let entries = self.table.map(|table| in_file_order(table)).unwrap_or_default();
        entries.into_iter().map(|(key, value)| (self.place(key, key.get_ref()), value)).collect()
    }

    /// A value that has to be there, or has a default.
    pub fn get<T: Scalar>(&self, key: &Key) -> T {
        self.optional(key).unwrap_or_else(|| match key.absent {
            Absent::Means(default) => T::of(&Text::from(default)).unwrap_or_default(),
            Absent::Refused { .. } | Absent::Nothing { .. } => T::default(),
        })
    }

    /// A value that may be absent, where its key may; one whose variable is empty is absent too.
    pub fn optional<T: Scalar>(&self, key: &Key) -> Option<T> {
        let Some((at, value)) = self.value(key) else {
            self.check_absent(key);
            return None;
        };
        self.scalar(value, &at, |text| matches!(key.absent, Absent::Nothing { .. }) && text.is_unset())
    }

    /// Complains of a key that has to be there and is not.
    pub(super) fn check_absent(&self, key: &Key) {
        // Where the whole section is missing, that is said once, by whoever opened it.
        if matches!(key.absent, Absent::Refused { .. }) && self.is_there() && !self.has(key) {
            let problem = format!("is missing: {}; write {} = {}", key.what, key.name, key.example());
            self.reader.report(self.at.with_key(key.name).error(problem));
        }
    }

    /// A list of values; empty where it is absent.
    pub fn list<T: Scalar>(&self, key: &Key) -> Vec<(Located, T)> {
        let Some((at, value)) = self.value(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            let written = self.reader.written(value);
            self.reader.report(at.error(format!("{written} is not a list; write it as {} = [{written}]", key.name)));
            return Vec::new();
        };
        let item = |item: &Spanned<DeValue<'a>>| {
            let at = Located { key: at.key.clone(), section: at.section.clone(), ..self.reader.locate(item.span()) };
            self.scalar(item, &at, |_| false).map(|value| (at, value))
        };
        items.iter().filter_map(item).collect()
    }

    /// The value of a key with its place.
    pub(crate) fn value(&self, key: &Key) -> Option<(Located, &'a Spanned<DeValue<'a>>)> {
        debug_assert!(self.spec.keys.iter().any(|known| known.name == key.name), "{} is in no table", key.name);
        let (name, value) = self.entry(key.name)?;
        let at = self.place(name, key.name);
        self.reader.remember(format!("{}{}", self.path, key.name), at.clone());
        Some((at, value))
    }

    /// Where a key stands, or the section where it does not.
    pub fn at_key(&self, key: &Key) -> Located {
        self.value(key).map_or_else(|| self.at.with_key(key.name), |(at, _)| at)
    }

    /// Complains of a key, where it stands.
    pub fn report(&self, key: &Key, problem: impl Into<String>) {
        self.reader.report(self.at_key(key).error(problem));
    }

    /// Whether the file says anything under this name, of whatever kind.
    pub(super) fn mentions(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Ends the section: complains of every key that it does not have.
    pub(super) fn finish(self) {
        let entries = self.table.map(|table| in_file_order(table)).unwrap_or_default();
        for (key, _) in entries {
            if !self.spec.keys.iter().any(|known| known.name == key.get_ref().as_ref()) {
                self.unknown(key);
            }
        }
    }

    fn unknown(&self, key: &Spanned<std::borrow::Cow<'_, str>>) {
        let at = self.place(key, "");
        let name = key.get_ref().as_ref();
        let names = self.spec.keys.iter().map(|known| known.name);
        let subject = if self.spec.heading.is_empty() { "the top of the file " } else { "" };
        let problem = match nearest(name, names.clone()) {
            _ if secret::is_secret(name) => return self.reader.report(at.with_key(name).error(secret::WAY_OUT)),
            Some(near) => format!("{subject}has no key {name:?}; did you mean {near:?}?"),
            None => format!("{subject}has no key {name:?}; it has {}", names.collect::<Vec<_>>().join(", ")),
        };
        self.reader.report(at.error(problem));
    }

    fn scalar<T: Scalar>(
        &self,
        value: &Spanned<DeValue<'a>>,
        at: &Located,
        unset: impl Fn(&Text) -> bool,
    ) -> Option<T> {
        let fault = if T::takes(value.get_ref()) {
            let text = self.reader.text(value, at)?;
            if unset(&text) {
                return None;
            }
            match T::of(&text) {
                Ok(read) => return Some(read),
                Err(fault) => fault,
            }
        } else {
            Fault::Unlike
        };
        let written = self.reader.written(value);
        self.reader.report(at.error(match fault {
            Fault::Unlike => format!("{written} is not {}", T::wanted()),
            Fault::Said(said) => format!("{written} {said}"),
            Fault::Hidden(said) => said.to_owned(),
        }));
        None
    }

    fn entry(&self, name: &str) -> Option<Entry<'a, 'a>> {
        self.table?.get_key_value(name)
    }

    fn place(&self, key: &Spanned<std::borrow::Cow<'_, str>>, name: &str) -> Located {
        Located { section: self.at.section.clone(), key: name.into(), ..self.reader.locate(key.span()) }
    }
}

//! A pipeline file being read: where everything stands, and all that was found wrong so far.
//!
//! Owns the way from bytes in the file to line and column, variables, and the list of complaints. What must stay true:
//! reading goes on after a complaint with a stand-in value, so that one look tells all that is wrong; a stand-in never
//! leaves this folder, because a file with any complaint gives no configuration.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, ConfigErrors, Located};
use super::text::{Env, Text};

/// Where each key that was read stands, by its path.
pub(super) type Places = BTreeMap<String, Located>;

/// A file being read.
pub(crate) struct Reader<'a> {
    file: Arc<str>,
    source: &'a str,
    env: Env<'a>,
    problems: RefCell<Vec<ConfigError>>,
    places: RefCell<Places>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &str, source: &'a str, env: Env<'a>) -> Self {
        Reader { file: file.into(), source, env, problems: RefCell::default(), places: RefCell::default() }
    }

    /// Reads the text as TOML.
    pub(super) fn document(&self) -> Result<DeTable<'a>, ConfigErrors> {
        DeTable::parse(self.source).map(Spanned::into_inner).map_err(|error| self.syntax(&error).into())
    }

    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let at = self.locate(error.span().unwrap_or(0..0));
        let line = self.source.lines().nth(at.line.saturating_sub(1) as usize).unwrap_or_default();
        let mark = " ".repeat(at.column.saturating_sub(1) as usize);
        // A line that can hold a secret is not shown, however broken it is.
        let shown = !super::secret::is_secret_line(line) && line.chars().count() <= 200;
        let mut complaint = at.error(format!("this is not TOML: {}", error.message()));
        complaint.excerpt = shown.then(|| format!("  | {line}\n  | {mark}^"));
        complaint
    }

    /// The whole file as a place.
    pub(super) fn file(&self) -> Located {
        Located { file: self.file.clone(), ..Located::default() }
    }

    /// The place of a stretch of the source.
    pub(crate) fn locate(&self, span: Range<usize>) -> Located {
        let mut end = span.start.min(self.source.len());
        while !self.source.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.source[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Located { line: line as u32, column: column as u32, ..self.file() }
    }

    pub(crate) fn report(&self, problem: ConfigError) {
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn remember(&self, path: String, at: Located) {
        self.places.borrow_mut().insert(path, at);
    }

    /// Where a key that was read stands.
    pub(super) fn place(&self, path: &str) -> Option<Located> {
        self.places.borrow().get(path).cloned()
    }

    /// Ends reading: where things stand, or all that is wrong.
    pub(super) fn finish(self) -> Result<Places, ConfigErrors> {
        let problems = self.problems.into_inner();
        if problems.is_empty() { Ok(self.places.into_inner()) } else { Err(ConfigErrors::new(problems)) }
    }

    /// A value as the file has it, in one line and not too long.
    pub(super) fn written(&self, value: &Spanned<DeValue<'_>>) -> String {
        let written = self.source.get(value.span()).unwrap_or_default();
        let line = written.lines().next().unwrap_or_default();
        let short: String = line.chars().take(60).collect();
        if short.len() == written.len() { short } else { format!("{short}…") }
    }

    /// A single value as text, variables put in; `None` for lists and tables, and where a variable was wrong.
    pub(crate) fn text(&self, value: &Spanned<DeValue<'_>>, at: &Located) -> Option<Text> {
        match value.get_ref() {
            DeValue::String(written) => self.expand(written, at),
            DeValue::Integer(number) => Some(Text::from(decimal(number.as_str(), number.radix()).as_str())),
            DeValue::Float(number) => Some(Text::from(number.as_str())),
            DeValue::Boolean(value) => Some(Text::from(if *value { "true" } else { "false" })),
            DeValue::Datetime(time) => Some(Text::from(time.to_string().as_str())),
            DeValue::Array(_) | DeValue::Table(_) => None,
        }
    }

    fn expand(&self, written: &str, at: &Located) -> Option<Text> {
        let told = |problems: Vec<String>| problems.into_iter().for_each(|problem| self.report(at.error(problem)));
        Text::expand(written, self.env).map_err(told).ok()
    }

    /// A value as JSON, variables put in and tables in the order of the file.
    pub(super) fn json(&self, value: &Spanned<DeValue<'_>>, at: &Located) -> Value {
        match value.get_ref() {
            DeValue::Boolean(value) => Value::Bool(*value),
            DeValue::Array(items) => Value::Array(items.iter().map(|item| self.json(item, at)).collect()),
            DeValue::Table(table) => {
                let entries = in_file_order(table).into_iter();
                Value::Object(entries.map(|(key, value)| (key.get_ref().to_string(), self.json(value, at))).collect())
            }
            DeValue::Integer(_) | DeValue::Float(_) => self.json_number(value, at),
            DeValue::String(_) | DeValue::Datetime(_) => {
                Value::String(self.text(value, at).unwrap_or_default().as_str().to_owned())
            }
        }
    }

    fn json_number(&self, value: &Spanned<DeValue<'_>>, at: &Located) -> Value {
        let text = self.text(value, at).unwrap_or_default();
        let number = text.as_str().trim_start_matches('+');
        // What TOML calls a number and JSON does not (inf, nan, digits beyond any number) has no place in a record.
        number.parse().ok().map(Value::Number).unwrap_or_else(|| {
            self.report(at.error(format!("{} is not a number that JSON can hold", self.written(value))));
            Value::Null
        })
    }
}

/// A TOML integer of any radix as decimal digits; as it is where it is too large to be anything.
fn decimal(digits: &str, radix: u32) -> String {
    match radix {
        10 => digits.trim_start_matches('+').to_owned(),
        _ => i128::from_str_radix(digits, radix).map_or_else(|_| digits.to_owned(), |number| number.to_string()),
    }
}

/// An entry of a table.
pub(super) type Entry<'t, 'i> = (&'t Spanned<std::borrow::Cow<'i, str>>, &'t Spanned<DeValue<'i>>);

/// The entries of a table as the file has them; the parser sorts by name.
pub(super) fn in_file_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Entry<'t, 'i>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

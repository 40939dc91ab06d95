//! What is wrong with an expression, where, and in whose words.
//!
//! Owns the error and the translation of what parser, planner and kernels say into the words of `[schema]`. A message is
//! one line, and short: it may quote a value, never a whole record.

use std::fmt;

use datafusion_common::DataFusionError;
use datafusion_sql::sqlparser::parser::ParserError;
use datafusion_sql::sqlparser::tokenizer::{Location, TokenizerError};
use thiserror::Error;

/// The longest message, in characters. Kernels quote the value that they choked on, and that may be a whole text.
const LONGEST: usize = 240;

/// Why an expression does not compile.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}{}", place.map(|place| format!(" ({place})")).unwrap_or_default())]
pub struct ExpressionError {
    /// What was wrong, and the way out where there is one.
    pub message: String,
    /// Where in the expression, if it can be told.
    pub place: Option<Place>,
}

/// A place in the text of an expression; both numbers begin at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: u64,
    pub character: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            1 => write!(f, "at character {}", self.character),
            line => write!(f, "at line {line}, character {}", self.character),
        }
    }
}

impl Place {
    /// Where `text` ends.
    pub(super) fn end_of(text: &str) -> Self {
        let last = text.rsplit('\n').next().unwrap_or_default();
        Place { line: text.split('\n').count() as u64, character: last.chars().count() as u64 + 1 }
    }
}

impl ExpressionError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        ExpressionError { message: message.into(), place: None }
    }

    /// The same at a place; the parser's location 0:0 stands for none.
    pub(super) fn at(mut self, location: Location) -> Self {
        self.place = (location.line > 0).then_some(Place { line: location.line, character: location.column });
        self
    }
}

impl From<TokenizerError> for ExpressionError {
    fn from(error: TokenizerError) -> Self {
        ExpressionError::new(format!("not SQL: {}", lower_first(&error.message))).at(error.location)
    }
}

impl From<ParserError> for ExpressionError {
    fn from(error: ParserError) -> Self {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
            ParserError::RecursionLimitExceeded => "it is nested too deep; split it in two".into(),
        };
        // The parser writes the place into its text: `… at Line: 1, Column: 8`.
        let (message, place) = match text.rsplit_once(" at Line: ") {
            Some((message, place)) => (message, location(place)),
            None => (text.as_str(), None),
        };
        let message =
            lower_first(message).replace("expected: ", "expected ").replace(", found: EOF", " before it ends");
        let error = ExpressionError::new(format!("not SQL: {message}"));
        match place {
            Some(place) => error.at(place),
            None => error,
        }
    }
}

fn location(text: &str) -> Option<Location> {
    let (line, column) = text.split_once(", Column: ")?;
    Some(Location { line: line.parse().ok()?, column: column.parse().ok()? })
}

impl From<DataFusionError> for ExpressionError {
    fn from(error: DataFusionError) -> Self {
        ExpressionError::new(plain(&error))
    }
}

/// An error of the libraries below in one short line of our words.
pub(super) fn plain(error: &DataFusionError) -> String {
    let root = match error.find_root() {
        DataFusionError::ArrowError(error, _) => error.to_string(),
        other => other.message().into_owned(),
    };
    let text = root.split(DataFusionError::BACK_TRACE_SEP).next().unwrap_or_default();
    let line = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    shorten(&in_our_words(&line))
}

/// Arrow's names of types, and ours; longer ones first where one begins with another.
const TYPES: [(&str, &str); 12] = [
    ("Timestamp(µs, \"UTC\")", "timestamp"),
    ("Timestamp(Microsecond, Some(\"UTC\"))", "timestamp"),
    ("LargeUtf8", "string"),
    ("Utf8View", "string"),
    ("Utf8", "string"),
    ("String", "string"),
    ("Int64", "int64"),
    ("Int32", "int32"),
    ("Float64", "float64"),
    ("Boolean", "bool"),
    ("Date32", "date"),
    ("Decimal128", "decimal"),
];

/// Replaces Arrow's names of types, where they stand as words of their own.
pub(super) fn in_our_words(text: &str) -> String {
    let mut words = text.to_owned();
    for (theirs, ours) in TYPES {
        words = replace_word(&words, theirs, ours);
    }
    words
}

fn replace_word(text: &str, from: &str, to: &str) -> String {
    let part_of_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let (mut replaced, mut rest) = (String::new(), text);
    while let Some(start) = rest.find(from) {
        let (before, found) = rest.split_at(start);
        let after = &found[from.len()..];
        let inside = part_of_word(before.chars().next_back()) || part_of_word(after.chars().next());
        replaced.push_str(before);
        replaced.push_str(if inside { from } else { to });
        rest = after;
    }
    replaced + rest
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Cuts a message that has grown too long.
pub(super) fn shorten(message: &str) -> String {
    match message.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

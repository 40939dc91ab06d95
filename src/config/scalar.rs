//! What a single value can be: a string, a number, yes or no, one of some words.
//!
//! Owns how text becomes a typed value. TOML's own numbers and booleans are taken as they are, and as strings too, because
//! a variable can only stand in a string: `rate = "${RATE:-100}"`.

use std::fmt;
use std::net::SocketAddr;

use chrono::{DateTime, SecondsFormat};
use toml::de::DeValue;

use super::text::Text;

/// Why text is not a value of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not look like one: [`Scalar::WANTED`] says it all.
    Unlike,
    /// Something of its own, to be said after the quoted value.
    Said(String),
    /// Something of its own, about a value that must not be quoted.
    Hidden(&'static str),
}

/// A type that a single value of the file can have.
pub trait Scalar: Default {
    /// Goes after "is not".
    const WANTED: &'static str;

    /// The same, where it has to be put together.
    fn wanted() -> String {
        Self::WANTED.to_owned()
    }

    /// Whether a TOML value of this kind can be one.
    fn takes(value: &DeValue<'_>) -> bool {
        value.is_str()
    }

    /// Reads what the value stands for.
    fn read(text: &str) -> Result<Self, Fault>;

    /// Reads a value that knows how it was written.
    fn of(text: &Text) -> Result<Self, Fault> {
        Self::read(text.as_str())
    }
}

/// A type with a few values, each a word.
pub trait Words: Copy + 'static {
    const WORDS: &'static [(&'static str, Self)];

    /// The word for this value.
    fn word(self) -> &'static str
    where
        Self: PartialEq,
    {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

impl<T: Words + Default> Scalar for T {
    const WANTED: &'static str = "a word";

    fn wanted() -> String {
        format!("one of {}", quoted(Self::WORDS.iter().map(|w| w.0)))
    }

    fn read(text: &str) -> Result<Self, Fault> {
        let found = Self::WORDS.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| Fault::Said(no_such_word(text, Self::WORDS.iter().map(|w| w.0))))
    }
}

/// Says which words there are, and which of them was probably meant.
pub(super) fn no_such_word(text: &str, words: impl Iterator<Item = &'static str> + Clone) -> String {
    let all = quoted(words.clone());
    match nearest(text, words) {
        Some(word) => format!("is none of {all}; did you mean {word:?}?"),
        None => format!("is none of {all}"),
    }
}

pub(super) fn quoted(words: impl Iterator<Item = &'static str>) -> String {
    words.map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

/// The name that was probably meant, if any is near.
pub(super) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let folded = name.to_lowercase();
    let near = |candidate: &&str| strsim::damerau_levenshtein(&folded, &candidate.to_lowercase());
    let allowed = |distance: usize| distance <= (name.chars().count() / 3).clamp(1, 3);
    names.map(|name| (near(&name), name)).filter(|(distance, _)| allowed(*distance)).min().map(|(_, name)| name)
}

impl Scalar for Text {
    const WANTED: &'static str = "a string";

    fn read(text: &str) -> Result<Self, Fault> {
        Ok(Text::from(text))
    }

    fn of(text: &Text) -> Result<Self, Fault> {
        Ok(text.clone())
    }
}

impl Scalar for bool {
    const WANTED: &'static str = "true or false";

    fn takes(value: &DeValue<'_>) -> bool {
        value.is_str() || value.is_bool()
    }

    fn read(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|_| Fault::Unlike)
    }
}

impl Scalar for u64 {
    const WANTED: &'static str = "a whole number of 0 or more";

    fn takes(value: &DeValue<'_>) -> bool {
        value.is_str() || is_integer(value)
    }

    fn read(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|_| Fault::Unlike)
    }
}

/// A whole number of at least one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtLeastOne(pub u32);

impl Scalar for AtLeastOne {
    const WANTED: &'static str = "a whole number of 1 or more";

    fn takes(value: &DeValue<'_>) -> bool {
        u64::takes(value)
    }

    fn read(text: &str) -> Result<Self, Fault> {
        text.parse().ok().filter(|number| *number > 0).map(AtLeastOne).ok_or(Fault::Unlike)
    }
}

/// A number above zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate(pub f64);

impl Scalar for Rate {
    const WANTED: &'static str = "a number above 0";

    fn takes(value: &DeValue<'_>) -> bool {
        value.is_str() || value.is_float() || is_integer(value)
    }

    fn read(text: &str) -> Result<Self, Fault> {
        let above_zero = |number: &f64| number.is_finite() && *number > 0.0;
        text.parse().ok().filter(above_zero).map(Rate).ok_or(Fault::Unlike)
    }
}

/// A part of a whole, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share(pub f64);

impl Scalar for Share {
    const WANTED: &'static str = "a share; write a number from 0 to 1";

    fn takes(value: &DeValue<'_>) -> bool {
        Rate::takes(value)
    }

    fn read(text: &str) -> Result<Self, Fault> {
        text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).map(Share).ok_or(Fault::Unlike)
    }
}

/// A moment: microseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment(pub i64);

impl Scalar for Moment {
    const WANTED: &'static str = "a time with its zone; write it as 2024-02-28T10:00:00Z";

    fn takes(value: &DeValue<'_>) -> bool {
        value.is_str() || matches!(value, DeValue::Datetime(_))
    }

    fn read(text: &str) -> Result<Self, Fault> {
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| Fault::Unlike)?;
        Ok(Moment(time.timestamp_micros()))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_micros(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(f, "{}", self.0),
        }
    }
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Listen(pub(super) Option<SocketAddr>);

impl Scalar for Listen {
    const WANTED: &'static str =
        "an address to listen on; write it as 127.0.0.1:9464, or 0.0.0.0:9464 for every interface";

    fn read(text: &str) -> Result<Self, Fault> {
        let numeric =
            text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
        numeric.parse().map(|address| Listen(Some(address))).map_err(|_| Fault::Unlike)
    }
}

/// The address of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint(pub Text);

impl Scalar for Endpoint {
    const WANTED: &'static str = "the address of a service; write it as http://127.0.0.1:9000 or https://host";

    fn read(text: &str) -> Result<Self, Fault> {
        let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
            return Err(Fault::Unlike);
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        match host {
            "" => Err(Fault::Unlike),
            host if host.contains('@') => Err(Fault::Hidden(
                "a user or password in an address would show in logs; take it out and use the service's own credentials",
            )),
            _ => Ok(Endpoint(Text::from(text))),
        }
    }

    fn of(text: &Text) -> Result<Self, Fault> {
        Self::read(text.as_str()).map(|_| Endpoint(text.clone()))
    }
}

pub(super) fn is_integer(value: &DeValue<'_>) -> bool {
    value.is_integer()
}

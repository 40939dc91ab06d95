//! A type of source, as a pipeline file names it: `type = "kafka"`.
//!
//! ```text
//! [source] ─ read ─→ T ─┬─ origin, carries, shown, fetches_ahead, location  (columns, formats, `plan`, memory)
//!                       ├─ form ─→ Form ─→ JSON in the log ─→ Form ─ under ─→ T  (the definition)
//!                       └─ connect ─→ dyn Source
//! ```
//!
//! Owns the trait that a connector implements in its own folder ([`SourceType`]), and the objects that the rest of the program
//! handles: [`SourceKind`], a line of the list in [`super::registry`], and [`Configured`], a source that was read from a file. What
//! must stay true:
//!
//! - Outside of its folder only that list names a connector.
//! - Later releases read the JSON of a [`SourceType::Form`]: fields are added, and never get another meaning. It holds no secret.
//!
#![doc = include_str!("../../docs/adding-a-connector.md")]

use std::any::Any;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use millstream_operators::Column;
use millstream_operators::decode::origin_everywhere;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::config::{Besides, Config, Fact, Location, Past, Section, Spec};
use crate::connector::{Bounds, Source};
use crate::exit::Fatal;

/// What a source hands over. It decides which formats fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// Each record is a message of its own.
    Messages,
    /// Records are parts of files.
    Files,
    /// Records are made by the source itself, as JSON.
    Json,
}

/// How much of an earlier source a later one still reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    All,
    Some,
    None,
}

impl Kept {
    /// All, or at least some.
    pub fn of(all: bool, some: bool) -> Self {
        match (all, some) {
            (true, _) => Kept::All,
            (false, true) => Kept::Some,
            (false, false) => Kept::None,
        }
    }
}

/// What a source is connected with.
#[derive(Clone, Copy)]
pub struct Connecting<'a> {
    pub config: &'a Config,
    /// The columns of the origin that the pipeline uses.
    pub origin: &'a [Column],
    pub bounds: Bounds,
    pub clock: &'a Clock,
}

/// A type of source.
#[async_trait]
pub trait SourceType: Clone + Debug + Default + PartialEq + Send + Sync + 'static {
    /// The value of `type`.
    const WORD: &'static str;
    /// The keys of the section, [`crate::config::SOURCE_TYPE`] first.
    const SPEC: Spec;
    /// What decides which records are read. Connections and credentials are not part of it.
    type Form: Serialize + DeserializeOwned + PartialEq;

    /// Reads the section, and reports errors to it.
    fn read(section: &Section<'_>) -> Self;

    /// The form. Adds to `besides` what all processes of a cluster must agree on as well.
    fn form(&self, besides: &mut Besides<'_>) -> Self::Form;

    /// The source of a past form, connected as `now` is: the source of the file, or `None` if that has another type.
    fn under(form: Self::Form, now: Option<&Self>, past: &mut Past<'_>) -> Self;

    /// What it reads, for `plan`.
    fn shown(&self) -> String;

    async fn connect(&self, with: Connecting<'_>) -> Result<Arc<dyn Source>, Fatal>;

    /// The columns with the origin of a record.
    fn origin(&self) -> Vec<Column> {
        origin_everywhere().into()
    }

    fn carries(&self) -> Carries {
        Carries::Messages
    }

    /// Whether its client fetches records ahead of time. If so, a part of the memory is reserved for them.
    fn fetches_ahead(&self) -> bool {
        false
    }

    /// The folder or bucket that it reads, which no sink may contain.
    fn location(&self) -> Option<&Location> {
        None
    }

    /// The form in a few words, for messages.
    fn described(_form: &Self::Form) -> String {
        Self::WORD.to_owned()
    }

    /// The keys of a form and their values. A start announces those that changed.
    fn facts(form: &Self::Form) -> Vec<Fact> {
        let form = serde_json::to_value(form).unwrap_or_default();
        form.as_object().into_iter().flatten().map(|(name, value)| Fact::json(name.as_str(), value)).collect()
    }

    /// How much of `before` is still read by `now`.
    fn kept(before: &Self::Form, now: &Self::Form) -> Kept {
        Kept::of(before == now, false)
    }

    /// Phrases for changes that [`SourceType::facts`] does not cover.
    fn changes(_before: &Self::Form, _now: &Self::Form) -> Vec<String> {
        Vec::new()
    }
}

/// A type of source as an object: a line of the registry.
pub trait SourceKind: Sync {
    fn word(&self) -> &'static str;
    fn spec(&self) -> &'static Spec;
    fn read(&self, section: &Section<'_>) -> Arc<dyn Configured>;
    /// A placeholder.
    fn stand_in(&self) -> Arc<dyn Configured>;
    /// The JSON of a form as this build writes it.
    fn normal(&self, form: &Value) -> Result<Value, serde_json::Error>;
    /// See [`SourceType::under`]. The JSON of forms is [`SourceKind::normal`] here and below.
    fn under(&self, form: &Value, now: &dyn Configured, past: &mut Past<'_>) -> Arc<dyn Configured>;
    fn described(&self, form: &Value) -> String;
    fn facts(&self, form: &Value) -> Vec<Fact>;
    fn kept(&self, before: &Value, now: &Value) -> Kept;
    fn changes(&self, before: &Value, now: &Value) -> Vec<String>;
}

/// A source of any type, read from a file.
#[async_trait]
pub trait Configured: Debug + Send + Sync {
    /// The value of `type`.
    fn word(&self) -> &'static str;
    fn form(&self, besides: &mut Besides<'_>) -> Value;
    fn shown(&self) -> String;
    fn origin(&self) -> Vec<Column>;
    fn carries(&self) -> Carries;
    fn fetches_ahead(&self) -> bool;
    fn location(&self) -> Option<&Location>;
    fn equals(&self, other: &dyn Configured) -> bool;
    fn as_any(&self) -> &dyn Any;
    async fn connect(&self, with: Connecting<'_>) -> Result<Arc<dyn Source>, Fatal>;
}

/// The object of a type.
pub struct Kind<T>(PhantomData<fn() -> T>);

impl<T: SourceType> Kind<T> {
    pub const NEW: Self = Kind(PhantomData);

    #[expect(clippy::expect_used, reason = "only forms that `normal` gave come here")]
    fn form(json: &Value) -> T::Form {
        serde_json::from_value(json.clone()).expect("a form in its normal JSON")
    }

    /// The object of a form, which begins with its type.
    #[expect(clippy::expect_used, reason = "a form is a struct of texts and numbers")]
    fn json(form: &T::Form) -> Value {
        let mut object = Map::from_iter([("type".to_owned(), Value::from(T::WORD))]);
        let form = serde_json::to_value(form).expect("a form has a JSON form");
        object.extend(form.as_object().cloned().unwrap_or_default());
        Value::Object(object)
    }
}

impl<T: SourceType> SourceKind for Kind<T> {
    fn word(&self) -> &'static str {
        T::WORD
    }

    fn spec(&self) -> &'static Spec {
        &const { T::SPEC }
    }

    fn read(&self, section: &Section<'_>) -> Arc<dyn Configured> {
        Arc::new(T::read(section))
    }

    fn stand_in(&self) -> Arc<dyn Configured> {
        Arc::new(T::default())
    }

    fn normal(&self, form: &Value) -> Result<Value, serde_json::Error> {
        serde_json::from_value::<T::Form>(form.clone()).map(|form| Self::json(&form))
    }

    fn under(&self, form: &Value, now: &dyn Configured, past: &mut Past<'_>) -> Arc<dyn Configured> {
        Arc::new(T::under(Self::form(form), of_type(now), past))
    }

    fn described(&self, form: &Value) -> String {
        T::described(&Self::form(form))
    }

    fn facts(&self, form: &Value) -> Vec<Fact> {
        T::facts(&Self::form(form))
    }

    fn kept(&self, before: &Value, now: &Value) -> Kept {
        T::kept(&Self::form(before), &Self::form(now))
    }

    fn changes(&self, before: &Value, now: &Value) -> Vec<String> {
        T::changes(&Self::form(before), &Self::form(now))
    }
}

#[async_trait]
impl<T: SourceType> Configured for T {
    fn word(&self) -> &'static str {
        T::WORD
    }

    fn form(&self, besides: &mut Besides<'_>) -> Value {
        Kind::<T>::json(&SourceType::form(self, besides))
    }

    fn shown(&self) -> String {
        SourceType::shown(self)
    }

    fn origin(&self) -> Vec<Column> {
        SourceType::origin(self)
    }

    fn carries(&self) -> Carries {
        SourceType::carries(self)
    }

    fn fetches_ahead(&self) -> bool {
        SourceType::fetches_ahead(self)
    }

    fn location(&self) -> Option<&Location> {
        SourceType::location(self)
    }

    fn equals(&self, other: &dyn Configured) -> bool {
        of_type(other) == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    async fn connect(&self, with: Connecting<'_>) -> Result<Arc<dyn Source>, Fatal> {
        SourceType::connect(self, with).await
    }
}

/// The section of a source that is of type `T`.
pub fn of_type<T: SourceType>(source: &dyn Configured) -> Option<&T> {
    source.as_any().downcast_ref()
}

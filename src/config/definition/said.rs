//! A text of the file in a definition: what it means, and beside it what was written, where a variable stands in it.
//!
//! What must stay true: only the meaning is compared; only what was written is shown.

use std::cmp::Ordering;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::config::text::Text;

/// A text of the file.
#[derive(Clone, Debug, Default)]
pub struct Said(pub Text);

/// How it is written down: plainly, unless there is more to say than its meaning.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Plain(String),
    Variable { value: String, written: String },
}

impl Said {
    /// What it stands for.
    pub fn meant(&self) -> &str {
        self.0.as_str()
    }

    /// What the file says.
    pub fn shown(&self) -> &str {
        self.0.written()
    }

    /// Another meaning for the same writing: a shorter name of the same thing.
    pub fn meaning(text: &Text, meant: &str) -> Self {
        Said(if text.is_variable() { Text::of(meant, text.written()) } else { Text::from(meant) })
    }
}

impl From<&Text> for Said {
    fn from(text: &Text) -> Self {
        Said(text.clone())
    }
}

impl From<&str> for Said {
    fn from(text: &str) -> Self {
        Said(Text::from(text))
    }
}

impl From<Said> for Text {
    fn from(said: Said) -> Self {
        said.0
    }
}

impl PartialEq for Said {
    fn eq(&self, other: &Self) -> bool {
        self.meant() == other.meant()
    }
}

impl Eq for Said {}

impl Ord for Said {
    fn cmp(&self, other: &Self) -> Ordering {
        self.meant().cmp(other.meant())
    }
}

impl PartialOrd for Said {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Said {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (value, written) = (self.meant().to_owned(), self.shown().to_owned());
        let form = if self.0.is_variable() { Form::Variable { value, written } } else { Form::Plain(value) };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Said(match Form::deserialize(deserializer)? {
            Form::Plain(text) => Text::from(text.as_str()),
            Form::Variable { value, written } => Text::of(&value, &written),
        }))
    }
}

/// The same JSON with the meaning alone of each text.
pub(super) fn meant(json: Value) -> Value {
    one_of_both("value", json)
}

/// The same JSON with each text as it was written.
pub(super) fn shown(json: Value) -> Value {
    one_of_both("written", json)
}

fn one_of_both(key: &str, json: Value) -> Value {
    match json {
        Value::Object(mut object) if is_variable(&object) => object.remove(key).unwrap_or_default(),
        Value::Object(object) => {
            Value::Object(object.into_iter().map(|(name, value)| (name, one_of_both(key, value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|item| one_of_both(key, item)).collect()),
        plain => plain,
    }
}

/// Whether an object is [`Form::Variable`].
fn is_variable(object: &Map<String, Value>) -> bool {
    object.len() == 2 && object.contains_key("written") && object.contains_key("value")
}

#[cfg(test)]
mod tests {
    //! Would catch the value of a variable in what is shown, and its name in what is compared.
    use serde_json::json;

    use super::*;

    #[test]
    fn a_variable_has_two_sides() {
        let json = json!({ "a": [{ "value": "hunter2", "written": "${SECRET}" }, "plain"], "written": { "b": 1 } });
        assert_eq!(meant(json.clone()), json!({ "a": ["hunter2", "plain"], "written": { "b": 1 } }));
        assert_eq!(shown(json), json!({ "a": ["${SECRET}", "plain"], "written": { "b": 1 } }));
    }
}

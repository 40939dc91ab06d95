//! What is wrong with one record, on its way to becoming a [`Refusal`].
//!
//! Owns how a fault names its field and how a value is quoted in a message. The path grows from the inside out, so that
//! nothing is paid for it while records are good. What must stay true: a message is one line and never holds a whole record.

use std::fmt::Write as _;

use crate::reject::{Reason, Refusal};

/// How much of a value a message shows.
const SHOWN: usize = 32;

/// One record's first fault.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    reason: Reason,
    path: String,
    message: String,
}

impl Fault {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Box<Self> {
        Box::new(Fault { reason, path: String::new(), message: message.into() })
    }

    /// A required field that is not there.
    pub(super) fn missing() -> Box<Self> {
        Fault::new(Reason::Missing, "required, but not there")
    }

    /// A required field that is null.
    pub(super) fn null() -> Box<Self> {
        Fault::new(Reason::Null, "required, but null")
    }

    /// A value of another type.
    pub(super) fn type_of(wanted: &str, found: &str) -> Box<Self> {
        Fault::new(Reason::Type, format!("expected {wanted}, found {found}"))
    }

    /// The same fault, seen from the struct that has it in its field `name`.
    pub(super) fn in_field(mut self: Box<Self>, name: &str) -> Box<Self> {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path.insert_str(0, dot);
        self.path.insert_str(0, name);
        self
    }

    /// The same fault, seen from the list that has it in its element `index`.
    pub(super) fn in_element(mut self: Box<Self>, index: usize) -> Box<Self> {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path.insert_str(0, &format!("[{index}]{dot}"));
        self
    }

    /// The message alone.
    pub(super) fn told(self) -> String {
        self.message
    }

    /// The refusal of record `row`.
    pub(super) fn refuse(self, row: u32) -> Refusal {
        let field = if self.path.is_empty() { None } else { Some(self.path.into()) };
        Refusal { row, reason: self.reason, field, message: self.message }
    }
}

/// The beginning of a value, in one line.
pub(super) fn abbreviated(value: &str) -> String {
    let mut shown = String::new();
    for character in value.chars().take(SHOWN) {
        if character.is_control() {
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if value.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

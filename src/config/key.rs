//! What a pipeline file can say: every section, every key, what it is, and what holds where nothing is said.
//!
//! Owns the shape of that knowledge; the knowledge lies with each section's own file, once. Reading, the hints in errors,
//! the first file that `init` writes and the reference in the docs are all made from it.

/// A key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    /// What it is, in a line.
    pub what: &'static str,
    /// What holds where the key is not there.
    pub absent: Absent,
}

/// What the absence of a key means.
#[derive(Clone, Copy, Debug)]
pub enum Absent {
    /// It has to be there; this is how it may look.
    Refused { example: &'static str },
    /// It says nothing; this is how it may look.
    Nothing { example: &'static str },
    /// The same as this value.
    Means(&'static str),
}

impl Key {
    /// A key that has to be there.
    pub const fn required(name: &'static str, what: &'static str, example: &'static str) -> Self {
        Key { name, what, absent: Absent::Refused { example } }
    }

    /// A key that may be left out.
    pub const fn optional(name: &'static str, what: &'static str, example: &'static str) -> Self {
        Key { name, what, absent: Absent::Nothing { example } }
    }

    /// A key that has a value also where it is left out.
    pub const fn with_default(name: &'static str, what: &'static str, default: &'static str) -> Self {
        Key { name, what, absent: Absent::Means(default) }
    }

    /// The value that holds without it, or one that it may have, as TOML.
    pub fn example(&self) -> String {
        let (Absent::Refused { example: text } | Absent::Nothing { example: text } | Absent::Means(text)) = self.absent;
        let bare = text.parse::<f64>().is_ok() || matches!(text, "true" | "false") || text.starts_with(['[', '{']);
        if bare { text.to_owned() } else { format!("{text:?}") }
    }
}

/// A section of the file.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// As it is written, with its brackets; empty for the top of the file.
    pub heading: &'static str,
    /// What it is for, in a line.
    pub what: &'static str,
    pub keys: &'static [Key],
}

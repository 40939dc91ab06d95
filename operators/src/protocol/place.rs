//! The names that the log has for sinks.
//!
//! Rejects are a sink too, with a reserved name. What must stay true: `data`, the one sink without a name, and `rejects` keep
//! the meaning that they have in older logs; no place is named by its path, so a lake can be moved.

use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

static DATA: LazyLock<Place> = LazyLock::new(|| Place("data".into()));
static REJECTS: LazyLock<Place> = LazyLock::new(|| Place("rejects".into()));

/// The name of a sink.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place(Arc<str>);

impl Place {
    /// The sink without a name.
    pub fn data() -> Self {
        DATA.clone()
    }

    /// The sink of refused records.
    pub fn rejects() -> Self {
        REJECTS.clone()
    }

    /// A named sink.
    pub fn sink(name: &str) -> Self {
        Place(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether it is the sink without a name.
    pub fn is_data(&self) -> bool {
        *self == *DATA
    }

    /// Whether it is the sink of refused records.
    pub fn is_rejects(&self) -> bool {
        *self == *REJECTS
    }
}

impl Default for Place {
    fn default() -> Self {
        Place::data()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

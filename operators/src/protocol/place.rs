//! The name of a sink, as the log says it: files of one place lie below one path.
//!
//! Rejects are a sink inside, under a name of their own. What must stay true: the two names of logs with one unnamed sink,
//! `data` and `rejects`, keep their meaning; a place is never called by a path, so that a lake can be moved.

use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

static DATA: LazyLock<Place> = LazyLock::new(|| Place("data".into()));
static REJECTS: LazyLock<Place> = LazyLock::new(|| Place("rejects".into()));

/// Where files lie.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place(Arc<str>);

impl Place {
    /// That of a sink without a name.
    pub fn data() -> Self {
        DATA.clone()
    }

    /// That of refused records.
    pub fn rejects() -> Self {
        REJECTS.clone()
    }

    /// That of a sink with a name.
    pub fn sink(name: &str) -> Self {
        Place(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether it is that of a sink without a name.
    pub fn is_data(&self) -> bool {
        *self == *DATA
    }

    /// Whether it is that of refused records.
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

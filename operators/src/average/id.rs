//! An average's totals as people and the log name them.

use serde::{Deserialize, Serialize};

/// Which total: an average, a bucket of time, a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AverageId {
    pub average: String,
    /// `overall`, `hour` or `day`.
    pub by: String,
    /// The bucket's start, RFC 3339 in UTC; none for overall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The values of the group's columns, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<Option<String>>,
}

/// An exact sum and what it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// The sum, exact, as decimal text.
    pub sum: String,
    pub count: i64,
}

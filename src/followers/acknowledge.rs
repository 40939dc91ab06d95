//! Acknowledges committed positions to the source, for example as offsets of a Kafka group. They are never read back: the log
//! decides where a start resumes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millstream_operators::{Position, Split};

use super::{Follower, PublishedCommit};
use crate::connector::Source;

/// The source as a follower.
pub struct Acknowledge(pub Arc<dyn Source>);

#[async_trait]
impl Follower for Acknowledge {
    fn name(&self) -> &str {
        "the source"
    }

    fn at_least_once(&self) -> bool {
        false
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(5)
    }

    async fn deliver(&self, commit: &PublishedCommit) -> Result<(), String> {
        let positions: Vec<(Split, Position)> =
            commit.positions.iter().map(|(split, at)| (split.clone(), at.clone())).collect();
        self.0.acknowledge(&positions).await.map_err(|error| error.to_string())
    }
}

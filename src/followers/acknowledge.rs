//! Tells the source how far its records are committed. It may like to know; the log is the truth all the same.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millstream_operators::{Position, Split};

use super::{Follower, Told};
use crate::connector::Source;

/// The source as a follower.
pub struct Acknowledge(pub Arc<dyn Source>);

#[async_trait]
impl Follower for Acknowledge {
    fn name(&self) -> &str {
        "the source"
    }

    fn hears_all(&self) -> bool {
        false
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(5)
    }

    async fn tell(&self, told: &Told) -> Result<(), String> {
        let positions: Vec<(Split, Position)> =
            told.positions.iter().map(|(split, at)| (split.clone(), at.clone())).collect();
        self.0.acknowledge(&positions).await.map_err(|error| error.to_string())
    }
}

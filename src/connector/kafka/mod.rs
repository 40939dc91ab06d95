//! The Kafka connector.

pub mod write;

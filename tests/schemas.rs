//! Formats whose schema does not come with the record, end to end: the real binary reads a real stream or topic, and asks a registry
//! that the test holds in its hands.
//!
//! Would catch a record that is read by another's schema, a registry that is asked for every record, records that are lost or
//! refused while it is away, an id that leads nowhere and stops the pipeline, and a password in a message.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod services;
mod whole;

#[path = "schemas/formats.rs"]
mod formats;
#[path = "schemas/kafka.rs"]
mod kafka;
#[path = "schemas/pipeline.rs"]
mod pipeline;
#[path = "schemas/registry.rs"]
mod registry;

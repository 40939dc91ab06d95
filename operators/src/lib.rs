//! Millstream's operators: what happens between a source's bytes and a commit, with no I/O, no clock and no environment.
//!
#![doc = include_str!("../../docs/flow.md")]
//!
//! Data moves as [`Batch`]es, never as records: the work per record is a loop over Arrow arrays inside one operator. Time is
//! the epoch, a `u64`. What an operator needs of the outside (a reader started, bytes uploaded, a commit created) it asks
//! for through a [`Port`] and hears of later; the binary ties ports to tokio, the seeded world of the tests to itself.
//!
//! What must stay true: an operator keeps the capability of an epoch for as long as it holds anything of that epoch, so
//! that a frontier past an epoch means that the epoch is whole.

pub mod average;
pub mod batch;
pub mod commit;
pub mod control;
pub mod decode;
pub mod dedup;
pub mod digest;
pub mod encode;
pub mod enrich;
mod fork;
pub mod ingest;
pub mod port;
pub mod position;
pub mod protocol;
pub mod reject;
pub mod route;
pub mod schema;
pub mod spread;
pub mod stage;
pub mod state;
pub mod validate;
pub mod written;

pub use batch::{Batch, Origin, Permit, RawBatch, Records, Reserve, Unlimited};
pub use digest::RecordDigest;
pub use port::Port;
pub use position::{Position, Split};
pub use reject::{Reason, Refusal};
pub use schema::{Column, Kind, Schema};
pub use written::{Definition, Schemas};

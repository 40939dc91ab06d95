//! The schemas that records are written with: from a file, or from a registry.
//!
//! ```text
//! [decode] schema ─→ file ─────────────────────────────→ Definition, for all records
//! source ─→ registered (looks at ids) ─→ registry ─→ Definitions, beside the batch that names them
//! ```
//!
//! Owns the way to a schema and its form on the way; what is made of it is the decoder's affair, which asks nobody. What must
//! stay true: a batch goes on only with all schemas that it names, or with the reason why one cannot be had; nothing is lost
//! while a registry is away.

mod answer;
mod client;
pub mod file;
mod proto;
pub mod registered;
pub mod registry;

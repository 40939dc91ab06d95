//! The edges: where records come from ([`Source`]) and where files and the commit log lie ([`Store`]).
//!
//! Owns the two traits and the registry that makes either from its configuration. A connector is a folder that knows
//! nothing of the others; the pipeline knows only the traits. Each trait has one conformance suite, run on every
//! implementation. [`aws`] holds what the connectors to AWS share, `meter` what
//! those that read streams count; neither is a connector itself.

pub mod aws;
pub mod files;
pub mod generate;
pub mod kafka;
pub mod kind;
pub mod kinesis;
pub mod local;
pub mod memory;
mod meter;
pub mod registry;
pub mod s3;
pub mod source;
pub mod store;

pub use source::{Bounds, Discovery, End, Outlet, Source, SourceError, SplitInfo};
pub use store::{Store, StoreError};

//! The memory connector: a source and a store that live inside the process, for the seeded world of the tests.
//!
//! Both keep every promise of their traits; what goes wrong around a real store is added by [`unreliable`].

pub mod faults;
mod process;
pub mod source;
pub mod store;
pub mod unreliable;

pub use faults::{Call, Chance, Counters, Fate, Faults, Kind, Operation, When};
pub use store::MemoryStore;
pub use unreliable::Unreliable;

//! Real services for tests, started when a test first asks for one.
//!
//! Each is started by a script of its own beside this file, at most once in a test binary, on 127.0.0.1 and a free port. It
//! ends with the test binary, however that ends: the script watches a pipe that the binary holds. A service that is not
//! installed fails the test and says how to install it; nothing is skipped.

#![allow(dead_code, reason = "each test binary uses some of it")]

pub(crate) mod hosts;
pub(crate) mod kafka;
pub(crate) mod kinesis;
pub(crate) mod proxy;
pub(crate) mod registry;
pub(crate) mod s3;
mod started;
pub(crate) mod wire;

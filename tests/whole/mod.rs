//! What tests of the whole share: a pipeline file over some source, the real binary as a process, what lies in the sink,
//! streams with their producers, and an oracle that shares nothing with the pipeline.

#![allow(dead_code, reason = "each test binary uses some of it")]

pub(crate) mod aggregate;
pub(crate) mod articles;
pub(crate) mod input;
pub(crate) mod oracle;
pub(crate) mod pipeline;
pub(crate) mod process;
pub(crate) mod reader;
pub(crate) mod sink;
pub(crate) mod stream;
pub(crate) mod taken;
pub(crate) mod topic;

//! Kinesis, as it goes wrong elsewhere: each test is named after a mistake that readers of Kinesis make, runs the real binary
//! against real servers, and holds what lies in the sink against the list of what its producer put.
//!
//! Would catch records of a closed shard that are skipped after a split, `latest` that loses what came while the pipeline was
//! down, records that come again after a restart, a key whose order a reshard turns around, and payloads of the KPL that are
//! passed on as garbage.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod services;
mod whole;

#[path = "kinesis/aggregates.rs"]
mod aggregates;
#[path = "kinesis/fan_out.rs"]
mod fan_out;
#[path = "kinesis/faults.rs"]
mod faults;
#[path = "kinesis/harness.rs"]
mod harness;
#[path = "kinesis/kills.rs"]
mod kills;
#[path = "kinesis/odd.rs"]
mod odd;
#[path = "kinesis/order.rs"]
mod order;
#[path = "kinesis/reshards.rs"]
mod reshards;
#[path = "kinesis/starts.rs"]
mod starts;

//! From a [`Place`] to a client.
//!
//! Owns time limits, retries and what S3 alone knows; region, credentials and TLS are those of every service of AWS
//! ([`aws`]). What must stay true: nothing is sent to the store here, so that a client is cheap and its first call is the one
//! that fails.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation};

use super::S3Store;
use super::place::Place;
use crate::connector::aws;
use crate::connector::store::StoreError;

/// How often a call that is safe to repeat is made before it counts as failed.
const ATTEMPTS: u32 = 5;
/// About how long it waits before the second attempt; each one after waits twice as long.
const BACKOFF: Duration = Duration::from_millis(200);
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one attempt may take, before the time that its bytes need.
const ATTEMPT: Duration = Duration::from_secs(30);
/// The slowest that bytes are sent before an attempt counts as stuck.
const SLOWEST_BYTES_PER_SECOND: u64 = 128 << 10;

impl S3Store {
    /// A store at `place`. Finds out the region and how to come by credentials; the store itself is not asked anything.
    pub async fn connect(place: Place) -> Result<Self, StoreError> {
        let name: Arc<str> = place.url().into();
        let shared = shared(&place, &name).await?;
        let client = Client::from_conf(settings(&place, &shared));
        Ok(S3Store { client, place: Arc::new(place), name, checksums: Arc::new(AtomicBool::new(true)) })
    }
}

/// What the clients of all services of AWS share.
async fn shared(place: &Place, name: &str) -> Result<SdkConfig, StoreError> {
    aws::settings(&place.access()).await.map_err(|error| StoreError::Refused {
        store: name.to_owned(),
        action: "find",
        key: "the bucket".to_owned(),
        message: error.to_string(),
    })
}

fn settings(place: &Place, shared: &SdkConfig) -> aws_sdk_s3::Config {
    Builder::from(shared)
        .force_path_style(place.path_style.unwrap_or(place.endpoint.is_some()))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(BACKOFF))
        .timeout_config(timeouts(0))
        // Sums are computed here, in the one form that AWS, too, keeps for the whole object; the SDK's own trailing sums
        // are more than many servers understand.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build()
}

/// Time limits for a call that sends so many bytes.
fn timeouts(bytes: usize) -> TimeoutConfig {
    let sending = Duration::from_secs(bytes as u64 / SLOWEST_BYTES_PER_SECOND);
    TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT + sending).build()
}

/// Settings for one call that sends so many bytes.
pub(super) fn for_bytes(bytes: usize) -> Builder {
    Builder::new().timeout_config(timeouts(bytes))
}

/// Settings for the call whose every answer counts: sent once.
pub(super) fn once(bytes: usize) -> Builder {
    for_bytes(bytes).retry_config(RetryConfig::disabled())
}

/// Settings for a call that a server may work on for long, and whose every answer counts: sent once.
pub(super) fn patient() -> Builder {
    let limits = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT * 10);
    Builder::new().timeout_config(limits.build()).retry_config(RetryConfig::disabled())
}

//! Making a bucket, for whoever begins with nothing.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};

use super::S3Store;
use super::failure::Called;
use crate::connector::store::StoreError;
use crate::retry::Pause;

/// The region that a bucket is in where nothing is said; it must not be said.
const UNSAID: &str = "us-east-1";

impl S3Store {
    /// Makes the store's bucket where there is none. Tells whether it was made.
    pub async fn create_bucket(&self) -> Result<bool, StoreError> {
        let region = self.client.config().region().map(|region| region.as_ref().to_owned());
        let elsewhere = region.filter(|region| region != UNSAID).map(|region| {
            let region = BucketLocationConstraint::from(region.as_str());
            CreateBucketConfiguration::builder().location_constraint(region).build()
        });
        let mut pause = Pause::default();
        loop {
            let request = self.client.create_bucket().bucket(&self.place.bucket);
            let error = match request.set_create_bucket_configuration(elsewhere.clone()).send().await {
                Ok(_) => return Ok(true),
                Err(error) => error,
            };
            if error.code() == Some("BucketAlreadyOwnedByYou") {
                return Ok(false);
            }
            match self.failure(Called::to_read("create", &self.place.bucket), error) {
                failure if failure.can_retry() => pause.wait(&failure.to_string()).await,
                refused => return Err(refused),
            }
        }
    }
}

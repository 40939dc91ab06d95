//! What the connectors to services of AWS share: region, credentials, TLS.
//!
//! Owns the way from what a pipeline file says of an AWS service to the settings that its SDK takes. Names no service but
//! STS, which hands out the credentials of a role. What must stay true: nothing is asked of a service here, so that a client
//! is cheap and its first call is the one that fails; a plain http endpoint needs no certificates; the metadata service of a
//! cloud machine, slow to be missed elsewhere, is asked only when nothing else says what it could.

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use thiserror::Error;

/// What an assumed role's sessions are called in the logs of AWS.
const SESSION: &str = "millstream";

/// How a service is reached, and as whom.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The server; AWS where there is none.
    pub endpoint: Option<String>,
    /// The region; where there is none, what the environment and the profile say.
    pub region: Option<String>,
    /// The profile in the AWS credential files; where there is none, the usual one.
    pub profile: Option<String>,
    /// A role to take on, with the credentials that are found otherwise.
    pub role: Option<Role>,
    /// Whom to be; where there is none, the usual chain of AWS finds out.
    pub credentials: Option<Credentials>,
}

/// A role to take on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    pub arn: String,
    /// What the role's owner asks others to say.
    pub external_id: Option<String>,
}

/// Nothing says which region to speak to.
#[derive(Debug, Error)]
#[error("no region is known; set `region`, or AWS_REGION, or a region in the AWS profile")]
pub struct NoRegion;

impl Access {
    /// The server as a user knows it.
    pub fn server(&self) -> &str {
        self.endpoint.as_deref().unwrap_or("AWS")
    }
}

/// The settings that every client of a service begins with, region, endpoint and credentials among them.
pub async fn settings(access: &Access) -> Result<SdkConfig, NoRegion> {
    // It reads certificates when it makes its first connection.
    let https = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(https);
    if let Some(credentials) = &access.credentials {
        loader = loader.credentials_provider(credentials.clone());
    }
    if let Some(profile) = &access.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = known_region(access).await {
        loader = loader.region(region);
    }
    let mut settings = loader.load().await;
    if settings.region().is_none() {
        return Err(NoRegion);
    }
    if let Some(role) = &access.role {
        let credentials = SharedCredentialsProvider::new(assumed(role, &settings).await);
        settings = settings.into_builder().credentials_provider(credentials).build();
    }
    Ok(at_endpoint(access, settings))
}

/// The role's credentials are asked for when they are first needed, and again before they run out.
async fn assumed(role: &Role, settings: &SdkConfig) -> AssumeRoleProvider {
    let mut provider = AssumeRoleProvider::builder(&role.arn).session_name(SESSION).configure(settings);
    if let Some(external_id) = &role.external_id {
        provider = provider.external_id(external_id);
    }
    provider.build().await
}

/// Only the service itself is spoken to at the endpoint; whoever hands out credentials has an address of their own.
fn at_endpoint(access: &Access, settings: SdkConfig) -> SdkConfig {
    let Some(endpoint) = &access.endpoint else { return settings };
    let mut settings = settings.into_builder();
    settings.set_endpoint_url(Some(endpoint.clone()));
    if endpoint.starts_with("http://") {
        settings.set_http_client(Some(aws_smithy_http_client::Builder::new().build_http()));
    }
    settings.build()
}

/// The region as far as it takes no asking around; `None` leaves it to the chain of AWS.
async fn known_region(access: &Access) -> Option<Region> {
    if let Some(region) = &access.region {
        return Some(Region::new(region.clone()));
    }
    access.endpoint.as_ref()?;
    let stated = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    // Most servers take any region, and this one if they take one only.
    Some(stated.region().await.unwrap_or(Region::from_static("us-east-1")))
}

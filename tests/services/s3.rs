//! S3 servers.
//!
//! Owns starting them, waiting until they answer, and their one bucket. Every test lives under a prefix of its own.

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use millstream::connector::s3::{Place, S3Store};
use millstream::connector::store::Store;
use tokio::sync::OnceCell;

use super::started::{Started, free_port};

/// The bucket that is there once a server is.
pub(crate) const BUCKET: &str = "millstream-tests";

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Versitygw,
    Minio,
    Localstack,
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    pub(crate) credentials: Credentials,
    _started: Started,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Versitygw => "versitygw",
            Kind::Minio => "minio",
            Kind::Localstack => "localstack",
        }
    }

    fn running(self) -> &'static OnceCell<Server> {
        static VERSITYGW: OnceCell<Server> = OnceCell::const_new();
        static MINIO: OnceCell<Server> = OnceCell::const_new();
        static LOCALSTACK: OnceCell<Server> = OnceCell::const_new();
        match self {
            Kind::Versitygw => &VERSITYGW,
            Kind::Minio => &MINIO,
            Kind::Localstack => &LOCALSTACK,
        }
    }
}

/// A store of its own on a running server, under the prefix `test` of its bucket.
pub(crate) async fn store(kind: Kind, test: &str) -> Arc<dyn Store> {
    Arc::new(S3Store::connect(server(kind).await.place(test)).await.unwrap())
}

/// The one server of a kind in this test binary.
pub(crate) async fn server(kind: Kind) -> &'static Server {
    kind.running().get_or_init(|| start(kind)).await
}

impl Server {
    /// The place `prefix` in the bucket of this server.
    pub(crate) fn place(&self, prefix: &str) -> Place {
        let place = Place::parse(&format!("s3://{BUCKET}/{prefix}")).unwrap();
        Place { endpoint: Some(self.endpoint.clone()), credentials: Some(self.credentials.clone()), ..place }
    }

    /// A client of the SDK, for what a store does not do.
    pub(crate) fn client(&self) -> aws_sdk_s3::Client {
        client(&self.endpoint, &self.credentials)
    }
}

async fn start(kind: Kind) -> Server {
    let mut said = String::new();
    for _ in 0..3 {
        match try_start(kind).await {
            Ok(server) => return server,
            Err(log) => said = log,
        }
    }
    panic!("{} did not start; is it installed? run: tests/services/s3 install {0}\n{said}", kind.name());
}

async fn try_start(kind: Kind) -> Result<Server, String> {
    let port = free_port();
    let secret = format!("{:032x}", u128::from(std::process::id()) << 64 | u128::from(port));
    let credentials = Credentials::new(format!("millstream{port}"), &secret, None, None, "test");
    let environment = [("ACCESS_KEY", credentials.access_key_id()), ("SECRET_KEY", &secret)];
    let mut started = Started::new("s3", &[kind.name().to_owned(), port.to_string()], &environment);
    let endpoint = format!("http://127.0.0.1:{port}");
    // The bucket can be made once it is up and takes our credentials, which nobody else's server does.
    let answers = async || client(&endpoint, &credentials).create_bucket().bucket(BUCKET).send().await.is_ok();
    started.until(answers).await?;
    Ok(Server { endpoint, credentials, _started: started })
}

fn client(endpoint: &str, credentials: &Credentials) -> aws_sdk_s3::Client {
    let settings = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(credentials.clone())
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    aws_sdk_s3::Client::from_conf(settings.build())
}

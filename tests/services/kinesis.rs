//! Servers that speak Kinesis.
//!
//! Owns starting them, waiting until they answer, and clients of the SDK. Every test makes streams of its own on them.

use std::path::Path;

use aws_credential_types::Credentials;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Region};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use super::started::{Started, free_port};

/// Which server; `tests/services/kinesis` says what each can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The faithful one, slow.
    KinesisLocal,
    /// The fast one, polling only.
    Kinesalite,
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    /// Where the faithful one says the same over HTTPS and HTTP/2.
    pub(crate) secure_port: u16,
    started: Started,
}

/// What a process needs in its environment to be let in; any credentials will do.
pub(crate) const ENVIRONMENT: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::KinesisLocal => "kinesis-local",
            Kind::Kinesalite => "kinesalite",
        }
    }

    fn running(self) -> &'static OnceCell<Server> {
        static KINESIS_LOCAL: OnceCell<Server> = OnceCell::const_new();
        static KINESALITE: OnceCell<Server> = OnceCell::const_new();
        match self {
            Kind::KinesisLocal => &KINESIS_LOCAL,
            Kind::Kinesalite => &KINESALITE,
        }
    }
}

/// The one server of a kind in this test binary.
pub(crate) async fn server(kind: Kind) -> &'static Server {
    kind.running().get_or_init(|| start(kind)).await
}

impl Server {
    /// A client of this server.
    pub(crate) fn client(&self) -> aws_sdk_kinesis::Client {
        client(&self.endpoint)
    }

    /// Writes down the certificate that a client of the secure port has to trust.
    pub(crate) fn write_certificate(&self, path: &Path) {
        const END: &str = "-----END CERTIFICATE-----";
        let said = self.started.said();
        let (begin, end) = (said.find("-----BEGIN CERTIFICATE-----").unwrap(), said.find(END).unwrap() + END.len());
        std::fs::write(path, said[begin..end].to_owned() + "\n").unwrap();
    }

    /// How many connections to the secure port agreed on HTTP/2.
    pub(crate) fn http2_connections(&self) -> usize {
        self.started.said().matches("a TLS connection speaks h2").count()
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
    panic!("{} did not start; is it installed? run: tests/services/kinesis install\n{said}", kind.name());
}

async fn try_start(kind: Kind) -> Result<Server, String> {
    let (port, secure) = (free_port(), free_port());
    let mut arguments = vec![kind.name().to_owned(), port.to_string()];
    if kind == Kind::KinesisLocal {
        arguments.push(secure.to_string());
    }
    let mut started = Started::new("kinesis", &arguments, &[]);
    let endpoint = format!("http://127.0.0.1:{port}");
    let answers = async || {
        let secure = kind == Kind::Kinesalite || TcpStream::connect(("127.0.0.1", secure)).await.is_ok();
        secure && client(&endpoint).list_streams().send().await.is_ok()
    };
    started.until(answers).await?;
    Ok(Server { endpoint, secure_port: secure, started })
}

/// A client of the SDK that tries everything once.
pub(crate) fn client(endpoint: &str) -> aws_sdk_kinesis::Client {
    let settings = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    aws_sdk_kinesis::Client::from_conf(settings.build())
}

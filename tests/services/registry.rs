//! A schema registry that a test holds in its hands: the protocol of Confluent's, as far as readers use it, over HTTP/1.1.
//!
//! Owns what it knows and how it misbehaves: away, slow, failing, or strict about who asks. It counts what it is asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Duration, sleep};
use tokio_rustls::TlsAcceptor;

/// A registry that runs until it is dropped.
pub(crate) struct Registry {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct State {
    ids: BTreeMap<u32, Value>,
    versions: BTreeMap<(String, i64), Value>,
    user: Option<String>,
    mood: Mood,
    asked: Vec<String>,
}

/// How it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Well,
    /// It hangs up on everybody.
    Away,
    /// 500.
    Failing,
    /// After so many milliseconds.
    Slow(u64),
    /// As a web server does that is no registry.
    SomethingElse,
}

impl Registry {
    pub(crate) async fn start() -> Self {
        Self::listen(None).await
    }

    /// One that speaks TLS, and the certificate of the authority that it has its own from.
    pub(crate) async fn start_secure() -> (Self, String) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let server = versions.unwrap().with_no_client_auth().with_single_cert(vec![own.der().clone()], key).unwrap();
        (Self::listen(Some(TlsAcceptor::from(Arc::new(server)))).await, authority.pem())
    }

    async fn listen(secure: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if secure.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let served = state.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (secure, state) = (secure.clone(), served.clone());
                tokio::spawn(async move {
                    let Some(secure) = secure else { return serve(stream, state).await };
                    // Who does not trust us hangs up.
                    if let Ok(stream) = secure.accept(stream).await {
                        serve(stream, state).await;
                    }
                });
            }
        });
        Registry { url, state, serving }
    }

    /// Registers a schema under an id: `{"schema": …, "schemaType": …, "references": …}`.
    pub(crate) fn register(&self, id: u32, schema: Value) {
        self.state.lock().unwrap().ids.insert(id, schema);
    }

    /// Registers what others refer to.
    pub(crate) fn register_version(&self, subject: &str, version: i64, schema: Value) {
        self.state.lock().unwrap().versions.insert((subject.to_owned(), version), schema);
    }

    /// Lets nobody in but who says this in Base64: a name, a colon, a password.
    pub(crate) fn let_in_only(&self, user: &str) {
        self.state.lock().unwrap().user = Some(format!("Basic {user}"));
    }

    pub(crate) fn be(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// The paths that it was asked for so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<Mutex<State>>) {
    while let Some(head) = head(&mut stream).await {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mood, answer) = {
            let mut state = state.lock().unwrap();
            state.asked.push(path.clone());
            (state.mood, answer(&state, &path, &head))
        };
        match mood {
            Mood::Away => return,
            Mood::Slow(millis) => sleep(Duration::from_millis(millis)).await,
            _ => {}
        }
        let (status, body) = answer;
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The head of a request; requests here have no body.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        head.extend_from_slice(&byte);
    }
    String::from_utf8(head).ok()
}

fn answer(state: &State, path: &str, head: &str) -> (&'static str, String) {
    let told = |line: &&str| line.to_ascii_lowercase().starts_with("authorization: ");
    let user = head.lines().find(told).map(|line| line["authorization: ".len()..].to_owned());
    match state.mood {
        Mood::Failing => return ("500 Internal Server Error", json!({"error_code": 50001}).to_string()),
        Mood::SomethingElse => return ("404 Not Found", "<html>".into()),
        _ if state.user.is_some() && state.user != user => return ("401 Unauthorized", "no".into()),
        _ => {}
    }
    let not_there = |code: u32| ("404 Not Found", json!({"error_code": code, "message": "not found"}).to_string());
    let there = |schema: &Value| ("200 OK", schema.to_string());
    let path = path.split('?').next().unwrap_or_default();
    match path.trim_start_matches('/').split('/').collect::<Vec<_>>()[..] {
        ["subjects"] => ("200 OK", "[]".into()),
        ["schemas", "ids", id] => state.ids.get(&id.parse().unwrap()).map_or_else(|| not_there(40403), there),
        ["subjects", subject, "versions", version] => {
            let key = (subject.replace("%2F", "/"), version.parse().unwrap());
            state.versions.get(&key).map_or_else(|| not_there(40402), there)
        }
        _ => not_there(404),
    }
}

//! Asks a registry over HTTP.
//!
//! Owns the connection, who we are there, and what an answer means for us: here it is, it is not there, later, or not until
//! somebody changes something. What must stay true: an answer costs bounded memory and time; the password is in no message.

use std::error::Error as _;
use std::time::Duration;

use reqwest::{Certificate, Client as Http, Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::answer::{Found, Refused};
use crate::config;
use crate::connector::SourceError;

/// How long an answer may take, and how large it may be.
const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST: usize = 8 << 20;

/// A registry, and who we are there.
pub(super) struct Client {
    http: Http,
    base: Url,
    /// As it is written in the pipeline file.
    name: String,
    user: Option<(String, String)>,
}

impl Client {
    /// Connects to nothing yet.
    pub(super) fn new(asked: &config::Registry) -> Result<Self, SourceError> {
        let name = asked.url.written().to_owned();
        let refused = |message: String| SourceError::Refused { name: format!("the schema registry {name}"), message };
        // The HTTP library asks the process for the cryptography to use; one that is set already does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = Http::builder().timeout(PATIENCE).connect_timeout(PATIENCE).user_agent("millstream");
        if let Some(file) = &asked.ca_file {
            let wrong = |why: String| refused(format!("registry_ca_file = {:?}: {why}", file.written()));
            let pem = std::fs::read(file.as_str()).map_err(|error| wrong(error.to_string()))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))?;
            http = http.tls_certs_merge(certificates);
        }
        let http = http.build().map_err(|error| refused(told(&error)))?;
        let base = Url::parse(asked.url.as_str()).map_err(|error| refused(error.to_string()))?;
        let meant = |text: &config::Text| text.as_str().to_owned();
        let user =
            asked.user.as_ref().map(|user| (meant(user), asked.password.as_ref().map(meant).unwrap_or_default()));
        Ok(Client { http, base, name, user })
    }

    /// The schema of an id, if there is one.
    pub(super) async fn by_id(&self, id: u32) -> Result<Option<Found>, SourceError> {
        self.get(&["schemas", "ids", &id.to_string()]).await
    }

    /// A version of a subject, if there is one.
    pub(super) async fn version(&self, subject: &str, version: i64) -> Result<Option<Found>, SourceError> {
        self.get(&["subjects", subject, "versions", &version.to_string()]).await
    }

    /// Asks whether it is there and lets us in.
    pub(super) async fn knock(&self) -> Result<(), SourceError> {
        let mut url = self.at(&["subjects"]);
        url.set_query(Some("limit=1"));
        let answer = self.ask(url).await?;
        if answer.status().is_success() { Ok(()) } else { Err(self.trouble(answer.status())) }
    }

    /// The registry as messages call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn at(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Only an address that is no address has no path, and this one begins with http.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Option<T>, SourceError> {
        let answer = self.ask(self.at(path)).await?;
        let status = answer.status();
        if status != StatusCode::OK && status != StatusCode::NOT_FOUND {
            return Err(self.trouble(status));
        }
        let body = self.body(answer).await?;
        if status == StatusCode::NOT_FOUND {
            let refused: Option<Refused> = serde_json::from_slice(&body).ok();
            return if refused.is_some_and(|refused| refused.is_not_there()) {
                Ok(None)
            } else {
                Err(self.no_registry())
            };
        }
        serde_json::from_slice(&body).map(Some).map_err(|_| self.no_registry())
    }

    async fn ask(&self, url: Url) -> Result<Response, SourceError> {
        let mut request =
            self.http.get(url).header("accept", "application/vnd.schemaregistry.v1+json, application/json");
        if let Some((user, password)) = &self.user {
            request = request.basic_auth(user, Some(password));
        }
        request.send().await.map_err(|error| self.away(&error))
    }

    async fn body(&self, mut answer: Response) -> Result<Vec<u8>, SourceError> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.away(&error))? {
            if body.len() + chunk.len() > LARGEST {
                return Err(self.refused(format!("an answer of more than {LARGEST} bytes is no schema")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn trouble(&self, status: StatusCode) -> SourceError {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.refused(match &self.user {
                Some(_) => format!("lets us not in ({status}); change registry_user or registry_password in [decode]"),
                None => {
                    format!("lets nobody in who says no name ({status}); write registry_user and registry_password")
                }
            }),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                self.unavailable(format!("answers {status}"))
            }
            status if status.is_server_error() => self.unavailable(format!("answers {status}")),
            _ => self.no_registry_but(&format!("answers {status}")),
        }
    }

    fn no_registry(&self) -> SourceError {
        self.no_registry_but("answers with something else than a schema")
    }

    fn no_registry_but(&self, does: &str) -> SourceError {
        self.refused(format!("{does}; is there a schema registry at this address? change registry in [decode]"))
    }

    fn away(&self, error: &reqwest::Error) -> SourceError {
        self.unavailable(told(error))
    }

    fn refused(&self, message: String) -> SourceError {
        SourceError::Refused { name: format!("the schema registry {}", self.name), message }
    }

    fn unavailable(&self, message: String) -> SourceError {
        SourceError::Unavailable { name: format!("the schema registry {}", self.name), message }
    }
}

/// An error with its causes and without the address, which is said as the file has it.
fn told(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    if causes.is_empty() { "cannot be reached".to_owned() } else { format!("cannot be reached: {}", causes.join(": ")) }
}

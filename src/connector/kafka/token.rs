//! Tokens of an OIDC provider, for `sasl.mechanism = "OAUTHBEARER"`.
//!
//! Owns the properties that librdkafka has for this, `sasl.oauthbearer.method = "oidc"` and those beside it, which it can
//! only use itself where it was built with curl; so they are taken out of what it is given. A token is asked for with the
//! client's own credentials (RFC 6749, 4.4) whenever librdkafka wants a new one. What must stay true: a provider that says no
//! is told apart from one that is away; neither secret nor token is in a message.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::client::OAuthToken;
use reqwest::{Client as Http, Url};
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::connector::SourceError;
use crate::connector::source::Clock;

/// What librdkafka's properties for this begin with.
const OURS: &str = "sasl.oauthbearer.";
/// How long the provider may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a token is good for, where the provider does not say.
const UNSAID: i64 = 300;

/// A provider, and who we are there.
pub(super) struct Tokens {
    http: Http,
    endpoint: Url,
    id: String,
    secret: String,
    scope: Option<String>,
    clock: Clock,
    runtime: Handle,
    /// Whether the provider said no.
    refused: AtomicBool,
}

/// What a provider answers.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<i64>,
}

/// What is read of a token.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
}

impl Tokens {
    /// The provider that the properties name, and the properties without it; none where they name none.
    pub(super) fn taken_out_of(
        properties: &BTreeMap<String, String>,
        clock: &Clock,
    ) -> Result<(Option<Self>, BTreeMap<String, String>), SourceError> {
        let mut rest = properties.clone();
        let oidc = rest.get("sasl.oauthbearer.method").is_some_and(|method| method.eq_ignore_ascii_case("oidc"));
        if !oidc {
            return Ok((None, rest));
        }
        let mut take = |name: &str| rest.remove(&format!("{OURS}{name}"));
        take("method");
        let (id, secret, url) = (take("client.id"), take("client.secret"), take("token.endpoint.url"));
        let scope = take("scope");
        if let Some(left) = rest.keys().find(|key| key.starts_with(OURS)) {
            return Err(refused(&format!(
                "{left} is not supported with sasl.oauthbearer.method = \"oidc\"; take it out"
            )));
        }
        let needed = |name: &str, value: Option<String>| {
            value.ok_or_else(|| refused(&format!("{OURS}{name} is missing; oidc needs it, in [source.options]")))
        };
        let url = needed("token.endpoint.url", url)?;
        let endpoint = Url::parse(&url).map_err(|error| refused(&format!("{OURS}token.endpoint.url: {error}")))?;
        // The HTTP library asks the process for the cryptography to use; one that is set already does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Http::builder().timeout(PATIENCE).user_agent("millstream").build();
        let tokens = Tokens {
            http: http.map_err(|error| refused(&error.to_string()))?,
            endpoint,
            id: needed("client.id", id)?,
            secret: needed("client.secret", secret)?,
            scope,
            clock: clock.clone(),
            runtime: Handle::try_current().map_err(|error| refused(&error.to_string()))?,
            refused: AtomicBool::new(false),
        };
        Ok((Some(tokens), rest))
    }

    /// Whether the provider said no when it was last asked.
    pub(super) fn are_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// A new token. Called on librdkafka's serving thread, which is none of tokio's.
    pub(super) fn get(&self) -> Result<OAuthToken, String> {
        let now = (self.clock)() / 1000;
        let Answer { access_token, expires_in } = self.runtime.block_on(self.ask())?;
        let principal_name = principal(&access_token).unwrap_or_else(|| self.id.clone());
        let lifetime_ms = now + expires_in.unwrap_or(UNSAID).saturating_mul(1000);
        Ok(OAuthToken { token: access_token, principal_name, lifetime_ms })
    }

    async fn ask(&self) -> Result<Answer, String> {
        let scope = self.scope.as_ref().map(|scope| ("scope", scope.as_str()));
        let fields: Vec<_> = [("grant_type", "client_credentials")].into_iter().chain(scope).collect();
        let mut form = Url::clone(&self.endpoint);
        form.query_pairs_mut().clear().extend_pairs(fields);
        let body = form.query().unwrap_or_default().to_owned();
        let request = self.http.post(self.endpoint.clone()).basic_auth(&self.id, Some(&self.secret));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let answer = request.send().await.map_err(|error| format!("no token from the provider: {}", told(&error)))?;
        let status = answer.status();
        self.refused.store(status.is_client_error(), Ordering::Relaxed);
        if !status.is_success() {
            let check = format!("check {OURS}client.id, what {OURS}client.secret stands for, and {OURS}scope");
            return Err(format!("no token: the provider answered {status}; {check}"));
        }
        let bytes = answer.bytes().await.map_err(|error| format!("no token from the provider: {}", told(&error)))?;
        serde_json::from_slice(&bytes).map_err(|_| "no token: the provider's answer holds none".to_owned())
    }
}

/// An error and its causes, without the address: it may hold more than a message should.
fn told(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    if causes.is_empty() { "no answer".to_owned() } else { causes.join(": ") }
}

/// Whom a token is made out to.
fn principal(token: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    serde_json::from_slice::<Claims>(&claims).ok()?.sub
}

fn refused(message: &str) -> SourceError {
    SourceError::Refused { name: "kafka".to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    //! Would catch a property that goes to nobody, and a provider that is asked with half of what it needs.
    use std::sync::Arc;

    use super::*;

    fn taken(properties: &[(&str, &str)]) -> Result<(Option<Tokens>, BTreeMap<String, String>), SourceError> {
        let properties = properties.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let clock: Clock = Arc::new(|| 0);
        Tokens::taken_out_of(&properties, &clock)
    }

    #[tokio::test]
    async fn the_provider_is_taken_out_of_the_properties() {
        let method = ("sasl.oauthbearer.method", "oidc");
        let (id, secret) = (("sasl.oauthbearer.client.id", "me"), ("sasl.oauthbearer.client.secret", "s3cr3t"));
        let url = ("sasl.oauthbearer.token.endpoint.url", "http://127.0.0.1:1/token");
        let (tokens, rest) = taken(&[method, id, secret, url, ("sasl.mechanism", "OAUTHBEARER")]).unwrap();
        assert!(tokens.is_some_and(|tokens| tokens.id == "me") && rest.len() == 1);
        let (tokens, rest) = taken(&[("sasl.oauthbearer.config", "principal=me")]).unwrap();
        assert!(tokens.is_none() && rest.len() == 1);
        let extensions = ("sasl.oauthbearer.extensions", "a=b");
        for (wrong, part) in [
            (vec![method, id, secret], "token.endpoint.url"),
            (vec![method, id, secret, url, extensions], "extensions"),
        ] {
            let error = taken(&wrong).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(part) && !error.contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn a_token_says_whom_it_is_made_out_to() {
        let token = format!("h.{}.s", URL_SAFE_NO_PAD.encode("{\"sub\":\"reader\",\"exp\":1}"));
        assert_eq!(principal(&token).as_deref(), Some("reader"));
        assert_eq!((principal("opaque"), principal("a.!.c")), (None, None));
    }
}

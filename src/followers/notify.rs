//! `[notify]`: a webhook or a command that receives every commit as a JSON object, at least once and in order.
//!
//! Receivers deduplicate by `log` and `commit`, or by the header `Idempotency-Key`. Commits without files and rejects are skipped.
//! What must stay true: no message shows an address or a token that was read from a file.

use std::error::Error as _;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, Url};
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Content, Follower, PublishedCommit};
use crate::config::{self, Hook};

/// The name of the follower and of its progress.
pub const NAME: &str = "notify";
/// How much of a failed command's stderr is shown.
const STDERR_TAIL_BYTES: usize = 300;

/// A configured `[notify]`.
pub struct Notify {
    hook: Hook,
    bearer_file: Option<config::Text>,
    timeout: Duration,
    http: Client,
}

/// The JSON object.
#[derive(Serialize)]
struct Message<'a> {
    commit: u64,
    #[serde(flatten)]
    content: &'a Content,
}

impl Notify {
    pub fn new(asked: &config::Notify) -> Result<Self, String> {
        // The HTTP library asks the process for the cryptography to use; one that is set already does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().user_agent("millstream").build().map_err(|error| error.to_string())?;
        let config::Notify { hook, bearer_file, timeout } = asked.clone();
        Ok(Notify { hook, bearer_file, timeout, http })
    }

    async fn post(&self, url: &str, key: &str, message: Vec<u8>) -> Result<(), String> {
        let url = Url::parse(url.trim()).map_err(|error| format!("its address is not a URL: {error}"))?;
        let mut request =
            self.http.post(url).header("content-type", "application/json").header("idempotency-key", key).body(message);
        if let Some(file) = &self.bearer_file {
            request = request.bearer_auth(read(file)?.trim());
        }
        let answer = request.send().await.map_err(|error| causes(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it answers {status}")),
        }
    }

    async fn run(&self, command: &[config::Text], message: &[u8]) -> Result<(), String> {
        let Some((program, arguments)) = command.split_first() else { return Ok(()) };
        let named = |error: std::io::Error| format!("{:?}: {error}", program.written());
        let mut child = Command::new(program.as_str())
            .args(arguments.iter().map(config::Text::as_str))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(named)?;
        let stdin = child.stdin.take();
        let write = async {
            if let Some(mut stdin) = stdin {
                // The command may exit without reading its input.
                let _ = stdin.write_all(message).await;
            }
        };
        // Both at once: a command that prints much before it reads would otherwise wait for us, and we for it.
        let ((), ended) = tokio::join!(write, child.wait_with_output());
        let ended = ended.map_err(named)?;
        if ended.status.success() {
            return Ok(());
        }
        let said =
            String::from_utf8_lossy(&ended.stderr[ended.stderr.len().saturating_sub(STDERR_TAIL_BYTES)..]).into_owned();
        Err(format!("{:?} ended with {}: {}", program.written(), ended.status, said.trim()))
    }
}

#[async_trait]
impl Follower for Notify {
    fn name(&self) -> &str {
        NAME
    }

    fn at_least_once(&self) -> bool {
        true
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    async fn deliver(&self, published: &PublishedCommit) -> Result<(), String> {
        let PublishedCommit { commit, content, .. } = published;
        if content.files.is_empty() && content.rejects == 0 {
            return Ok(());
        }
        let message = Message { commit: *commit, content };
        let mut message = serde_json::to_vec(&message).map_err(|error| error.to_string())?;
        let key = format!("{}-{commit}", content.log);
        match &self.hook {
            Hook::Webhook(url) => self.post(url.as_str(), &key, message).await,
            Hook::WebhookFile(file) => self.post(&read(file)?, &key, message).await,
            Hook::Command(command) => {
                message.push(b'\n');
                self.run(command, &message).await
            }
        }
    }
}

/// Reads a secret from its file, each time anew, so that it can be rotated without a restart.
fn read(file: &config::Text) -> Result<String, String> {
    fs::read_to_string(file.as_str()).map_err(|error| format!("{:?}: {error}", file.written()))
}

/// An error with its causes, without the URL, which may be a secret.
fn causes(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    if causes.is_empty() {
        "it cannot be reached".to_owned()
    } else {
        format!("it cannot be reached: {}", causes.join(": "))
    }
}

//! `[notify]`: a webhook or a command of the user's that is told of every commit.
//!
//! What it is told is one JSON object. A commit is told at least once and in order; who must not act on one twice goes by
//! `log` and `commit`, which the header `Idempotency-Key` holds too. A commit that laid nothing down is not told. What must
//! stay true: no message shows an address or a header that came from a file.

use std::error::Error as _;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, Url};
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{File, Follower, Told};
use crate::averages::Overall;
use crate::config::{self, Hook};

/// What its progress is called.
pub const NAME: &str = "notify";
/// The end of what a command says when it fails, in bytes.
const LAST_WORDS: usize = 300;

/// Who is told.
pub struct Notify {
    hook: Hook,
    bearer_file: Option<config::Text>,
    patience: Duration,
    http: Client,
}

/// What is told.
#[derive(Serialize)]
struct Message<'a> {
    pipeline: &'a str,
    log: &'a str,
    commit: u64,
    epoch: u64,
    at: &'a str,
    rows: u64,
    rejects: u64,
    files: &'a [File],
    averages: &'a [Overall],
}

impl Notify {
    pub fn new(asked: &config::Notify) -> Result<Self, String> {
        // The HTTP library asks the process for the cryptography to use; one that is set already does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().user_agent("millstream").build().map_err(|error| error.to_string())?;
        let config::Notify { hook, bearer_file, timeout } = asked.clone();
        Ok(Notify { hook, bearer_file, patience: timeout, http })
    }

    async fn post(&self, url: &str, key: &str, message: Vec<u8>) -> Result<(), String> {
        let url = Url::parse(url.trim()).map_err(|error| format!("its address is none: {error}"))?;
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
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read what it is told may do so.
            let _ = stdin.write_all(message).await;
        }
        let ended = child.wait_with_output().await.map_err(named)?;
        if ended.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.stderr[ended.stderr.len().saturating_sub(LAST_WORDS)..]).into_owned();
        Err(format!("{:?} ended with {}: {}", program.written(), ended.status, said.trim()))
    }
}

#[async_trait]
impl Follower for Notify {
    fn name(&self) -> &str {
        NAME
    }

    fn hears_all(&self) -> bool {
        true
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    async fn tell(&self, told: &Told) -> Result<(), String> {
        if told.files.is_empty() && told.rejects == 0 {
            return Ok(());
        }
        let Told { commit, log, pipeline, epoch, at, files, rows, rejects, averages, positions: _ } = told;
        let (commit, epoch, rows, rejects) = (*commit, *epoch, *rows, *rejects);
        let message = Message { pipeline, log, commit, epoch, at, rows, rejects, files, averages };
        let mut message = serde_json::to_vec(&message).map_err(|error| error.to_string())?;
        let key = format!("{log}-{commit}");
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

/// A secret, read anew each time: whoever changes it need not start again.
fn read(file: &config::Text) -> Result<String, String> {
    fs::read_to_string(file.as_str()).map_err(|error| format!("{:?}: {error}", file.written()))
}

/// An error with its causes and without the address, which may be a secret.
fn causes(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    if causes.is_empty() {
        "it cannot be reached".to_owned()
    } else {
        format!("it cannot be reached: {}", causes.join(": "))
    }
}

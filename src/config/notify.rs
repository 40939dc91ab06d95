//! `[notify]`: a webhook or a command for every commit.

use std::time::Duration;

use super::key::{Key, Spec};
use super::section::Section;
use super::text::Text;
use super::units::Span;

const WEBHOOK: Key =
    Key::optional("webhook", "URL that receives a POST for each commit, as JSON", "http://127.0.0.1:8080/commits");
const WEBHOOK_FILE: Key = Key::optional("webhook_file", "file with the URL, if that is a secret", "/run/secrets/hook");
const BEARER_FILE: Key =
    Key::optional("bearer_file", "file with a token for `Authorization: Bearer`", "/run/secrets/hook-bearer");
const COMMAND: Key = Key::optional(
    "command",
    "program with arguments, run for each commit; it reads the JSON from stdin",
    "[\"./tell.sh\"]",
);
const TIMEOUT: Key = Key::with_default("timeout", "timeout of one delivery", "10s");

pub(super) const SPEC: Spec = Spec {
    heading: "[notify]",
    what: "notifies a webhook or a command of every commit, at least once and in order; commits never wait for it",
    keys: &[WEBHOOK, WEBHOOK_FILE, BEARER_FILE, COMMAND, TIMEOUT],
};

/// A `[notify]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    pub hook: Hook,
    pub bearer_file: Option<Text>,
    pub timeout: Duration,
}

/// The receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    Webhook(Text),
    WebhookFile(Text),
    /// The program and its arguments.
    Command(Vec<Text>),
}

pub(super) fn read(section: Section<'_>) -> Option<Notify> {
    if !section.is_there() {
        return None;
    }
    let webhook: Option<Text> = section.optional(&WEBHOOK);
    let file: Option<Text> = section.optional(&WEBHOOK_FILE);
    let command: Vec<Text> = section.list(&COMMAND).into_iter().map(|(_, text)| text).collect();
    let bearer_file: Option<Text> = section.optional(&BEARER_FILE);
    let timeout = section.get::<Span>(&TIMEOUT).0;
    let hooks = [
        webhook.map(Hook::Webhook),
        file.map(Hook::WebhookFile),
        (!command.is_empty()).then_some(Hook::Command(command)),
    ];
    let mut hooks: Vec<Hook> = hooks.into_iter().flatten().collect();
    if hooks.len() != 1 {
        section.reader.report(section.at.error("needs exactly one of webhook, webhook_file and command"));
    }
    if bearer_file.is_some() && matches!(hooks.first(), Some(Hook::Command(_))) {
        section.reader.report(section.at_key(&BEARER_FILE).error("is only valid with a webhook"));
    }
    if let Some(Hook::Webhook(url)) = hooks.first()
        && !(url.as_str().starts_with("http://") || url.as_str().starts_with("https://"))
    {
        section.reader.report(
            section
                .at_key(&WEBHOOK)
                .error(format!("{:?} is not a URL; it must begin with https:// or http://", url.written())),
        );
    }
    section.finish();
    Some(Notify { hook: hooks.pop()?, bearer_file, timeout })
}

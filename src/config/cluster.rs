//! `[cluster]`: how the processes on several machines find and trust each other.

use std::time::Duration;

use super::host::{Host, Named};
use super::key::{Key, Spec};
use super::scalar::Words;
use super::section::Section;
use super::text::Text;
use super::units::Span;

const AUTH: Key = Key::optional(
    "auth",
    "how processes prove to each other that they belong together: tls (certificates of one authority, made out to the hosts), \
     key (a key that all share, for a network that you trust: nothing is encrypted), none; must be said to run with --hosts",
    "tls",
);
const CA_FILE: Key =
    Key::optional("ca_file", "tls: the authority that all certificates are of, in PEM", "/etc/millstream/tls/ca.crt");
const CERTIFICATE_FILE: Key = Key::optional(
    "certificate_file",
    "tls: the certificate of this process, in PEM, made out to its host in the hosts file, for client and server both",
    "/etc/millstream/tls/tls.crt",
);
const PRIVATE_KEY_FILE: Key =
    Key::optional("private_key_file", "tls: the private key to it, in PEM", "/etc/millstream/tls/tls.key");
const KEY_FILE: Key = Key::optional(
    "key_file",
    "key: a file with the shared key, of 16 bytes or more, as `openssl rand -hex 32` makes one",
    "/etc/millstream/cluster.key",
);
const LISTEN: Key = Key::optional(
    "listen",
    "where to listen for the other processes; by default at the line of the hosts file",
    "0.0.0.0:2101",
);
const WAIT: Key = Key::with_default("wait", "how long to wait for the other processes at a start", "5m");

pub(super) const SPEC: Spec = Spec {
    heading: "[cluster]",
    what: "how processes on several machines trust each other; not needed for --processes on one machine",
    keys: &[AUTH, CA_FILE, CERTIFICATE_FILE, PRIVATE_KEY_FILE, KEY_FILE, LISTEN, WAIT],
};

/// How processes prove who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    #[default]
    Tls,
    Key,
    Nothing,
}

impl Words for Auth {
    const WORDS: &'static [(&'static str, Self)] = &[("tls", Auth::Tls), ("key", Auth::Key), ("none", Auth::Nothing)];
}

/// `[cluster]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// None: nothing is said, which is an answer for one machine only.
    pub auth: Option<Auth>,
    pub ca_file: Text,
    pub certificate_file: Text,
    pub private_key_file: Text,
    pub key_file: Text,
    pub listen: Option<Host>,
    pub wait: Duration,
}

pub(super) fn read(section: Section<'_>) -> Cluster {
    let auth = section.optional(&AUTH);
    let file = |key: &Key, of: Auth| {
        let text: Option<Text> = section.optional(key);
        let word = of.word();
        if text.is_none() && auth == Some(of) {
            let problem = format!("is missing: auth = {word:?} needs it; write {} = {}", key.name, key.example());
            section.reader.report(section.at.with_key(key.name).error(problem));
        }
        if text.is_some() && auth != Some(of) {
            let problem = format!("is of use with auth = {word:?} alone");
            section.reader.report(section.at_key(key).error(problem));
        }
        text.unwrap_or_default()
    };
    let cluster = Cluster {
        auth,
        ca_file: file(&CA_FILE, Auth::Tls),
        certificate_file: file(&CERTIFICATE_FILE, Auth::Tls),
        private_key_file: file(&PRIVATE_KEY_FILE, Auth::Tls),
        key_file: file(&KEY_FILE, Auth::Key),
        listen: section.optional::<Named>(&LISTEN).and_then(|named| named.0),
        wait: section.get::<Span>(&WAIT).0,
    };
    section.finish();
    cluster
}

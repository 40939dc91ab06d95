//! `[observe]`: where the process can be watched.

use std::net::SocketAddr;

use super::key::{Key, Spec};
use super::scalar::Listen;
use super::section::Section;

const LISTEN: Key = Key::optional(
    "listen",
    "address of /metrics, /healthz, /readyz and the page; process i takes the port plus i",
    "127.0.0.1:9464",
);

pub(super) const SPEC: Spec =
    Spec { heading: "[observe]", what: "where the process can be watched; nowhere unless said", keys: &[LISTEN] };

/// `[observe]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observe {
    pub listen: Option<SocketAddr>,
}

pub(super) fn read(section: Section<'_>) -> Observe {
    let observe = Observe { listen: section.optional::<Listen>(&LISTEN).and_then(|listen| listen.0) };
    section.finish();
    observe
}

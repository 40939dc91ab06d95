//! A host and a port, as people write them.

use std::fmt;

use super::scalar::{Fault, Scalar};

/// Where a process listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// A name, or an address.
    pub name: String,
    pub port: u16,
}

impl Host {
    /// Reads `host:port`; an IPv6 address stands in brackets.
    pub fn parse(written: &str) -> Option<Self> {
        let (name, port) = written.rsplit_once(':')?;
        let name = match name.strip_prefix('[') {
            Some(address) => address.strip_suffix(']')?,
            None if name.contains(':') => return None,
            None => name,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        let (port, named) = (port.parse().ok()?, !name.is_empty() && name.chars().all(plain));
        named.then(|| Host { name: name.to_owned(), port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

/// A host that a file may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Named(pub(super) Option<Host>);

impl Scalar for Named {
    const WANTED: &'static str = "a host and a port, as in \"0.0.0.0:2101\"";

    fn read(text: &str) -> Result<Self, Fault> {
        Host::parse(text).map(|host| Named(Some(host))).ok_or(Fault::Unlike)
    }
}

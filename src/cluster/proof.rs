//! How processes prove to each other who they are.
//!
//! Owns the three ways (certificates, a shared key, nothing at all) and what each needs from files, read once at a start.
//! With certificates, both ends hold one of the same authority, made out to the host that the hosts file names; all that
//! follows is encrypted. With a key, each end shows that it knows it, for a challenge of the other's and this connection
//! alone; what follows is neither encrypted nor signed, which is for networks where nobody else can put bytes into a
//! connection. What must stay true: no key and no private key is ever shown.

use std::path::Path;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sha2::Sha256;
use thiserror::Error;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::config::{Auth, Cluster};

/// The fewest bytes of a key.
const LEAST_KEY: usize = 16;
/// How long a proof is.
pub(super) const PROOF: usize = 32;

/// How this process proves itself, and how it makes others do so.
#[derive(Clone)]
pub enum Proof {
    /// Not at all.
    Nothing,
    Key(Key),
    Tls(Box<Tls>),
}

/// A key that all processes share. It has no form that could be shown.
#[derive(Clone)]
pub struct Key(Arc<[u8]>);

/// A certificate, and the authority that all of them are of.
#[derive(Clone)]
pub struct Tls {
    pub(super) connector: TlsConnector,
    pub(super) acceptor: TlsAcceptor,
}

/// What is wrong with the files of a proof.
#[derive(Debug, Error)]
pub enum ProofError {
    #[error("[cluster] {key} = {path:?}: {why}")]
    File { key: &'static str, path: String, why: String },
    #[error("[cluster] certificate_file and private_key_file do not go together, or are of no use: {0}")]
    Pair(rustls::Error),
    #[error(
        "nothing says how the processes prove who they are to each other. Write into the pipeline file\n  \
         [cluster]\n  auth = \"tls\"     # with ca_file, certificate_file and private_key_file\nor auth = \"key\" with \
         key_file, for a network that you trust; or auth = \"none\", and everybody who reaches the port can take part"
    )]
    NotSaid,
}

impl Proof {
    /// The proof that a pipeline file asks for, its files read.
    pub fn load(cluster: &Cluster) -> Result<Self, ProofError> {
        match cluster.auth {
            None => Err(ProofError::NotSaid),
            Some(Auth::Nothing) => Ok(Proof::Nothing),
            Some(Auth::Key) => Ok(Proof::Key(Key::read("key_file", cluster.key_file.as_str())?)),
            Some(Auth::Tls) => Ok(Proof::Tls(Box::new(Tls::load(cluster)?))),
        }
    }

    /// A word for messages.
    pub fn word(&self) -> &'static str {
        match self {
            Proof::Nothing => "none",
            Proof::Key(_) => "key",
            Proof::Tls(_) => "tls",
        }
    }
}

impl Key {
    /// A key of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Key(bytes.into())
    }

    fn read(key: &'static str, path: &str) -> Result<Self, ProofError> {
        let wrong = |why: String| ProofError::File { key, path: path.to_owned(), why };
        let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let bytes = bytes.trim_ascii();
        if bytes.len() < LEAST_KEY {
            let why = "holds fewer than 16 bytes; make a key with `openssl rand -hex 32`";
            return Err(wrong(why.to_owned()));
        }
        Ok(Key::new(bytes))
    }

    /// The proof of whoever plays `role` in the conversation that began with `transcript`.
    pub(super) fn prove(&self, role: Role, transcript: &[u8]) -> [u8; PROOF] {
        self.mac(role, transcript).finalize().into_bytes().into()
    }

    /// Whether that is the proof of whoever plays `role`; takes as long for any wrong one.
    pub(super) fn holds(&self, role: Role, transcript: &[u8], proof: &[u8]) -> bool {
        self.mac(role, transcript).verify_slice(proof).is_ok()
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    fn mac(&self, role: Role, transcript: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        mac.update(match role {
            Role::Caller => b"millstream cluster: caller\n",
            Role::Called => b"millstream cluster: called\n",
        });
        mac.update(transcript);
        mac
    }
}

/// Who began a conversation. Each end proves itself in its own role, so that neither can be sent back its own proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Caller,
    Called,
}

impl Tls {
    fn load(cluster: &Cluster) -> Result<Self, ProofError> {
        let authorities = certificates("ca_file", cluster.ca_file.as_str())?;
        let chain = certificates("certificate_file", cluster.certificate_file.as_str())?;
        let key = private_key(cluster.private_key_file.as_str())?;
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(|error| wrong("ca_file", cluster.ca_file.as_str(), error))?;
        }
        let (roots, provider) = (Arc::new(roots), Arc::new(rustls::crypto::ring::default_provider()));
        let callers = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build();
        let callers = callers.map_err(|error| wrong("ca_file", cluster.ca_file.as_str(), error))?;
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(ProofError::Pair)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(ProofError::Pair)?;
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(ProofError::Pair)?
            .with_client_cert_verifier(callers)
            .with_single_cert(chain, key)
            .map_err(ProofError::Pair)?;
        Ok(Tls { connector: Arc::new(client).into(), acceptor: Arc::new(server).into() })
    }
}

fn wrong(key: &'static str, path: &str, why: impl std::fmt::Display) -> ProofError {
    ProofError::File { key, path: path.to_owned(), why: why.to_string() }
}

fn certificates(key: &'static str, path: &str) -> Result<Vec<CertificateDer<'static>>, ProofError> {
    let read = CertificateDer::pem_file_iter(Path::new(path)).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|error| wrong(key, path, error))?;
    if certificates.is_empty() {
        return Err(wrong(key, path, "holds no certificate; it is to be in PEM form"));
    }
    Ok(certificates)
}

fn private_key(path: &str) -> Result<PrivateKeyDer<'static>, ProofError> {
    PrivateKeyDer::from_pem_file(Path::new(path)).map_err(|error| wrong("private_key_file", path, error))
}

/// Whether a certificate, already known to be of the right authority, is made out to this host.
pub(super) fn is_made_out_to(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let Ok(name) = ServerName::try_from(host.to_owned()) else { return false };
    let certificate = webpki::EndEntityCert::try_from(certificate);
    certificate.is_ok_and(|certificate| certificate.verify_is_valid_for_subject_name(&name).is_ok())
}

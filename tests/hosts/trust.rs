//! What lets the processes of a test trust each other.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::services::hosts::Hosts;

/// How they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Key,
    /// Each process has a certificate made out to the address of its host.
    Tls,
}

impl Trust {
    /// Lays down the files, and gives the section of the pipeline file.
    pub(crate) fn lay_down(self, folder: &Path, hosts: usize) -> String {
        match self {
            Trust::Key => key(folder),
            Trust::Tls => certificates(folder, hosts),
        }
    }

    /// What the process on a host finds in its environment.
    pub(crate) fn environment(self, folder: &Path, host: usize) -> Vec<(&'static str, String)> {
        let file = |ending: &str| folder.join(format!("{host}{ending}")).display().to_string();
        match self {
            Trust::Key => Vec::new(),
            Trust::Tls => vec![("CERTIFICATE", file(".crt")), ("PRIVATE_KEY", file(".key"))],
        }
    }
}

fn key(folder: &Path) -> String {
    let path = folder.join("cluster.key");
    std::fs::write(&path, "a key that the processes of this test share").unwrap();
    format!("[cluster]\nauth = \"key\"\nkey_file = {path:?}\n")
}

fn certificates(folder: &Path, hosts: usize) -> String {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let path = folder.join("ca.crt");
    std::fs::write(&path, authority.pem()).unwrap();
    for host in 0..hosts {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![Hosts::address(host)]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::write(folder.join(format!("{host}.crt")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{host}.key")), key.serialize_pem()).unwrap();
    }
    let own = "certificate_file = \"${CERTIFICATE}\"\nprivate_key_file = \"${PRIVATE_KEY}\"";
    format!("[cluster]\nauth = \"tls\"\nca_file = {path:?}\n{own}\n")
}

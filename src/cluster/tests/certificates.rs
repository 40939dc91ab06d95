//! Certificates: what lets a process in, and everything that looks nearly like it.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use super::*;
use crate::config::{Auth, Text};

/// An authority that makes out certificates into files.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// The proof of a process with a certificate for these names, trusting `trusted`.
    fn proof(&self, folder: &Path, name: &str, expired: bool, trusted: &Authority) -> Proof {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1));
        }
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let write = |file: &str, text: String| {
            let path = folder.join(file);
            std::fs::write(&path, text).unwrap();
            Text::from(path.display().to_string().as_str())
        };
        let cluster = crate::config::Cluster {
            auth: Some(Auth::Tls),
            ca_file: write("ca.pem", trusted.0.pem()),
            certificate_file: write("certificate.pem", certificate.pem()),
            private_key_file: write("key.pem", key.serialize_pem()),
            key_file: Text::default(),
            listen: None,
            wait: PATIENCE,
        };
        Proof::load(&cluster).unwrap()
    }
}

async fn two(zero: &Proof, one: &Proof) -> Result<(Cluster, Cluster), String> {
    let mut places = Places::new(2);
    // Certificates are made out to names, and all hosts of this test have one address.
    places.hosts.iter_mut().for_each(|host| host.name = "localhost".into());
    let mut first = places.enter(0, zero, introduction(0, 2)).await;
    let member = places.member(1, one, Duration::from_secs(1));
    let mut second = Cluster::enter(member, introduction(1, 2)).await.unwrap();
    tokio::select! {
        formed = first.formed() => assert!(formed.unwrap()),
        given_up = second.terms() => return Err(given_up.unwrap_err().to_string()),
    }
    Ok((first, second))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_right_authority_for_the_right_host_lets_in_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let good = ours.proof(folder.path(), "localhost", false, &ours);
    let (first, second) = two(&good, &good).await.unwrap();
    drop((first, second));
    let nearly: [(Proof, &str); 3] = [
        (ours.proof(folder.path(), "localhost", true, &ours), "expired"),
        (ours.proof(folder.path(), "elsewhere", false, &ours), "not valid for"),
        (theirs.proof(folder.path(), "localhost", false, &ours), "BadSignature"),
    ];
    for (proof, expected) in &nearly {
        // As the one that is called, where the caller looks at its certificate, and as the caller.
        let called = two(proof, &good).await.err().expect("it was let in");
        let words: &[&str] = &["expired", "not valid for", "BadSignature"];
        assert!(words.iter().any(|word| called.contains(word)), "{expected}: {called}");
        two(&good, proof).await.err().expect("it was let in");
    }
    for stranger in [Proof::Nothing, key("a key that they share")] {
        two(&good, &stranger).await.err().expect("it was let in");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_encrypted_on_their_way() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new();
    let proof = ours.proof(folder.path(), "localhost", false, &ours);
    let mut places = Places::new(2);
    places.hosts.iter_mut().for_each(|host| host.name = "localhost".into());
    let zero = places.enter(0, &proof, introduction(0, 2)).await;
    let ear = Listening::before(places.port(0)).await;
    places.hosts[0].port = ear.port;
    let one = places.enter(1, &proof, introduction(1, 2)).await;
    let mut all = [zero, one];
    let mut pipes = together(&mut all, 1).await;
    let text = b"what nobody is to overhear ".repeat(40_000);
    let ends: Vec<_> = [pipes[0][1].take(), pipes[1][0].take()].into_iter().flatten().collect();
    let working = ends.into_iter().map(|pipe| {
        let text = text.clone();
        tokio::task::spawn_blocking(move || exchange(pipe, text))
    });
    for read in in_time(futures::future::join_all(working)).await {
        assert!(read.unwrap() == text);
    }
    let said = ear.said.lock().unwrap().concat();
    assert!(said.len() > text.len());
    assert!(memchr::memmem::find(&said, b"nobody is to overhear").is_none());
    assert!(memchr::memmem::find(&said, b"pipeline").is_none(), "nor is what processes say to each other");
}

#[test]
fn files_of_no_use_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("short"), "abc\n").unwrap();
    std::fs::write(path("text"), "no certificate").unwrap();
    let cluster = |auth, key: &str, ca: &str| crate::config::Cluster {
        auth,
        ca_file: Text::from(ca),
        certificate_file: Text::default(),
        private_key_file: Text::default(),
        key_file: Text::from(key),
        listen: None,
        wait: PATIENCE,
    };
    for (cluster, expected) in [
        (cluster(None, "", ""), "nothing says how the processes prove who they are"),
        (cluster(Some(Auth::Key), &path("missing"), ""), "[cluster] key_file = "),
        (cluster(Some(Auth::Key), &path("short"), ""), "holds fewer than 16 bytes; make a key with"),
        (cluster(Some(Auth::Tls), "", &path("text")), "holds no certificate; it is to be in PEM form"),
    ] {
        let told = Proof::load(&cluster).err().unwrap().to_string();
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("abc"), "{told}");
    }
}

//! How two processes come to know each other, on a connection of which nothing is known yet.
//!
//! ```text
//! (TLS, with certificates) ─► hello ⇄ hello ─► proof ⇄ proof (of a shared key) ─► introduction ⇄ introduction
//! ```
//! Owns what is said before a connection is a link. A hello is 62 bytes, and until the other end has proved itself nothing
//! else of it is read; the introduction, behind the proof, says what both must have in common. What must stay true: a proof
//! covers both hellos, so that one that was overheard is of no use for another connection, nor for the other end of this.

use std::io;
use std::time::Duration;

use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::hosts::Hosts;
use super::proof::{Key, PROOF, Proof, Role, is_made_out_to};

/// How long getting to know each other may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const MAGIC: &[u8; 16] = b"millstream mesh\n";
/// Of this conversation; another one is told apart before anything else is read.
const VERSION: u8 = 1;
const CHALLENGE: usize = 32;
const HELLO: usize = MAGIC.len() + 2 + 4 + 4 + 4 + CHALLENGE;
const MOST_INTRODUCTION: u32 = 64 << 10;

/// A connection, encrypted or not.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// This process, and what it has to know of the others beforehand.
#[derive(Clone)]
pub(super) struct Myself {
    pub process: usize,
    pub hosts: Hosts,
    pub proof: Proof,
    pub introduction: Introduction,
}

/// What a process says of itself once it has proved that it belongs here. All but `start` must be the same everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// A number that no other start of any process has.
    pub start: u64,
    /// The version of millstream.
    pub version: String,
    /// The name of the pipeline.
    pub pipeline: String,
    /// [`crate::config::Config::fingerprint`].
    pub fingerprint: u64,
    pub processes: usize,
    /// Worker threads of each process.
    pub workers: usize,
    pub until_end: bool,
}

/// Why somebody was turned away, or turned us away.
#[derive(Debug, Error)]
pub(super) enum Turned {
    #[error("it is no process of a cluster")]
    Stranger,
    #[error("it speaks version {theirs} of the conversation and this process version {VERSION}")]
    Conversation { theirs: u8 },
    #[error("it proves itself with auth = {theirs:?} and this process with {ours:?}")]
    Auth { theirs: &'static str, ours: &'static str },
    #[error("it was silent for {} s", PATIENCE.as_secs())]
    Silent,
    #[error("it does not know the key")]
    Unproved,
    #[error("its certificate is not made out to {host}, the host of process {process}")]
    Name { process: usize, host: String },
    #[error("it says that it is process {0}, which it cannot be here")]
    Place(u32),
    #[error("it takes this process for process {0}")]
    Misled(u32),
    #[error("{0}")]
    Different(String),
    #[error("{0}")]
    Broken(#[from] io::Error),
}

/// The first thing that is said.
struct Hello {
    auth: u8,
    from: u32,
    to: u32,
    /// How many processes the sender knows of: it tells apart what a key or a certificate cannot.
    processes: u32,
    challenge: [u8; CHALLENGE],
}

impl Hello {
    fn new(me: &Myself, to: usize) -> io::Result<Self> {
        let mut challenge = [0; CHALLENGE];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut challenge).map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let auth = auth(&me.proof);
        Ok(Hello { auth, from: me.process as u32, to: to as u32, processes: me.hosts.len() as u32, challenge })
    }

    fn bytes(&self) -> [u8; HELLO] {
        let mut bytes = [0; HELLO];
        let parts: [&[u8]; 6] = [
            MAGIC,
            &[VERSION, self.auth],
            &self.from.to_le_bytes(),
            &self.to.to_le_bytes(),
            &self.processes.to_le_bytes(),
            &self.challenge,
        ];
        let mut rest = bytes.as_mut_slice();
        for part in parts {
            let (here, after) = rest.split_at_mut(part.len());
            here.copy_from_slice(part);
            rest = after;
        }
        bytes
    }

    /// Reads a hello; a stranger is told by its first bytes, not by what it fails to say after them.
    async fn read(from: &mut dyn Wire, me: &Myself) -> Result<(Self, [u8; HELLO]), Turned> {
        let mut bytes = [0; HELLO];
        let (head, rest) = bytes.split_at_mut(MAGIC.len() + 2);
        from.read_exact(head).await?;
        if !head.starts_with(MAGIC) {
            return Err(Turned::Stranger);
        }
        if head[MAGIC.len()] != VERSION {
            return Err(Turned::Conversation { theirs: head[MAGIC.len()] });
        }
        let (theirs, ours) = (head[MAGIC.len() + 1], auth(&me.proof));
        if theirs != ours {
            return Err(Turned::Auth { theirs: auth_word(theirs), ours: me.proof.word() });
        }
        from.read_exact(rest).await?;
        let number = |at: usize| u32::from_le_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
        let mut challenge = [0; CHALLENGE];
        challenge.copy_from_slice(&rest[12..]);
        let hello = Hello { auth: theirs, from: number(0), to: number(4), processes: number(8), challenge };
        if hello.processes as usize != me.hosts.len() {
            let (theirs, ours) = (hello.processes, me.hosts.len());
            return Err(Turned::Different(format!("it is of {theirs} processes and this process of {ours}")));
        }
        if hello.to as usize != me.process {
            return Err(Turned::Misled(hello.to));
        }
        Ok((hello, bytes))
    }
}

fn auth(proof: &Proof) -> u8 {
    match proof {
        Proof::Nothing => 0,
        Proof::Key(_) => 1,
        Proof::Tls(_) => 2,
    }
}

fn auth_word(auth: u8) -> &'static str {
    ["none", "key", "tls"].get(usize::from(auth)).copied().unwrap_or("unknown")
}

/// A peer that has proved itself and fits.
pub(super) struct Acquainted {
    pub(super) peer: usize,
    /// Of its start.
    pub(super) start: u64,
    pub(super) wire: Box<dyn Wire>,
}

/// Calls a process and gets to know it.
pub(super) async fn call(socket: TcpStream, peer: usize, me: &Myself) -> Result<Acquainted, Turned> {
    let mut wire = secured_call(socket, peer, me).await?;
    let hello = Hello::new(me, peer)?.bytes();
    wire.write_all(&hello).await?;
    wire.flush().await?;
    let (answer, answered) = Hello::read(&mut *wire, me).await?;
    if answer.from as usize != peer {
        return Err(Turned::Place(answer.from));
    }
    if let Proof::Key(key) = &me.proof {
        let transcript = [hello, answered].concat();
        wire.write_all(&key.prove(Role::Caller, &transcript)).await?;
        wire.flush().await?;
        take_proof(&mut *wire, key, Role::Called, &transcript).await?;
    }
    introduced(wire, peer, me).await
}

/// Gets to know whoever has called.
pub(super) async fn answer(socket: TcpStream, me: &Myself) -> Result<Acquainted, Turned> {
    let (mut wire, certificate) = secured_answer(socket, me).await?;
    let (hello, said) = Hello::read(&mut *wire, me).await?;
    let peer = hello.from as usize;
    if peer <= me.process || peer >= me.hosts.len() {
        return Err(Turned::Place(hello.from));
    }
    if let Some(certificate) = certificate {
        let host = &me.hosts.of(peer).name;
        if !is_made_out_to(&certificate, host) {
            return Err(Turned::Name { process: peer, host: host.clone() });
        }
    }
    let answer = Hello::new(me, peer)?.bytes();
    wire.write_all(&answer).await?;
    wire.flush().await?;
    if let Proof::Key(key) = &me.proof {
        let transcript = [said, answer].concat();
        take_proof(&mut *wire, key, Role::Caller, &transcript).await?;
        wire.write_all(&key.prove(Role::Called, &transcript)).await?;
    }
    introduced(wire, peer, me).await
}

/// Lets getting to know each other take no longer than it may.
pub(super) async fn in_time<T>(work: impl Future<Output = Result<T, Turned>>) -> Result<T, Turned> {
    timeout(PATIENCE, work).await.unwrap_or(Err(Turned::Silent))
}

async fn secured_call(socket: TcpStream, peer: usize, me: &Myself) -> Result<Box<dyn Wire>, Turned> {
    let Proof::Tls(tls) = &me.proof else { return Ok(Box::new(socket)) };
    let host = me.hosts.of(peer).name.clone();
    let name = ServerName::try_from(host.clone());
    let name = name.map_err(|_| Turned::Different(format!("{host} is no name that a certificate could have")))?;
    Ok(Box::new(tls.connector.connect(name, socket).await?))
}

type Certificate = rustls::pki_types::CertificateDer<'static>;

async fn secured_answer(socket: TcpStream, me: &Myself) -> Result<(Box<dyn Wire>, Option<Certificate>), Turned> {
    let Proof::Tls(tls) = &me.proof else { return Ok((Box::new(socket), None)) };
    let stream = tls.acceptor.accept(socket).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
    // The verifier lets nobody in without one; should it ever, the name is what is missing.
    let certificate = certificate.ok_or(Turned::Stranger)?;
    Ok((Box::new(stream), Some(certificate)))
}

async fn take_proof(wire: &mut dyn Wire, key: &Key, role: Role, transcript: &[u8]) -> Result<(), Turned> {
    let mut proof = [0; PROOF];
    match wire.read_exact(&mut proof).await {
        // Whoever finds that our proof is wrong hangs up.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Turned::Unproved),
        Err(error) => Err(error.into()),
        Ok(_) if key.holds(role, transcript, &proof) => Ok(()),
        Ok(_) => Err(Turned::Unproved),
    }
}

async fn introduced(mut wire: Box<dyn Wire>, peer: usize, me: &Myself) -> Result<Acquainted, Turned> {
    let ours = serde_json::to_vec(&me.introduction).map_err(io::Error::from)?;
    wire.write_u32_le(ours.len() as u32).await?;
    wire.write_all(&ours).await?;
    wire.flush().await?;
    let length = wire.read_u32_le().await?;
    if length > MOST_INTRODUCTION {
        return Err(Turned::Stranger);
    }
    let mut theirs = vec![0; length as usize];
    wire.read_exact(&mut theirs).await?;
    // Another version may say other things; that it is another one is all that has to be known of it.
    let said: serde_json::Value = serde_json::from_slice(&theirs).map_err(|_| Turned::Stranger)?;
    if said["version"] != me.introduction.version {
        let (theirs, ours) = (&said["version"], &me.introduction.version);
        return Err(Turned::Different(format!("it is millstream {theirs} and this process {ours:?}")));
    }
    let theirs: Introduction = serde_json::from_value(said).map_err(|_| Turned::Stranger)?;
    me.introduction.fits(&theirs).map_err(Turned::Different)?;
    Ok(Acquainted { peer, start: theirs.start, wire })
}

impl Introduction {
    /// Why two processes cannot be of one cluster, if they cannot.
    fn fits(&self, other: &Introduction) -> Result<(), String> {
        if self.pipeline != other.pipeline {
            return Err(format!("it runs the pipeline {:?} and this process {:?}", other.pipeline, self.pipeline));
        }
        if self.fingerprint != other.fingerprint {
            let name = &self.pipeline;
            return Err(format!("its file of the pipeline {name:?} says something else than that of this process"));
        }
        if self.processes != other.processes {
            return Err(format!("it is of {} processes and this process of {}", other.processes, self.processes));
        }
        if self.workers != other.workers {
            return Err(format!("it has {} workers and this process {}", other.workers, self.workers));
        }
        if self.until_end != other.until_end {
            let (with, without) = ("with --until-end", "without --until-end");
            let (theirs, ours) = if other.until_end { (with, without) } else { (without, with) };
            return Err(format!("it was started {theirs} and this process {ours}"));
        }
        Ok(())
    }
}

//! A process's place in the cluster, and the run's hold on the mesh.
//!
//! Owns the thread that the mesh lives on. What must stay true: a run that ends, in whatever way, has told its peers why
//! before it is gone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use millstream_operators::protocol::State;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::frame::Terms;
use super::hello::{Introduction, Myself};
use super::hosts::{Host, Hosts};
use super::link::Traffic;
use super::mesh::{Ask, Mesh, Told};
use super::pipe::Pipe;
use super::proof::Proof;
use crate::exit::{Exit, Fatal};

/// Words between run and mesh that may wait.
const WORDS: usize = 16;
const BINDING_AGAIN: Duration = Duration::from_millis(500);

/// This process among those of a cluster.
pub struct Member {
    pub process: usize,
    pub hosts: Hosts,
    pub proof: Proof,
    pub listen: Listen,
    /// How long to wait for the others.
    pub wait: Duration,
}

/// Which of how many processes this one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    pub process: usize,
    pub processes: usize,
}

impl Seat {
    /// The only one.
    pub const ALONE: Seat = Seat { process: 0, processes: 1 };
}

/// Where to listen.
pub enum Listen {
    /// At an address, as soon as it is ours.
    At(Host),
    /// Here, already.
    On(std::net::TcpListener),
}

/// Whatever the mesh says while the run goes on.
#[derive(Debug)]
pub enum News {
    /// All are asked to stop.
    Stop,
    /// It is over.
    Over(Fatal),
}

/// The cluster, as a process that takes part holds it.
pub struct Cluster {
    seat: Seat,
    asks: mpsc::Sender<Ask>,
    told: mpsc::Receiver<Told>,
    traffic: Arc<Traffic>,
    mesh: JoinHandle<()>,
}

impl Cluster {
    /// Opens the door and begins to call the others.
    pub async fn enter(member: Member, introduction: Introduction) -> Result<Self, Fatal> {
        let Member { process, hosts, proof, listen, wait } = member;
        let listener = match listen {
            Listen::At(host) => bind(&host, wait).await?,
            Listen::On(listener) => listener,
        };
        let seat = Seat { process, processes: hosts.len() };
        let me = Myself { process, hosts, proof, introduction };
        let (asks, asked) = mpsc::channel(WORDS);
        let (telling, told) = mpsc::channel(WORDS);
        let traffic = Arc::<Traffic>::default();
        let counted = traffic.clone();
        // A thread of its own, which the runs of timely, of the connectors and of the decoder cannot hold up.
        let (ended, mesh) = tokio::sync::oneshot::channel();
        let failed = |error: std::io::Error| Fatal::Failed(format!("the threads of the cluster do not start: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let work = move || {
            runtime.block_on(async {
                match listening(listener) {
                    Ok(listener) => Mesh::run(me, listener, wait, counted, telling, asked).await,
                    Err(error) => tracing::error!(%error, "cannot listen"),
                }
            });
            // With it go the door and all links.
            drop(runtime);
            let _ = ended.send(());
        };
        std::thread::Builder::new().name("mesh".to_owned()).spawn(work).map_err(failed)?;
        let mesh = tokio::spawn(async move { mesh.await.unwrap_or_default() });
        Ok(Cluster { seat, asks, told, traffic, mesh })
    }

    /// Which process this is, and of how many.
    pub fn seat(&self) -> Seat {
        self.seat
    }

    /// What went over the wire so far.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The next word of the mesh that is not the end; `None`: all are asked to stop.
    async fn next(&mut self) -> Result<Option<Told>, Fatal> {
        match self.told.recv().await {
            Some(Told::Over(fatal)) => Err(fatal),
            Some(Told::Stop | Told::Stopped) => Ok(None),
            Some(told) => Ok(Some(told)),
            None => Err(Fatal::Failed("the mesh has ended by itself, which is a defect of millstream".to_owned())),
        }
    }

    /// On process 0: waits until all are linked to each other; `false`: all are asked to stop.
    pub async fn formed(&mut self) -> Result<bool, Fatal> {
        loop {
            match self.next().await? {
                Some(Told::Formed) => return Ok(true),
                Some(_) => {}
                None => return Ok(false),
            }
        }
    }

    /// On process 0: gives the others the claimed log to go on from.
    pub async fn lead(&self, state: &State) {
        let state = State { positions: state.positions.clone(), ..state.head() };
        self.ask(Ask::Lead(Box::new(state))).await;
    }

    /// On the others: waits for what process 0 gives them; none: all are asked to stop.
    pub async fn terms(&mut self) -> Result<Option<Terms>, Fatal> {
        loop {
            match self.next().await? {
                Some(Told::Terms(terms)) => return Ok(Some(*terms)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Waits until all take part, and gives the way to each; none: all are asked to stop.
    pub async fn joined(&mut self) -> Result<Option<Vec<Option<Pipe>>>, Fatal> {
        loop {
            match self.next().await? {
                Some(Told::Joined(pipes)) => return Ok(Some(pipes)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// What the mesh says while the run goes on.
    pub async fn news(&mut self) -> News {
        loop {
            match self.next().await {
                Ok(None) => return News::Stop,
                Ok(Some(_)) => {}
                Err(fatal) => return News::Over(fatal),
            }
        }
    }

    /// Passes on that a stop was asked for.
    pub async fn stop(&self) {
        self.ask(Ask::Stop).await;
    }

    async fn ask(&self, ask: Ask) {
        // A mesh that is gone has said why.
        let _ = self.asks.send(ask).await;
    }

    /// All is done here: waits until it is so everywhere.
    pub async fn part(self) {
        self.ask(Ask::Part).await;
        drop(self.told);
        let _ = self.mesh.await;
    }

    /// Says goodbye, and why.
    pub async fn leave(self, exit: Exit, why: &str) {
        self.ask(Ask::Leave { exit, why: why.to_owned() }).await;
        drop(self.told);
        let _ = self.mesh.await;
    }
}

fn listening(listener: std::net::TcpListener) -> std::io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Listens once the address is ours: a name may not be known yet, and an older process of ours may still hold the port.
async fn bind(host: &Host, wait: Duration) -> Result<std::net::TcpListener, Fatal> {
    let (began, mut told) = (Instant::now(), false);
    loop {
        let tried = match TcpListener::bind((host.name.as_str(), host.port)).await {
            Ok(listener) => listener.into_std(),
            Err(error) => Err(error),
        };
        let error = match tried {
            Ok(listener) => return Ok(listener),
            Err(error) => error,
        };
        if began.elapsed() > wait || !may_pass(&error) {
            let hint = "Say with [cluster] listen where to listen, where it is not the line of the hosts file";
            return Err(Fatal::Failed(format!("cannot listen at {host}: {error}. {hint}")));
        }
        if !told {
            tracing::warn!("cannot listen at {host} yet: {error}. Trying again");
            told = true;
        }
        sleep(BINDING_AGAIN).await;
    }
}

fn may_pass(error: &std::io::Error) -> bool {
    !matches!(error.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::InvalidInput)
}

/// A socket that listens on this machine alone, on a free port.
pub(super) fn loopback() -> std::io::Result<(std::net::TcpListener, u16)> {
    let listener = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

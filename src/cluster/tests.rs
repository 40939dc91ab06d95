//! What breaks when these fail: a stranger that takes part, or that keeps those out who belong here; a cluster of processes
//! that were given different things; a process that is lost and not missed.

use std::future::Future;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_operators::protocol::State;
use timely::communication::allocator::zero_copy::stream::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::member::loopback;
use super::*;
use crate::exit::{Exit, Fatal};

mod certificates;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(2);

/// Addresses that are taken, one for each process.
struct Places {
    hosts: Vec<Host>,
    listeners: Vec<Option<std::net::TcpListener>>,
}

impl Places {
    fn new(processes: usize) -> Self {
        let (listeners, hosts) = (0..processes)
            .map(|_| {
                let (listener, port) = loopback().unwrap();
                (Some(listener), Host { name: "127.0.0.1".into(), port })
            })
            .unzip();
        Places { hosts, listeners }
    }

    fn port(&self, process: usize) -> u16 {
        self.hosts[process].port
    }

    /// Where this process listens from now on, another having ended there.
    fn listener(&mut self, process: usize) -> std::net::TcpListener {
        let port = self.port(process);
        self.listeners[process].take().unwrap_or_else(|| std::net::TcpListener::bind(("127.0.0.1", port)).unwrap())
    }

    fn member(&mut self, process: usize, proof: &Proof, wait: Duration) -> Member {
        Member {
            process,
            hosts: Hosts::new(self.hosts.clone()),
            proof: proof.clone(),
            listen: Listen::On(self.listener(process)),
            wait,
        }
    }

    async fn enter(&mut self, process: usize, proof: &Proof, introduction: Introduction) -> Cluster {
        Cluster::enter(self.member(process, proof, PATIENCE), introduction).await.unwrap()
    }
}

fn introduction(start: u64, processes: usize) -> Introduction {
    Introduction {
        start,
        version: "1".into(),
        pipeline: "p".into(),
        fingerprint: 7,
        processes,
        workers: 2,
        until_end: false,
    }
}

fn key(text: &str) -> Proof {
    Proof::Key(Key::new(text.as_bytes()))
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("it hangs")
}

/// Whether it still has not come to anything after a while that is long enough if it could.
async fn never<T>(work: impl Future<Output = T>) -> bool {
    timeout(SOON, work).await.is_err()
}

/// Forms a cluster of those that have entered, process 0 first, in this generation.
async fn together(all: &mut [Cluster], generation: u64) -> Vec<Vec<Option<Pipe>>> {
    assert!(in_time(all[0].formed()).await.unwrap());
    all[0].lead(&State { generation, ..State::default() }).await;
    let mut pipes = Vec::new();
    for (process, cluster) in all.iter_mut().enumerate() {
        if process > 0 {
            let terms = in_time(cluster.terms()).await.unwrap().unwrap();
            assert_eq!(terms.state.generation, generation);
        }
        pipes.push(in_time(cluster.joined()).await.unwrap().unwrap());
    }
    pipes
}

async fn three(proof: &Proof) -> Vec<Cluster> {
    let (mut places, mut all) = (Places::new(3), Vec::new());
    for process in 0..3 {
        all.push(places.enter(process, proof, introduction(process as u64, 3)).await);
    }
    all
}

async fn why_over(cluster: &mut Cluster) -> Fatal {
    match in_time(cluster.news()).await {
        News::Over(fatal) => fatal,
        News::Stop => panic!("it was asked to stop"),
    }
}

/// Sends `bytes` and closes; reads what comes until the end.
fn exchange(mut pipe: Pipe, bytes: Vec<u8>) -> Vec<u8> {
    let mut sending = pipe.clone();
    let sender = std::thread::spawn(move || {
        sending.write_all(&bytes).unwrap();
        sending.shutdown(Shutdown::Write).unwrap();
    });
    let mut read = Vec::new();
    pipe.read_to_end(&mut read).unwrap();
    sender.join().unwrap();
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_agree_on_a_generation_pass_bytes_and_part() {
    for proof in [Proof::Nothing, key("a key that they share")] {
        let mut all = three(&proof).await;
        let pipes = together(&mut all, 7).await;
        let mut ends = Vec::new();
        for (process, pipes) in pipes.into_iter().enumerate() {
            for (peer, pipe) in pipes.into_iter().enumerate() {
                assert_eq!(pipe.is_none(), peer == process);
                if let Some(pipe) = pipe {
                    let bytes = vec![(process * 3 + peer) as u8; 3_000_000];
                    let read = tokio::task::spawn_blocking(move || exchange(pipe, bytes));
                    ends.push((process, peer, read));
                }
            }
        }
        for (process, peer, read) in ends {
            assert!(in_time(read).await.unwrap() == vec![(peer * 3 + process) as u8; 3_000_000]);
        }
        let traffic = all[0].traffic();
        assert!(traffic.sent() > 6_000_000 && traffic.received() > 6_000_000);
        let began = Instant::now();
        in_time(futures::future::join_all(all.into_iter().map(Cluster::part))).await;
        assert!(began.elapsed() < SOON, "nobody waits for anybody");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_comes_and_goes_while_the_mesh_forms_costs_the_others_nothing() {
    let (proof, mut places) = (key("a key that they share"), Places::new(3));
    let zero = places.enter(0, &proof, introduction(0, 3)).await;
    for start in 10..13 {
        let one = places.enter(1, &proof, introduction(start, 3)).await;
        sleep(Duration::from_millis(100)).await;
        one.leave(Exit::Failed, "it was not ready").await;
    }
    let two = places.enter(2, &proof, introduction(2, 3)).await;
    sleep(Duration::from_millis(100)).await;
    let one = places.enter(1, &proof, introduction(1, 3)).await;
    together(&mut [zero, one, two], 3).await;
}

/// Two that were started as the same process by mistake: one takes part, and the cluster forms.
#[tokio::test(flavor = "multi_thread")]
async fn a_double_keeps_nobody_from_forming() {
    let (proof, mut places) = (key("a key that they share"), Places::new(3));
    let zero = places.enter(0, &proof, introduction(0, 3)).await;
    let one = places.enter(1, &proof, introduction(1, 3)).await;
    sleep(Duration::from_millis(300)).await;
    // It calls the others, and is not where they would call it.
    places.listeners[1] = Some(loopback().unwrap().0);
    let _double = places.enter(1, &proof, introduction(11, 3)).await;
    sleep(Duration::from_millis(300)).await;
    let two = places.enter(2, &proof, introduction(2, 3)).await;
    together(&mut [zero, one, two], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_loses_a_peer_says_which_and_why() {
    let mut all = three(&Proof::Nothing).await;
    let _pipes = together(&mut all, 1).await;
    let fenced = Fatal::Failed("fenced out: commit 5".into()).to_string();
    all.remove(1).leave(Exit::Fenced, &fenced).await;
    for cluster in &mut all {
        let fatal = why_over(cluster).await;
        assert_eq!(fatal.exit(), Exit::Fenced, "what is true of a generation is true of each of its processes");
        assert!(fatal.to_string().contains("has left: fenced out: commit 5"), "{fatal}");
    }
    all.remove(1).leave(Exit::Failed, "the disk is full").await;
    let mut all = three(&Proof::Nothing).await;
    let _pipes = together(&mut all, 2).await;
    drop(all.remove(2));
    for cluster in &mut all {
        let fatal = why_over(cluster).await;
        assert_eq!(fatal.exit(), Exit::PeerLost);
        assert!(fatal.to_string().starts_with("process 2 (127.0.0.1:"), "{fatal}");
        // A socket that is dropped with bytes unread resets the connection.
        let says = ["was lost: it closed the connection", "was lost: it broke the connection off"];
        assert!(says.iter().any(|said| fatal.to_string().contains(said)), "{fatal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_does_not_take_part() {
    let right = introduction(1, 2);
    let wrong: [(Introduction, &str); 6] = [
        (Introduction { version: "2".into(), ..right.clone() }, "it is millstream \"1\" and this process \"2\""),
        (Introduction { pipeline: "q".into(), ..right.clone() }, "it runs the pipeline \"p\" and this process \"q\""),
        (Introduction { fingerprint: 8, ..right.clone() }, "its file of the pipeline \"p\" says something else"),
        (Introduction { workers: 3, ..right.clone() }, "it has 2 workers and this process 3"),
        (Introduction { until_end: true, ..right.clone() }, "it was started without --until-end"),
        (Introduction { processes: 5, ..right.clone() }, "it is of 2 processes and this process of 5"),
    ];
    let mut places = Places::new(2);
    let mut zero = places.enter(0, &Proof::Nothing, introduction(0, 2)).await;
    for (introduction, expected) in wrong {
        let member = places.member(1, &Proof::Nothing, Duration::from_secs(1));
        let mut one = Cluster::enter(member, introduction).await.unwrap();
        let fatal = in_time(one.terms()).await.unwrap_err();
        assert_eq!(fatal.exit(), Exit::PeerLost);
        assert!(fatal.to_string().contains(expected), "{fatal}");
        one.leave(Exit::PeerLost, "it does not fit").await;
    }
    let one = places.enter(1, &Proof::Nothing, right).await;
    assert!(in_time(zero.formed()).await.unwrap());
    drop(one);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_know_the_key_learns_nothing_and_does_not_take_part() {
    let mut places = Places::new(2);
    let mut zero = places.enter(0, &key("a key that they share"), introduction(0, 2)).await;
    for (proof, expected) in [
        (key("another key"), "it does not know the key"),
        (Proof::Nothing, "it proves itself with auth = \"key\" and this process with \"none\""),
    ] {
        let member = places.member(1, &proof, Duration::from_millis(600));
        let mut one = Cluster::enter(member, introduction(1, 2)).await.unwrap();
        let fatal = in_time(one.terms()).await.unwrap_err().to_string();
        assert!(fatal.contains(expected) || fatal.contains("early eof") || fatal.contains("reset"), "{fatal}");
        one.leave(Exit::PeerLost, "it does not fit").await;
    }
    let one = places.enter(1, &key("a key that they share"), introduction(1, 2)).await;
    assert!(in_time(zero.formed()).await.unwrap());
    drop(one);
}

/// Passes on what comes on one connection after another to `port`, and keeps what the callers have said.
struct Listening {
    port: u16,
    said: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Set: nothing is passed on any more, and nothing is closed either.
    cut: Arc<std::sync::atomic::AtomicBool>,
    _task: AbortOnDropHandle<()>,
}

impl Listening {
    async fn before(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let cut = Arc::<std::sync::atomic::AtomicBool>::default();
        let (heard, cutting) = (said.clone(), cut.clone());
        let task = tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let Ok(called) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                let index = {
                    let mut heard = heard.lock().unwrap();
                    heard.push(Vec::new());
                    heard.len() - 1
                };
                let (from, back) = (caller.into_split(), called.into_split());
                let (note, heard) = (heard.clone(), cutting.clone());
                tokio::spawn(pass(from.0, back.1, heard.clone(), move |bytes| {
                    note.lock().unwrap()[index].extend_from_slice(bytes);
                }));
                tokio::spawn(pass(back.0, from.1, heard, |_| {}));
            }
        });
        Listening { port, said, cut, _task: AbortOnDropHandle::new(task) }
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    cut: Arc<std::sync::atomic::AtomicBool>,
    note: impl Fn(&[u8]),
) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if cut.load(std::sync::atomic::Ordering::SeqCst) {
            return std::future::pending().await;
        }
        note(&bytes[..read]);
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_was_overheard_is_of_no_use() {
    let (proof, mut places) = (key("a key that they share"), Places::new(3));
    let mut zero = places.enter(0, &proof, introduction(0, 3)).await;
    let ear = Listening::before(places.port(0)).await;
    let true_port = std::mem::replace(&mut places.hosts[0].port, ear.port);
    let one = places.enter(1, &proof, introduction(1, 3)).await;
    let overheard = in_time(async {
        loop {
            let said = ear.said.lock().unwrap().first().cloned().unwrap_or_default();
            // Hello, proof, introduction.
            if said.len() > 200 {
                return said;
            }
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    for _ in 0..3 {
        let mut again = TcpStream::connect(("127.0.0.1", true_port)).await.unwrap();
        again.write_all(&overheard).await.unwrap();
        let mut answer = Vec::new();
        // It hears a hello, whose challenge is another one, and then nothing.
        let _ = in_time(again.read_to_end(&mut answer)).await;
        assert_eq!(answer.len(), 62);
    }
    let two = places.enter(2, &proof, introduction(2, 3)).await;
    assert!(in_time(zero.formed()).await.unwrap(), "the true process 1 is still linked");
    drop((one, two));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_falls_silent_is_missed_on_both_sides() {
    let mut places = Places::new(2);
    let mut zero = places.enter(0, &Proof::Nothing, introduction(0, 2)).await;
    let line = Listening::before(places.port(0)).await;
    places.hosts[0].port = line.port;
    let mut one = places.enter(1, &Proof::Nothing, introduction(1, 2)).await;
    assert!(in_time(zero.formed()).await.unwrap());
    zero.lead(&State::default()).await;
    in_time(one.terms()).await.unwrap();
    let _pipes = (in_time(zero.joined()).await.unwrap(), in_time(one.joined()).await.unwrap());
    assert!(never(zero.news()).await, "beats keep a link alive that has nothing to say");
    line.cut.store(true, std::sync::atomic::Ordering::SeqCst);
    let began = Instant::now();
    for cluster in [&mut zero, &mut one] {
        let fatal = why_over(cluster).await;
        assert!(fatal.to_string().contains("nothing was heard of it for 3 s"), "{fatal}");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// Knocks, each in another of the ways in which strangers do.
async fn knock(port: u16, how: usize) -> Option<TcpStream> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    match how % 5 {
        0 => return Some(socket),
        1 => drop(socket),
        2 => {
            socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.ok()?;
            return Some(socket);
        }
        3 => {
            socket.write_all(&vec![0xff; 100_000]).await.ok()?;
        }
        _ => {
            socket.write_all(b"millstream mesh\n").await.ok()?;
            return Some(socket);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_by_the_thousand_keep_nobody_out() {
    let (proof, mut places) = (key("a key that they share"), Places::new(3));
    let mut all = vec![places.enter(0, &proof, introduction(0, 3)).await];
    let port = places.port(0);
    let knocking = tokio::spawn(async move {
        let mut standing = std::collections::VecDeque::new();
        for how in 0.. {
            standing.extend(knock(port, how).await);
            if standing.len() > 300 {
                standing.pop_front();
            }
        }
    });
    sleep(Duration::from_millis(500)).await;
    for process in [1, 2] {
        all.push(places.enter(process, &proof, introduction(process as u64, 3)).await);
    }
    let _pipes = together(&mut all, 1).await;
    assert!(never(all[0].news()).await, "nor do they harm those who are in");
    knocking.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_reaches_process_0() {
    let mut all = three(&Proof::Nothing).await;
    let _pipes = together(&mut all, 1).await;
    all[2].stop().await;
    assert!(matches!(in_time(all[0].news()).await, News::Stop));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_comes_is_named() {
    let mut places = Places::new(3);
    let wait = Duration::from_secs(1);
    let mut zero = Cluster::enter(places.member(0, &Proof::Nothing, wait), introduction(0, 3)).await.unwrap();
    let port = places.port(2);
    let _two = places.enter(2, &Proof::Nothing, introduction(2, 3)).await;
    let fatal = in_time(zero.formed()).await.unwrap_err();
    assert_eq!(fatal.exit(), Exit::PeerLost);
    let (told, missing) = (fatal.to_string(), format!("process 1 at 127.0.0.1:{}", places.port(1)));
    assert!(told.contains("the cluster did not form within 1 s") && told.contains(&missing), "{told}");
    assert!(told.contains(&format!("process 2 at 127.0.0.1:{port} has found 1 of 2 others")), "{told}");
}

//! A proxy between a client and a service of AWS over plain HTTP/1.1 that does wrong what a test asks it to do wrong.
//!
//! Owns the faults and counts them, so that a test can show that its fault happened. Each connection carries one call. An
//! answer goes on as it comes, so that a subscription is a stream here too.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The service does what it is asked, and the client never hears of it.
    DropReply,
    /// The service is not asked; the client is told this error of AWS.
    Refuse(&'static str),
    /// The call arrives late.
    Delay(Duration),
    /// The answer breaks off after this long.
    Cut(Duration),
    /// The service is asked for this too.
    With(&'static str, i64),
}

/// A proxy that runs until it is dropped.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    rules: Arc<Mutex<Vec<Rule>>>,
    task: JoinHandle<()>,
}

/// How often a fault happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Happened(Arc<AtomicU64>);

type Hits = Box<dyn Fn(u64) -> bool + Send>;

struct Rule {
    action: &'static str,
    calls: u64,
    hits: Hits,
    /// None: it is only counted.
    fault: Option<Fault>,
    happened: Happened,
}

impl Happened {
    pub(crate) fn times(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Proxy {
    /// A proxy in front of `endpoint`, which so far does nothing wrong.
    pub(crate) async fn before(endpoint: &str) -> Self {
        let upstream: SocketAddr = endpoint.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let rules = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(accept(listener, upstream, rules.clone()));
        Proxy { endpoint, rules, task }
    }

    /// From now on this fault happens to those calls of an action (`GetRecords`) whose number, counted from 1, `hits`.
    pub(crate) fn on(
        &self,
        action: &'static str,
        hits: impl Fn(u64) -> bool + Send + 'static,
        fault: Fault,
    ) -> Happened {
        self.rule(action, Box::new(hits), Some(fault))
    }

    /// Counts the calls of an action from now on.
    pub(crate) fn watch(&self, action: &'static str) -> Happened {
        self.rule(action, Box::new(|_| true), None)
    }

    fn rule(&self, action: &'static str, hits: Hits, fault: Option<Fault>) -> Happened {
        let happened = Happened::default();
        let rule = Rule { action, calls: 0, hits, fault, happened: happened.clone() };
        self.rules.lock().unwrap().push(rule);
        happened
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, rules: Arc<Mutex<Vec<Rule>>>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let rules = rules.clone();
        // A client that is killed breaks its connections off, which is none of the proxy's business.
        tokio::spawn(async move { pass(client, upstream, &rules).await.ok() });
    }
}

async fn pass(mut client: TcpStream, upstream: SocketAddr, rules: &Mutex<Vec<Rule>>) -> io::Result<()> {
    let Some(mut call) = Call::read(&mut client).await? else { return Ok(()) };
    let mut cut = None;
    let fault = fault(&mut rules.lock().unwrap(), &call.action);
    match fault {
        Some(Fault::Refuse(error)) => return refuse(client, error).await,
        Some(Fault::DropReply) => return call.send(upstream).await?.read_to_end(&mut Vec::new()).await.map(drop),
        Some(Fault::Delay(time)) => sleep(time).await,
        Some(Fault::With(name, value)) => call.body[name] = value.into(),
        Some(Fault::Cut(time)) => cut = Some(time),
        None => {}
    }
    let mut answer = call.send(upstream).await?;
    match cut {
        // What is left of the answer when the time is over is never sent, and the connection breaks off with it.
        Some(Duration::ZERO) => Ok(()),
        Some(time) => timeout(time, copy(&mut answer, &mut client)).await.unwrap_or(Ok(0)).map(drop),
        None => copy(&mut answer, &mut client).await.map(drop),
    }
}

/// The fault of the first rule with one that this call hits.
fn fault(rules: &mut [Rule], action: &str) -> Option<Fault> {
    let mut found = None;
    for rule in rules.iter_mut().filter(|rule| rule.action == action) {
        rule.calls += 1;
        if found.is_none() && (rule.hits)(rule.calls) {
            rule.happened.0.fetch_add(1, Ordering::SeqCst);
            found = rule.fault;
        }
    }
    found
}

async fn refuse(mut client: TcpStream, error: &str) -> io::Result<()> {
    let body = format!("{{\"__type\":\"{error}\",\"message\":\"the proxy of a test says so\"}}");
    let status = if error.starts_with("Internal") { "500 Internal Server Error" } else { "400 Bad Request" };
    let head = "Content-Type: application/x-amz-json-1.1\r\nConnection: close\r\n";
    let answer = format!("HTTP/1.1 {status}\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len());
    client.write_all(answer.as_bytes()).await
}

/// One call, whole.
struct Call {
    action: String,
    /// Without its length, which depends on the body.
    head: String,
    body: Value,
}

impl Call {
    async fn read(client: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
                break end;
            }
            if client.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length: usize = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        while bytes.len() < end + 4 + length {
            if client.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        }
        let action = header(&head, "x-amz-target").and_then(|target| target.rsplit('.').next()).unwrap_or_default();
        let own =
            |line: &&str| !["content-length:", "connection:"].iter().any(|name| line.to_lowercase().starts_with(name));
        let kept: Vec<&str> = head.lines().filter(own).collect();
        let body = serde_json::from_slice(&bytes[end + 4..])?;
        Ok(Some(Call { action: action.to_owned(), head: kept.join("\r\n"), body }))
    }

    /// Makes the call; what can be read then is the answer.
    async fn send(&self, upstream: SocketAddr) -> io::Result<TcpStream> {
        let (head, body) = (&self.head, self.body.to_string());
        let call = format!("{head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let mut service = TcpStream::connect(upstream).await?;
        service.write_all(call.as_bytes()).await?;
        Ok(service)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let found =
        head.lines().filter_map(|line| line.split_once(':')).find(|(other, _)| other.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim())
}

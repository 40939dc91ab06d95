//! One life of all processes: from their start until the last of them has ended.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Launch;
use super::words::{Down, Up};

/// How long the rest may take to end once one of them has: a little more than they take to notice.
const TO_END: Duration = Duration::from_millis(4_500);
/// How long a process may take from its start to where it listens.
const TO_LISTEN: Duration = Duration::from_secs(30);
const KEY: usize = 32;

/// How a process ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) process: usize,
    /// None: by a signal.
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    /// The last error that it told.
    pub(super) last_words: Option<String>,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "process {} ended with exit code {code}", self.process)?,
            (None, Some(9)) => write!(f, "process {} was ended by signal 9 (SIGKILL)", self.process)?,
            (None, Some(signal)) => write!(f, "process {} was ended by signal {signal}", self.process)?,
            (None, None) => write!(f, "process {} ended, nobody knows how", self.process)?,
        }
        match &self.last_words {
            Some(words) => write!(f, ": {words}"),
            None => Ok(()),
        }
    }
}

/// What a life came to.
pub(super) struct Lived {
    /// In the order in which they ended.
    pub(super) ended: Vec<Ended>,
    /// Whether anything was committed.
    pub(super) committed: bool,
}

enum News {
    Said { process: usize, word: Up },
    Ended(Ended),
}

/// Processes that run.
pub(super) struct Life {
    stdins: Vec<ChildStdin>,
    /// Where each of them listens.
    ports: Vec<Option<u16>>,
    key: Vec<u8>,
    news: mpsc::Receiver<News>,
    /// Cancelled to kill what still runs.
    kill: CancellationToken,
    _tasks: JoinSet<()>,
}

impl Life {
    /// Starts them all.
    pub(super) async fn begin(launch: &Launch) -> io::Result<Self> {
        let (telling, news) = mpsc::channel(64);
        let (kill, tasks) = (CancellationToken::new(), JoinSet::new());
        let ports = vec![None; launch.processes];
        let mut life = Life { stdins: Vec::new(), ports, key: key()?, news, kill, _tasks: tasks };
        for process in 0..launch.processes {
            let mut child = start(launch, process)?;
            life.stdins.extend(child.stdin.take());
            life._tasks.spawn(watch(process, child, telling.clone(), life.kill.clone()));
        }
        Ok(life)
    }

    /// Gives them what they need to begin, and watches them until all have ended.
    pub(super) async fn run(mut self, launch: &Launch) -> Lived {
        let mut lived = Lived { ended: Vec::new(), committed: false };
        let mut deadline = Some(Instant::now() + TO_LISTEN);
        let mut stopping = false;
        while lived.ended.len() < launch.processes {
            tokio::select! {
                biased;
                () = launch.at_once.cancelled(), if !self.kill.is_cancelled() => self.kill.cancel(),
                () = launch.stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.say(&Down::Stop).await;
                }
                Some(news) = self.news.recv() => match news {
                    News::Said { process, word: Up::Listens(port) } => {
                        if self.listens(process, port).await {
                            deadline = None;
                        }
                    }
                    News::Said { word: Up::Committed(_), .. } => lived.committed = true,
                    News::Ended(ended) => {
                        // Those that know of it end by themselves; those that still wait for the others do not.
                        self.say(&Down::Stop).await;
                        let well = ended.code == Some(0);
                        deadline = deadline.or((!well).then(|| Instant::now() + TO_END));
                        lived.ended.push(ended);
                    }
                },
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    deadline = None;
                    self.kill.cancel();
                }
            }
        }
        lived
    }

    /// A process listens; `true` once all do, and have been told so.
    async fn listens(&mut self, process: usize, port: u16) -> bool {
        self.ports[process] = Some(port);
        let Some(ports) = self.ports.iter().copied().collect::<Option<Vec<u16>>>() else { return false };
        let key = self.key.clone();
        self.say(&Down::Begin { ports, key }).await;
        true
    }

    async fn say(&mut self, word: &Down) {
        let Ok(mut line) = serde_json::to_vec(word) else { return };
        line.push(b'\n');
        for stdin in &mut self.stdins {
            // Whoever does not hear it has ended.
            let _ = stdin.write_all(&line).await;
        }
    }
}

fn key() -> io::Result<Vec<u8>> {
    let mut key = vec![0; KEY];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut key).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(key)
}

fn start(launch: &Launch, process: usize) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(&launch.arguments)
        .args(["--process", &process.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // What a terminal sends to all goes to the supervisor alone, which passes it on once.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Passes on what a process says, until it has ended.
async fn watch(process: usize, mut child: Child, telling: mpsc::Sender<News>, kill: CancellationToken) {
    let (words, errors) = (child.stdout.take(), child.stderr.take());
    let heard = async {
        let Some(words) = words else { return };
        let mut lines = BufReader::new(words).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(word) = serde_json::from_str(&line) {
                let _ = telling.send(News::Said { process, word }).await;
            }
        }
    };
    let shown = async {
        let mut last = None;
        let Some(errors) = errors else { return last };
        let mut lines = BufReader::new(errors).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            show(process, &line);
            if let Some(error) = line.strip_prefix("error: ") {
                last = Some(error.to_owned());
            }
        }
        last
    };
    let ended = async {
        tokio::select! {
            ended = child.wait() => ended,
            () = kill.cancelled() => {
                // It may have ended meanwhile, which is as well.
                let _ = child.start_kill();
                child.wait().await
            }
        }
    };
    let ((), last_words, status) = tokio::join!(heard, shown, ended);
    let (code, signal) = status.map_or((None, None), |status: ExitStatus| (status.code(), status.signal()));
    let _ = telling.send(News::Ended(Ended { process, code, signal, last_words })).await;
}

/// A line of a process, with its number before it.
fn show(process: usize, line: &str) {
    // Nobody may be there to read it. The process is heard all the same, so that it can go on.
    let _ = writeln!(io::stderr(), "[{process}] {line}");
}

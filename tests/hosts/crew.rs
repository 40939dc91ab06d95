//! The processes of a cluster, each kept running on its host as something outside of it would: started again a moment after
//! it was lost, left alone once it is done.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::whole::process::{Ended, Process};

/// How long after its end a process is started again.
const AGAIN: Duration = Duration::from_millis(200);
const SOON: Duration = Duration::from_millis(5);

/// How each process is started.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) before: Vec<String>,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// The processes, by their number.
pub(crate) struct Crew(Vec<Seat>);

struct Seat {
    line: Line,
    state: Arc<Mutex<State>>,
    /// None: it is not kept yet.
    keeper: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    running: Option<Process>,
    past: Vec<Past>,
}

/// One start of a process that is over.
pub(crate) struct Past {
    pub(crate) ended: Ended,
    pub(crate) at: Instant,
}

impl Line {
    fn start(&self) -> Process {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        Process::start_behind(&self.before, &arguments, &self.environment)
    }
}

impl Crew {
    /// Nobody runs yet.
    pub(crate) fn new(lines: Vec<Line>) -> Self {
        Crew(lines.into_iter().map(|line| Seat { line, state: Arc::default(), keeper: None }).collect())
    }

    /// Starts a process, and from here on keeps it running.
    pub(crate) fn keep(&mut self, process: usize) {
        let seat = &mut self.0[process];
        seat.keeper = Some(tokio::spawn(keep(seat.line.clone(), seat.state.clone())));
    }

    pub(crate) fn keep_all(&mut self) {
        (0..self.0.len()).for_each(|process| self.keep(process));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Does something with a process, if it runs.
    pub(crate) fn with<T>(&self, process: usize, act: impl FnOnce(&Process) -> T) -> Option<T> {
        self.0[process].state.lock().unwrap().running.as_ref().map(act)
    }

    /// Whether a signal reached a process.
    pub(crate) fn signal(&self, process: usize, name: &str) -> bool {
        self.with(process, |running| running.signal(name)).is_some()
    }

    /// How often a process has ended.
    pub(crate) fn ends(&self, process: usize) -> usize {
        self.0[process].state.lock().unwrap().past.len()
    }

    pub(crate) fn all_ends(&self) -> Vec<usize> {
        (0..self.len()).map(|process| self.ends(process)).collect()
    }

    /// Waits until a process has ended once more than `before`, and looks at how it did.
    pub(crate) async fn ended<T>(&self, process: usize, before: usize, look: impl FnOnce(&Past) -> T) -> T {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.ends(process) <= before {
            assert!(Instant::now() < deadline, "process {process} goes on; {}", self.said());
            sleep(SOON).await;
        }
        look(&self.0[process].state.lock().unwrap().past[before])
    }

    /// Waits until every process is done, and gives what each ended with.
    pub(crate) async fn done(&mut self) -> Vec<Option<i32>> {
        let mut codes = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        for process in 0..self.len() {
            while self.0[process].keeper.as_ref().is_some_and(|keeper| !keeper.is_finished()) {
                assert!(Instant::now() < deadline, "process {process} is not done; {}", self.said());
                sleep(SOON).await;
            }
            codes.push(self.0[process].state.lock().unwrap().past.last().and_then(|past| past.ended.code));
        }
        codes
    }

    pub(crate) fn is_done(&self, process: usize) -> bool {
        self.0[process].keeper.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// No process has ended with anything but what a fault, a stop or a newer start accounts for.
    pub(crate) fn check_codes(&self) {
        for (process, seat) in self.0.iter().enumerate() {
            let state = seat.state.lock().unwrap();
            let odd = state.past.iter().find(|past| !matches!(past.ended.code, None | Some(0 | 3 | 5)));
            if let Some(Past { ended, .. }) = odd {
                panic!("process {process} ended with {:?}:\n{}", ended.code, ended.stderr);
            }
        }
    }

    /// Whoever ends because a peer is lost says so in one line, with the peer and why; nobody panics.
    pub(crate) fn check_what_was_said(&self) {
        for (process, seat) in self.0.iter().enumerate() {
            for Past { ended, .. } in &seat.state.lock().unwrap().past {
                let said = &ended.stderr;
                assert!(!said.contains("panicked"), "process {process} panicked:\n{said}");
                if ended.code == Some(5) {
                    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
                    let told = matches!(errors[..], [line] if tells_who_and_why(line));
                    assert!(told, "process {process} said:\n{said}");
                }
            }
        }
    }

    /// All that all processes said, for messages.
    pub(crate) fn said(&self) -> String {
        let mut all = String::new();
        for (process, seat) in self.0.iter().enumerate() {
            let state = seat.state.lock().unwrap();
            for Past { ended, .. } in &state.past {
                let told = shortened(&ended.stderr);
                all += &format!("\n-- process {process}, ended with {:?} {:?}:\n{told}", ended.code, ended.signal);
            }
            if let Some(running) = &state.running {
                all += &format!("\n-- process {process}, running:\n{}", shortened(&running.said()));
            }
        }
        all
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.0.iter().filter_map(|seat| seat.keeper.as_ref()).for_each(JoinHandle::abort);
    }
}

/// As in `process 1 (10.77.0.2:2101) was lost: it closed the connection`.
fn tells_who_and_why(line: &str) -> bool {
    let why = line.split_once(" was lost: ").or_else(|| line.split_once(" has left: "));
    why.is_some_and(|(who, why)| who.contains("process ") && who.contains("(10.77.0.") && !why.is_empty())
}

/// Without the commits, of which there are many.
fn shortened(said: &str) -> String {
    said.lines().filter(|line| !line.starts_with("commit ")).map(|line| format!("{line}\n")).collect()
}

async fn keep(line: Line, state: Arc<Mutex<State>>) {
    loop {
        state.lock().unwrap().running = Some(line.start());
        let process = loop {
            sleep(SOON).await;
            let running = &mut state.lock().unwrap().running;
            if running.as_mut().is_some_and(|process| !process.runs()) {
                break running.take().unwrap();
            }
        };
        let (ended, at) = (process.wait().await, Instant::now());
        let lost = ended.code == Some(5) || ended.signal.is_some();
        state.lock().unwrap().past.push(Past { ended, at });
        if !lost {
            return;
        }
        sleep(AGAIN).await;
    }
}

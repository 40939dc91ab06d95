//! A cluster under test: its hosts, its processes, an input that grows, and what must hold of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::crew::{Crew, Line};
use crate::services::hosts::Hosts;
use crate::trust::Trust;
use crate::whole::input::Input;
use crate::whole::oracle::Expected;
use crate::whole::pipeline::Pipeline;

/// Within which a cluster commits again, once it can.
const BACK: Duration = Duration::from_secs(10);
/// Within which all processes of a generation end once one of them is lost.
pub(crate) const ENDS: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_millis(20);
/// How long a cluster on a machine that is busy otherwise may take to form at first.
const FORMS: Duration = Duration::from_secs(60);
pub(crate) const PROCESSES: usize = 3;
const PORT: u16 = 2101;

/// A cluster, with all that is around it.
pub(crate) struct Cluster {
    pub(crate) hosts: Hosts,
    pub(crate) crew: Crew,
    test: &'static str,
    pipeline: Pipeline,
    growing: Growing,
    trust: Trust,
    folder: tempfile::TempDir,
}

/// What is newest in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) commit: u64,
    pub(crate) generation: u64,
    /// The generation that rows were last committed by.
    pub(crate) rows_of: u64,
    /// The commit that did.
    pub(crate) rows_in: u64,
}

impl Cluster {
    /// A cluster of processes on a host each, and more hosts; nothing runs yet.
    pub(crate) async fn new(test: &'static str, more: usize, trust: Trust) -> Self {
        let (mut pipeline, input) = Input::with_pipeline(test, false).await;
        let hosts = Hosts::new(PROCESSES + more).await;
        let folder = tempfile::tempdir().unwrap();
        let section = trust.lay_down(folder.path(), PROCESSES + more);
        pipeline.change("[epoch]\n", &format!("{section}\n[epoch]\n"));
        // For the commands that look at what lies there.
        pipeline.environment.extend(trust.environment(folder.path(), 0));
        let growing = Growing::begin(input);
        let mut cluster = Cluster { hosts, crew: Crew::new(Vec::new()), test, pipeline, growing, trust, folder };
        cluster.crew = cluster.crew_on(0, |_, _| None);
        cluster
    }

    /// A cluster at work.
    pub(crate) async fn at_work(test: &'static str, trust: Trust) -> Self {
        let mut cluster = Cluster::new(test, 0, trust).await;
        cluster.crew.keep_all();
        cluster.works(1).await;
        cluster
    }

    /// Processes on hosts from `first` on; `elsewhere` says where a process (the first) finds another (the second) in another
    /// place than where that is.
    pub(crate) fn crew_on(&self, first: usize, elsewhere: impl Fn(usize, usize) -> Option<String>) -> Crew {
        let line = |process: usize| {
            let host = first + process;
            let place = |other| elsewhere(process, other).unwrap_or_else(|| place(first + other));
            let text: String = (0..PROCESSES).map(|other| place(other) + "\n").collect();
            let file = self.folder.path().join(format!("hosts-{host}.txt"));
            std::fs::write(&file, text).unwrap();
            Line {
                before: self.hosts.on(host),
                arguments: arguments(&self.pipeline.file, process, &file),
                environment: self.trust.environment(self.folder.path(), host),
            }
        };
        Crew::new((0..PROCESSES).map(line).collect())
    }

    /// What is newest in the log.
    pub(crate) async fn newest(&mut self) -> Newest {
        let known = &mut self.pipeline.known;
        let commits = self.pipeline.sink.read("/.millstream/commits", ".json", known).await;
        let mut numbers: Vec<u64> =
            commits.iter().filter_map(|name| name.trim_end_matches(".json").parse().ok()).collect();
        numbers.sort_unstable();
        let mut newest = Newest::default();
        for number in numbers.into_iter().rev() {
            let commit: Value = serde_json::from_slice(&known[&format!("/.millstream/commits/{number}.json")]).unwrap();
            let generation = commit["generation"].as_u64().unwrap();
            if newest.commit == 0 {
                (newest.commit, newest.generation) = (number, generation);
            }
            if commit["files"].as_array().is_some_and(|files| !files.is_empty()) {
                (newest.rows_of, newest.rows_in) = (generation, number);
                break;
            }
        }
        newest
    }

    async fn until(&mut self, deadline: Instant, what: &str, holds: impl Fn(Newest) -> bool) {
        loop {
            let newest = self.newest().await;
            if holds(newest) {
                return;
            }
            self.crew.check_codes();
            assert!(Instant::now() < deadline, "{what}; {newest:?}; {}", self.crew.said());
            sleep(SOON).await;
        }
    }

    /// Waits until so many more commits with rows are there, of this generation or a newer one.
    pub(crate) async fn works(&mut self, commits: u64) {
        let from = self.newest().await.rows_in;
        let holds = |newest: Newest| newest.rows_in >= from + commits;
        self.until(Instant::now() + FORMS, "it does not work", holds).await;
    }

    /// Waits until rows are committed by a newer generation than `before`, soon after the fault was over.
    pub(crate) async fn is_back(&mut self, fault: &str, over: Instant, before: Newest) {
        let what = format!("not back within {BACK:?} after {fault}");
        self.until(over + BACK, &what, |newest| newest.rows_of > before.generation).await;
        println!("{}: {fault}: commits again after {:.1} s", self.test, over.elapsed().as_secs_f64());
    }

    /// Stops the cluster by a word to one of its processes, and holds what lies there against the input.
    pub(crate) async fn ends_well(mut self, told: usize) {
        let folder = self.growing.stop().await;
        assert!(self.crew.signal(told, "TERM"), "process {told} does not run; {}", self.crew.said());
        assert_eq!(self.crew.done().await, vec![Some(0); PROCESSES], "{}", self.crew.said());
        self.crew.check_what_was_said();
        // What came last may not have been read.
        self.pipeline.run_to_the_end(2).await;
        self.pipeline.check(&Expected::of_folder(&folder)).await;
    }
}

/// Where a process listens that is on a host.
pub(crate) fn place(host: usize) -> String {
    format!("{}:{PORT}", Hosts::address(host))
}

fn arguments(pipeline: &Path, process: usize, hosts: &Path) -> Vec<String> {
    let (pipeline, hosts) = (pipeline.display().to_string(), hosts.display().to_string());
    let (processes, process) = (PROCESSES.to_string(), process.to_string());
    ["run", &pipeline, "-w", "2", "-n", &processes, "-p", &process, "--hosts", &hosts].map(str::to_owned).to_vec()
}

/// Input to which something is added all the time.
struct Growing {
    input: Arc<Mutex<Input>>,
    task: JoinHandle<()>,
}

impl Growing {
    fn begin(input: Input) -> Self {
        let input = Arc::new(Mutex::new(input));
        let grows = input.clone();
        let task = tokio::spawn(async move {
            for turn in 0_u32.. {
                match turn % 3 {
                    0 => grows.lock().unwrap().append(20),
                    _ => grows.lock().unwrap().add_file(15),
                }
                sleep(Duration::from_millis(200)).await;
            }
        });
        Growing { input, task }
    }

    async fn stop(&mut self) -> PathBuf {
        self.task.abort();
        // It ends between two additions, never in one.
        let _ = (&mut self.task).await;
        self.input.lock().unwrap().folder.clone()
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

//! The binary under strace, and its system calls as things that happened to paths, in order.

use std::path::{Path, PathBuf};

use crate::whole::pipeline::Pipeline;
use crate::whole::process::{Ended, Process};

/// What is traced.
const CALLS: &str =
    "openat,open,creat,write,pwrite64,writev,pwritev,fsync,fdatasync,link,linkat,rename,renameat,renameat2";

/// A call that went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Made(PathBuf),
    Written(PathBuf),
    Synced(PathBuf),
    /// By a link or a rename.
    Named {
        from: PathBuf,
        to: PathBuf,
    },
}

/// A call, and the lines of the trace at which it began and ended.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) call: Call,
    pub(crate) began: usize,
    pub(crate) ended: usize,
}

/// The beginning of a command line that runs the rest under strace, with these system calls taken away.
pub(crate) fn strace(trace: &Path, taken: &[&str]) -> Vec<String> {
    let mut line = ["strace", "-f", "-y", "-qq", "-s", "0", "-o", trace.to_str().unwrap()].map(str::to_owned).to_vec();
    line.extend(["-e".to_owned(), format!("trace={CALLS}")]);
    line.extend(taken.iter().flat_map(|taken| ["-e".to_owned(), format!("inject={taken}")]));
    line
}

/// Runs a pipeline to its end under strace.
pub(crate) async fn traced(pipeline: &Pipeline, workers: usize, taken: &[&str]) -> (Ended, Vec<Event>) {
    let trace = pipeline.file.with_file_name("trace");
    let workers = workers.to_string();
    let arguments = ["run", pipeline.file.to_str().unwrap(), "-w", &workers, "--until-end"];
    let ended = Process::start_behind(&strace(&trace, taken), &arguments, &pipeline.environment).wait().await;
    let text = std::fs::read_to_string(&trace).unwrap_or_else(|error| panic!("no trace ({error}): {}", ended.stderr));
    (ended, events(&text))
}

/// Reads a trace; calls that another thread's cut in two are put together again.
fn events(text: &str) -> Vec<Event> {
    let (mut halves, mut events) = (std::collections::BTreeMap::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let (thread, said) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
        let said = said.trim_start();
        if let Some(begun) = said.strip_suffix(" <unfinished ...>") {
            halves.insert(thread, (number, begun.to_owned()));
            continue;
        }
        let (began, whole) = match said.split_once(" resumed>") {
            Some((_, rest)) => {
                let (began, begun) = halves.remove(thread).unwrap_or_else(|| panic!("{line}"));
                (began, begun + rest)
            }
            None => (number, said.to_owned()),
        };
        events.extend(call(&whole).map(|call| Event { call, began, ended: number }));
    }
    events
}

/// The call in a line such as `fsync(7</data/out>) = 0`; none for one that failed, and for what does not matter here.
fn call(line: &str) -> Option<Call> {
    let (before, result) = line.rsplit_once(" = ")?;
    if result.starts_with('-') || result.starts_with('?') {
        return None;
    }
    let (name, arguments) = before.split_once('(')?;
    let quoted: Vec<PathBuf> = arguments.split('"').skip(1).step_by(2).map(PathBuf::from).collect();
    match name {
        "fsync" | "fdatasync" => Some(Call::Synced(described(arguments)?)),
        "write" | "pwrite64" | "writev" | "pwritev" => Some(Call::Written(described(arguments)?)),
        "openat" | "open" | "creat" if arguments.contains("O_CREAT") || name == "creat" => {
            Some(Call::Made(described(result)?))
        }
        "link" | "linkat" | "rename" | "renameat" | "renameat2" => {
            let [from, to] = quoted.as_slice() else { panic!("{line}") };
            Some(Call::Named { from: from.clone(), to: to.clone() })
        }
        _ => None,
    }
}

/// The path of a descriptor, which stands behind it in angle brackets.
fn described(text: &str) -> Option<PathBuf> {
    let (_, path) = text.split_once('<')?;
    Some(path.split_once('>')?.0.into())
}

#[test]
fn a_trace_is_read_as_it_happened() {
    let text = "11 openat(AT_FDCWD</w>, \"/d/a.temp\", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0666) = 7</d/a.temp>\n\
                11 write(7</d/a.temp>, \"\"..., 4) = 4\n\
                11 fsync(7</d/a.temp> <unfinished ...>\n\
                12 fsync(8</d>)                      = -1 EIO (Input/output error)\n\
                11 <... fsync resumed>)              = 0\n\
                11 linkat(AT_FDCWD</w>, \"/d/a.temp\", AT_FDCWD</w>, \"/d/a\", 0) = 0\n\
                12 rename(\"/d/a\", \"/d/b\") = 0\n\
                12 +++ exited with 0 +++\n";
    let read: Vec<_> = events(text).into_iter().map(|event| (event.call, event.began, event.ended)).collect();
    let named = |from: &str, to: &str| Call::Named { from: from.into(), to: to.into() };
    assert_eq!(
        read,
        [
            (Call::Made("/d/a.temp".into()), 0, 0),
            (Call::Written("/d/a.temp".into()), 1, 1),
            (Call::Synced("/d/a.temp".into()), 2, 4),
            (named("/d/a.temp", "/d/a"), 5, 5),
            (named("/d/a", "/d/b"), 6, 6),
        ]
    );
}

//! A system that grants few threads: the start fails with exit code 1 and says why, or everything works. Nothing panics, and
//! nothing hangs.
//!
//! The superuser has no such limit, so the binary runs as a user of its own whom nobody else is: then the limit counts its
//! threads alone. Would catch a runtime that panics where it gets no thread, and a pool that waits for ever for one.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::folder::Folder;

/// How long a start may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// A user that no other process has.
const USER: &str = "64123";

struct Limited {
    folder: Folder,
    binary: tempfile::TempDir,
    superuser: bool,
}

struct Ended {
    code: Option<i32>,
    said: String,
}

impl Limited {
    fn new() -> Self {
        let (folder, binary) = (Folder::new(), tempfile::tempdir().unwrap());
        let from = Path::new(env!("CARGO_BIN_EXE_millstream"));
        let to = binary.path().join("millstream");
        // Where the binary lies may be closed to other users.
        std::fs::hard_link(from, &to).or_else(|_| std::fs::copy(from, &to).map(drop)).unwrap();
        for path in [binary.path().to_owned(), folder.path(""), folder.path("in")] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        let id = Command::new("id").arg("-u").output().unwrap();
        Limited { folder, binary, superuser: id.stdout.trim_ascii() == b"0" }
    }

    /// Runs a line where so many threads are granted.
    fn run(&self, threads: usize, line: &str) -> Ended {
        let limited = format!("ulimit -u {threads}; exec \"$0\" {line}");
        let binary = self.binary.path().join("millstream");
        let mut words = vec!["timeout", "--signal=KILL"];
        let patience = PATIENCE.as_secs().to_string();
        words.push(&patience);
        if self.superuser {
            words.extend(["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "--bounding-set=-all"]);
        }
        words.extend(["bash", "-c", &limited, binary.to_str().unwrap()]);
        let mut command = Command::new(words[0]);
        let command = command.args(&words[1..]).current_dir(self.folder.path("")).stdin(Stdio::null());
        let ended = command.stdout(Stdio::null()).output().unwrap();
        Ended { code: ended.status.code(), said: String::from_utf8_lossy(&ended.stderr).into_owned() }
    }
}

#[test]
fn too_few_threads_are_told_of_at_the_start() {
    let limited = Limited::new();
    for threads in [3, 10, 30] {
        for line in ["run pipeline.toml", "run pipeline.toml --until-end -w 2"] {
            let Ended { code, said } = limited.run(threads, line);
            assert_eq!(code, Some(1), "{threads}, {line}:\n{said}");
            assert!(said.starts_with("error: the system grants "), "{said}");
            assert!(said.contains(&format!("This user may have {threads} processes and threads")), "{said}");
            assert!(said.contains("hint: raise the limit on processes and threads (`ulimit -u`"), "{said}");
            assert!(!said.contains("panicked"), "{said}");
        }
    }
    assert!(!limited.folder.path("out").exists(), "it began all the same");
}

/// Around the number that is just enough, and for each kind of process.
#[test]
fn whatever_the_limit_a_run_works_or_says_why_not() {
    for line in
        ["run pipeline.toml --until-end", "run pipeline.toml --until-end -w 3", "run pipeline.toml --until-end -n 2"]
    {
        let mut worked = false;
        for threads in (2..180).step_by(11) {
            let limited = Limited::new();
            let Ended { code, said } = limited.run(threads, line);
            assert!(matches!(code, Some(0 | 1)), "{threads}, {line}: {code:?}\n{said}");
            assert!(!said.contains("panicked"), "{threads}, {line}:\n{said}");
            assert!(code == Some(0) || said.contains("raise the limit"), "{threads}, {line}:\n{said}");
            worked |= code == Some(0);
        }
        assert!(worked, "{line} never worked");
    }
}

#[test]
fn looking_commands_say_so_too() {
    let limited = Limited::new();
    for line in ["epochs pipeline.toml", "check pipeline.toml --connect", "populate files made"] {
        let Ended { code, said } = limited.run(3, line);
        assert_eq!(code, Some(1), "{line}:\n{said}");
        assert!(said.contains("the system grants ") && !said.contains("panicked"), "{said}");
    }
}

//! A stdout or stderr that is closed, that nobody reads, or that is full: every command ends with the code that it would have
//! had, and a run does all of its work.
//!
//! Would catch a panic of whatever prints, an exit code that depends on who listens, and a file that is opened under the number
//! of a closed stream and then written over with messages.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use super::folder::Folder;

/// What becomes of a stream, in the words of a shell.
const FATES: [&str; 8] = [
    ">&-",
    "2>&-",
    "<&- >&- 2>&-",
    "| true",
    "2>&1 >/dev/null | true",
    ">/dev/full",
    "2>/dev/full",
    ">/dev/full 2>/dev/full",
];

impl Folder {
    /// The exit code of a line whose streams have this fate.
    fn code(&self, line: &str, fate: &str) -> i32 {
        // A pipe tells the code of its last command only.
        let script = format!("{{ \"$MILLSTREAM\" {line}; echo $? >&9; }} {fate}");
        let (reader, writer) = std::io::pipe().unwrap();
        let nine = format!("exec 9>&1 >/dev/null\n{script}\n");
        let mut shell = Command::new("bash");
        shell.args(["-c", &nine]).env("MILLSTREAM", env!("CARGO_BIN_EXE_millstream")).current_dir(self.path(""));
        let status = shell.stdin(Stdio::null()).stdout(writer).stderr(Stdio::null()).status().unwrap();
        drop(shell);
        assert_eq!(status.signal(), None);
        let code = std::io::read_to_string(reader).unwrap();
        code.trim().parse().unwrap_or_else(|_| panic!("{line} {fate}: {code:?}"))
    }
}

#[test]
fn looking_commands_end_with_the_code_that_they_would_have_had() {
    let folder = Folder::after_a_run();
    for (line, code) in [
        ("check pipeline.toml", 0),
        ("check missing.toml", 2),
        ("test pipeline.toml", 0),
        ("plan pipeline.toml", 0),
        ("epochs pipeline.toml", 0),
        ("files pipeline.toml --json", 0),
        ("averages pipeline.toml", 0),
        ("sample pipeline.toml", 0),
        ("sample pipeline.toml --json", 0),
        ("verify pipeline.toml --json", 0),
        ("completions bash", 0),
        ("--help", 0),
        ("run --help", 0),
        ("--version", 0),
        ("runn", 2),
        ("run", 2),
        ("run missing.toml", 2),
    ] {
        for fate in FATES {
            assert_eq!(folder.code(line, fate), code, "{line} {fate}");
        }
    }
}

#[test]
fn what_is_wrong_is_told_by_the_code_also_where_nobody_reads() {
    let folder = Folder::after_a_run();
    std::fs::remove_file(folder.data_file("2024-02-28")).unwrap();
    for fate in FATES {
        assert_eq!(folder.code("verify pipeline.toml", fate), 1, "{fate}");
    }
}

#[test]
fn a_run_does_all_of_its_work() {
    for line in
        ["run pipeline.toml --until-end", "-v run pipeline.toml --until-end", "run pipeline.toml --until-end -n 2"]
    {
        for fate in FATES {
            let folder = Folder::new();
            assert_eq!(folder.code(line, fate), 0, "{line} {fate}");
            let verified = folder.json("verify pipeline.toml");
            assert_eq!((&verified["ok"], &verified["rows"]), (&true.into(), &3.into()), "{line} {fate}");
        }
    }
}

#[test]
fn populate_writes_all_of_its_records() {
    for fate in FATES {
        let folder = Folder::new();
        assert_eq!(folder.code("populate files made --count 20", fate), 0, "{fate}");
        let made = std::fs::read_dir(folder.path("made")).unwrap().map(|file| file.unwrap().path());
        let lines: usize = made.map(|file| std::fs::read_to_string(file).unwrap().lines().count()).sum();
        assert_eq!(lines, 20, "{fate}");
    }
}

/// A full disk is not hidden: what was asked for is not all there, and that is said.
#[test]
fn what_is_lost_is_said_on_stderr() {
    let folder = Folder::after_a_run();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.args(["files", "pipeline.toml"]).current_dir(folder.path("")).stderr(Stdio::piped());
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = command.stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success() && said.contains("stdout could not be written"), "{said}");
    // Who has read enough (`| head`) misses nothing.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = command.stdout(writer).output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}

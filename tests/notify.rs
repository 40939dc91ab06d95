//! `[notify]` with the real binary: a webhook and a command get every commit that published something, at least once and in
//! order, and commits never wait.
//!
//! The oracle is what `epochs` says. Would catch a commit that is never delivered, a run that stalls because nobody answers, and a
//! secret in a message.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "it measures how long a run takes")]

#[path = "cli/folder.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod folder;
#[path = "log/lake.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod lake;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::folder::Folder;

/// What was heard: the request's head, and its body.
type Heard = Arc<Mutex<Vec<(String, Value)>>>;

/// A listener that answers each request as `answer` says, or never.
fn listener(answer: impl Fn(usize) -> Option<u16> + Send + 'static) -> (String, Heard) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook/s3cret", socket.local_addr().unwrap());
    let heard = Heard::default();
    let hears = heard.clone();
    thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in socket.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let number = {
                let mut heard = hears.lock().unwrap();
                heard.push((head, serde_json::from_slice(&body).unwrap()));
                heard.len()
            };
            match answer(number) {
                Some(status) => {
                    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap()
                }
                None => silent.push(stream),
            }
        }
    });
    (url, heard)
}

fn notified(notify: &str) -> Folder {
    let folder = Folder::new();
    folder.change("pipeline.toml", "[epoch]", &format!("[notify]\n{notify}\n\n[epoch]"));
    folder
}

/// The commits that laid something down.
fn laid_down(folder: &Folder) -> Vec<u64> {
    let epochs = folder.json("epochs pipeline.toml");
    let laid = epochs.as_array().unwrap().iter().filter(|epoch| epoch["rows"] != 0 || epoch["rejects"] != 0);
    laid.map(|epoch| epoch["commit"].as_u64().unwrap()).collect()
}

#[test]
fn a_webhook_hears_of_every_commit_until_it_takes_it() {
    // The first request is refused, the second is answered with an error.
    let (url, heard) = listener(|number| Some([503, 500, 204][number.min(3) - 1]));
    let folder = notified("webhook_file = \"hook\"\nbearer_file = \"bearer\"");
    folder.write("hook", &format!("{url}\n"));
    folder.write("bearer", "b3arer\n");
    let said = folder.run();
    assert!(said.contains("notify did not accept a commit: it answers 503"), "{said}");
    assert!(!said.contains("s3cret") && !said.contains("b3arer"), "{said}");
    folder.add_input("b.ndjson", &[("b1", "2024-03-01", "one two three")]);
    folder.run();
    let heard = heard.lock().unwrap();
    let commits: Vec<u64> = heard.iter().map(|(_, body)| body["commit"].as_u64().unwrap()).collect();
    let laid = laid_down(&folder);
    assert_eq!(commits, [laid[0], laid[0], laid[0], laid[1]]);
    let (head, body) = &heard[3];
    let key = format!("idempotency-key: {}-{}", body["log"].as_str().unwrap(), laid[1]);
    assert!(
        head.to_lowercase().contains(&key) && head.contains("Bearer b3arer") && head.starts_with("POST /hook/s3cret "),
        "{head}"
    );
    assert_eq!((&body["rows"], &body["rejects"], &body["pipeline"]), (&1.into(), &0.into(), &"articles".into()));
    let files = folder.json("files pipeline.toml");
    let file = files.as_array().unwrap().last().unwrap();
    assert_eq!((&body["files"][0]["path"], &body["files"][0]["bytes"]), (&file["path"], &file["bytes"]));
    assert_eq!((&body["averages"][0]["sum"], &body["averages"][0]["count"]), (&"10".into(), &4.into()), "{body}");
    let epochs = folder.json("epochs pipeline.toml");
    assert!(epochs.as_array().unwrap().iter().all(|epoch| epoch["notified"] == true), "{epochs}");
}

/// Nobody answers: commits go on, the run ends, and the next start tells what was missed.
#[test]
fn a_webhook_that_is_silent_holds_nobody_up() {
    let (url, silent) = listener(|_| None);
    let folder = notified(&format!("webhook = \"{url}\"\ntimeout = \"2s\""));
    folder.run();
    let begun = Instant::now();
    folder.add_input("b.ndjson", &[("b1", "2024-03-01", "one two three")]);
    folder.run();
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert!(!silent.lock().unwrap().is_empty());
    let laid = laid_down(&folder);
    assert_eq!(laid.len(), 2);
    assert!(folder.ok("epochs pipeline.toml").contains("not notified yet"));
    let (other, heard) = listener(|_| Some(200));
    folder.change("pipeline.toml", &url, &other);
    folder.run();
    let commits: Vec<u64> = heard.lock().unwrap().iter().map(|(_, body)| body["commit"].as_u64().unwrap()).collect();
    assert_eq!(commits, laid);
}

#[test]
fn a_command_reads_what_was_committed() {
    let folder = notified("command = [\"./tell.sh\", \"told\"]");
    folder
        .write("tell.sh", "#!/bin/sh\nif [ ! -e ready ]; then touch ready; echo not yet >&2; exit 3; fi\nyes | head -n 90000 >&2\ncat >> $1\n");
    fs::set_permissions(folder.path("tell.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let plan = folder.ok("plan pipeline.toml");
    assert!(plan.contains("notify         runs ./tell.sh told  ← publish"), "{plan}");
    let said = folder.run();
    assert!(said.contains("\"./tell.sh\" ended with exit status: 3: not yet"), "{said}");
    folder.add_input("b.ndjson", &[("b1", "2024-03-01", "one two three")]);
    folder.run();
    let told = fs::read_to_string(folder.path("told")).unwrap();
    let commits: Vec<u64> =
        told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["commit"].as_u64().unwrap()).collect();
    assert_eq!(commits, laid_down(&folder));
}

#[test]
fn what_makes_no_sense_is_refused_where_it_stands() {
    for (wrong, says) in [
        ("", "needs exactly one of"),
        ("webhook = \"http://a\"\ncommand = [\"b\"]", "needs exactly one of"),
        ("webhook = \"ftp://a\"", "must begin with https:// or http://"),
        ("command = [\"a\"]\nbearer_file = \"b\"", "only valid with a webhook"),
        ("token = \"a\"", "a secret has no place in this file"),
    ] {
        let said = notified(wrong).fails("check pipeline.toml", 2);
        assert!(said.contains("[notify]") && said.contains(says), "{wrong}: {said}");
    }
}

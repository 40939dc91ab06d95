//! What each command prints, word for word.

use super::folder::Folder;

/// Times, sizes and log ids differ from run to run and from one Parquet library to the next.
fn same_everywhere(text: &str) -> String {
    let word = |word: &str| match word {
        word if chrono::DateTime::parse_from_rfc3339(word).is_ok() && word.contains('.') => "[time]".to_owned(),
        // A file's name ends with the id of its log, which is drawn.
        word => match word.strip_suffix(".parquet").and_then(|name| name.rsplit_once('-')) {
            Some((name, log)) if log.len() == 12 => format!("{name}-[log].parquet"),
            _ => word.to_owned(),
        },
    };
    let line = |line: &str| {
        let words: Vec<String> = line.split(' ').map(word).collect();
        let mut words = words;
        for at in 1..words.len() {
            if words[at] == "bytes" && words[at - 1] != "0" {
                words[at - 1] = "[size]".to_owned();
            }
        }
        words.join(" ") + "\n"
    };
    text.lines().map(line).collect()
}

#[test]
fn looking() {
    let folder = Folder::after_a_run();
    for (command, wanted) in [
        (
            "epochs",
            "commit 1  epoch 0  generation 1  [time]  0 files  0 rows  0 rejects  0 bytes\n\
             commit 2  epoch 1  generation 1  [time]  2 files  3 rows  2 rejects  [size] bytes\n",
        ),
        (
            "files",
            "out/event_date=2024-02-28/e1-w0-0-g1-[log].parquet  2 rows  [size] bytes  commit 2\n\
             out/event_date=__HIVE_DEFAULT_PARTITION__/e1-w0-1-g1-[log].parquet  1 rows  [size] bytes  commit 2\n",
        ),
        (
            "averages",
            "word_count  day  2024-02-28T00:00:00Z  mean 2.5000  sum 5  count 2\n\
             word_count  overall    mean 2.3333  sum 7  count 3\n",
        ),
        ("verify", "everything holds: 2 commits, 2 files, 3 rows, 2 rejects\n"),
    ] {
        assert_eq!(same_everywhere(&folder.ok(&format!("{command} pipeline.toml"))), wanted, "{command}");
    }
    let sample = folder.ok("sample pipeline.toml -r 1");
    let wanted = r#"{"article_id":"a1","publish_date":"2024-02-28T10:11:12Z","content":"two words","word_count":2,"event_date":"2024-02-28"}"#;
    assert_eq!(sample.trim_end(), wanted);
}

#[test]
fn checking() {
    let folder = Folder::new();
    let columns = "pipeline.toml: the pipeline \"articles\" is in order\n  article_id: Utf8\n  \
                   publish_date: Timestamp(µs, \"UTC\")\n  content: Utf8\n  word_count: Int64\n  event_date: Date32\n";
    assert_eq!(folder.ok("check pipeline.toml"), columns);
    let connected = "the source answers: 1 splits\nthe sink out answers: 0 commits\n";
    assert_eq!(folder.ok("check pipeline.toml --connect"), format!("{columns}{connected}"));
    assert_eq!(folder.ok("test pipeline.toml"), "ok     words are counted\n1 passed, 0 failed\n");
}

#[test]
fn planning() {
    let folder = Folder::new();
    let wanted = "\"articles\": 2 workers, each with this dataflow; worker 0 commits
  ingest         files of in
  decode         3 columns  ← ingest
  validate       content_not_empty  ← decode
  enrich         word_count, event_date  ← validate
  route          the sink takes every row  ← enrich
  encode         Parquet, by event_date  ← route
  stage          uploads to out  ← encode
  rejects        to out-rejects  ← decode, validate, enrich, route
  average        word_count  ← route
  commit         out/.millstream/commits  ← ingest, route, stage, rejects, average
  publish        completes the uploads  ← commit
";
    assert_eq!(folder.ok("plan pipeline.toml -w 2"), wanted);
    let diagram = folder.ok("plan pipeline.toml --mermaid");
    assert!(diagram.starts_with("flowchart LR\n  ingest[\"ingest<br/>files of in\"]\n"), "{diagram}");
    assert!(diagram.contains("  route --> encode\n"), "{diagram}");
}

#[test]
fn the_first_file_runs_as_it_is() {
    let folder = Folder::new();
    let wanted = "wrote first.toml\nnext: millstream check first.toml\n      millstream run first.toml --until-end\n";
    assert_eq!(folder.ok("init first.toml"), wanted);
    folder.ok("check first.toml");
    let said = folder.say("run first.toml --until-end");
    assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{}", said.stderr);
    assert!(said.stderr.contains("10000 rows · 0 rejects"), "{}", said.stderr);
    let report = folder.json("verify first.toml");
    assert_eq!((&report["ok"], &report["rows"]), (&true.into(), &10_000.into()));
}

#[test]
fn populating() {
    let folder = Folder::new();
    let said = folder.ok("populate files --count 10 --splits 2 --compression zstd made");
    assert!(said.starts_with("10 records in 2 files, ") && said.ends_with(" MB before packing: made\n"), "{said}");
    assert!(folder.path("made/articles-0-00001.ndjson.zst").exists());
    assert!(
        folder.fails("populate files --count 10 --splits 2 --compression zstd made", 1).contains("is there already")
    );
}

#[test]
fn completions_and_help() {
    let folder = Folder::new();
    for (shell, sign) in [("bash", "_millstream()"), ("zsh", "#compdef millstream"), ("fish", "complete -c millstream")]
    {
        assert!(folder.ok(&format!("completions {shell}")).contains(sign), "{shell}");
    }
    let help = folder.ok("run -h");
    assert!(help.contains("--until-end") && help.contains("--hosts <FILE>"), "{help}");
    assert!(folder.ok("--version").starts_with("millstream "));
    assert!(folder.ok("--help").contains("3 fenced out by a newer start"));
}

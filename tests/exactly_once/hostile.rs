//! Input that means harm: each record of it costs one reject, and no more memory than the budget.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::whole::input::Input;
use crate::whole::oracle::Expected;
use crate::whole::sink::Sink;

/// The default budget is 256 MiB; a process with it stays under twice that.
const BOUND_KIB: u64 = 512 << 10;

fn good(id: &str) -> Vec<u8> {
    json!({"article_id": id, "content": "two words", "publish_date": "2024-03-01T00:00:00Z"}).to_string().into_bytes()
}

/// The lines, each with the reason that it is refused for.
fn lines() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let deep = [&b"{\"ignored\":"[..], &vec![b'['; 10_000], &vec![b']'; 10_000], b"}"].concat();
    vec![
        (good("first"), None),
        ([&b"{\"content\":\""[..], &vec![b'x'; 50 << 20], b"\"}"].concat(), Some("too_large")),
        (deep, Some("decode")),
        (br#"{"article_id":"nan","content":NaN}"#.to_vec(), Some("decode")),
        (b"{\"article_id\":\"utf8\",\"content\":\"\xff\xfe\"}".to_vec(), Some("decode")),
        (b"\0\0\0".to_vec(), Some("decode")),
        (good("last"), None),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_records_cost_a_reject_each() {
    let (mut pipeline, input) = Input::with_pipeline("hostile", false).await;
    let mut file = std::fs::File::create(input.folder.join("hostile.ndjson")).unwrap();
    let (mut wanted, mut at) = (BTreeMap::new(), 0);
    for (line, reason) in lines() {
        if let Some(reason) = reason {
            wanted.insert(("hostile.ndjson".to_owned(), at.to_string()), reason.to_owned());
        }
        file.write_all(&line).unwrap();
        file.write_all(b"\n").unwrap();
        at += line.len() + 1;
    }
    std::fs::write(input.folder.join("bomb.ndjson.gz"), bomb(512 << 20)).unwrap();
    wanted.insert(("bomb.ndjson.gz".to_owned(), "0".to_owned()), "too_large".to_owned());

    let mut process = pipeline.run(2, &["--until-end"]);
    let mut peak = 0;
    while process.runs() {
        let now = process.status("VmHWM").and_then(|line| line.trim_end_matches(" kB").parse().ok());
        peak = now.unwrap_or(peak);
        sleep(Duration::from_millis(2)).await;
    }
    process.wait().await.with(0);
    println!("hostile: at most {} MiB", peak >> 10);
    assert!(peak > 0 && peak < BOUND_KIB, "{peak} KiB");

    let visible = pipeline.sink.check_visible(&mut pipeline.known).await;
    let Expected { rows, rejects } = Sink::found(&pipeline.known, &visible);
    assert_eq!(rows.keys().collect::<Vec<_>>(), ["first", "last"]);
    let found: BTreeMap<_, _> = rejects.into_iter().map(|(key, (reason, _))| (key, reason)).collect();
    assert_eq!(found, wanted);
}

/// So many zeros in one line, packed.
fn bomb(bytes: usize) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = vec![0; 1 << 20];
    (0..bytes >> 20).for_each(|_| packed.write_all(&zeros).unwrap());
    packed.finish().unwrap()
}

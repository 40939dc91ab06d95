//! A pipeline over streams, and what tests ask of it while it runs.

use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};

use crate::services::kinesis::ENVIRONMENT;
use crate::whole::oracle::Expected;
use crate::whole::pipeline::Pipeline;
use crate::whole::process::Process;
use crate::whole::stream::Stream;

/// A pipeline over streams of one endpoint, from their beginning unless `more` of `[source]` says otherwise.
pub(crate) async fn reader(streams: &[&Stream], endpoint: &str, more: &str) -> Pipeline {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::new(folder, &streams[0].name, false, &source(streams, endpoint, more)).await;
    pipeline.environment.extend(ENVIRONMENT.map(|(name, value)| (name, value.to_owned())));
    pipeline
}

/// The `[source]` of streams of one endpoint.
pub(crate) fn source(streams: &[&Stream], endpoint: &str, more: &str) -> String {
    let names: Vec<&str> = streams.iter().map(|stream| &*stream.name).collect();
    let start = if more.contains("start =") { "" } else { "start = \"trim_horizon\"\n" };
    format!("type = \"kinesis\"\nstream = {names:?}\nendpoint = {endpoint:?}\nregion = \"us-east-1\"\n{start}{more}\n")
}

/// Waits until so many records are committed, as rows or rejects.
pub(crate) async fn until_committed(pipeline: &mut Pipeline, process: &mut Process, records: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let committed = committed(pipeline).await;
        if committed >= records {
            return;
        }
        assert!(process.runs(), "it ended with {committed} of {records} committed; it said:\n{}", process.said());
        assert!(Instant::now() < deadline, "{committed} of {records} are committed; it said:\n{}", process.said());
        sleep(Duration::from_millis(20)).await;
    }
}

/// How many records are committed.
pub(crate) async fn committed(pipeline: &mut Pipeline) -> usize {
    let commits = pipeline.sink.read("/.millstream/commits", ".json", &mut pipeline.known).await;
    let rows = |commit: &String| -> u64 {
        let commit: Value = serde_json::from_slice(&pipeline.known[&format!("/.millstream/commits/{commit}")]).unwrap();
        let files = ["files", "rejects"].into_iter().flat_map(|list| commit[list].as_array().into_iter().flatten());
        files.map(|file| file["rows"].as_u64().unwrap()).sum()
    };
    commits.iter().map(rows).sum::<u64>() as usize
}

/// Ends a running pipeline as an operator does.
pub(crate) async fn stop(process: Process) {
    process.catches_sigterm().await;
    process.signal("TERM");
    process.wait().await.with(0);
}

/// Waits until all that is expected is committed, stops the process, and checks everything.
pub(crate) async fn comes_out(pipeline: &mut Pipeline, mut process: Process, expected: &Expected) {
    until_committed(pipeline, &mut process, expected.rows.len() + expected.rejects.len()).await;
    stop(process).await;
    pipeline.check(expected).await;
}

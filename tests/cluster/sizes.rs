//! The same input through clusters of any size, and through another size at every start.

use serde_json::Value;

use crate::services::kinesis::{Kind, server};
use crate::whole::input::Input;
use crate::whole::oracle::Expected;
use crate::whole::pipeline::Pipeline;
use crate::whole::reader::reader;
use crate::whole::stream::Stream;

/// Processes, and workers of each.
const SIZES: [(usize, usize); 8] = [(3, 2), (1, 1), (2, 3), (5, 1), (1, 3), (2, 1), (3, 3), (5, 2)];

async fn run_to_the_end(pipeline: &Pipeline, (processes, workers): (usize, usize)) {
    let ended = pipeline.run(workers, &["--until-end", "-n", &processes.to_string()]).wait().await;
    assert_eq!(ended.code, Some(0), "{processes} processes of {workers} workers:\n{}", ended.stderr);
    assert!(!ended.stderr.contains("Starting all again"), "{}", ended.stderr);
}

/// The workers that have written files, by the files' names.
async fn writers(pipeline: &Pipeline) -> Vec<usize> {
    let files = pipeline.look("files").await;
    let worker = |file: &Value| {
        let name = file["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        name.split('-').find_map(|part| part.strip_prefix('w')?.parse().ok()).unwrap()
    };
    let mut workers: Vec<usize> = files.as_array().unwrap().iter().map(worker).collect();
    workers.sort_unstable();
    workers.dedup();
    workers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_come_out_the_same_with_another_size_at_every_start() {
    let (mut pipeline, mut input) = Input::with_pipeline("sizes", false).await;
    for size in SIZES {
        // Enough for every worker to have some.
        (0..size.0 * size.1 + 1).for_each(|_| input.add_file(12));
        input.append(20);
        run_to_the_end(&pipeline, size).await;
        pipeline.check(&Expected::of_folder(&input.folder)).await;
        if size == SIZES[0] {
            assert_eq!(writers(&pipeline).await, [0, 1, 2, 3, 4, 5], "every worker of every process has read");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_come_out_the_same_in_a_bucket() {
    let (mut pipeline, mut input) = Input::with_pipeline("sizes-s3", true).await;
    for size in [(3, 2), (2, 1)] {
        (0..7).for_each(|_| input.add_file(12));
        run_to_the_end(&pipeline, size).await;
        pipeline.check(&Expected::of_folder(&input.folder)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_generated_comes_out_the_same_with_every_size() {
    const COUNT: u64 = 3_001;
    let expected = Expected::of_generated(COUNT, 7, 3, 0.04);
    for size in SIZES {
        let source =
            format!("type = \"generate\"\nkind = \"articles\"\nsplits = 7\ncount = {COUNT}\nseed = 3\nbroken = 0.04");
        let mut pipeline = Pipeline::new(tempfile::tempdir().unwrap(), "sizes-generate", false, &source).await;
        run_to_the_end(&pipeline, size).await;
        pipeline.check(&expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_comes_out_the_same_with_another_size_at_every_start() {
    let kind = Kind::Kinesalite;
    let mut stream = Stream::new(kind, "sizes-stream", 4).await;
    let mut pipeline = reader(&[&stream], &server(kind).await.endpoint, "").await;
    for (number, size) in [(2, 2), (3, 1), (1, 2), (5, 1), (3, 3)].into_iter().enumerate() {
        stream.put(120).await;
        match number % 3 {
            2 => stream.merge_at(0).await,
            _ => stream.split_at(number % 2).await,
        }
        stream.put(60).await;
        run_to_the_end(&pipeline, size).await;
        pipeline.check(&stream.expected()).await;
    }
}

/// One file is one split: only by an exchange do other processes come to work on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_split_is_worked_on_by_every_process_where_batches_are_exchanged() {
    for (exchange, expected) in [("none", 1), ("batches", 4)] {
        let (mut pipeline, mut input) = Input::with_pipeline(&format!("exchange-{exchange}"), false).await;
        pipeline.change("name = \"test\"\n", &format!("name = \"test\"\n[balance]\nexchange = \"{exchange}\"\n"));
        // Large enough to be read in many batches.
        for _ in 0..12 {
            input.append(4_000);
        }
        run_to_the_end(&pipeline, (2, 2)).await;
        pipeline.check(&Expected::of_folder(&input.folder)).await;
        assert_eq!(writers(&pipeline).await.len(), expected, "exchange = {exchange}");
    }
}

/// Would catch a plan that claims the log, and one that forgets a split or what is read of it already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_shows_who_would_read_what_and_claims_nothing() {
    let (mut pipeline, mut input) = Input::with_pipeline("plan", false).await;
    (0..4).for_each(|_| input.add_file(12));
    run_to_the_end(&pipeline, (1, 1)).await;
    input.append(12);
    let before = pipeline.commits().await;
    let plan = pipeline.plan(&["--connect", "-w", "2", "-n", "3"]).await;
    for (worker, process) in [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2)] {
        assert!(plan.contains(&format!("worker {worker:<7} process {process}  reads ")), "{plan}");
    }
    for file in ["growing.ndjson", "part-0001.ndjson.gz from ", "part-0003.ndjson from "] {
        assert_eq!(plan.matches(file).count(), 1, "{file}:\n{plan}");
    }
    assert!(plan.contains("reads nothing"), "there are six workers and five files:\n{plan}");
    let drawn = pipeline.plan(&["--connect", "--mermaid", "-w", "2", "-n", "3"]).await;
    assert!(drawn.contains("subgraph process_2") && drawn.contains("process_2 --> ingest"), "{drawn}");
    assert_eq!(pipeline.commits().await, before, "a plan claims nothing");
}

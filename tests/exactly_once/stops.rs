//! A stop at any moment from which signals are caught: it ends with 0, keeps what was committed, and the next run goes on.
//!
//! Would catch a signal that is caught too late, or not at all (SIGHUP), one that is lost between its handler and the runtime, and
//! a `nohup` that is undone.

use std::time::Duration;

use tokio::time::sleep;

use crate::whole::input::Input;
use crate::whole::oracle::Expected;
use crate::whole::process::Process;

const STOPS: [&str; 3] = ["TERM", "HUP", "INT"];

async fn stopped_at_any_moment(test: &str, on_s3: bool) {
    let (mut pipeline, mut input) = Input::with_pipeline(test, on_s3).await;
    let mut before = Default::default();
    for (round, millis) in [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377].into_iter().enumerate() {
        input.add_file(80);
        let process = pipeline.run(1 + round % 3, &[]);
        process.catches_sigterm().await;
        sleep(Duration::from_millis(millis)).await;
        process.signal(STOPS[round % STOPS.len()]);
        process.wait().await.with(0);
        let now = pipeline.sink.check_visible(&mut pipeline.known).await;
        assert!(now.is_superset(&before), "after {millis} ms something that was committed is gone");
        before = now;
    }
    assert!(!before.is_empty(), "nothing was ever committed");
    pipeline.run_to_the_end(2).await;
    pipeline.check(&Expected::of_folder(&input.folder)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_left_in_order_by_a_stop() {
    stopped_at_any_moment("stops-local", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_left_in_order_by_a_stop() {
    stopped_at_any_moment("stops-s3", true).await;
}

/// At any moment from the first line of `main` on. Before that the system is still loading the binary, and no program can catch
/// anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_the_first_milliseconds_ends_with_0() {
    const ROUNDS: u64 = 45;
    let (pipeline, mut input) = Input::with_pipeline("stops-early", false).await;
    input.add_file(80);
    let (mut caught, mut too_early) = (0, 0);
    // A shell that runs these tests in the background makes them ignore SIGINT, and what they start would inherit that.
    let default_signals = ["env", "--default-signal=TERM,HUP,INT"].map(str::to_owned);
    let file = pipeline.file.to_str().unwrap();
    for stop in STOPS {
        for round in 0..ROUNDS {
            let more: &[&str] = if round % 3 == 2 { &["-n", "2"] } else { &[] };
            let arguments = [&["run", file, "-w", "1"], more].concat();
            let process = Process::start_behind(&default_signals, &arguments, &pipeline.environment);
            // 0 to 30 ms after an exec, which has happened once this returns.
            sleep(Duration::from_micros(round * 30_000 / ROUNDS)).await;
            let catches = process.catches(stop);
            process.signal(stop);
            let ended = process.wait().await;
            if catches {
                ended.with(0);
                caught += 1;
            } else if ended.code != Some(0) {
                assert!(ended.signal.is_some(), "SIG{stop}: {ended:?}");
                too_early += 1;
            }
        }
    }
    println!("{caught} signals were caught, {too_early} came before main");
    assert!(caught > 0, "no signal came late enough");
    pipeline.run_to_the_end(1).await;
}

/// Would catch handlers that are installed behind anything that takes time: a runtime, a log, a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_are_caught_before_any_thread_is_started() {
    let (pipeline, _input) = Input::with_pipeline("stops-first", false).await;
    for _ in 0..40 {
        let mut process = pipeline.run(1, &["--until-end"]);
        while process.runs() {
            // The threads first: handlers that come between the two looks only help.
            let threads: u32 = process.status("Threads").map_or(1, |threads| threads.parse().unwrap());
            let caught = STOPS.iter().all(|stop| process.catches(stop));
            assert!(caught || threads <= 1, "{threads} threads run, and not all signals are caught");
            if caught {
                break;
            }
        }
        process.wait().await.with(0);
    }
}

/// Would catch a run that ends with the terminal though it was started to outlive it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sighup_that_is_ignored_stays_ignored() {
    let (mut pipeline, mut input) = Input::with_pipeline("stops-nohup", false).await;
    for more in [&[][..], &["-n", "2"]] {
        let file = pipeline.file.to_str().unwrap().to_owned();
        let arguments = [&["run", &file], more].concat();
        let mut process = Process::start_behind(&["nohup".to_owned()], &arguments, &pipeline.environment);
        process.catches_sigterm().await;
        process.signal("HUP");
        let before = pipeline.commits().await;
        // Rows, and not the claim alone.
        while pipeline.commits().await < before + 2 {
            assert!(process.runs(), "it ended");
            input.add_file(20);
            sleep(Duration::from_millis(20)).await;
        }
        process.signal("HUP");
        process.signal("TERM");
        process.wait().await.with(0);
    }
}

/// A terminal that closes may send SIGHUP more than once, which asks for no more than once does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_sighup_does_not_cut_the_last_commit_short() {
    let (pipeline, mut input) = Input::with_pipeline("stops-hangups", false).await;
    for _ in 0..5 {
        input.add_file(400);
        let process = pipeline.run(1, &[]);
        process.until_it_says("the log is claimed").await;
        for _ in 0..4 {
            process.signal("HUP");
        }
        process.wait().await.with(0);
    }
}

//! `populate kafka` against a real broker: what is asked for is in the topic, each record once and with its key, whatever
//! happens to the broker meanwhile; and who is not let in, or finds nobody, is told so in time and without a secret.
//!
//! Would catch a record that is counted and not there, one that a retry doubles, one handed over at a stop and then dropped, a
//! key that is not the record's own, a wait that never ends, and a password in a message.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod services;

#[path = "user_events/folder.rs"]
#[allow(dead_code, reason = "another test uses the rest of it")]
mod folder;
#[path = "user_events/judge.rs"]
mod judge;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use millstream::connector::generate::Kind;
use millstream::connector::generate::record::Records;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::time::Instant;

use folder::Folder;
use judge::{Refused, Row, averages, judge};
use services::kafka::{Broker, USER, broker, client};

/// How long anything may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(120);
const PASSWORD: &str = "not-the-secret-9f3a";

/// Partition, key and payload of each record, in the order of its partition.
type Found = Vec<(i32, String, Vec<u8>)>;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.args(["populate", "kafka"]).args(arguments).env("KAFKA_PASSWORD", USER.1);
    command
}

async fn populate(arguments: &[&str]) -> Output {
    let mut command = command(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// What it prints, where it goes well.
async fn populated(arguments: &[&str]) -> String {
    let done = populate(arguments).await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// What it says, where it does not.
async fn failure(arguments: &[&str]) -> String {
    let done = populate(arguments).await;
    assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stdout));
    assert!(done.stdout.is_empty(), "nothing was written: {}", String::from_utf8_lossy(&done.stdout));
    String::from_utf8(done.stderr).unwrap()
}

/// Everything in a topic, and how many partitions it has.
async fn read(brokers: String, topic: &'static str) -> (Found, i32) {
    tokio::task::spawn_blocking(move || {
        let mut config = client(&brokers);
        config.set("group.id", "reader").set("enable.partition.eof", "true").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().unwrap();
        let partitions = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap().topics()[0].partitions().len() as i32;
        let mut all = TopicPartitionList::new();
        (0..partitions).for_each(|number| all.add_partition_offset(topic, number, Offset::Beginning).unwrap());
        consumer.assign(&all).unwrap();
        let (mut found, mut ended) = (Found::new(), BTreeSet::new());
        while ended.len() < partitions as usize {
            match consumer.poll(PATIENCE).expect("the topic has an end") {
                Ok(record) => {
                    let key = String::from_utf8(record.key().unwrap().to_vec()).unwrap();
                    found.push((record.partition(), key, record.payload().unwrap().to_vec()));
                }
                Err(rdkafka::error::KafkaError::PartitionEOF(partition)) => drop(ended.insert(partition)),
                Err(error) => panic!("{error}"),
            }
        }
        (found, partitions)
    })
    .await
    .unwrap()
}

/// The first `count` records of a kind, with their keys.
fn made(kind: Kind, seed: u64, broken: f64, count: u64) -> impl Iterator<Item = (String, Vec<u8>)> {
    let records = Records::new(kind, seed, broken);
    (0..count).map(move |index| {
        let mut record = Vec::new();
        records.write(0, index, &mut record);
        (records.key(0, index), record)
    })
}

/// The same, each with how often it comes.
fn wanted(kind: Kind, seed: u64, broken: f64, count: u64) -> BTreeMap<(String, Vec<u8>), usize> {
    counted(made(kind, seed, broken, count))
}

fn counts(found: &Found) -> BTreeMap<(String, Vec<u8>), usize> {
    counted(found.iter().map(|(_, key, record)| (key.clone(), record.clone())))
}

fn counted(records: impl Iterator<Item = (String, Vec<u8>)>) -> BTreeMap<(String, Vec<u8>), usize> {
    let mut counts = BTreeMap::new();
    records.for_each(|record| *counts.entry(record).or_default() += 1);
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_is_in_the_topic_once_with_its_keys() {
    let brokers = broker().await.plain();
    let asked = [
        "--brokers",
        &brokers,
        "--topic",
        "events",
        "--partitions",
        "3",
        "--count",
        "20000",
        "--seed",
        "4",
        "--broken",
        "0.2",
    ];
    let said = populated(&asked).await;
    assert!(said.starts_with("20000 records, ") && said.ends_with(" MB: events\n"), "{said}");
    let (found, partitions) = read(brokers.clone(), "events").await;
    assert_eq!(partitions, 3);
    assert!(counts(&found) == wanted(Kind::Events, 4, 0.2, 20_000));
    let mut places: BTreeMap<&String, BTreeSet<i32>> = BTreeMap::new();
    found.iter().for_each(|(partition, key, _)| places.entry(key).or_default().extend([*partition]));
    assert!(places.values().all(|at| at.len() == 1), "a user's events lie in several partitions");
    assert_eq!(places.values().flatten().collect::<BTreeSet<_>>().len(), 3, "a partition is empty");
    let good = found.iter().filter_map(|(_, key, record)| Some((key, judge(record).ok()?.user)));
    assert!(good.map(|(key, user)| assert_eq!(*key, user)).count() > 15_000);

    // Into a topic that is there, as it is.
    let articles = ["--brokers", &brokers, "--topic", "articles", "--kind", "articles", "--count"];
    populated(&[&articles[..], &["30"]].concat()).await;
    populated(&[&articles[..], &["10", "--partitions", "5"]].concat()).await;
    let (found, partitions) = read(brokers, "articles").await;
    let mut both = wanted(Kind::Articles, 0, 0.0, 30);
    wanted(Kind::Articles, 0, 0.0, 10).into_keys().for_each(|record| *both.entry(record).or_default() += 1);
    assert!(partitions == 1 && counts(&found) == both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_it_with_all_that_it_counts() {
    let brokers = broker().await.plain();
    for (topic, more) in [("stopped-fast", &[][..]), ("stopped-slow", &["--rate", "500"])] {
        let asked = [&["--brokers", &brokers, "--topic", topic, "--forever", "--broken", "0.1"], more].concat();
        let mut running = command(&asked).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        until_it_has_records(&brokers, topic).await;
        signal(running.id(), "TERM");
        let (code, said) = ended(&mut running).await;
        assert_eq!(code, Some(0));
        let told: u64 = said.split(' ').next().unwrap().parse().unwrap();
        assert!(!said.contains("may be there or not"), "{said}");
        let (found, _) = read(brokers.clone(), topic).await;
        assert!(told > 0 && counts(&found) == wanted(Kind::Events, 0, 0.1, told), "{said}");
    }
}

async fn until_it_has_records(brokers: &str, topic: &'static str) {
    let (deadline, brokers) = (Instant::now() + PATIENCE, brokers.to_owned());
    let has_some = move || {
        let consumer: BaseConsumer = client(&brokers).set("group.id", "reader").create().unwrap();
        while consumer.fetch_watermarks(topic, 0, Duration::from_secs(1)).map_or(0, |(_, end)| end) == 0 {
            assert!(Instant::now() < deadline, "nothing comes to {topic}");
        }
    };
    tokio::task::spawn_blocking(has_some).await.unwrap();
}

/// The exit code and what was printed, once it ends.
async fn ended(running: &mut Child) -> (Option<i32>, String) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = running.try_wait().unwrap() {
            let mut said = String::new();
            running.stdout.take().unwrap().read_to_string(&mut said).unwrap();
            return (status.code(), said);
        }
        if Instant::now() > deadline {
            running.kill().unwrap();
            running.wait().unwrap();
            panic!("it hangs");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Each of the first events is in the topic once, and those of a partition are in the order in which they were written.
fn once_and_in_order(found: &Found, partitions: i32, count: u64) {
    assert!(counts(found) == wanted(Kind::Events, 0, 0.0, count), "{} records of {count}", found.len());
    let at: BTreeMap<&String, i32> = found.iter().map(|(partition, key, _)| (key, *partition)).collect();
    for partition in 0..partitions {
        let in_it = found.iter().filter(|record| record.0 == partition);
        let in_it = in_it.map(|(_, key, record)| (key.clone(), record.clone()));
        assert!(in_it.eq(made(Kind::Events, 0, 0.0, count).filter(|(key, _)| at.get(key) == Some(&partition))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_goes_and_comes_back_has_each_record_once() {
    let broker = Broker::start().await;
    let brokers = broker.plain();
    let asked =
        ["--brokers", &brokers, "--topic", "user-events", "--partitions", "2", "--count", "40000", "--rate", "8000"];
    let mut running = command(&asked).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    until_it_has_records(&brokers, "user-events").await;
    let broker = broker.stop().start().await;
    let (code, said) = ended(&mut running).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("40000 records, "), "{said}");
    let (found, partitions) = read(broker.plain(), "user-events").await;
    once_and_in_order(&found, partitions, 40_000);
}

/// A frozen broker answers too late: what it was sent is sent again, and when it wakes it finds both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_whose_answer_was_lost_is_there_once() {
    let broker = Broker::start().await;
    let (brokers, frozen) = (broker.plain(), process_of(&broker));
    let said = tempfile::NamedTempFile::new().unwrap();
    let asked = [
        "-v",
        "--brokers",
        &brokers,
        "--topic",
        "user-events",
        "--partitions",
        "2",
        "--count",
        "60000",
        "--rate",
        "8000",
        "-o",
        "socket.timeout.ms=400",
    ];
    let mut running = command(&asked).stdout(Stdio::piped()).stderr(said.reopen().unwrap()).spawn().unwrap();
    until_it_has_records(&brokers, "user-events").await;
    for _ in 0..4 {
        let before = given_up(&said);
        signal(frozen, "STOP");
        let deadline = Instant::now() + PATIENCE;
        while given_up(&said) == before {
            assert!(Instant::now() < deadline && running.try_wait().unwrap().is_none(), "no request is given up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        signal(frozen, "CONT");
    }
    let (code, told) = ended(&mut running).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.starts_with("60000 records, "), "{told}");
    let (found, partitions) = read(brokers, "user-events").await;
    once_and_in_order(&found, partitions, 60_000);
}

/// How often the client has given up waiting for answers, and hung up.
fn given_up(said: &tempfile::NamedTempFile) -> usize {
    std::fs::read_to_string(said.path()).unwrap().matches("brokers are down").count()
}

/// The process of a broker: the one with its folder, which no other has, on its command line.
fn process_of(broker: &Broker) -> u32 {
    let folder = broker.certificate("").parent().unwrap().join("server.properties").display().to_string();
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_it = |id: &u32| {
        let line = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.starts_with("java\0") && line.contains(&folder)
    };
    processes.into_iter().find(is_it).expect("the broker's process")
}

fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status().unwrap();
    assert!(sent.success(), "SIG{name} was not sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_let_in_is_told_so_without_a_secret() {
    let broker = broker().await;
    let (sasl, tls) = (broker.sasl(), broker.tls());
    let user = format!("sasl.username={}", USER.0);
    let by_name = |password| {
        ["-o", "security.protocol=SASL_PLAINTEXT", "-o", "sasl.mechanism=PLAIN", "-o", &*user, "-o", password]
    };
    let begun = Instant::now();
    let wrong = format!("sasl.password={PASSWORD}");
    let said = failure(&[&["--brokers", &*sasl, "-v"][..], &by_name(&wrong)].concat()).await;
    assert!(said.contains(&sasl) && said.contains("check sasl.mechanism, sasl.username and sasl.password"), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(30), "it waited for what cannot change");
    let right =
        [&["--brokers", &*sasl, "--topic", "let-in", "--count", "10"][..], &by_name("sasl.password=${KAFKA_PASSWORD}")]
            .concat();
    assert!(populated(&right).await.starts_with("10 records, "));

    // Without the authority's certificate; and with it, but without one to show.
    let said = failure(&["--brokers", &tls, "-o", "security.protocol=SSL", "--wait", "2"]).await;
    assert!(said.contains("check ssl.ca.location"), "{said}");
    let (file, topic) =
        (|name: &str| broker.certificate(name).display().to_string(), ["--topic", "by-certificate", "--count", "10"]);
    let (ca, certificate, key) = (
        format!("ssl.ca.location={}", file("ca.pem")),
        format!("ssl.certificate.location={}", file("client.pem")),
        format!("ssl.key.location={}", file("client.key")),
    );
    let shown = ["--brokers", &*tls, "-o", "security.protocol=SSL", "-o", &*ca, "--wait", "2"];
    assert!(failure(&shown).await.contains("did not answer for 2 s"));
    let by_certificate = [&shown[..], &["-o", &*certificate, "-o", &*key], &topic].concat();
    assert!(populated(&by_certificate).await.starts_with("10 records, "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_told_after_the_time_that_was_said() {
    let begun = Instant::now();
    // No broker has a port so low.
    let said = failure(&["--brokers", "127.0.0.1:1", "--wait", "3"]).await;
    assert!(said.contains("127.0.0.1:1 did not answer for 3 s") && said.contains("refused"), "{said}");
    assert!((3..20).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let sasl = broker().await.sasl();
    let said = failure(&["--brokers", &sasl, "--wait", "2"]).await;
    assert!(said.contains("another security.protocol"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_client_does_not_take_is_named() {
    let brokers = broker().await.plain();
    for (asked, named) in [
        (["--topic", "no@topic"], "no@topic: cannot be made"),
        (["-o", "no.such.property=1"], "no.such.property"),
        (["-o", "socket.timeout.ms=never"], "socket.timeout.ms"),
    ] {
        let said = failure(&[&["--brokers", &*brokers][..], &asked].concat()).await;
        assert!(said.contains(named), "{said}");
    }
}

/// The example of the README, against this broker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_makes_of_a_topic_what_is_in_it() {
    const PIPELINE: &str = "examples/user-events/kafka.toml";
    let (brokers, mut folder) = (broker().await.plain(), Folder::new());
    populated(&[
        "--brokers",
        &brokers,
        "--topic",
        "of-users",
        "--partitions",
        "3",
        "--count",
        "5000",
        "--broken",
        "0.1",
    ])
    .await;
    folder.environment =
        vec![("KAFKA_BROKERS", brokers), ("KAFKA_TOPIC", "of-users".to_owned()), ("EPOCH", "200ms".to_owned())];
    let (mut rows, mut refused) = (Vec::<Row>::new(), Vec::<(Refused, Vec<u8>)>::new());
    for ((_, record), times) in wanted(Kind::Events, 0, 0.1, 5_000) {
        match judge(&record) {
            Ok(row) => rows.extend(vec![row; times]),
            Err(why) => refused.extend(vec![(why, record); times]),
        }
    }
    rows.sort();
    refused.sort();
    tokio::task::spawn_blocking(move || {
        folder.millstream(&["check", PIPELINE, "--connect"]);
        for workers in ["2", "1"] {
            folder.run(PIPELINE, &["-w", workers]);
            let found = folder.found();
            let mut found_refused: Vec<_> = found.rejects.into_values().collect();
            found_refused.sort();
            assert!(found.rows == rows && found_refused == refused);
            assert_eq!(folder.averages(PIPELINE), averages(&rows));
        }
    })
    .await
    .unwrap();
}

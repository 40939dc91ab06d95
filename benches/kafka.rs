//! What reading from Kafka costs: `cargo bench --bench kafka [-- mb=500 rounds=3 partitions=6]`.
//!
//! The real broker (`tests/services/kafka`) holds user events of about 180 bytes, and articles of about 2.7 KB, both written by
//! `millstream populate kafka` with the client's own batching and lz4. The release binary reads all of each with one worker: the
//! events through examples/user-events (rules, flattening, two partition columns, averages by hour and event), the articles
//! through decoding, a rule, word counts and averages; then it reads the same records from files. What the second takes less
//! is what the client costs: fetching, unpacking, handing over message by message.
//!
//! What counts is megabytes of payload by second of the pipeline's processor time, user and system, all its threads: the
//! broker's own work is not in it. Fails where that is under 80 for the events; then the two figures say which side stops it.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock and waits for processes")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

mod measure;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use measure::{MILLSTREAM, Usage, argument, median, parquet_files, pipeline, populate, watch};
use millstream::connector::generate::record::Kind;
use parquet::file::reader::{FileReader, SerializedFileReader};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Megabytes of payload by second of processor time.
const LEAST: f64 = 80.0;

fn main() -> ExitCode {
    let (megabytes, rounds, partitions) = (argument("mb", 500), argument("rounds", 3), argument("partitions", 6));
    let broker = Broker::start();
    let events = Matter { kind: Kind::Events, name: "events", megabytes, rounds, partitions };
    let speed = events.compare(&broker);
    Matter { kind: Kind::Articles, name: "articles", ..events }.compare(&broker);
    if speed.kafka >= LEAST {
        return ExitCode::SUCCESS;
    }
    let what = if speed.files < LEAST { "decoding, checking and compressing alone" } else { "the client" };
    println!("missed: {LEAST} MB by second of processor time are wanted for events; what stops it is {what}");
    ExitCode::FAILURE
}

/// What is read.
#[derive(Clone, Copy)]
struct Matter {
    kind: Kind,
    name: &'static str,
    megabytes: u64,
    rounds: u64,
    partitions: u64,
}

/// Megabytes by second of processor time.
struct Speed {
    kafka: f64,
    files: f64,
}

impl Matter {
    fn compare(self, broker: &Broker) -> Speed {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in"), folder.path().join("out"));
        let (bytes, count) = populate(self.kind, &input, self.megabytes, self.partitions);
        // A line break is not part of a payload.
        let payload = (bytes - count) as f64 / 1e6;
        println!("{count} {}, {payload:.0} MB, in {} partitions and in as many files", self.name, self.partitions);
        self.fill(broker, count);
        let from_files = folder.path().join("files.toml");
        fs::write(&from_files, self.reading(folder.path(), &input, &output)).unwrap();
        let from_kafka = folder.path().join("kafka.toml");
        fs::write(&from_kafka, self.reading_kafka(&from_files, broker)).unwrap();
        // Not counted: it warms the page cache.
        run(&from_files, &output, count);
        let rounds: Vec<(Usage, Usage)> =
            (0..self.rounds).map(|_| (run(&from_kafka, &output, count), run(&from_files, &output, count))).collect();
        let kafka = line("from Kafka", payload, rounds.iter().map(|round| round.0));
        let files = line("from files", payload, rounds.iter().map(|round| round.1));
        let (client, ..) = median(rounds.iter().map(|round| (round.0.cpu - round.1.cpu) / payload * 1e3));
        let each = client / 1e3 * payload / count as f64 * 1e6;
        let rest = 1e3 / files;
        println!(
            "the client takes {client:.2} ms of processor time for a MB ({each:.2} µs a message); all the rest {rest:.2} ms"
        );
        Speed { kafka, files }
    }

    /// Writes the same number of records to a topic.
    fn fill(self, broker: &Broker, count: u64) {
        let mut command = Command::new(MILLSTREAM);
        command.args(["populate", "kafka", "--kind", self.name, "--topic", self.name, "--brokers", &broker.address()]);
        command.args(["--partitions", &self.partitions.to_string(), "--count", &count.to_string(), "--seed", "1"]);
        let filled = command.args(["-o", "compression.type=lz4", "-o", "linger.ms=20"]).output().unwrap();
        assert!(filled.status.success(), "{}", String::from_utf8_lossy(&filled.stderr));
    }

    /// The pipeline over files.
    fn reading(self, folder: &Path, input: &Path, output: &Path) -> String {
        match self.kind {
            Kind::Articles => fs::read_to_string(pipeline(folder, input, output, "[]")).unwrap(),
            Kind::Events => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/user-events/files.toml");
                let text = fs::read_to_string(path).unwrap();
                let text = text.replace("${EVENTS_IN:-examples/user-events/data}", &input.display().to_string());
                text.replace("${EVENTS_OUT:-out/user-events}", &output.display().to_string())
            }
        }
    }

    /// The same with the topic for its source.
    fn reading_kafka(self, files: &Path, broker: &Broker) -> String {
        let text = fs::read_to_string(files).unwrap();
        let (before, rest) = text.split_once("[source]").unwrap();
        let (_, after) = rest.split_once("\n[").unwrap();
        let source = format!("type = \"kafka\"\nbrokers = {:?}\ntopics = {:?}\n", broker.address(), self.name);
        format!("{before}[source]\n{source}\n[{after}")
    }
}

/// Prints what a side took, and gives back megabytes by second of processor time.
fn line(name: &str, payload: f64, usages: impl Iterator<Item = Usage> + Clone) -> f64 {
    let (wall, ..) = median(usages.clone().map(|usage| usage.wall));
    let (speed, least, most) = median(usages.clone().map(|usage| payload / usage.cpu));
    let (peak, ..) = median(usages.map(|usage| usage.peak));
    println!(
        "{name:<14} {speed:6.1} MB by second of processor time ({least:.1}–{most:.1})  wall {wall:6.2} s  peak {peak:4.0} MiB"
    );
    speed
}

/// One run into an empty sink, which must come to all records.
fn run(pipeline: &Path, output: &Path, count: u64) -> Usage {
    // What was never written is not there to take away.
    let _ = fs::remove_dir_all(output);
    let _ = fs::remove_dir_all(format!("{}-rejects", output.display()));
    let usage = watch(Command::new(MILLSTREAM).arg("run").arg(pipeline).args(["--until-end", "-w", "1"]));
    let file = |path: PathBuf| SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let rows: i64 =
        parquet_files(output).into_iter().map(|path| file(path).metadata().file_metadata().num_rows()).sum();
    assert_eq!(rows as u64, count, "rows and records");
    usage
}

/// The broker, ended with the bench.
struct Broker {
    port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Broker {
    fn start() -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_ports());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/kafka");
        let mut command = Command::new(script);
        command.arg("serve").arg(folder.path()).arg(port.to_string()).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "the broker ended; run: tests/services/kafka install");
            assert!(began.elapsed() < Duration::from_secs(60), "the broker does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        Broker { port, child, _folder: folder }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The first of five ports that are free now.
fn free_ports() -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let first = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::iter::repeat_with(first).find(|first| *first < u16::MAX - 5 && (*first + 1..first + 5).all(free)).unwrap()
}

//! Every command with its flags: parsing, `--help` and completions are all made from here.
//!
//! Owns the command line as types, and what of it can be checked by itself. What a command does lies in the command's file.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand};

use crate::config::{Packing, Words, parse_duration};
use crate::connector::generate::Kind;
use crate::log::claim::Accept;
use crate::log::owner::TakeOver;
use crate::log::repair::Choice;

/// Live streams into training-ready Parquet, exactly once.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage or pipeline file, 3 fenced out by a newer start, 4 data gone from the
/// source, 5 a peer was lost (start the cluster again).
#[derive(Debug, Parser)]
#[command(name = "millstream", version, propagate_version = true, disable_help_subcommand = true)]
pub struct Arguments {
    /// Say more on stderr; twice, say all
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline: until stopped, or until all is read that is there now
    Run(Run),
    /// Look for mistakes in a pipeline file: its keys, its schema, its expressions
    Check(Check),
    /// Run the [[test]] cases of a pipeline file
    Test(PipelineFile),
    /// Show the dataflow of a pipeline
    Plan(Plan),
    /// Write made-up articles or user events
    #[command(subcommand)]
    Populate(Populate),
    /// List what was committed, commit by commit
    Epochs(Look),
    /// List the data files that are committed
    Files(Look),
    /// Show the averages as of the last commit
    Averages(Averages),
    /// Show a few enriched rows
    Sample(Sample),
    /// Count again what is committed, and compare
    Verify(Look),
    /// Show what keeps a pipeline from starting, and the choices; take one with --do
    Repair(Repair),
    /// Look after the commit log
    #[command(subcommand)]
    Log(Log),
    /// Write a first pipeline file
    Init(Init),
    /// Print completions for a shell
    Completions(Completions),
}

/// A pipeline file.
#[derive(Args, Clone, Debug)]
pub struct PipelineFile {
    /// The pipeline file
    #[arg(value_name = "PIPELINE")]
    pub path: PathBuf,
}

/// `run`.
#[derive(Args, Debug)]
pub struct Run {
    #[command(flatten)]
    pub pipeline: PipelineFile,
    /// Worker threads of each process
    #[arg(short, long, value_name = "N", default_value = "1")]
    pub workers: NonZeroUsize,
    /// Processes: started and watched over here, unless --process says which one to be
    #[arg(short = 'n', long, value_name = "N", default_value = "1")]
    pub processes: NonZeroUsize,
    /// Be this one of the processes, counted from 0
    #[arg(short, long, value_name = "I")]
    pub process: Option<usize>,
    /// A file with the address (host:port) of each process, one a line
    // Without a short form: -h is help.
    #[arg(long, value_name = "FILE", requires = "process")]
    pub hosts: Option<PathBuf>,
    /// Be told on stdin where the others are: how a process is started by the one that watches over it
    #[arg(long, hide = true, requires = "process", conflicts_with = "hosts")]
    pub supervised: bool,
    /// Stop once all is committed that was there at the start
    #[arg(long)]
    pub until_end: bool,
    /// Accept, this once, what would stop the start: another source, a sink that was moved or whose log is gone, another
    /// pipeline name
    #[arg(long, value_name = "WHAT", value_parser = accepted())]
    pub accept: Vec<Accept>,
    /// What to do when another start of this pipeline is at work
    #[arg(long, value_name = "WHEN", default_value = "always", value_parser = take_over())]
    pub take_over: TakeOver,
    /// How much to say, passed on to the processes that are started.
    #[arg(skip)]
    pub verbose: u8,
}

/// `check`.
#[derive(Args, Debug)]
pub struct Check {
    #[command(flatten)]
    pub pipeline: PipelineFile,
    /// Also connect to the source and the sink
    #[arg(long)]
    pub connect: bool,
}

/// `plan`.
#[derive(Args, Debug)]
pub struct Plan {
    #[command(flatten)]
    pub pipeline: PipelineFile,
    /// As a Mermaid diagram
    #[arg(long)]
    pub mermaid: bool,
    /// Also connect to the source and the sink, and show which worker would read what
    #[arg(long)]
    pub connect: bool,
    /// Worker threads of each process
    #[arg(short, long, value_name = "N", default_value = "1")]
    pub workers: NonZeroUsize,
    /// Processes
    #[arg(short = 'n', long, value_name = "N", default_value = "1")]
    pub processes: NonZeroUsize,
}

/// A command that looks at what is committed.
#[derive(Args, Debug)]
pub struct Look {
    #[command(flatten)]
    pub pipeline: PipelineFile,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `averages`.
#[derive(Args, Debug)]
pub struct Averages {
    #[command(flatten)]
    pub look: Look,
    /// Also those that the pipeline file no longer has
    #[arg(long)]
    pub all: bool,
}

/// `repair`.
#[derive(Args, Debug)]
pub struct Repair {
    #[command(flatten)]
    pub look: Look,
    /// Take this choice
    #[arg(long = "do", value_name = "CHOICE", value_parser = choices())]
    pub choice: Option<Choice>,
}

/// What can be done about the commit log.
#[derive(Debug, Subcommand)]
pub enum Log {
    /// Fold old commits away: a few large objects instead of many small ones. No command loses its answers
    Fold(Fold),
}

/// `log fold`.
#[derive(Args, Debug)]
pub struct Fold {
    #[command(flatten)]
    pub look: Look,
    /// Fold commits that are older than this, as 90d or 12h
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub before: Duration,
}

/// `sample`.
#[derive(Args, Debug)]
pub struct Sample {
    #[command(flatten)]
    pub look: Look,
    /// How many rows
    #[arg(short, long, value_name = "N", default_value = "10")]
    pub rows: NonZeroUsize,
    /// The sink whose rows to show; by default the first one
    #[arg(long, value_name = "NAME")]
    pub sink: Option<String>,
    /// Write them into this folder instead
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

/// Where made-up records go.
#[derive(Debug, Subcommand)]
pub enum Populate {
    /// Into files of a folder, one a split
    Files(PopulateFiles),
    /// Into a Kafka topic, which is made where it is not there
    Kafka(PopulateKafka),
    /// Into a Kinesis stream, which is made where it is not there, as is a bucket for the pipeline's output
    Kinesis(PopulateKinesis),
}

/// What is made up, wherever it goes.
#[derive(Args, Clone, Debug)]
pub struct MadeUp {
    /// What the records are
    #[arg(long, default_value = Kind::Articles.word(), value_parser = words::<Kind>(|_| true))]
    pub kind: Kind,
    /// Records in all
    #[arg(long, value_name = "N", default_value = "10000")]
    pub count: u64,
    /// Records a second, all splits together [default: as fast as it can]
    #[arg(long, value_name = "R", value_parser = rate)]
    pub rate: Option<f64>,
    /// Another seed, other records
    #[arg(long, value_name = "S", default_value = "0")]
    pub seed: u64,
    /// How many splits
    #[arg(long, value_name = "K", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    pub splits: u32,
    /// The share of records that are bad on purpose, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub broken: f64,
}

/// `populate files`.
#[derive(Args, Debug)]
pub struct PopulateFiles {
    #[command(flatten)]
    pub made_up: MadeUp,
    /// How the files are packed
    #[arg(long, default_value = Packing::None.word(), value_parser = words::<Packing>(|packing| packing != Packing::Auto))]
    pub compression: Packing,
    /// The folder to write into
    #[arg(value_name = "OUT_FOLDER")]
    pub out: PathBuf,
}

/// `populate kafka`.
#[derive(Args)]
pub struct PopulateKafka {
    /// Brokers to ask first, as host:port, separated by commas
    #[arg(long, value_name = "HOSTS", default_value = "127.0.0.1:9092")]
    pub brokers: String,
    /// The topic
    #[arg(long, value_name = "NAME", default_value = "user-events")]
    pub topic: String,
    /// Partitions of the topic, where it has to be made
    #[arg(long, value_name = "K", default_value = "1", value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
    /// What the records are; their key is the user of an event, the id of an article
    #[arg(long, default_value = Kind::Events.word(), value_parser = words::<Kind>(|_| true))]
    pub kind: Kind,
    /// Records in all
    #[arg(long, value_name = "N", default_value = "1000")]
    pub count: u64,
    /// Go on until stopped, whatever the count
    #[arg(long, conflicts_with = "count")]
    pub forever: bool,
    /// Records a second [default: as fast as the brokers take them]
    #[arg(long, value_name = "R", value_parser = rate)]
    pub rate: Option<f64>,
    /// Another seed, other records
    #[arg(long, value_name = "S", default_value = "0")]
    pub seed: u64,
    /// The share of records that are bad on purpose, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub broken: f64,
    /// How many seconds to wait for brokers that are away
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub wait: u64,
    /// A property of librdkafka, as security.protocol=SASL_SSL or sasl.password='${PASSWORD}'; any number of them
    #[arg(short, long = "option", value_name = "KEY=VALUE", value_parser = option)]
    pub options: Vec<(String, String)>,
}

impl fmt::Debug for PopulateKafka {
    // A property may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PopulateKafka {{ brokers: {:?}, topic: {:?} }}", self.brokers, self.topic)
    }
}

/// `populate kinesis`.
#[derive(Args, Debug)]
pub struct PopulateKinesis {
    /// The stream, by name or ARN
    #[arg(long, value_name = "NAME", default_value = "MyStream")]
    pub stream: String,
    /// Shards of the stream, where it has to be made
    #[arg(long, value_name = "K", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    pub shards: u32,
    /// The bucket to make for the pipeline's output, where it is not there
    #[arg(long, value_name = "NAME", default_value = "my-bucket")]
    pub bucket: String,
    /// Make no bucket
    #[arg(long, conflicts_with = "bucket")]
    pub no_bucket: bool,
    /// What the records are
    #[arg(long, default_value = Kind::Articles.word(), value_parser = words::<Kind>(|_| true))]
    pub kind: Kind,
    /// Records in all
    #[arg(long, value_name = "N", default_value = "1000")]
    pub count: u64,
    /// Go on until stopped, whatever the count
    #[arg(long, conflicts_with = "count")]
    pub forever: bool,
    /// Records a second [default: as fast as the stream takes them]
    #[arg(long, value_name = "R", value_parser = rate)]
    pub rate: Option<f64>,
    /// Another seed, other records
    #[arg(long, value_name = "S", default_value = "0")]
    pub seed: u64,
    /// The share of records that are bad on purpose, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub broken: f64,
    /// Address of a Kinesis service that is not Amazon's
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Address of the S3 service [default: that of --endpoint]
    #[arg(long, value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// Region of stream and bucket [default: what the environment says]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
}

/// `init`.
#[derive(Args, Debug)]
pub struct Init {
    /// The file to write
    #[arg(value_name = "PIPELINE", default_value = "pipeline.toml")]
    pub path: PathBuf,
}

/// `completions`.
#[derive(Args, Debug)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// A parser of the words that a pipeline file knows for the same thing.
fn words<T: Words + PartialEq + Send + Sync>(allowed: fn(T) -> bool) -> impl TypedValueParser<Value = T> {
    let words = T::WORDS.iter().filter(move |(_, value)| allowed(*value));
    PossibleValuesParser::new(words.map(|(word, _)| *word)).try_map(|said| {
        let found = T::WORDS.iter().find(|(word, _)| *word == said).map(|(_, value)| *value);
        found.ok_or_else(|| format!("{said} is not known"))
    })
}

fn one_of<T: Clone + Send + Sync + 'static>(words: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words.iter().map(|(word, _)| *word)).try_map(move |said| {
        let found = words.iter().find(|(word, _)| *word == said).map(|(_, value)| value.clone());
        found.ok_or_else(|| format!("{said} is not known"))
    })
}

fn accepted() -> impl TypedValueParser<Value = Accept> {
    one_of(&Accept::WORDS)
}

fn take_over() -> impl TypedValueParser<Value = TakeOver> {
    one_of(&TakeOver::WORDS)
}

fn choices() -> impl TypedValueParser<Value = Choice> {
    one_of(&Choice::WORDS)
}

fn age(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write an age as 90d, 12h or 30m".into())
}

fn rate(text: &str) -> Result<f64, String> {
    let above_zero = |rate: &f64| rate.is_finite() && *rate > 0.0;
    text.parse().ok().filter(above_zero).ok_or_else(|| "write a number above 0".into())
}

fn option(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as key=value")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "write a number from 0 to 1".into())
}

#[cfg(test)]
mod tests {
    //! Proves that the command line is what the design promises; would catch a flag that changes its letter.
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Arguments::try_parse_from(line.split(' ')).map(|arguments| arguments.command)
    }

    #[test]
    fn clap_finds_no_fault_with_it() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_promised_line_is_understood() {
        for line in [
            "millstream run p.toml",
            "millstream run p.toml --until-end",
            "millstream run p.toml -w 4",
            "millstream run p.toml -w 2 -n 3",
            "millstream run p.toml -w 2 -n 3 -p 0 --hosts hosts.txt",
            "millstream run p.toml --workers 2 --processes 3 --process 0 --hosts hosts.txt",
            "millstream check p.toml --connect",
            "millstream test p.toml",
            "millstream plan p.toml --mermaid -w 2 -n 3",
            "millstream plan p.toml --connect -w 2 -n 3",
            "millstream populate files --kind events --count 5 --rate 2.5 --seed 1 --splits 2 --broken 0.1 --compression zstd out",
            "millstream populate kinesis",
            "millstream populate kinesis --stream S --bucket b --shards 3 --kind events --count 5 --rate 2.5 --seed 1 --broken 0.1",
            "millstream populate kinesis --forever --no-bucket --endpoint http://h:1 --s3-endpoint http://h:2 --region r",
            "millstream populate kafka",
            "millstream populate kafka --brokers h:1,i:2 --topic t --partitions 3 --kind articles --count 5 --rate 2.5 --seed 1 --broken 0.1",
            "millstream populate kafka --forever --wait 5 -o security.protocol=SASL_SSL -o sasl.password=a=b",
            "millstream epochs p.toml --json",
            "millstream files p.toml --json",
            "millstream averages p.toml --json",
            "millstream sample p.toml -r 3 --out folder --json",
            "millstream sample p.toml --rows 3",
            "millstream verify p.toml --json",
            "millstream averages p.toml --all",
            "millstream run p.toml --accept source --accept name --take-over never",
            "millstream run p.toml --accept sink --take-over=always",
            "millstream repair p.toml --json",
            "millstream repair p.toml --do accept-loss",
            "millstream log fold p.toml --before 90d --json",
            "millstream init",
            "millstream completions zsh",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err());
        }
    }

    #[test]
    fn wrong_lines_are_not() {
        for line in [
            "millstream",
            "millstream run",
            "millstream run p.toml -w 0",
            "millstream run p.toml --supervised",
            "millstream run p.toml --hosts hosts.txt",
            "millstream populate files --broken 2 out",
            "millstream populate files --rate 0 out",
            "millstream populate files --splits 0 out",
            "millstream populate files --compression auto out",
            "millstream populate kinesis --shards 0",
            "millstream populate kinesis --forever --count 3",
            "millstream populate kinesis --bucket b --no-bucket",
            "millstream populate kafka --partitions 0",
            "millstream populate kafka --forever --count 3",
            "millstream populate kafka --wait 0",
            "millstream populate kafka -o nothing",
            "millstream sample p.toml -r 0",
            "millstream run p.toml --accept anything",
            "millstream repair p.toml --do magic",
            "millstream log fold p.toml",
            "millstream log fold p.toml --before soon",
        ] {
            assert_eq!(parse(line).map(|_| ()).map_err(|error| error.exit_code()), Err(2), "{line}");
        }
        let help = parse("millstream run -h").map(|_| ()).map_err(|error| error.kind());
        assert_eq!(help, Err(clap::error::ErrorKind::DisplayHelp));
    }
}

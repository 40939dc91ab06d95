//! What a seed draws: the pipeline file, and what a life is destined for.

use std::sync::Arc;

use millstream::config::Config;
use millstream::connector::memory::{Operation, When};
use millstream::stages::Stages;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::oracle::WORDY;

/// How a life will end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Destiny {
    /// In a call of this kind, on this side of it, after so many of them.
    Killed { operation: Operation, when: When, left: u32 },
    /// Before it makes a file of its own visible, after so many of them: of the first, when it writes a lost one again.
    KilledPublishing { left: u32 },
    /// After so many moments, wherever it is then.
    KilledAt(u32),
    /// A token asks it to stop.
    StoppedAt(u32),
    /// It freezes, and is thawed when a newer one is at work.
    FrozenAt(u32),
    /// A newer one is started beside it.
    RivalledAt(u32),
    /// A bounded run, which ends by itself.
    Bounded,
}

const KILLS: [Operation; 10] = [
    Operation::Create,
    Operation::Put,
    Operation::Get,
    Operation::Look,
    Operation::Delete,
    Operation::Begin,
    Operation::PutPart,
    Operation::Complete,
    Operation::Abort,
    Operation::Uploads,
];

pub(crate) fn destiny(rng: &mut StdRng) -> Destiny {
    let moments = rng.random_range(0..900);
    match rng.random_range(0..10) {
        0..5 => {
            let operation = KILLS[rng.random_range(0..KILLS.len())];
            killed(rng, operation)
        }
        5 => Destiny::KilledAt(moments),
        6 => Destiny::StoppedAt(moments),
        7 => Destiny::FrozenAt(moments),
        8 => Destiny::RivalledAt(moments),
        _ => Destiny::Bounded,
    }
}

/// Killed in a call of one kind; seldom made calls die early.
fn killed(rng: &mut StdRng, operation: Operation) -> Destiny {
    let most = match operation {
        Operation::Delete | Operation::Uploads | Operation::Abort => 2,
        Operation::Put => 3,
        Operation::Get | Operation::Look => 12,
        _ => 8,
    };
    let when = if rng.random() { When::Before } else { When::After };
    Destiny::Killed { operation, when, left: rng.random_range(0..most) }
}

impl Destiny {
    /// What says at each step of a call whether the process dies there.
    pub(crate) fn halt(self) -> Box<dyn FnMut(Operation, When) -> bool + Send> {
        let (operation, when, mut left) = match self {
            Destiny::Killed { operation, when, left } => (operation, when, left),
            Destiny::KilledPublishing { left } => (Operation::Complete, When::Before, left),
            _ => return Box::new(|_, _| false),
        };
        let mut begun = !matches!(self, Destiny::KilledPublishing { .. });
        Box::new(move |called, at| {
            begun |= called == Operation::Begin;
            if !begun || (called, at) != (operation, when) {
                return false;
            }
            left = left.wrapping_sub(1);
            left == u32::MAX
        })
    }
}

/// A definition that a life may have.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) stages: Stages,
    /// The averages that the oracle counts.
    pub(crate) averages: &'static [&'static str],
}

/// A pipeline whose epochs, files and memory are small, as its file was first, and as it was edited later.
pub(crate) fn variants(rng: &mut StdRng) -> Vec<Variant> {
    let text = text(rng);
    let by_tongue = text.find("[[average]]\nname = \"by_tongue\"").unwrap()..text.find("[sink]").unwrap();
    let column = text.replace("event_date = ", "length = \"length(content)\"\nevent_date = ");
    let average =
        column.replace("[sink]", "[[average]]\nname = \"lengths\"\nof = \"length\"\ngroup = [\"tongue\"]\n[sink]");
    let field = text.replace("tongue = \"string\"", "tongue = \"string\"\nnobody = \"string\"");
    let mut fewer = text.clone();
    fewer.replace_range(by_tongue, "");
    let partition = text.lines().find(|line| line.starts_with("partition = ")).unwrap();
    let other = ["partition = [\"tongue\"]", "partition = []"][usize::from(partition.contains("tongue"))];
    let moved = text.replace(partition, other);
    let sinks = text.replace("[sink]", "[[sink]]\nname = \"all\"");
    let sinks = sinks.replace(
        "[epoch]",
        &format!("[[sink]]\nname = \"wordy\"\npath = \"wordy\"\nwhere = \"word_count >= {WORDY}\"\n[epoch]"),
    );
    let dedup = |by: &str| {
        text.replace(
            "[[average]]\nname = \"words\"",
            &format!("[dedup]\nby = {by}\nwithin = \"30 days\"\n[[average]]\nname = \"words\""),
        )
    };
    // Its keys, and an epoch, have to fit into memory.
    let roomy = |text: String| {
        let memory = text.lines().find(|line| line.starts_with("memory = ")).unwrap().to_owned();
        text.replace(&memory, "memory = \"256KiB\"")
    };
    let dedup = |by: &str| roomy(dedup(by));
    let (twins, twins_by_tongue) = (dedup("\"twin\""), dedup("[\"tongue\", \"twin\"]"));
    const ALL: &[&str] = &["words", "by_tongue"];
    let variant = |(name, text, averages): (&'static str, String, &'static [&'static str])| {
        let config = Config::parse("world.toml", &text, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
        let stages = Stages::compile(Arc::new(config)).unwrap_or_else(|errors| panic!("{errors}"));
        Variant { name, stages, averages }
    };
    let variants = [
        ("definition: as at first", text, ALL),
        ("definition: a column more", column, ALL),
        ("definition: an average more", average, ALL),
        ("definition: a field more", field, ALL),
        ("definition: an average less", fewer, &ALL[..1]),
        ("definition: another partition", moved, ALL),
        ("definition: a sink more", sinks, ALL),
        ("definition: dedup", twins, ALL),
        ("definition: dedup by another key", twins_by_tongue, ALL),
    ];
    variants.into_iter().map(variant).collect()
}

/// The pipeline of another name that lies below ours.
pub(crate) fn neighbour() -> Stages {
    let text = FILE.replace("name = \"world\"", "name = \"neighbour\"");
    let set = |text: String, (name, value): (&str, &str)| text.replace(&format!("{{{name}}}"), value);
    let values = [
        ("partition", "[\"event_date\"]"),
        ("compression", "none"),
        ("file_size", "8KiB"),
        ("interval", "500ms"),
        ("exchange", "none"),
        ("max_bytes", "1KiB"),
        ("memory", "64KiB"),
    ];
    let text = values.into_iter().fold(text, set);
    let config = Config::parse("neighbour.toml", &text, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
    Stages::compile(Arc::new(config)).unwrap_or_else(|errors| panic!("{errors}"))
}

const FILE: &str = r#"
name = "world"
[source]
type = "generate"
[decode]
format = "json"
[schema]
article_id = "string!"
publish_date = "timestamp"
tongue = "string"
twin = "int64"
content = "string!"
[validate]
content_not_empty = "length(content) > 0"
[enrich]
word_count = "word_count(content)"
event_date = "cast(publish_date as date)"
[[average]]
name = "words"
of = "word_count"
by = ["overall", "hour", "day"]
time = "publish_date"
[[average]]
name = "by_tongue"
of = "word_count"
by = ["overall", "day"]
time = "publish_date"
group = ["tongue"]
[sink]
path = "world"
partition = {partition}
compression = "{compression}"
file_size = "{file_size}"
page_size = "1KiB"
row_group_size = "4KiB"
[epoch]
interval = "{interval}"
max_bytes = "{max_bytes}"
[balance]
exchange = "{exchange}"
[limits]
record = "4KiB"
memory = "{memory}"
"#;

fn text(rng: &mut StdRng) -> String {
    let mut one_of = |choices: &[&str]| choices[rng.random_range(0..choices.len())].to_owned();
    let values = [
        (
            "partition",
            one_of(&[
                "[]",
                "[\"event_date\"]",
                "[\"event_date\"]",
                "[\"tongue\", \"event_date\"]",
                // More of them in an epoch than the encoder keeps files open.
                "[\"word_count\", \"tongue\", \"event_date\"]",
            ]),
        ),
        ("compression", one_of(&["none", "snappy", "zstd(1)"])),
        ("file_size", one_of(&["2KiB", "8KiB", "1MiB"])),
        ("interval", one_of(&["500ms", "2s", "30s"])),
        ("exchange", one_of(&["none", "none", "batches"])),
        ("max_bytes", one_of(&["1KiB", "2KiB", "2KiB", "1MiB"])),
        ("memory", one_of(&["16KiB", "64KiB", "4MiB"])),
    ];
    values.into_iter().fold(FILE.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), &value))
}

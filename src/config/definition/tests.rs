//! Would catch a key that is not in a definition, so that a changed pipeline passes for the same; one that is not put back, so that a
//! lost file is written again by other rules; a spelling that counts; a secret in the log.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::config::{Located, Written};
use crate::stages::Stages;

const SECRET: &str = "hunter2";

fn env(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some(SECRET.into()),
        "ONE" => Some("1".into()),
        "ALSO_ONE" => Some("1".into()),
        "TWO" => Some("2".into()),
        "IN" => Some("in".into()),
        _ => None,
    }
}

fn parse(text: &str) -> Config {
    Config::parse("pipeline.toml", text, &env).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn files(path: &str) -> String {
    format!("type = \"files\"\npath = \"{path}\"")
}

/// A pipeline with something in every section that a definition holds.
fn pipeline(source: &str) -> String {
    format!(
        r#"name = "articles"
[source]
{source}
[schema]
id = "string!"
user = {{ name = "string", age = "int32!" }}
tags = ["string!"]
items = [{{ sku = "string!", price = "decimal(10,2)" }}]
at = "timestamp"
day = "date"
blob = "binary"
[validate]
has_id = "length(id) > 0"
[enrich]
words = "word_count(id) + ${{ONE}}"
key = "concat(id, '${{SECRET}}')"
[[average]]
name = "words"
of = "words"
by = ["overall", "hour"]
time = "at"
group = ["day"]
[[average]]
of = "words"
name = "all"
[sink]
path = "out"
partition = ["day"]
select = ["id", "words", "key"]
compression = "zstd(5)"
file_size = "128MiB"
dictionary = ["id", "key"]
statistics = true
bloom = ["id"]
[limits]
record = "1MiB"
depth = 9
"#
    )
}

const SOURCES: [&str; 6] = [
    "type = \"files\"\npath = \"logs/**/*.json.gz\"",
    "type = \"files\"\npath = \"s3://bucket/a/b\"\nregion = \"eu-central-1\"",
    "type = \"kinesis\"\nstream = [\"one\", \"arn:aws:kinesis:eu-central-1:123456789012:stream/two\"]\nstart = \"latest\"",
    "type = \"kafka\"\nbrokers = \"localhost:9092\"\ntopics = [\"b\", \"a\"]\nheaders = [\"trace\", \"kind\"]\n\
     tombstones = \"skip\"\nstart = 2024-02-28T10:00:00.5Z\noptions = { \"isolation.level\" = \"read_uncommitted\" }",
    "type = \"kafka\"\nbrokers = \"localhost:9092\"\ntopics = \"^events-\"",
    "type = \"generate\"\nkind = \"events\"\nseed = 7\nsplits = 3\nbroken = 0.30000000000000004\nrate = 5\ncount = 9",
];

/// All pipelines at hand: of every source, and the examples.
fn pipelines() -> Vec<Config> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = |path: &Path| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let in_examples = entries(&examples).iter().flat_map(|folder| entries(folder)).collect::<Vec<_>>();
    let is_pipeline = |path: &&std::path::PathBuf| path.extension().is_some_and(|extension| extension == "toml");
    let of_examples: Vec<Config> =
        in_examples.iter().filter(is_pipeline).map(|path| Config::load(path, &env).unwrap()).collect();
    assert!(of_examples.len() >= 4, "the examples are there");
    SOURCES.iter().map(|source| parse(&pipeline(source))).chain(of_examples).collect()
}

#[track_caller]
fn comes_back(config: &Config) {
    let definition = config.definition();
    let text = definition.to_json().to_string();
    let read = Definition::from_json(&serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(read, definition, "{text}");
    let again = config.under(&read, "the definition of commit 7").unwrap();
    assert_eq!(again.definition(), definition, "{text}");
    assert_eq!(again.definition().id(), definition.id());
    assert_eq!(again.origin, config.origin);
    assert_eq!(definition.changes(&read), [""; 0]);
    assert_eq!(definition.same_source(&read), SourceChange::Same);
}

#[test]
fn a_definition_comes_back_from_the_log_and_compiles() {
    for config in pipelines() {
        comes_back(&config);
        let again = config.under(&config.definition(), "the definition of commit 7").unwrap();
        Stages::compile(Arc::new(again)).unwrap_or_else(|errors| panic!("{errors}"));
    }
}

#[test]
fn what_a_past_definition_does_not_hold_is_that_of_today() {
    let now = format!("{}\n[epoch]\ninterval = \"7s\"\n", pipeline(&files("in")))
        .replace("path = \"out\"", "path = \"s3://bucket/out\"\nendpoint = \"http://127.0.0.1:9000\"")
        .replace("depth = 9", "depth = 9\nmemory = \"2MiB\"");
    let past = parse(&pipeline(&files("old")).replace("record = \"1MiB\"", "record = \"4MiB\"")).definition();
    let config = parse(&now).under(&past, "the definition of commit 7").unwrap();
    assert_eq!(config.definition(), past);
    assert_eq!(config.sinks[0].location, parse(&now).sinks[0].location);
    assert_eq!(config.epoch, parse(&now).epoch);
    assert_eq!((config.limits.record, config.limits.memory), (4 << 20, 4 << 20), "a record fits the memory");
}

/// Pairs of parts of a file that say the same.
#[test]
fn spelling_plays_no_part() {
    let kinesis = |stream: &str| format!("type = \"kinesis\"\nregion = \"eu-central-1\"\nstream = {stream}");
    let kafka = |topics: &str| format!("type = \"kafka\"\nbrokers = \"a:1\"\n{topics}");
    let sources = [
        (files("in"), files("./in/")),
        (files("in"), files("${IN}")),
        (files("in"), files("other/../in")),
        (files("s3://bucket/in"), files("s3://bucket/in/")),
        (files("in"), format!("interval = \"1m30s\"\n{}", files("in"))),
        (kinesis("[\"a\", \"b\"]"), kinesis("[\"b\", \"a\"]")),
        (kinesis("\"a\""), kinesis("\"a\"\nprofile = \"x\"\nconsumer = \"y\"")),
        (kafka("topics = [\"a\", \"b\"]"), kafka("topics = [\"b\", \"a\"]\ngroup = \"shown\"")),
        (
            kafka("topics = \"a\"\nstart = 2024-02-28T10:00:00Z"),
            kafka("start = \"2024-02-28T11:00:00+01:00\"\ntopics = [\"a\"]"),
        ),
    ];
    for (one, other) in sources {
        let (one, other) = (parse(&pipeline(&one)).definition(), parse(&pipeline(&other)).definition());
        assert_eq!((one.id(), one.changes(&other)), (other.id(), vec![]));
    }
    let whole = pipeline(&files("in"));
    for (from, to) in [
        ("[\"overall\", \"hour\"]", "[\"hour\", \"overall\"]"),
        ("\"128MiB\"", "134_217_728"),
        ("[\"id\", \"key\"]\n", "[\"key\", \"id\"]\n"),
        ("${ONE}", "1"),
        ("${ONE}", "${ALSO_ONE}"),
        ("\"length(id) > 0\"", "\"  length(id) > 0\\n\""),
        ("decimal(10,2)", "decimal( 10, 2 )"),
        ("compression = \"zstd(5)\"\nfile_size = \"128MiB\"", "file_size = \"128MiB\"\ncompression = \"zstd(5)\""),
        ("[[average]]\nof = \"words\"\nname = \"all\"\n", ""),
        ("name = \"articles\"", "name = \"another\""),
        ("path = \"out\"", "path = \"s3://elsewhere/out\"\nprofile = \"p\""),
    ] {
        assert!(whole.contains(from), "{from}");
        let mut other = whole.replacen(from, to, 1);
        if from.contains("name = \"all\"") {
            other = other.replacen("[[average]]", "[[average]]\nof = \"words\"\nname = \"all\"\n[[average]]", 1);
        }
        let (one, other) = (parse(&whole).definition(), parse(&other).definition());
        assert_eq!((one.id(), one.changes(&other)), (other.id(), vec![]), "{from} → {to}");
        assert_eq!(one, other);
    }
}

#[test]
fn every_change_is_told_in_a_phrase() {
    let whole = pipeline(&files("in"));
    let long = "x".repeat(100);
    for (from, to, phrases) in [
        ("day = \"date\"\n", "day = \"date\"\nauthor = \"string\"\n", &["[schema] adds author string"][..]),
        ("blob = \"binary\"\n", "", &["[schema] drops blob"]),
        ("age = \"int32!\"", "age = \"int64\"", &["[schema] user is now {name string, age int64}"]),
        ("[\"string!\"]", "[\"int32\"]", &["[schema] tags is now [int32]"]),
        ("id = \"string!\"", "id = \"string\"", &["[schema] id is now string"]),
        (
            "at = \"timestamp\"\nday = \"date\"",
            "day = \"date\"\nat = \"timestamp\"",
            &["[schema] has another order: id, user, tags, items, day, at, blob"],
        ),
        ("has_id = \"length(id) > 0\"\n", "", &["[validate] drops has_id"]),
        ("has_id = \"length(id) > 0\"", "has_id = \"length(id) >  1\"", &["[validate] has_id is now length(id) > 1"]),
        (
            "word_count(id) + ${ONE}",
            "word_count_uax29(id) + ${ONE}",
            &["[enrich] words is now word_count_uax29(id) + ${ONE}"],
        ),
        ("${ONE}", "${TWO}", &["[enrich] words is now word_count(id) + ${TWO}"]),
        ("[enrich]", "[enrich]\nnew = \"upper(id)\"", &["[enrich] adds new = upper(id)"]),
        ("[enrich]", &format!("[enrich]\nnew = \"'{long}'\""), &[&format!("[enrich] adds new = '{}…", "x".repeat(59))]),
        ("[[average]]\nof = \"words\"\nname = \"all\"", "", &["[[average]] drops all"]),
        ("name = \"all\"", "name = \"every\"", &["[[average]] adds every", "[[average]] drops all"]),
        (
            "by = [\"overall\", \"hour\"]",
            "by = [\"day\"]",
            &["[[average]] words is now of words by day of at, grouped by day"],
        ),
        ("partition = [\"day\"]", "partition = []", &["[sink] partition is now []"]),
        ("partition = [\"day\"]", "partition = [\"day\", \"id\"]", &["[sink] partition is now [day, id]"]),
        ("select = [\"id\", \"words\", \"key\"]\n", "", &["[sink] select is now all columns"]),
        ("zstd(5)", "snappy", &["[sink] compression is now snappy"]),
        ("\"128MiB\"", "1000", &["[sink] file_size is now 1000"]),
        ("statistics = true", "statistics = false", &["[sink] statistics is now false"]),
        (
            "statistics = true\n",
            "page_index = false\n",
            &["[sink] statistics is now chosen by column", "[sink] page_index is now false"],
        ),
        ("depth = 9", "depth = 10", &["[limits] depth is now 10"]),
        (
            "[schema]",
            "[decode]\nformat = \"csv\"\ndelimiter = \";\"\n[schema]",
            &["[decode] format is now csv", "[decode] delimiter is now ';'"],
        ),
    ] {
        assert!(whole.contains(from), "{from}");
        let (one, other) = (parse(&whole).definition(), parse(&whole.replacen(from, to, 1)).definition());
        assert_eq!(one.changes(&other), phrases, "{from} → {to}");
        assert_ne!(one.id(), other.id(), "{from} → {to}");
    }
}

#[test]
fn a_variable_with_another_value_is_told_without_it() {
    let text = pipeline(&files("${SECRET}"));
    let elsewhere = |name: &str| if name == "SECRET" { Some("hunter3".into()) } else { env(name) };
    let one = parse(&text).definition();
    let other = Config::parse("pipeline.toml", &text, &elsewhere).unwrap().definition();
    let phrases = one.changes(&other);
    assert_eq!(
        phrases,
        [
            "[source] path differs in the value of a variable, or in spacing",
            "[enrich] key differs in the value of a variable, or in spacing",
        ]
    );
    let another = SourceChange::Another { before: "files ${SECRET}".into(), now: "files ${SECRET}".into() };
    assert_eq!(one.same_source(&other), another);
    let shown = format!("{phrases:?}{one:?}{other:?}");
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn another_source_is_told_from_a_wider_one() {
    use SourceChange::{Same, Widened};
    let kinesis = |stream: &str| format!("type = \"kinesis\"\nstream = {stream}");
    let kafka = |topics: &str| format!("type = \"kafka\"\nbrokers = \"a:1\"\ntopics = {topics}");
    let generate = |more: &str| format!("type = \"generate\"\n{more}");
    let arn = |region: &str| format!("\"arn:aws:kinesis:{region}:123456789012:stream/a\"");
    let change =
        |one: &str, other: &str| parse(&pipeline(one)).definition().same_source(&parse(&pipeline(other)).definition());
    for (one, other, expected) in [
        (kinesis("\"a\""), kinesis("\"a\"\nstart = \"latest\""), Same),
        (kinesis("\"a\""), kinesis(&arn("eu-central-1")), Same),
        (kinesis("\"a\"\nregion = \"eu-central-1\""), kinesis(&arn("eu-central-1")), Same),
        (kinesis("\"a\""), kinesis("[\"a\", \"b\"]"), Widened),
        (kinesis("[\"a\", \"b\"]"), kinesis("[\"b\", \"c\"]"), Widened),
        (kafka("\"a\""), kafka("[\"b\", \"a\"]"), Widened),
        (kafka("\"events-a\""), kafka("\"^events-\""), Widened),
        (kafka("\"^events-\""), kafka("\"^events\""), Widened),
        (files("in/*.json"), files("in/**/*.jsonl"), Widened),
        (files("in"), files("in/**/*.jsonl"), Widened),
        (files("s3://bucket/in/*.json"), files("s3://bucket/in"), Widened),
        (generate("rate = 5\ncount = 5"), generate("count = 50"), Same),
    ] {
        assert_eq!(change(&one, &other), expected, "{one} → {other}");
        assert_eq!(change(&other, &one), expected, "{other} → {one}");
    }
    for (one, other) in [
        (kinesis("\"a\""), kinesis("\"b\"")),
        (kinesis(&arn("eu-central-1")), kinesis(&arn("us-east-1"))),
        (kafka("\"a\""), kafka("\"b\"")),
        (kafka("\"clicks\""), kafka("\"^events-\"")),
        (kafka("\"a\""), kinesis("\"a\"")),
        (files("in"), files("in2")),
        (files("in"), files("in/deeper/*.json")),
        (files("s3://bucket/in"), files("s3://other/in")),
        (generate("seed = 1"), generate("seed = 2")),
    ] {
        assert!(matches!(change(&one, &other), SourceChange::Another { .. }), "{one} → {other}");
        let phrases = parse(&pipeline(&one)).definition().changes(&parse(&pipeline(&other)).definition());
        assert!(!phrases.is_empty() && phrases.iter().all(|phrase| phrase.starts_with("[source] ")), "{phrases:?}");
    }
    let SourceChange::Another { before, now } = change(&kafka("\"a\""), &kinesis("[\"x\", \"y\"]")) else { panic!() };
    assert_eq!((before.as_str(), now.as_str()), ("kafka a", "kinesis x, y"));
}

#[test]
fn no_secret_is_in_the_log() {
    let options = "type = \"kafka\"\nbrokers = \"a:1\"\ntopics = \"a\"\ngroup = \"${SECRET}\"\n[source.options]\n\
                   \"sasl.password\" = \"${SECRET}\"\n\"client.id\" = \"${SECRET}\"\n\"isolation.level\" = \"${SECRET}\"";
    let text = pipeline(options)
        .replace("concat(id, '${SECRET}')", "id")
        .replace(
            "[schema]",
            "[decode]\nformat = \"avro\"\nregistry = \"https://r.example.com/?key=${SECRET}\"\n\
             registry_user = \"${SECRET}\"\nregistry_password = \"${SECRET}\"\n[schema]",
        )
        .replace("path = \"out\"", "path = \"out\"\nprofile = \"${SECRET}\"");
    let config = parse(&text);
    let definition = config.definition();
    let json = definition.to_json().to_string();
    assert!(!json.contains(SECRET), "{json}");
    assert!(json.contains("https://r.example.com"), "{json}");
    // What it is asked with is that of today, as long as it is the same registry.
    let again = config.under(&definition, "the definition of commit 7").unwrap();
    assert_eq!((again.decode.written, again.source), (config.decode.written.clone(), config.source.clone()));
    let elsewhere = parse(&text.replace("r.example.com", "s.example.com"));
    let Written::ById(registry) = elsewhere.under(&definition, "x").unwrap().decode.written else { panic!() };
    assert_eq!((registry.user, registry.password), (None, None), "no password goes to another registry");
}

fn with_schema(folder: &Path, schema: &str) -> Config {
    std::fs::write(folder.join("event.avsc"), schema).unwrap();
    let source = "type = \"kinesis\"\nstream = \"a\"";
    let text = pipeline(source).replace("[schema]", "[decode]\nformat = \"avro\"\nschema = \"event.avsc\"\n[schema]");
    Config::parse(folder.join("pipeline.toml").to_str().unwrap(), &text, &env)
        .unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_content_of_a_schema_file_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let schema =
        "{ \"type\": \"record\", \"name\": \"e\",\n  \"fields\": [ { \"name\": \"id\", \"type\": \"string\" } ] }";
    let config = with_schema(folder.path(), schema);
    comes_back(&config);
    let definition = config.definition();
    let same = with_schema(folder.path(), &schema.replace('\n', " ")).definition();
    assert_eq!(same, definition, "how it is laid out plays no part");
    let other = with_schema(folder.path(), &schema.replace("\"id\"", "\"key\""));
    let phrases = definition.changes(&other.definition());
    assert!(phrases.len() == 1 && phrases[0].starts_with("[decode] schema is now another ("), "{phrases:?}");
    assert_eq!(other.under(&definition, "x").unwrap().definition(), definition, "the log has it, the folder has not");
}

#[test]
fn a_schema_too_large_for_the_log_is_known_by_its_hash() {
    let folder = tempfile::tempdir().unwrap();
    let doc = "x".repeat(read::LARGEST_SCHEMA);
    let schema = format!("{{\"type\":\"record\",\"name\":\"e\",\"doc\":\"{doc}\",\"fields\":[]}}");
    let config = with_schema(folder.path(), &schema);
    let definition = config.definition();
    assert!(definition.to_json().to_string().len() < 4_000);
    comes_back(&config);
    let other = with_schema(folder.path(), &schema.replace("\"e\"", "\"f\""));
    let errors = other.under(&definition, "the definition of commit 7").unwrap_err().to_string();
    assert!(errors.starts_with("the definition of commit 7: [decode] schema: its 262193 bytes are"), "{errors}");
}

#[test]
fn a_definition_of_a_later_release_is_refused_by_name() {
    let config = parse(&pipeline(&files("in")));
    let mut json = config.definition().to_json();
    json["decode"]["format"] = "morse".into();
    json["sink"]["compression"] = "rar".into();
    json["schema"][0]["type"] = "tensor".into();
    let errors = config.under(&Definition::from_json(&json).unwrap(), "the definition of commit 7").unwrap_err();
    let text = errors.to_string();
    for part in [
        "the definition of commit 7: [decode] format: \"morse\" is none of",
        "the definition of commit 7: [schema] id: \"tensor\" is no type",
        "the definition of commit 7: [sink] compression: \"rar\" is not a compression",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn what_does_not_compile_any_more_is_told_with_its_commit() {
    let past = parse(&pipeline(&files("in"))).definition();
    let config = parse(&pipeline(&files("in"))).under(&past, "the definition of commit 7").unwrap();
    assert_eq!(config.at("sink.partition").error("x").to_string(), "the definition of commit 7: [sink] partition: x");
    assert_eq!(config.enrich[0].at.error("x").to_string(), "the definition of commit 7: [enrich] words: x");
    assert_eq!(config.averages[0].at.error("x").to_string(), "the definition of commit 7: [[average]] x");
    assert_eq!(config.at("source.path"), Located { key: "path".into(), ..config.at("source") });
}

/// A log of this release is read by the next ones: a field that gets another name or form breaks this.
#[test]
fn the_form_in_the_log_is_kept() {
    let text = include_str!("golden.json");
    let json: Value = serde_json::from_str(text).unwrap();
    let config = parse(&pipeline("type = \"kafka\"\nbrokers = \"a:1\"\ntopics = \"${IN}\"\nheaders = [\"h\"]"));
    assert_eq!(serde_json::to_string_pretty(&config.definition().to_json()).unwrap(), text.trim_end());
    assert_eq!(config.definition(), Definition::from_json(&json).unwrap());
    assert_eq!(config.definition().id().to_string(), "97db715d4e32");
}

/// Some changes of a file that can be made together, in any order.
const EDITS: [(&str, &str); 12] = [
    ("path = \"in\"", "path = \"other\""),
    ("id = \"string!\"", "id = \"string\""),
    ("blob = \"binary\"\n", ""),
    ("blob = \"binary\"\n", "blob = \"binary\"\nmore = \"bool\"\n"),
    ("length(id) > 0", "length(id) > 7"),
    ("${ONE}", "${TWO}"),
    ("${ONE}", "${ALSO_ONE}"),
    ("\"hour\"]", "\"day\"]"),
    ("partition = [\"day\"]", "partition = [\"id\"]"),
    ("zstd(5)", "lz4"),
    ("bloom = [\"id\"]", "bloom = []"),
    ("depth = 9", "depth = 3"),
];

proptest! {
    #[test]
    fn definitions_are_equal_exactly_where_there_is_nothing_to_tell(
        one in proptest::collection::vec(any::<bool>(), EDITS.len()),
        other in proptest::collection::vec(any::<bool>(), EDITS.len()),
    ) {
        let edited = |edits: &[bool]| {
            let wanted = EDITS.iter().zip(edits).filter(|(_, wanted)| **wanted);
            parse(&wanted.fold(pipeline(&files("in")), |text, ((from, to), _)| text.replacen(from, to, 1)))
        };
        let (one, other) = (edited(&one), edited(&other));
        let (a, b) = (one.definition(), other.definition());
        prop_assert_eq!(a == b, a.changes(&b).is_empty());
        prop_assert_eq!(a == b, a.id() == b.id());
        prop_assert_eq!(a.changes(&b).is_empty(), b.changes(&a).is_empty());
        prop_assert_eq!(&one.under(&b, "x").unwrap().definition(), &b);
        let same_path = one.source == other.source;
        prop_assert_eq!(a.same_source(&b) == SourceChange::Same, same_path);
    }
}

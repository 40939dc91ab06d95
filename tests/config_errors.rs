//! What a person reads when a pipeline file is wrong, kind by kind, as it is printed; reviewed like code. And what must
//! hold of every file: no text whatever makes the reader panic, and what a variable stands for is never shown.
//!
//! Would catch: a complaint that loses its line or its way out, one that hides the next, a key that is ignored in silence,
//! a secret in a message, `[schema]` in the order of the alphabet.

#![allow(clippy::expect_used, clippy::panic, reason = "a test says what is wrong by panicking")]

use millstream::config::{Bucket, Choice, Compression, Config};
use millstream::connector::generate;
use millstream_operators::Kind;
use proptest::prelude::*;

const SECRET: &str = "hunter2";

fn env(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some(SECRET.into()),
        "RATE" => Some("2.5".into()),
        "BUCKET" => Some("my-bucket".into()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn parse(text: &str) -> Config {
    Config::parse("pipeline.toml", text, &env).unwrap_or_else(|errors| panic!("{errors}"))
}

#[track_caller]
fn says(text: &str, expected: &str) {
    let errors = Config::parse("pipeline.toml", text, &env).expect_err("a wrong file was taken");
    let said = errors.to_string();
    assert_eq!(said, expected, "\n{said}");
    assert!(!format!("{said}{errors:?}").contains(SECRET), "a message shows what a variable stands for: {said}");
}

#[test]
fn what_is_not_toml() {
    says(
        r#"name = "a
"#,
        r#"pipeline.toml:1: this is not TOML: invalid basic string, expected `"`
  | name = "a
  |          ^"#,
    );
    says(
        r#"name = "a"
name = "b"
"#,
        r#"pipeline.toml:2: this is not TOML: duplicate key
  | name = "b"
  | ^"#,
    );
    says(
        r#"[source]
password = hunter3
"#,
        r#"pipeline.toml:2: this is not TOML: string values must be quoted, expected literal string"#,
    );
}

#[test]
fn what_is_missing() {
    says(
        r#"[source]
path = "in"
"#,
        r#"pipeline.toml: name: is missing: what the pipeline is called; write name = "articles"
pipeline.toml: there is no [schema] section: columns to read, in order: name = type; ! after a type means that it must be there
pipeline.toml: there is no [sink] section: where enriched rows go, and how their Parquet files are laid out
pipeline.toml:1: [source] type: is missing: kinesis, kafka, files or generate; write type = "files""#,
    );
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[schema]
t = "string"
user = { id = "string" }
[sink]
[[average]]
by = ["day"]
[[test]]
name = "x"
"#,
        r#"pipeline.toml:8: [sink] path: is missing: a folder, or s3://bucket/prefix; write path = "out"
pipeline.toml:9: [[average]] of: is missing: the column to average; write of = "word_count"
pipeline.toml:9: [[average]] time: is missing: an average by hour or day needs a column to tell them from; write time = "…"
pipeline.toml:11: [[test]] input: is missing: records as text or as tables; a list of them, or a single text; write input = [{ content = "two words" }]
pipeline.toml:11: [[test]] says neither what comes out (expect) nor what is refused (rejects)"#,
    );
}

#[test]
fn keys_that_do_not_exist() {
    says(
        r#"nme = "a"
[sinks]
[source]
type = "files"
path = "in"
[schema]
t = "string"
user = { id = "string" }
"#,
        r#"pipeline.toml: name: is missing: what the pipeline is called; write name = "articles"
pipeline.toml: there is no [sink] section: where enriched rows go, and how their Parquet files are laid out
pipeline.toml:1: the top of the file has no key "nme"; did you mean "name"?
pipeline.toml:2: the top of the file has no key "sinks"; did you mean "sink"?"#,
    );
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
watch = 1
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
partitions = []
qqqqqqqq = 1
"#,
        r#"pipeline.toml:5: [source] has no key "watch"; it has type, path, interval, endpoint, region, profile, path_style
pipeline.toml:11: [sink] has no key "partitions"; did you mean "partition"?
pipeline.toml:12: [sink] has no key "qqqqqqqq"; it has name, where, path, endpoint, region, profile, path_style, partition, keep_partition_columns, compression, select, file_size, row_group_size, page_size, dictionary, statistics, bloom, page_index"#,
    );
}

#[test]
fn secrets() {
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
secret_access_key = "hunter3"
aws_session_token = "hunter3"
endpoint = "http://user:hunter3@host"
[rejects]
password = "${SECRET}"
"#,
        r#"pipeline.toml:10: [sink] secret_access_key: a secret has no place in this file; take it out. Credentials are found where each service keeps them: environment variables, its own credential files and profiles, the role of the machine
pipeline.toml:11: [sink] aws_session_token: a secret has no place in this file; take it out. Credentials are found where each service keeps them: environment variables, its own credential files and profiles, the role of the machine
pipeline.toml:12: [sink] endpoint: a user or password in an address would show in logs; take it out and use the service's own credentials
pipeline.toml:14: [rejects] password: a secret has no place in this file; take it out. Credentials are found where each service keeps them: environment variables, its own credential files and profiles, the role of the machine"#,
    );
}

#[test]
fn variables() {
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
region = "${NOPE}-${ALSO_NOPE}"
profile = "${"
compression = "${SECRET}"
file_size = "${SECRET}"
page_index = "${SECRET}"
select = ["${SECRET}"]
"#,
        r#"pipeline.toml:10: [sink] region: the variable NOPE is not defined; set it in the environment or give a default: ${NOPE:-…}
pipeline.toml:10: [sink] region: the variable ALSO_NOPE is not defined; set it in the environment or give a default: ${ALSO_NOPE:-…}
pipeline.toml:11: [sink] profile: a variable that begins with ${ has no closing }; write $${ for a plain ${
pipeline.toml:12: [sink] compression: "${SECRET}" is not a compression; write zstd(3) (1 to 22), snappy, lz4 or none
pipeline.toml:13: [sink] file_size: "${SECRET}" is not a size of at least one byte; write it as 64MiB, 10MB or plain bytes
pipeline.toml:14: [sink] page_index: "${SECRET}" is not true or false
pipeline.toml:15: [sink] select: "${SECRET}" is no column; there are t, user, _split, _position, _arrived_at"#,
    );
}

#[test]
fn sections_of_the_wrong_shape() {
    says(
        r#"name = "a"
sink = 5
average = 5
schema = "x"
test = [1]
[source]
type = "files"
path = "in"
"#,
        r#"pipeline.toml:2: [sink] is a table; begin it with a line that says [sink]
pipeline.toml:3: [[average]] comes any number of times; begin each with [[average]]
pipeline.toml:4: [schema] is a table; begin it with a line that says [schema]
pipeline.toml:5: [[test]] comes any number of times; begin each with [[test]]"#,
    );
}

#[test]
fn the_name() {
    says(
        r#"name = "my pipeline"
[source]
type = "files"
path = "in"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
"#,
        r#"pipeline.toml:1: name: "my pipeline" is no name for a pipeline; it may hold letters, digits, _ and -"#,
    );
    says(
        r#"name = 5
[source]
type = "files"
path = "in"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
"#,
        r#"pipeline.toml:1: name: 5 is not a string"#,
    );
}

#[test]
fn kafka_sources() {
    let file = |keys: &str| {
        format!(
            "name = \"a\"\n[source]\ntype = \"kafka\"\nbrokers = \"one:9092\"\n{keys}\n[schema]\nt = \"string\"\n\
             [sink]\npath = \"out\"\n"
        )
    };
    for (keys, wanted) in [
        (
            "",
            r#"pipeline.toml:2: [source] topics: is missing: the topic, a list of topics, or a pattern that begins with ^: "^events-" (new topics are noticed while running); write topics = "events""#,
        ),
        ("topics = []", r#"pipeline.toml:5: [source] topics: is an empty list; write topics = "events""#),
        (
            "topics = [\"a\", \"^b\"]",
            r#"pipeline.toml:5: [source] topics: "^b" is a pattern, which stands alone; put all into one: ^(one|another)"#,
        ),
        (
            "topics = \"a b\"",
            r#"pipeline.toml:5: [source] topics: "a b" is no topic; its name may hold letters, digits, _ . and -; a pattern begins with ^"#,
        ),
        (
            "topics = \"a\"\nstart = \"newest\"",
            r#"pipeline.toml:6: [source] start: "newest" is not a place to start; write "earliest", "latest" or a time with its zone as "2024-02-28T10:00:00Z""#,
        ),
        ("topics = \"a\"\ntopic = \"b\"", r#"pipeline.toml:6: [source] has no key "topic"; did you mean "topics"?"#),
        (
            "topics = \"a\"\noptions = 5",
            r#"pipeline.toml:6: [source] options: is a table; begin it with a line that says [source.options]"#,
        ),
        (
            "topics = \"a\"\n[source.options]\nsasl.password = \"x\"",
            r#"pipeline.toml:7: [source] options.sasl.password: a secret has no place in this file; write "${VARIABLE}", and set the variable where the pipeline runs"#,
        ),
        (
            "topics = \"a\"\n[source.options]\n\"group.id\" = \"x\"",
            r#"pipeline.toml:7: [source] options.group.id: group.id is Millstream's to set; write `group`"#,
        ),
    ] {
        says(&file(keys), wanted);
    }
}

#[test]
fn sources() {
    says(
        r#"name = "a"
[source]
type = "bigquery"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
"#,
        r#"pipeline.toml:3: [source] type: "bigquery" is not in this build yet; there are kinesis, kafka, files, generate"#,
    );
    says(
        r#"name = "a"
[source]
type = "flies"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
"#,
        r#"pipeline.toml:3: [source] type: "flies" is no source; did you mean "files"?"#,
    );
    says(
        r#"name = "a"
[source]
type = "generate"
rate = 0
count = 1.5
splits = 0
broken = 2
kind = "article"
seed = -1
[decode]
format = "parquet"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
"#,
        r#"pipeline.toml:4: [source] rate: 0 is not a number above 0
pipeline.toml:5: [source] count: 1.5 is not a whole number of 0 or more
pipeline.toml:6: [source] splits: 0 is not a whole number of 1 or more
pipeline.toml:7: [source] broken: 2 is not a share; write a number from 0 to 1
pipeline.toml:8: [source] kind: "article" is none of "articles", "events"; did you mean "articles"?
pipeline.toml:9: [source] seed: -1 is not a whole number of 0 or more
pipeline.toml:11: [decode] format: a source of type = "generate" makes JSON; write format = "json""#,
    );
    says(
        r#"name = "a"
[source]
type = "files"
path = "http://x"
interval = 5
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
"#,
        r#"pipeline.toml:4: [source] path: "http://x" is of no kind that this build can reach; write a folder or s3://bucket/prefix
pipeline.toml:5: [source] interval: 5 is not a duration; write it with its unit, as 500ms, 30s, 1h30m or 90 days"#,
    );
    says(
        r#"name = "a"
[source]
type = "files"
path = "out/in"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
"#,
        r#"pipeline.toml:4: [source] path: lies in the sink: the pipeline would read what it writes; keep them apart"#,
    );
}

#[test]
fn decoding() {
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[decode]
format = "jsn"
compression = 5
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
"#,
        r#"pipeline.toml:6: [decode] format: "jsn" is none of "json", "csv", "text", "avro", "protobuf", "parquet"; did you mean "json"?
pipeline.toml:7: [decode] compression: 5 is not one of "none", "gzip", "zstd", "auto""#,
    );
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[decode]
header = true
null = "NA"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
"#,
        r#"pipeline.toml:6: [decode] header: means something for format = "csv" only; take it out
pipeline.toml:7: [decode] null: means something for format = "csv" only; take it out"#,
    );
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[decode]
format = "csv"
delimiter = "ab"
header = "yes"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
"#,
        r#"pipeline.toml:7: [decode] delimiter: "ab" is not a delimiter; write one ASCII character that is not a quote or the end of a line
pipeline.toml:8: [decode] header: "yes" is not true or false"#,
    );
}

#[test]
fn schemas() {
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[schema]
a = "int"
b = "strnig!"
c = 5
d = []
e = ["string", "date"]
f = {}
g = "decimal(40,2)"
h = "qwertyuiop"
_i = "string"
"" = "string"
j = { k = { l = "x!" } }
[sink]
path = "out"
"#,
        r#"pipeline.toml:6: [schema] a: "int" is no type; did you mean "int64"?
pipeline.toml:7: [schema] b: "strnig!" is no type; did you mean "string"?
pipeline.toml:8: [schema] c: 5 is no type; write one in quotes, as "string"
pipeline.toml:9: [schema] d: a list has one type of element; write it as ["string"]
pipeline.toml:10: [schema] e: a list has one type of element; write it as ["string"]
pipeline.toml:11: [schema] f: a struct needs a field; write it as { id = "string" }
pipeline.toml:12: [schema] g: "decimal(40,2)" is no decimal; write decimal(p,s) with 1 to 38 digits, s of them behind the point, as decimal(12,2)
pipeline.toml:13: [schema] h: "qwertyuiop" is no type; there are string, int32, int64, float64, bool, timestamp, date, binary, decimal(p,s), tables and lists
pipeline.toml:14: [schema] _i: names that begin with _ are kept for _split, _position, _arrived_at; choose another
pipeline.toml:15: [schema] a column needs a name
pipeline.toml:16: [schema] j.k.l: "x!" is no type; there are string, int32, int64, float64, bool, timestamp, date, binary, decimal(p,s), tables and lists"#,
    );
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[schema]
[sink]
path = "out"
"#,
        r#"pipeline.toml:5: [schema] names no column; write one a line, as title = "string""#,
    );
}

#[test]
fn expressions() {
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[schema]
t = "string"
user = { id = "string" }
[validate]
ok = 1
"" = "x"
[enrich]
t = "x"
e = " "
_f = "x"
[sink]
path = "out"
"#,
        r#"pipeline.toml:9: [validate] ok: 1 is not an SQL expression in quotes
pipeline.toml:10: [validate] a rule needs a name
pipeline.toml:12: [enrich] t: is a column of [schema] already; choose another name
pipeline.toml:13: [enrich] e: is empty; write an SQL expression
pipeline.toml:14: [enrich] _f: names that begin with _ are kept for _split, _position, _arrived_at; choose another"#,
    );
}

#[test]
fn averages() {
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
[[average]]
of = "user.id"
by = ["hour", "hour", "week"]
group = ["usr", "t", "t"]
[[average]]
of = "t"
tiem = "x"
[[average]]
of = "t"
by = []
[[average]]
name = "kept"
of = "t"
keep = "ninety days"
max_groups = 0
[[average]]
name = "folded"
of = "t"
keep = "90 days"
"#,
        r#"pipeline.toml:10: [[average]] time: is missing: an average by hour or day needs a column to tell them from; write time = "…"
pipeline.toml:11: [[average]] of: "user.id" is a field in a column; make it one with [enrich] user_id = "user.id"
pipeline.toml:12: [[average]] by: "hour" is there twice
pipeline.toml:12: [[average]] by: "week" is none of "overall", "hour", "day"
pipeline.toml:13: [[average]] group: "usr" is no column; did you mean "user"?
pipeline.toml:13: [[average]] group: "t" is there twice
pipeline.toml:16: [[average]] has no key "tiem"; did you mean "time"?
pipeline.toml:17: [[average]] name: there is an average called "t" already; give one of them a name of its own
pipeline.toml:19: [[average]] by: is empty; write at least one of "overall", "hour", "day"
pipeline.toml:23: [[average]] keep: "ninety days" is not a duration; write it with its unit, as 500ms, 30s, 1h30m or 90 days
pipeline.toml:24: [[average]] max_groups: 0 is not a whole number of 1 or more
pipeline.toml:28: [[average]] keep: folds away old hours and days, and this average has neither; write by = ["hour"] or "day", or take it out"#,
    );
}

#[test]
fn sinks() {
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = 5
partition = "t"
compression = "zstd(99)"
row_group_size = -1
page_size = "10 parsecs"
file_size = 0
dictionary = "yes"
statistics = ["user.id", "user.nope"]
bloom = 1
region = ["x"]
endpoint = "host:9000"
"#,
        r#"pipeline.toml:9: [sink] path: 5 is not a string
pipeline.toml:10: [sink] partition: "t" is not a list; write it as partition = ["t"]
pipeline.toml:11: [sink] compression: "zstd(99)" is not a compression; write zstd(3) (1 to 22), snappy, lz4 or none
pipeline.toml:12: [sink] row_group_size: -1 is not a size of at least one byte; write it as 64MiB, 10MB or plain bytes
pipeline.toml:13: [sink] page_size: "10 parsecs" is not a size of at least one byte; write it as 64MiB, 10MB or plain bytes
pipeline.toml:14: [sink] file_size: 0 is not a size of at least one byte; write it as 64MiB, 10MB or plain bytes
pipeline.toml:15: [sink] dictionary: "yes" is not true or false
pipeline.toml:16: [sink] statistics: "user.nope" is no column; there are t, user, _split, _position, _arrived_at
pipeline.toml:17: [sink] bloom: 1 is not a list; write it as bloom = [1]
pipeline.toml:18: [sink] region: ["x"] is not a string
pipeline.toml:19: [sink] endpoint: "host:9000" is not the address of a service; write it as http://127.0.0.1:9000 or https://host"#,
    );
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "s3://B"
select = ["t"]
partition = ["t"]
"#,
        r#"pipeline.toml:9: [sink] path: "s3://B" does not begin with the name of a bucket (3 to 63 of a-z, 0-9, - and .); write s3://bucket/prefix
pipeline.toml:10: [sink] select: leaves the files without a column: those of partition are in the path; name one more, or take it out"#,
    );
}

#[test]
fn rejects() {
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
[rejects]
path = "./out/rejects/"
"#,
        r#"pipeline.toml:11: [rejects] path: "./out/rejects/" lies in the sink, where readers would take rejects for data; choose a path beside it"#,
    );
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "s3://my-bucket"
"#,
        r#"pipeline.toml:9: [sink] path: takes a whole bucket and leaves no place for rejects; add a prefix, as s3://bucket/prefix, or write [rejects] path"#,
    );
}

#[test]
fn epochs_limits_and_listeners() {
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[schema]
t = "string"
user = { id = "string" }
[sink]
path = "out"
[epoch]
interval = 30
max_bytes = "${SECRET}"
[limits]
record = "1GiB"
depth = 0
memory = "1MiB"
[observe]
listen = "9464"
"#,
        r#"pipeline.toml:11: [epoch] interval: 30 is not a duration; write it with its unit, as 500ms, 30s, 1h30m or 90 days
pipeline.toml:12: [epoch] max_bytes: "${SECRET}" is not a size of at least one byte; write it as 64MiB, 10MB or plain bytes
pipeline.toml:15: [limits] depth: 0 is not a whole number of 1 or more
pipeline.toml:16: [limits] memory: is less than one record may take; make it at least [limits] record
pipeline.toml:18: [observe] listen: "9464" is not an address to listen on; write it as 127.0.0.1:9464, or 0.0.0.0:9464 for every interface"#,
    );
}

#[test]
fn tests_in_the_file() {
    says(
        r#"name = "a"
[source]
type = "files"
path = "in"
[schema]
t = "string"
user = { id = "string" }
[validate]
ok = "true"
[sink]
path = "out"
[[test]]
name = "x"
input = 1
expect = "a"
[[test]]
name = "y"
input = ["a", { x = inf }]
arrived_at = "yesterday"
rejects = [{ reason = "rule:okk" }, { reason = "zzzzzzzz" }, { raeson = "x" }]
"#,
        r#"pipeline.toml:14: [[test]] input: is a record or a list of records; write each as a string or a table
pipeline.toml:15: [[test]] expect: is a list of tables; write it as expect = [{ … }, …]
pipeline.toml:18: [[test]] input: inf is not a number that JSON can hold
pipeline.toml:19: [[test]] arrived_at: "yesterday" is not a time with its zone; write it as "2024-02-28T10:00:00Z"
pipeline.toml:20: [[test]] rejects: "rule:okk" is no reason; did you mean "rule:ok"?
pipeline.toml:20: [[test]] rejects: "zzzzzzzz" is no reason; there are decode, missing, null, type, too_large, rule:ok
pipeline.toml:20: [[test]] rejects: each is { reason = "…" }, with field = "…" if it matters"#,
    );
}

const WHOLE: &str = r#"
name = "articles"

[source]
type = "generate"
rate = "${RATE:-100}"
count = "${COUNT:-7}"
seed = 0x10

[schema]
zeta = "string!"
user = { platform = "string", id = "string!" }
alpha = "timestamp"
tags = ["string"]
items = [{ sku = "string!" }]
price = "decimal(10, 2)!"
product.b = "int32"
product.a = "int64"
zeta2.y.x = "bool!"
"${SECRET}" = "date"

[enrich]
word_count = "word_count(zeta) + ${NOUGHT:-0}"
day = "cast(alpha as date)"
a_first = "'$${x} ${SECRET}'"

[[average]]
of = "word_count"
by = ["overall", "hour"]
time = "alpha"
group = ["day", "_split"]

[[average]]
of = "word_count"

[sink]
path = "s3://${BUCKET}/enriched/"
endpoint = "http://${SECRET}:9000"
region = "${EMPTY}"
partition = ["day"]
compression = "lz4"
dictionary = ["user.id", "tags"]
statistics = false
bloom = ["items.sku"]
page_index = "false"
file_size = "1MB"

[schema.late]
z = "binary"

[[test]]
name = "${SECRET}"
input = ["${SECRET}", { b = "${SECRET}", a = [1, 2.5, true] }]
expect = [{ zeta = "${SECRET}" }]
rejects = [{ reason = "type", field = "user.id" }]
"#;

#[test]
fn columns_keep_the_order_of_the_file_and_a_struct_is_required_where_a_field_is() {
    let schema = parse(WHOLE).schema;
    let columns: Vec<_> = schema.columns.iter().map(|column| (column.name.as_str(), column.required)).collect();
    let expected = [
        ("zeta", true),
        ("user", true),
        ("alpha", false),
        ("tags", false),
        ("items", false),
        ("price", true),
        ("product", false),
        ("zeta2", true),
        ("${SECRET}", false),
        ("late", false),
    ];
    assert_eq!(columns, expected);
    let Kind::Struct(fields) = &schema.columns[6].kind else { panic!("product is a struct") };
    assert_eq!(fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    let Kind::List(element) = &schema.columns[4].kind else { panic!("items is a list") };
    assert!(element.required);
    assert_eq!(schema.columns[5].kind, Kind::Decimal { precision: 10, scale: 2 });
    let enrich: Vec<_> = parse(WHOLE).enrich.into_iter().map(|column| column.name).collect();
    assert_eq!(enrich, ["word_count", "day", "a_first"]);
}

#[test]
fn variables_stand_for_values_of_every_type() {
    let config = parse(WHOLE);
    let made_up: &generate::Config = config.source.of_type().expect("the source is generated");
    assert_eq!((made_up.rate, made_up.count, made_up.seed), (Some(2.5), Some(7), 16));
    assert_eq!(config.enrich[0].sql.as_str(), "word_count(zeta) + 0");
    assert_eq!(config.enrich[2].sql.as_str(), "'${x} hunter2'");
    assert_eq!(config.sinks[0].location.s3(), Some(("my-bucket", "enriched")));
    assert_eq!(config.sinks[0].location.region, None, "a variable that is empty says nothing");
    assert!(!config.sinks[0].page_index);
    assert_eq!(config.rejects.path.as_str(), "s3://my-bucket/enriched-rejects");
    assert_eq!(config.rejects.path.written(), "s3://${BUCKET}/enriched-rejects");
}

#[test]
fn the_rest_of_a_file_is_read_as_it_is_meant() {
    let config = parse(WHOLE);
    assert_eq!(config.averages[0].name.as_str(), "word_count_by_day__split");
    assert_eq!(config.averages[0].by, [Bucket::Overall, Bucket::Hour]);
    assert_eq!(config.averages[1].by, [Bucket::Overall]);
    assert_eq!(config.sinks[0].compression, Compression::Lz4);
    assert_eq!(config.sinks[0].dictionary, Choice::Columns(vec!["user.id".into(), "tags".into()]));
    assert_eq!((config.sinks[0].file_size, config.sinks[0].row_group_size), (1_000_000, 64 << 20));
    assert_eq!(config.sinks[0].statistics, Choice::None);
    assert_eq!(config.epoch.interval.as_secs(), 30);
    assert_eq!(config.tests[0].input[1].to_string(), r#"{"b":"hunter2","a":[1,2.5,true]}"#);
}

#[test]
fn a_config_shows_variables_by_name_only() {
    let shown = format!("{:?}", parse(WHOLE));
    assert!(shown.contains("${SECRET}") && !shown.contains(SECRET), "{shown}");
}

#[test]
fn what_a_later_step_finds_wrong_is_said_in_the_same_form() {
    let config = parse(WHOLE);
    let said = config.enrich[0].at.error("no column is called zeat").to_string();
    assert_eq!(said, "pipeline.toml:23: [enrich] word_count: no column is called zeat");
    assert_eq!(config.at("average.0.time").error("x").to_string(), "pipeline.toml:30: [[average]] time: x");
    assert_eq!(config.at("sink.select").error("x").to_string(), "pipeline.toml:36: [sink] select: x");
    assert_eq!(config.at("limits.depth").error("x").to_string(), "pipeline.toml: [limits] depth: x");
}

#[test]
fn the_fingerprint_is_of_what_is_meant_not_of_how_it_is_spelled() {
    let of = |from: &str, to: &str| {
        assert!(WHOLE.contains(from));
        parse(&WHOLE.replacen(from, to, 1)).fingerprint()
    };
    let whole = parse(WHOLE).fingerprint();
    for (from, to) in [("\"${COUNT:-7}\"", "7"), ("\"1MB\"", "1_000_000"), ("0x10", "16"), ("${BUCKET}", "my-bucket")] {
        assert_eq!(of(from, to), whole, "{from} → {to}");
    }
    for (from, to) in
        [("${RATE:-100}", "3"), ("${BUCKET}", "other"), ("[\"day\"]", "[\"alpha\"]"), ("string!", "string")]
    {
        assert_ne!(of(from, to), whole, "{from} → {to}");
    }
    let env_of_another_machine = |name: &str| if name == "BUCKET" { Some("other".into()) } else { env(name) };
    let other = Config::parse("pipeline.toml", WHOLE, &env_of_another_machine).unwrap();
    assert_ne!(other.fingerprint(), whole);
}

#[test]
fn the_examples_are_right() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/articles/pipeline.toml");
    Config::load(&path, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
}

#[test]
fn a_file_that_is_not_there() {
    let error = Config::load(std::path::Path::new("nowhere.toml"), &|_| None).unwrap_err().to_string();
    assert_eq!(error, "nowhere.toml: there is no such file; `millstream init` writes a first one");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s).{0,200}") {
        let _ = Config::parse("pipeline.toml", &text, &env).map_err(|errors| errors.to_string());
    }

    #[test]
    fn no_damage_to_a_file_makes_it_panic_or_shows_a_secret(
        cut in any::<prop::sample::Index>(), length in 0_usize..12, put in r#"[\[\]{}="'.$#0-9a-zé\n -]{0,8}"#,
    ) {
        let characters: Vec<char> = WHOLE.chars().collect();
        let start = cut.index(characters.len());
        let end = (start + length).min(characters.len());
        let text: String = characters[..start].iter().copied().chain(put.chars()).chain(characters[end..].iter().copied()).collect();
        let shown = match Config::parse("pipeline.toml", &text, &env) {
            Ok(config) => format!("{config:?}"),
            Err(errors) => format!("{errors} {errors:?}"),
        };
        prop_assert!(!shown.contains(SECRET), "{}", shown);
    }
}

/// A pipeline over a stream or files, with these lines in `[decode]` from line 6 on.
fn decoding_with(stream: bool, lines: &str) -> String {
    let source = if stream { "type = \"kinesis\"\nstream = \"s\"" } else { "type = \"files\"\npath = \"in\"" };
    format!("name = \"a\"\n[source]\n{source}\n[decode]\n{lines}\n[schema]\nt = \"string\"\n[sink]\npath = \"out\"\n")
}

/// Would catch a format that is read from where it cannot be, and a schema that is looked for in vain or in two places.
#[test]
fn formats_and_where_their_schemas_are() {
    for (stream, lines, expected) in [
        (
            true,
            "format = \"csv\"",
            "5: [decode] header: no header line comes with a message; write header = false, and fields in the order of [schema]",
        ),
        (
            true,
            "format = \"csv\"\nheader = true",
            "7: [decode] header: no header line comes with a message; write header = false, and fields in the order of [schema]",
        ),
        (
            true,
            "format = \"parquet\"",
            "6: [decode] format: a message is no Parquet file; parquet is for type = \"files\"",
        ),
        (
            true,
            "format = \"avro\"",
            "5: [decode] schema: is missing: records of this format cannot be read without, nor by a registry; write schema = \"event.avsc\", or registry = \"https://registry.example.com\"",
        ),
        (
            false,
            "format = \"avro\"\nregistry = \"http://r\"",
            "6: [decode] format: comes as the messages of a stream; nothing says where its records end in a file",
        ),
        (false, "registry = \"http://r\"", "6: [decode] registry: is for the messages of a stream; take it out"),
        (
            true,
            "format = \"text\"\nregistry = \"http://r\"",
            "7: [decode] registry: means something for format = \"json\", \"avro\" and \"protobuf\" only; take it out",
        ),
        (
            true,
            "schema = \"x.avsc\"",
            "6: [decode] schema: means something for format = \"avro\" and \"protobuf\" only; take it out",
        ),
        (
            true,
            "format = \"avro\"\nschema = \"none.avsc\"",
            "7: [decode] schema: \"none.avsc\" is not there; the path is taken from the folder of the pipeline file on, unless it is absolute",
        ),
        (
            true,
            "format = \"protobuf\"\nschema = \"none.proto\"",
            "5: [decode] message: is missing: a schema may have many messages; write message = \"shop.Event\"",
        ),
        (
            true,
            "format = \"protobuf\"\nregistry = \"http://r\"\nmessage = \"M\"",
            "8: [decode] message: each record of a registry says which message it is; take it out",
        ),
        (
            true,
            "format = \"avro\"\nregistry = \"http://r\"\nschema = \"x.avsc\"",
            "8: [decode] schema: each record of a registry says which schema it has; take one of the two out",
        ),
        (
            true,
            "format = \"avro\"\nregistry = \"http://r\"\ncompression = \"gzip\"",
            "8: [decode] compression: the id of a schema is never packed with its record; write none, or leave it out",
        ),
        (
            true,
            "format = \"avro\"\nregistry = \"http://r\"\nregistry_user = \"me\"",
            "8: [decode] registry_user: goes with registry_password; write registry_password = \"${REGISTRY_PASSWORD}\"",
        ),
        (true, "registry_ca_file = \"ca.crt\"", "6: [decode] registry_ca_file: is of use with registry alone"),
        (
            true,
            "registry = \"http://me:${SECRET}@r\"",
            "6: [decode] registry: a user or password in an address would show in logs; take it out and use the service's own credentials",
        ),
    ] {
        says(&decoding_with(stream, lines), &format!("pipeline.toml:{expected}"));
    }
    let kafka = decoding_with(true, "format = \"csv\"")
        .replace("kinesis\"\nstream = \"s\"", "kafka\"\nbrokers = \"b:9092\"\ntopics = [\"s\"]");
    let said = Config::parse("pipeline.toml", &kafka, &env).expect_err("there is no header").to_string();
    assert!(said.contains("no header line comes with a message"), "{said}");
    for written in ["hunter3", "${SECRET}x", "${SECRET:-hunter3}", "${SECRET}${SECRET}"] {
        let lines = format!("registry = \"http://r\"\nregistry_user = \"me\"\nregistry_password = \"{written}\"");
        says(
            &decoding_with(true, &lines),
            "pipeline.toml:8: [decode] registry_password: a secret has no place in this file; set a variable and write its name, as ${REGISTRY_PASSWORD}",
        );
    }
    let lines = "registry = \"http://r\"\nregistry_user = \"me\"\nregistry_password = \"${SECRET}\"";
    assert!(!format!("{:?}", parse(&decoding_with(true, lines))).contains(SECRET));
}

/// Would catch a schema that is taken from where the command was started, and a change of it that goes unnoticed.
#[test]
fn a_schema_lies_beside_its_pipeline_file_and_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pipeline, proto) = (folder.path().join("pipeline.toml"), folder.path().join("event.proto"));
    let lines = "format = \"protobuf\"\nschema = \"event.proto\"\nmessage = \"Event\"";
    let load = |text: &str| {
        std::fs::write(&proto, text).expect("a schema");
        Config::parse(pipeline.to_str().expect("a path"), &decoding_with(true, lines), &env)
    };
    let one = "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; message Event { string t = 1; }";
    let (first, again) = (load(one).expect("it compiles"), load(one).expect("it compiles"));
    let other = load(&one.replace("t = 1", "t = 2")).expect("it compiles");
    assert_eq!(first.fingerprint(), again.fingerprint());
    assert_ne!(first.fingerprint(), other.fingerprint());
    let said = load("syntax = \"proto3\"; message Event { strin t = 1; }").expect_err("no such type").to_string();
    assert!(said.contains("[decode] schema: \"event.proto\" cannot be compiled") && said.contains("strin"), "{said}");
}

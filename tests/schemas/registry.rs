//! Records that name their schemas.

use std::collections::BTreeSet;

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use super::pipeline::{Event, Events};
use crate::services::registry::{Mood, Registry};

const V1: &str =
    r#"{"type":"record","name":"E","fields":[{"name":"id","type":"int"},{"name":"name","type":"string"}]}"#;
const V2: &str = r#"{"type":"record","name":"E","fields":[{"name":"number","type":["null","int"]},
    {"name":"gone","type":"string"},{"name":"id","type":"long"},{"name":"name","type":["string","null"]}]}"#;

fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0], id.to_be_bytes().as_slice(), body].concat()
}

fn avro(schema: &str, fields: &[(&str, Avro)]) -> Vec<u8> {
    let schema = Schema::parse_str(schema).unwrap();
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(Avro::Record(fields)).unwrap()
}

/// An event of the first version, and of the second.
pub(crate) fn v1(id: i32) -> Vec<u8> {
    framed(1, &avro(V1, &[("id", Avro::Int(id)), ("name", Avro::String("one".into()))]))
}

pub(crate) fn v2(id: i64) -> Vec<u8> {
    let number = Avro::Union(1, Box::new(Avro::Int(id as i32 * 2)));
    let none = Avro::Union(1, Box::new(Avro::Null));
    framed(
        2,
        &avro(V2, &[("number", number), ("gone", Avro::String("x".into())), ("id", Avro::Long(id)), ("name", none)]),
    )
}

pub(crate) fn is_v1(id: i64) -> Event {
    (id, Some("one".into()), None)
}

pub(crate) fn is_v2(id: i64) -> Event {
    (id, None, Some(2 * id))
}

pub(crate) async fn both_versions() -> Registry {
    let registry = Registry::start().await;
    registry.register(1, json!({ "schema": V1 }));
    registry.register(2, json!({ "schema": V2, "schemaType": "AVRO" }));
    registry
}

pub(crate) fn avro_of(registry: &Registry) -> String {
    format!("format = \"avro\"\nregistry = {:?}", registry.url)
}

/// Would catch records lost or refused while the registry is away, and one that is asked more than once for an id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_versions_in_one_stream_wait_for_a_registry_that_is_away() {
    let registry = both_versions().await;
    let mut events = Events::new("avro-versions", &avro_of(&registry)).await;
    events.put((0..200).map(|id| if id % 3 == 0 { v1(id) } else { v2(id.into()) })).await;
    registry.be(Mood::Away);
    let mut process = events.start("run", &["--until-end"]);
    for mood in [Mood::Away, Mood::Failing, Mood::Slow(300)] {
        registry.be(mood);
        let asked = registry.asked().len();
        while mood != Mood::Slow(300) && registry.asked().len() < asked + 2 {
            assert!(process.runs(), "it did not wait; it said:\n{}", process.said());
            sleep(Duration::from_millis(5)).await;
        }
    }
    process.wait().await.with(0);
    let expected: BTreeSet<Event> = (0..200).map(|id| if id % 3 == 0 { is_v1(id) } else { is_v2(id) }).collect();
    assert_eq!(events.events(), expected);
    assert_eq!(events.rejects(), BTreeSet::new());

    // A second run goes on behind them, and asks for each id once.
    registry.be(Mood::Well);
    events.put((200..300).map(|id| if id % 2 == 0 { v1(id) } else { v2(id.into()) })).await;
    let before = registry.asked().len();
    events.start("run", &["--until-end", "-w", "2"]).wait().await.with(0);
    assert_eq!(events.events().len(), 300);
    let mut asked = registry.asked().split_off(before);
    asked.sort();
    assert_eq!(asked, ["/schemas/ids/1", "/schemas/ids/2"]);
}

/// Would catch an id that stops the pipeline, and a broken record that costs those beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_leads_nowhere_is_a_reject_that_names_it() {
    let registry = both_versions().await;
    registry.register(3, json!({ "schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF" }));
    registry.register(4, json!({ "schema": "{\"type\":\"record\"}" }));
    let referring = json!([{ "name": "n.T", "subject": "n-value", "version": 3 }]);
    registry.register(5, json!({ "schema": V1, "references": referring }));
    let mut events = Events::new("avro-unknown", &avro_of(&registry)).await;
    let broken =
        [framed(77, &[2]), framed(3, &[0]), framed(4, &[0]), framed(5, &[0]), framed(1, &[2, 9]), b"{}".to_vec()];
    events.put(broken.iter().cloned().chain((0..50).map(v1))).await;
    events.start("run", &["--until-end"]).wait().await.with(0);
    assert_eq!(events.events(), (0..50).map(is_v1).collect());
    let rejects = events.rejects();
    assert_eq!(rejects.len(), broken.len());
    for (raw, says) in broken.iter().zip([
        "schema 77: the registry",
        "schema 3: it is of the kind PROTOBUF",
        "schema 4: it is no Avro",
        "schema 5: it refers to version 3 of n-value",
        "not Avro of its schema at byte 1",
        "no schema id",
    ]) {
        let (reason, message, _) = rejects.iter().find(|(_, _, found)| found == raw).unwrap();
        assert!(reason == "decode" && message.starts_with(says), "{reason} {message}");
    }
}

/// Would catch a password that shows, and a run that goes on asking where it is not let in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_let_in_ends_with_the_key_to_change() {
    let registry = both_versions().await;
    // millstream:hunter2
    registry.let_in_only("bWlsbHN0cmVhbTpodW50ZXIy");
    let user = "registry_user = \"millstream\"\nregistry_password = \"${PASSWORD}\"";
    let mut right =
        Events::new("avro-let-in", &format!("{}\n{user}", avro_of(&registry))).await.with("PASSWORD", "hunter2");
    right.put((0..20).map(v1)).await;
    let checked = right.start("check", &["--connect"]).wait().await.with(0);
    assert!(checked.stdout.contains("the schema registry http://127.0.0.1:"), "{}", checked.stdout);
    right.start("run", &["--until-end"]).wait().await.with(0);
    assert_eq!(right.events().len(), 20);

    let wrong =
        Events::new("avro-kept-out", &format!("{}\n{user}", avro_of(&registry))).await.with("PASSWORD", "hunter3");
    let nobody = Events::new("avro-nobody", &avro_of(&registry)).await;
    for (mut events, says) in [
        (wrong, "change registry_user or registry_password in [decode]"),
        (nobody, "write registry_user and registry_password"),
    ] {
        events.put((0..20).map(v1)).await;
        for (command, more) in [("run", "--until-end"), ("check", "--connect")] {
            let said = events.start(command, &[more]).wait().await.with(1).stderr;
            assert!(said.contains(says) && said.contains("401"), "{said}");
            assert!(!said.contains("hunter"), "{said}");
        }
        assert_eq!(events.events().len() + events.rejects().len(), 0);
    }
}

/// Would catch a certificate that is taken from anybody, and one that cannot be named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_with_a_certificate_of_its_own_is_trusted_where_it_is_named() {
    let (registry, authority) = Registry::start_secure().await;
    registry.register(1, json!({ "schema": V1 }));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority).unwrap();
    let named = format!("{}\nregistry_ca_file = {:?}", avro_of(&registry), file.path());
    let mut trusting = Events::new("avro-secure", &named).await;
    trusting.put((0..20).map(v1)).await;
    trusting.start("run", &["--until-end"]).wait().await.with(0);
    assert_eq!(trusting.events().len(), 20);
    let wary = Events::new("avro-insecure", &avro_of(&registry)).await;
    let said = wary.start("check", &["--connect"]).wait().await.with(1).stderr;
    assert!(said.contains("certificate"), "{said}");
}

/// Would catch an address that is mistaken for a registry without schemas, so that every record is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_registry_is_told_and_refuses_nothing() {
    let registry = both_versions().await;
    registry.be(Mood::SomethingElse);
    let mut events = Events::new("no-registry", &avro_of(&registry)).await;
    events.put((0..20).map(v1)).await;
    let said = events.start("run", &["--until-end"]).wait().await.with(1).stderr;
    assert!(said.contains("is there a schema registry at this address?"), "{said}");
    assert_eq!(events.rejects().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protobuf_of_a_registry_is_compiled_with_what_it_imports() {
    let registry = Registry::start().await;
    let schema = "syntax = \"proto3\"; package shop; import \"shop/common.proto\"; import \"google/protobuf/wrappers.proto\";
        message First { string name = 1; }
        message Event { message Inner { Id id = 1; } int64 id = 1; Names name = 2; google.protobuf.Int64Value number = 3; }";
    let common = "syntax = \"proto3\"; package shop; import \"shop/deeper.proto\"; enum Names { NONE = 0; RED = 1; }";
    let deeper = "syntax = \"proto3\"; package shop; message Id { int64 id = 1; }";
    let refers = |name: &str, subject: &str| json!([{ "name": name, "subject": subject, "version": 1 }]);
    let found = |schema: &str, references: Value| json!({ "schema": schema, "schemaType": "PROTOBUF", "references": references });
    let schema = schema.replace("shop/common.proto\";", "shop/common.proto\"; import \"shop/deeper.proto\";");
    registry.register(9, found(&schema, refers("shop/common.proto", "shop/common")));
    registry.register_version("shop/common", 1, found(common, refers("shop/deeper.proto", "shop-deeper")));
    registry.register_version("shop-deeper", 1, found(deeper, json!([])));
    registry.register(10, found("syntax = \"proto3\"; import \"nowhere.proto\"; message M {}", json!([])));
    let decode = format!("format = \"protobuf\"\nregistry = {:?}", registry.url);
    let mut events = Events::new("protobuf-registry", &decode).await;
    // The second message of the file: one number, which is 1.
    let event = |id: u8| framed(9, &[2, 2, 8, id, 16, 1, 26, 2, 8, id]);
    events.put((1..100).map(event).chain([framed(10, &[0, 8, 1])])).await;
    events.start("run", &["--until-end"]).wait().await.with(0);
    assert_eq!(events.events(), (1..100).map(|id| (id, Some("RED".into()), Some(id))).collect());
    let rejects = events.rejects();
    let (reason, message, _) = rejects.first().unwrap();
    assert!(rejects.len() == 1 && reason == "decode" && message.contains("nowhere.proto"), "{rejects:?}");
    let mut asked = registry.asked();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 4, "{asked:?}");
}

/// Would catch the five bytes before a record of JSON Schema that are taken for its first characters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_behind_an_id_is_json() {
    let registry = Registry::start().await;
    let mut events = Events::new("json-registry", &format!("registry = {:?}", registry.url)).await;
    let event = |id: i64| framed(12, json!({ "id": id, "name": "one" }).to_string().as_bytes());
    events.put((0..30).map(event).chain([json!({ "id": 99 }).to_string().into_bytes()])).await;
    events.start("run", &["--until-end"]).wait().await.with(0);
    assert_eq!(events.events(), (0..30).map(is_v1).collect());
    assert_eq!(events.rejects().len(), 1);
    assert_eq!(registry.asked(), Vec::<String>::new(), "nothing of it is needed");
}

/// Would catch schemas that do not go along to the process that a batch is lent to: it has no shard of its own to know them from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_lent_to_other_processes_take_their_schemas_along() {
    let registry = both_versions().await;
    let lent = format!("{}\n[balance]\nexchange = \"batches\"", avro_of(&registry));
    let mut events = Events::with_shards(1, "avro-lent", &lent).await;
    // Several answers of the server, and so several batches to deal out.
    for some in 0..6 {
        events.put((0..100).map(|at| large(some * 100 + at))).await;
    }
    events.start("run", &["--until-end", "-w", "1", "-n", "2"]).wait().await.with(0);
    assert_eq!(events.events(), (0..600).map(is_v2).collect());
    let by_worker = |worker: &str| events.files().iter().filter(|file| file.contains(worker)).count();
    assert!(by_worker("-w0-") > 0 && by_worker("-w1-") > 0, "{:?}", events.files());
}

/// An event of the second version, of 20 KB.
fn large(id: i64) -> Vec<u8> {
    let (number, none) = (Avro::Union(1, Box::new(Avro::Int(id as i32 * 2))), Avro::Union(1, Box::new(Avro::Null)));
    let gone = Avro::String("x".repeat(20_000));
    framed(2, &avro(V2, &[("number", number), ("gone", gone), ("id", Avro::Long(id)), ("name", none)]))
}

//! The articles of the bench as Avro and as Protobuf: the same values, written by the official libraries.

use std::path::Path;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use bytes::Bytes;
use millstream::schemas::file;
use millstream_operators::Definition;
use millstream_operators::decode::Format;
use prost::Message;
use serde_json::Value;

const AVRO: &str = r#"{"type":"record","name":"Article","fields":[
    {"name":"article_id","type":"string"},{"name":"title","type":["null","string"]},
    {"name":"author","type":["null","string"]},
    {"name":"publish_date","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
    {"name":"tags","type":{"type":"array","items":"string"}},{"name":"views","type":["null","long"]},
    {"name":"url","type":["null","string"]},{"name":"content","type":"string"}]}"#;

const PROTO: &str = "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; message Article {
    string article_id = 1; optional string title = 2; optional string author = 3;
    google.protobuf.Timestamp publish_date = 4; repeated string tags = 5; optional int64 views = 6;
    optional string url = 7; string content = 8; }";

/// A message as `prost` writes it.
#[derive(Clone, PartialEq, Message)]
struct Article {
    #[prost(string, tag = "1")]
    article_id: String,
    #[prost(string, optional, tag = "2")]
    title: Option<String>,
    #[prost(string, optional, tag = "3")]
    author: Option<String>,
    #[prost(message, optional, tag = "4")]
    publish_date: Option<Timestamp>,
    #[prost(string, repeated, tag = "5")]
    tags: Vec<String>,
    #[prost(int64, optional, tag = "6")]
    views: Option<i64>,
    #[prost(string, optional, tag = "7")]
    url: Option<String>,
    #[prost(string, tag = "8")]
    content: String,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// A form of the articles: what it is called, how it is read, and batches of it.
type Form = (&'static str, Format, Arc<Definition>, Vec<Vec<Bytes>>);

/// The batches of JSON in both forms.
pub(crate) fn forms(batches: &[(Bytes, Vec<(u32, u32)>)]) -> [Form; 2] {
    let articles = |(data, spans): &(Bytes, Vec<(u32, u32)>)| -> Vec<Article> {
        spans.iter().map(|(start, end)| article(&data[*start as usize..*end as usize])).collect()
    };
    let schema = Schema::parse_str(AVRO).unwrap();
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    let (mut avro, mut protobuf) = (Vec::new(), Vec::new());
    for batch in batches {
        let articles = articles(batch);
        let encoded = articles.iter().map(|article| Bytes::from(writer.write_value_to_vec(as_avro(article)).unwrap()));
        avro.push(encoded.collect());
        protobuf.push(articles.iter().map(|article| Bytes::from(article.encode_to_vec())).collect());
    }
    let folder = tempfile::tempdir().unwrap();
    let load = |name: &str, text: &str, load: &dyn Fn(&Path) -> Result<Definition, String>| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Arc::new(load(&path).unwrap())
    };
    let one = load("article.avsc", AVRO, &file::avro);
    let other = load("article.proto", PROTO, &|path| file::protobuf(path, "Article"));
    [
        ("avro", Format::named("avro").unwrap(), one, avro),
        ("protobuf", Format::named("protobuf").unwrap(), other, protobuf),
    ]
}

fn article(json: &[u8]) -> Article {
    let value: Value = serde_json::from_slice(json).unwrap();
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let time = text("publish_date").map(|time| chrono::DateTime::parse_from_rfc3339(&time).unwrap().timestamp_micros());
    Article {
        article_id: text("article_id").unwrap(),
        title: text("title"),
        author: text("author"),
        publish_date: time.map(|micros| Timestamp {
            seconds: micros.div_euclid(1_000_000),
            nanos: micros.rem_euclid(1_000_000) as i32 * 1_000,
        }),
        tags: value["tags"].as_array().into_iter().flatten().map(|tag| tag.as_str().unwrap().to_owned()).collect(),
        views: value["views"].as_i64(),
        url: text("url"),
        content: text("content").unwrap(),
    }
}

fn as_avro(article: &Article) -> Avro {
    let optional = |value: Option<Avro>| match value {
        Some(value) => Avro::Union(1, Box::new(value)),
        None => Avro::Union(0, Box::new(Avro::Null)),
    };
    let text = |text: &Option<String>| optional(text.clone().map(Avro::String));
    let time = article
        .publish_date
        .as_ref()
        .map(|time| Avro::TimestampMicros(time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000));
    let fields = [
        ("article_id", Avro::String(article.article_id.clone())),
        ("title", text(&article.title)),
        ("author", text(&article.author)),
        ("publish_date", optional(time)),
        ("tags", Avro::Array(article.tags.iter().cloned().map(Avro::String).collect())),
        ("views", optional(article.views.map(Avro::Long))),
        ("url", text(&article.url)),
        ("content", Avro::String(article.content.clone())),
    ];
    Avro::Record(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

//! From configuration to connectors: the one list of those that there are.
//!
//! A new source is a line in [`source`], a new store one in [`store`]. Making one may look at the machine (is this path a
//! file or a folder?), but asks no service anything.

use std::path::Path;
use std::sync::Arc;

use millstream_operators::Column;

use crate::clock::Clock;
use crate::config::{self, Config, Location};
use crate::connector::aws::{Access, Role};
use crate::connector::files::{self, Files};
use crate::connector::generate::{self, Generate};
use crate::connector::kafka::{self, Kafka};
use crate::connector::kinesis::{self, Kinesis};
use crate::connector::local::LocalStore;
use crate::connector::s3::{Place, S3Store};
use crate::connector::{Bounds, Source, SourceError, Store, StoreError};
use crate::exit::Fatal;
use crate::memory::Memory;
use crate::schemas::registered::Registered;
use crate::schemas::registry::Registry;

/// What is fetched at a time from a disk, and over a network.
const FETCH_NEAR: usize = 1 << 20;
const FETCH_FAR: usize = 8 << 20;

/// The store of a location.
pub async fn store(location: &Location) -> Result<Arc<dyn Store>, StoreError> {
    at(location, location.path.as_str()).await
}

/// A path at the service of a location.
async fn at(location: &Location, path: &str) -> Result<Arc<dyn Store>, StoreError> {
    if !path.starts_with("s3://") {
        return Ok(Arc::new(LocalStore::new(path)));
    }
    let place = Place {
        endpoint: text(&location.endpoint),
        region: text(&location.region),
        profile: text(&location.profile),
        path_style: location.path_style,
        ..Place::parse(path)?
    };
    Ok(Arc::new(S3Store::connect(place).await?))
}

/// What a text of the file stands for, if it is there.
fn text(text: &Option<config::Text>) -> Option<String> {
    text.as_ref().map(|text| text.as_str().to_owned())
}

/// The source of a pipeline.
///
/// `origin`: the columns of the origin that somebody uses.
pub async fn source(
    config: &Config,
    origin: &[Column],
    bounds: Bounds,
    clock: &Clock,
) -> Result<Arc<dyn Source>, Fatal> {
    let source: Arc<dyn Source> = match &config.source {
        config::Source::Kinesis(asked) => Arc::new(kinesis(asked, bounds, clock).await?),
        config::Source::Kafka(asked) => Arc::new(kafka(config, asked, origin, bounds, clock)?),
        config::Source::Files(asked) => Arc::new(files(config, asked, bounds, clock).await?),
        config::Source::Generate(asked) => Arc::new(generate(asked, bounds, clock)?),
    };
    match schemas(config)? {
        Some(registry) if config.decode.format.needs_schema() => Ok(Arc::new(Registered::new(source, registry))),
        _ => Ok(source),
    }
}

/// The registry of the schemas that records name, if they do.
pub fn schemas(config: &Config) -> Result<Option<Registry>, SourceError> {
    match &config.decode.written {
        config::Written::ById(asked) => Registry::new(asked, config.decode.format).map(Some),
        config::Written::Plainly | config::Written::With(_) => Ok(None),
    }
}

async fn kinesis(asked: &config::Kinesis, bounds: Bounds, clock: &Clock) -> Result<Kinesis, SourceError> {
    let role = text(&asked.role_arn).map(|arn| Role { arn, external_id: text(&asked.external_id) });
    let options = kinesis::Options {
        streams: asked.streams.iter().map(|stream| stream.as_str().to_owned()).collect(),
        start: match asked.start {
            config::Start::TrimHorizon => kinesis::Start::TrimHorizon,
            config::Start::Latest => kinesis::Start::Latest,
            config::Start::At(time) => kinesis::Start::At(time),
        },
        access: Access {
            endpoint: text(&asked.endpoint),
            region: text(&asked.region),
            profile: text(&asked.profile),
            role,
            credentials: None,
        },
        consumer: text(&asked.consumer),
        bounds,
        clock: clock.as_source(),
    };
    Kinesis::connect(options).await
}

fn kafka(
    config: &Config,
    asked: &config::Kafka,
    origin: &[Column],
    bounds: Bounds,
    clock: &Clock,
) -> Result<Kafka, SourceError> {
    let texts = |texts: &[config::Text]| texts.iter().map(|text| text.as_str().to_owned()).collect::<Vec<_>>();
    let uses = |name: &str| origin.iter().any(|column| column.name == name);
    let options = kafka::Options {
        access: kafka::Access {
            brokers: texts(&asked.brokers).join(","),
            group: text(&asked.group),
            properties: asked.options.iter().map(|(key, value)| (key.clone(), value.as_str().to_owned())).collect(),
            clock: clock.as_source(),
        },
        topics: texts(&asked.topics),
        start: match asked.start {
            config::KafkaStart::Earliest => kafka::Start::Earliest,
            config::KafkaStart::Latest => kafka::Start::Latest,
            config::KafkaStart::At(time) => kafka::Start::At(time),
        },
        wishes: kafka::Wishes {
            tombstones: match asked.tombstones {
                config::Tombstones::Reject => kafka::Tombstones::Reject,
                config::Tombstones::Skip => kafka::Tombstones::Skip,
            },
            topic: uses("_topic"),
            partition: uses("_partition"),
            offset: uses("_offset"),
            timestamp: uses("_timestamp"),
            key: uses("_key"),
            headers: if uses("_headers") { texts(&asked.headers) } else { Vec::new() },
        },
        interval: asked.interval,
        ahead: Memory::of(config, 1).ahead,
        bounds,
    };
    Kafka::new(options)
}

async fn files(config: &Config, asked: &config::Files, bounds: Bounds, clock: &Clock) -> Result<Files, Fatal> {
    let path = asked.location.path.as_str();
    let (root, pattern) = root_and_pattern(path);
    let far = asked.location.s3().is_some();
    let store = at(&asked.location, &root).await?;
    let options = files::Options {
        format: match config.decode.format {
            // Avro and Protobuf come from streams alone.
            config::Format::Json | config::Format::Text | config::Format::Avro | config::Format::Protobuf => {
                files::Format::Lines
            }
            config::Format::Csv => {
                files::Format::Csv { header: config.decode.csv.header, delimiter: config.decode.csv.delimiter }
            }
            config::Format::Parquet => files::Format::Parquet,
        },
        compression: match config.decode.compression {
            config::Packing::Auto => files::Compression::Auto,
            config::Packing::None => files::Compression::None,
            config::Packing::Gzip => files::Compression::Gzip,
            config::Packing::Zstd => files::Compression::Zstd,
        },
        record_limit: config.limits.record as usize,
        interval: asked.interval,
        fetch: if far { FETCH_FAR } else { FETCH_NEAR },
        ..files::Options::new(bounds, clock.as_source())
    };
    if !far && !Path::new(&root).exists() {
        return Err(nothing_there(path).into());
    }
    Ok(Files::new(store, &pattern, options)?)
}

/// A single file is a pattern in its folder; in a bucket, where a key may be either, a path is a pattern in the bucket.
fn root_and_pattern(path: &str) -> (String, String) {
    let (root, pattern) = files::part(path);
    if !pattern.is_empty() {
        return (root.to_owned(), pattern.to_owned());
    }
    if let Some(rest) = path.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        return (format!("s3://{bucket}"), prefix.to_owned());
    }
    let file = Path::new(path);
    match (file.is_file(), file.parent(), file.file_name().and_then(|name| name.to_str())) {
        (true, Some(folder), Some(name)) => {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            (folder.display().to_string(), name.to_owned())
        }
        _ => (path.to_owned(), String::new()),
    }
}

fn nothing_there(path: &str) -> SourceError {
    let message = "there is no such file or folder; create it, or change `path` in [source]".to_owned();
    SourceError::Refused { name: path.to_owned(), message }
}

fn generate(asked: &config::Generate, bounds: Bounds, clock: &Clock) -> Result<Generate, SourceError> {
    let options = generate::Options {
        kind: match asked.kind {
            config::Material::Articles => generate::Kind::Articles,
            config::Material::Events => generate::Kind::Events,
        },
        seed: asked.seed,
        splits: asked.splits.into(),
        count: asked.count,
        rate: asked.rate,
        broken: asked.broken,
    };
    Generate::new(options, bounds, clock.as_source())
}

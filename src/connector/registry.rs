//! From configuration to connectors: the one list of those that there are.
//!
//! A new source is a line in [`SOURCES`], a new store one in [`store`]. Making one may look at the machine (is this path a
//! file or a folder?), but asks no service anything.

use std::sync::Arc;

use millstream_operators::Column;

use crate::clock::Clock;
use crate::config::{self, Config, Location};
use crate::connector::kind::{Connecting, Kind, SourceKind};
use crate::connector::local::LocalStore;
use crate::connector::s3::{Place, S3Store};
use crate::connector::{Bounds, Source, SourceError, Store, StoreError, files, generate, kafka, kinesis};
use crate::exit::Fatal;
use crate::schemas::registered::Registered;
use crate::schemas::registry::Registry;

/// All types of source. The first is the placeholder for a `[source]` that cannot be read.
pub static SOURCES: [&dyn SourceKind; 4] = [
    &Kind::<kinesis::Config>::NEW,
    &Kind::<kafka::Config>::NEW,
    &Kind::<files::Config>::NEW,
    &Kind::<generate::Config>::NEW,
];

/// The type with this word.
pub fn source_kind(word: &str) -> Option<&'static dyn SourceKind> {
    SOURCES.iter().find(|kind| kind.word() == word).copied()
}

/// The source of a pipeline.
///
/// `origin`: the columns of the origin that the pipeline uses.
pub async fn source(
    config: &Config,
    origin: &[Column],
    bounds: Bounds,
    clock: &Clock,
) -> Result<Arc<dyn Source>, Fatal> {
    let source = config.source.connect(Connecting { config, origin, bounds, clock }).await?;
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

/// The store of a location.
pub async fn store(location: &Location) -> Result<Arc<dyn Store>, StoreError> {
    store_at(location, location.path.as_str()).await
}

/// The store of another path at the service of a location.
pub async fn store_at(location: &Location, path: &str) -> Result<Arc<dyn Store>, StoreError> {
    if !path.starts_with("s3://") {
        return Ok(Arc::new(LocalStore::new(path)));
    }
    let text = |text: &Option<config::Text>| text.as_ref().map(|text| text.as_str().to_owned());
    let place = Place {
        endpoint: text(&location.endpoint),
        region: text(&location.region),
        profile: text(&location.profile),
        path_style: location.path_style,
        ..Place::parse(path)?
    };
    Ok(Arc::new(S3Store::connect(place).await?))
}

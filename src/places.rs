//! Opens the stores of a pipeline: the log, its sinks, the rejects.
//!
//! What must stay true: a folder is opened once, whatever sinks lie in it or once lay in it under other names; no folder of a
//! sink is, or lies in, that of another or of the rejects, links followed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_operators::protocol::{Place, State};

use crate::config::{Config, Location, Sink};
use crate::connector::{Store, registry};
use crate::exit::Fatal;
use crate::log::{Places, read};
use crate::stages::Stages;

/// Opens the log, the sinks of the pipeline file and the rejects.
pub async fn open(stages: &Stages) -> Result<Places, Fatal> {
    let config = stages.config();
    check_apart(config)?;
    let mut stores = BTreeMap::from([(Place::rejects(), registry::store(&config.rejects).await?)]);
    for sink in &config.sinks {
        stores.insert(sink.place.clone(), registry::store(&sink.location).await?);
    }
    let log = match &config.log {
        Some(location) => registry::store(location).await?,
        None => stores[&config.first_sink().place].clone(),
    };
    Ok(Places::new(log, stores))
}

/// The same with the sinks of earlier definitions, whose files are part of the log.
pub async fn open_all(stages: &Stages) -> Result<Places, Fatal> {
    let places = open(stages).await?;
    let state = async { read::head(&*places.log, read::end(&*places.log).await?).await };
    match state.await {
        Ok(state) => with_former(places.clone(), stages.config(), &state).await,
        // The command that reads the whole log reports what is wrong with it.
        Err(Fatal::Log(_)) => Ok(places),
        Err(fatal) => Err(fatal),
    }
}

/// Adds the sinks that the log has and the pipeline file has no more, reached with the first sink's connection. A sink that
/// only got another name shares the store of its folder.
pub async fn with_former(places: Places, config: &Config, state: &State) -> Result<Places, Fatal> {
    let mut by_path: BTreeMap<String, Arc<dyn Store>> = BTreeMap::from([(String::new(), places.log.clone())]);
    for (place, path) in config.sink_paths() {
        by_path.insert(path, places.of(&place)?.clone());
    }
    let mut former = BTreeMap::new();
    for (place, path) in state.former_sinks.iter().chain(&state.sinks).filter(|(place, _)| !places.has(place)) {
        if !by_path.contains_key(path) {
            let location = config.first_sink().location.with_path(path.as_str().into());
            by_path.insert(path.clone(), registry::store(&location).await?);
        }
        former.insert(place.clone(), by_path[path].clone());
    }
    Ok(if former.is_empty() { places } else { places.with(former) })
}

/// Rejects in a sink would be read as data, rows of one sink in another as that one's.
fn check_apart(config: &Config) -> Result<(), Fatal> {
    let of = |location: &Location| location.s3().is_none().then(|| real_path(Path::new(location.path.as_str())));
    let sinks = config.sinks.iter().filter_map(|sink| Some((sink, of(&sink.location)?)));
    let sinks: Vec<(&Sink, PathBuf)> = sinks.collect();
    let rejects = of(&config.rejects);
    for (index, (sink, path)) in sinks.iter().enumerate() {
        if rejects.as_ref().is_some_and(|rejects| rejects.starts_with(path)) {
            return Err(Fatal::Usage(format!(
                "[rejects] path {:?} leads into the sink {:?} (a link?), where readers would take rejects for data; choose a \
                 path beside it",
                config.rejects.path, sink.location.path
            )));
        }
        let within = |(_, other): &&(&Sink, PathBuf)| other.starts_with(path) || path.starts_with(other);
        if let Some((other, _)) = sinks[index + 1..].iter().find(within) {
            return Err(Fatal::Usage(format!(
                "the sinks {} and {} share a folder, or one lies in the other (a link?): {:?}, {:?}; give each a folder of its own",
                sink.place, other.place, sink.location.path, other.location.path
            )));
        }
    }
    Ok(())
}

/// A path without links, as far as it exists.
fn real_path(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), _, _) => real,
        (Err(_), Some(parent), Some(name)) if parent != Path::new("") => real_path(parent).join(name),
        (Err(_), _, _) => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

//! The files connector: NDJSON, CSV and Parquet files of a folder or a bucket, plain or packed, read as they come and grow.
//!
//! ```text
//! pattern → object → input (unpack) → frame → text ─┐
//!                  └───────────────────────→ rows ──┴→ batches, each with its place
//! ```
//!
//! A file is a split, named by its key. It is read on from its position when it has grown, and a file whose read part
//! changed or shrank is an error that names it. Knows the store only as [`Store`]; so local and S3 are the same to it.
//! What must stay true: nothing here grows with what was read, and memory is asked for before bytes are fetched.

mod blocks;
mod checks;
mod config;
mod digest;
mod frame;
mod header;
mod input;
mod object;
mod pattern;
mod place;
mod rows;
mod tap;
mod text;
mod unpack;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millstream_operators::Position;
use tokio::sync::OnceCell;
use tracing::warn;

use crate::connector::source::Clock;
use crate::connector::store::Entry;
use crate::connector::{Bounds, Discovery, End, Outlet, Source, SourceError, SplitInfo, Store};
use checks::Checks;
pub use config::Config;
use frame::Framing;
use object::Object;
use pattern::Pattern;
pub use pattern::part;
use place::Place;
use tap::Tap;
use unpack::Packing;

/// What the files hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A record a line.
    Lines,
    /// RFC 4180, with a header line or without.
    Csv { delimiter: u8, header: bool },
    /// Rows.
    Parquet,
}

/// How the files are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Each as its first bytes say, whatever its name.
    #[default]
    Auto,
    None,
    Gzip,
    Zstd,
}

/// How to read files.
#[derive(Clone)]
pub struct Options {
    pub format: Format,
    pub compression: Compression,
    pub bounds: Bounds,
    /// The longest record, in bytes.
    pub record_limit: usize,
    /// How long to wait between two looks for new files.
    pub interval: Duration,
    /// Bytes fetched at a time: about 1 MiB from a disk, more where each fetch has a journey to make.
    pub fetch: usize,
    pub clock: Clock,
}

impl Options {
    /// The usual: lines, packed or not, 10 MiB a record, a look every 5 s, 1 MiB a fetch.
    pub fn new(bounds: Bounds, clock: Clock) -> Self {
        Options {
            format: Format::Lines,
            compression: Compression::Auto,
            bounds,
            record_limit: 10 << 20,
            interval: Duration::from_secs(5),
            fetch: 1 << 20,
            clock,
        }
    }
}

/// Files of a listing that are looked at before other tasks get their turn: a listing may be of millions.
const TURN: usize = 10_000;

/// What every reader needs to know.
struct Settings {
    bounds: Bounds,
    packing: Option<Packing>,
    record_limit: usize,
    fetch: usize,
    clock: Clock,
    checks: Checks,
}

/// A source of files.
pub struct Files {
    store: Arc<dyn Store>,
    pattern: Pattern,
    format: Format,
    interval: Duration,
    settings: Settings,
    /// What the first look of a bounded run found: all that the run reads.
    first: OnceCell<Vec<SplitInfo>>,
}

impl Files {
    /// The files of `store` that `pattern` fits: a folder, a file, or a pattern with `*`, `**`, `?`, `{a,b}`, relative to the
    /// store's root; empty for all. [`part`] makes a root and a pattern of what a user writes.
    pub fn new(store: Arc<dyn Store>, pattern: &str, options: Options) -> Result<Self, SourceError> {
        let pattern = Pattern::new(pattern).map_err(|wrong| SourceError::Refused {
            name: format!("{}/{pattern}", store.name()),
            message: format!("is no pattern of paths: {wrong}"),
        })?;
        let settings = Settings {
            bounds: options.bounds,
            packing: match options.compression {
                Compression::Auto => None,
                Compression::None => Some(Packing::Plain),
                Compression::Gzip => Some(Packing::Gzip),
                Compression::Zstd => Some(Packing::Zstd),
            },
            record_limit: options.record_limit.max(1),
            fetch: options.fetch.max(1),
            clock: options.clock,
            checks: Checks::default(),
        };
        Ok(Files {
            store,
            pattern,
            format: options.format,
            interval: options.interval,
            settings,
            first: OnceCell::new(),
        })
    }

    async fn look(&self) -> Result<Vec<SplitInfo>, SourceError> {
        let found = self.store.list(self.pattern.prefix()).await;
        let found = found.map_err(|error| object::trouble(self.store.name(), error))?;
        let mut splits = Vec::with_capacity(found.len());
        for (index, entry) in found.into_iter().enumerate() {
            if self.pattern.fits(&entry.key) {
                splits.push(self.split(&entry));
            }
            if index % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(splits)
    }

    fn split(&self, entry: &Entry) -> SplitInfo {
        let bounded = self.settings.bounds == Bounds::UntilEnd;
        SplitInfo {
            revision: Arc::from(format!("{}:{}", entry.size, entry.version)),
            until: bounded.then(|| Arc::from(entry.size.to_string())),
            arrived_at: entry.modified,
            ..SplitInfo::named(entry.key.as_str())
        }
    }

    async fn read_file(&self, object: Object, from: Place, outlet: &mut dyn Outlet) -> Result<End, SourceError> {
        let settings = &self.settings;
        match self.format {
            Format::Lines => text::read(settings, Framing::Lines, false, object, from, outlet).await,
            Format::Csv { delimiter, header } => {
                text::read(settings, Framing::Csv { delimiter }, header, object, from, outlet).await
            }
            Format::Parquet => rows::read(settings, object, from, outlet).await,
        }
    }
}

#[async_trait]
impl Source for Files {
    async fn discover(&self) -> Result<Discovery, SourceError> {
        if self.settings.bounds == Bounds::Unbounded {
            return Ok(Discovery { splits: self.look().await?, complete: false });
        }
        let splits = self.first.get_or_try_init(|| self.look()).await?;
        if splits.is_empty() {
            warn!(path = self.store.name(), "there is no file to read");
        }
        Ok(Discovery { splits: splits.clone(), complete: true })
    }

    fn discovery_interval(&self) -> Duration {
        self.interval
    }

    fn concurrency(&self) -> usize {
        2
    }

    fn is_exhausted(&self, split: &SplitInfo, at: Option<&Position>) -> bool {
        match at {
            Some(at) => Place::parse(&split.name, at).is_ok_and(|place| place.is_end_of(&split.revision)),
            None => object::end(split) == Some(0),
        }
    }

    async fn read(
        &self,
        split: &SplitInfo,
        from: Option<Position>,
        outlet: &mut dyn Outlet,
    ) -> Result<End, SourceError> {
        let begins = from.is_none();
        let from = from.map_or(Ok(Place::START), |from| Place::parse(&split.name, &from))?;
        let object = Object::of(self.store.clone(), split)?;
        if from.is_end_of(&split.revision) || (begins && object.end == 0) {
            return Ok(End::Resting);
        }
        let mut tap = Tap { outlet, sent: false };
        let read = self.read_file(object, from, &mut tap).await;
        if matches!(read, Err(SourceError::Changed { .. })) && begins && !tap.sent && self.is_gone(split).await {
            warn!(file = &*split.name, "it was taken away before it was read; nothing of it is read");
            return Ok(End::Resting);
        }
        read
    }
}

impl Files {
    async fn is_gone(&self, split: &SplitInfo) -> bool {
        matches!(self.store.look(&split.name).await, Ok(None))
    }
}

//! `type = "files"`: a folder or a pattern, here or in a bucket.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millstream_operators::decode::InFiles;
use serde::{Deserialize, Serialize};

use super::{Compression, Files, Format, Options, part};
use crate::config::location::{ENDPOINT, PATH_STYLE, PROFILE, REGION};
use crate::config::{
    self, Besides, Fact, Key, Location, Past, SOURCE_TYPE, Said, Section, Span, Spec, Text, absolute, normal_path,
};
use crate::connector::kind::{Carries, Connecting, Kept, SourceType};
use crate::connector::{Source, SourceError, registry};
use crate::exit::Fatal;

const PATH: Key =
    Key::required("path", "a folder, a pattern as logs/**/*.json.gz, or either as s3://bucket/…", "articles");
const INTERVAL: Key = Key::with_default("interval", "how often to look for new files", "5s");

const SPEC: Spec = Spec {
    heading: "[source]",
    what: "files: each a split, each line of it a record; new files and new lines are noticed",
    keys: &[SOURCE_TYPE, PATH, INTERVAL, ENDPOINT, REGION, PROFILE, PATH_STYLE],
};

/// What is fetched at a time from a disk, and over a network.
const FETCH_NEAR: usize = 1 << 20;
const FETCH_FAR: usize = 8 << 20;

/// The section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// A folder or a pattern.
    location: Location,
    /// How often to look for new files.
    interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config { location: Location::default(), interval: Duration::from_secs(5) }
    }
}

/// Where the files lie.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Form {
    /// A path from the root, or `s3://…`; with its pattern, if it has one.
    path: Said,
}

#[async_trait]
impl SourceType for Config {
    const WORD: &'static str = "files";
    const SPEC: Spec = SPEC;
    type Form = Form;

    fn read(section: &Section<'_>) -> Self {
        Config { location: Location::read(section, &PATH), interval: section.get::<Span>(&INTERVAL).0 }
    }

    fn form(&self, besides: &mut Besides<'_>) -> Form {
        let Config { location, interval: _ } = self;
        besides.add("files", location.reached());
        Form { path: Said::meaning(&location.path, &besides.normal_path(location.path.as_str())) }
    }

    fn under(Form { path }: Form, now: Option<&Self>, _: &mut Past<'_>) -> Self {
        let now = now.cloned().unwrap_or_default();
        let same = normal_path(now.location.path.as_str(), &absolute) == path.meant();
        let location = if same { now.location } else { now.location.with_path(Text::from(path)) };
        Config { location, interval: now.interval }
    }

    fn shown(&self) -> String {
        format!("files of {}", self.location.path.written())
    }

    fn described(Form { path }: &Form) -> String {
        format!("files {}", path.shown())
    }

    fn facts(Form { path }: &Form) -> Vec<Fact> {
        vec![Fact::said("path", path)]
    }

    async fn connect(&self, with: Connecting<'_>) -> Result<Arc<dyn Source>, Fatal> {
        let path = self.location.path.as_str();
        let (root, pattern) = root_and_pattern(path);
        let far = self.location.s3().is_some();
        let store = registry::store_at(&self.location, &root).await?;
        let config::Config { decode, limits, .. } = with.config;
        let options = Options {
            format: match decode.format.in_files {
                Ok(InFiles::Csv) => Format::Csv { header: decode.csv.header, delimiter: decode.csv.delimiter },
                Ok(InFiles::Parquet) => Format::Parquet,
                // The configuration refuses a format that is in no files.
                Ok(InFiles::Lines) | Err(_) => Format::Lines,
            },
            compression: match decode.compression {
                config::Packing::Auto => Compression::Auto,
                config::Packing::None => Compression::None,
                config::Packing::Gzip => Compression::Gzip,
                config::Packing::Zstd => Compression::Zstd,
            },
            record_limit: limits.record as usize,
            interval: self.interval,
            fetch: if far { FETCH_FAR } else { FETCH_NEAR },
            ..Options::new(with.bounds, with.clock.as_source())
        };
        if !far && !Path::new(&root).exists() {
            return Err(nothing_there(path).into());
        }
        Ok(Arc::new(Files::new(store, &pattern, options)?))
    }

    fn carries(&self) -> Carries {
        Carries::Files
    }

    fn location(&self) -> Option<&Location> {
        Some(&self.location)
    }

    fn kept(before: &Form, now: &Form) -> Kept {
        Kept::of(before == now, folder(before.path.meant()) == folder(now.path.meant()))
    }
}

/// The folder that a pattern is looked for in. Splits are named from there on, so that another pattern in it reads other
/// files, and none twice.
fn folder(path: &str) -> &str {
    let Some(special) = path.find(['*', '?', '[', '{']) else { return path };
    path[..special].rfind('/').map_or("", |end| path[..end].trim_end_matches('/'))
}

/// A single file is a pattern in its folder; in a bucket, where a key may be either, a path is a pattern in the bucket.
fn root_and_pattern(path: &str) -> (String, String) {
    let (root, pattern) = part(path);
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

//! A pipeline file as checked types.
//!
//! ```text
//! text → reader (TOML, places, variables, complaints) → one file per section → Config
//! ```
//!
//! Owns everything that can be found out from the file alone: spelling, types, names of columns, what goes with what. It
//! does not compile expressions and connects to nothing; what those steps find wrong is said through [`Located`] in the
//! same form. What must stay true: all that is wrong with a file is told at once, each with its place; `Debug` and every
//! message show variables by name only; the environment is what the caller says it is.

mod average;
mod balance;
mod cases;
mod cluster;
mod columns;
mod decode;
mod dedup;
mod definition;
mod epoch;
mod error;
mod expressions;
mod host;
mod key;
mod limits;
pub(crate) mod location;
mod log;
mod notify;
mod observe;
mod reader;
pub mod reference;
mod rejects;
mod scalar;
mod schema;
mod secret;
mod section;
mod sink;
mod source;
mod text;
mod units;

use std::path::Path;

pub use average::{Average, Bucket};
pub use balance::{Balance, Exchange};
pub use cases::{Case, Refused};
pub use cluster::{Auth, Cluster};
pub use decode::{Csv, Decode, Format, Packing, Registry, Written};
pub use dedup::Dedup;
pub use definition::{
    Besides, Definition, DefinitionId, Fact, Past, Said, SourceChange, absolute, came_and_went, joined, normal_path,
};
pub use epoch::Epoch;
pub use error::{ConfigError, ConfigErrors, Located};
pub use expressions::Expression;
pub use host::Host;
pub use key::{Absent, Key, Spec};
pub use limits::Limits;
pub use location::Location;
use millstream_operators::{Column, Schema};
pub use notify::{Hook, Notify};
pub use observe::Observe;
pub use scalar::{AtLeastOne, Endpoint, Fault, Moment, Rate, Scalar, Share, Words};
pub use secret::is_secret as is_secret_name;
pub use section::Section;
pub use sink::{Choice, Compression, Sink};
pub use source::{Source, TYPE as SOURCE_TYPE, read_source};
pub use text::{Env, Text};
pub use units::{Size, Span, parse_duration};

use crate::connector::kind::Carries;
use columns::Columns;
use reader::{Places, Reader};

const NAME: Key = Key::required("name", "what the pipeline is called", "articles");

/// The top of the file: its own key, and the sections that there can be.
const TOP: Spec = Spec {
    heading: "",
    what: "",
    keys: &[
        NAME,
        Key::optional("source", "", ""),
        Key::optional("decode", "", ""),
        Key::optional("schema", "", ""),
        Key::optional("validate", "", ""),
        Key::optional("enrich", "", ""),
        Key::optional("dedup", "", ""),
        Key::optional("average", "", ""),
        Key::optional("sink", "", ""),
        Key::optional("log", "", ""),
        Key::optional("rejects", "", ""),
        Key::optional("epoch", "", ""),
        Key::optional("limits", "", ""),
        Key::optional("balance", "", ""),
        Key::optional("cluster", "", ""),
        Key::optional("notify", "", ""),
        Key::optional("observe", "", ""),
        Key::optional("test", "", ""),
    ],
};

/// A pipeline file, read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub name: Text,
    pub source: Source,
    /// The columns that say where a record came from, for those who use them.
    pub origin: Vec<Column>,
    pub decode: Decode,
    /// The columns of `[schema]`.
    pub schema: Schema,
    /// The rules of `[validate]`.
    pub validate: Vec<Expression>,
    /// The columns of `[enrich]`.
    pub enrich: Vec<Expression>,
    /// Which records are left out because one like them came before.
    pub dedup: Option<Dedup>,
    pub averages: Vec<Average>,
    /// At least one.
    pub sinks: Vec<Sink>,
    /// Where the log lies, if not in the first sink.
    pub log: Option<Location>,
    /// Where rejects go.
    pub rejects: Location,
    pub epoch: Epoch,
    pub limits: Limits,
    pub balance: Balance,
    pub cluster: Cluster,
    /// Who is told of commits.
    pub notify: Option<Notify>,
    pub observe: Observe,
    /// The `[[test]]` cases.
    pub tests: Vec<Case>,
    places: Places,
    file: Located,
}

impl Config {
    /// Reads a pipeline file.
    pub fn load(path: &Path, env: Env<'_>) -> Result<Self, ConfigErrors> {
        let name = path.display().to_string();
        let file = Located { file: name.as_str().into(), ..Located::default() };
        let bytes = std::fs::read(path).map_err(|error| file.error(unreadable(&error)))?;
        let text = String::from_utf8(bytes).map_err(|_| file.error("is not UTF-8 text, as TOML is"))?;
        Self::parse(&name, &text, env)
    }

    /// Reads the text of a pipeline file that messages call `name`.
    pub fn parse(name: &str, text: &str, env: Env<'_>) -> Result<Self, ConfigErrors> {
        let reader = Reader::new(name, text.strip_prefix('\u{feff}').unwrap_or(text), env);
        let document = reader.document()?;
        let top = Section::top(&reader, &TOP, &document);
        let config = sections(&top);
        top.finish();
        let places = reader.finish()?;
        Ok(Config { places, ..config })
    }

    /// The sink that rows are taken to lie in where only one is asked for.
    pub fn first_sink(&self) -> &Sink {
        &self.sinks[0]
    }

    /// Where the log lies.
    pub fn log_location(&self) -> &Location {
        self.log.as_ref().unwrap_or(&self.first_sink().location)
    }

    /// Where a key or a section stands, for what is found wrong later: `sink.partition`, `average.0.time`, `enrich`. Where
    /// the file does not say it, the nearest that it does say.
    pub fn at(&self, path: &str) -> Located {
        if let Some(at) = self.places.get(path) {
            return at.clone();
        }
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        self.places.get(section).unwrap_or(&self.file).with_key(key)
    }
}

fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file; `millstream init` writes a first one".into(),
        _ => format!("cannot be read: {error}"),
    }
}

/// Reads section by section, columns first, because others name them.
fn sections(top: &Section<'_>) -> Config {
    let name = pipeline_name(top);
    let source = source::read(needed(top, "source", &source::SPEC));
    let origin = source.origin();
    let decode = decode::read(top.open("decode", &decode::SPEC), &source);
    let schema = schema::read(needed(top, "schema", &schema::SPEC));
    let validate = expressions::validate(top.open("validate", &expressions::VALIDATE));
    let mut columns = Columns::of(&schema, &origin);
    let enrich = expressions::enrich(top.open("enrich", &expressions::ENRICH), &mut columns);
    let dedup = dedup::read(top.open("dedup", &dedup::SPEC), &columns);
    let averages = average::read(top.open_each("average", &average::SPEC), &columns);
    let sinks = sink::read(top, &columns);
    let rejects = rejects::read(top.open("rejects", &rejects::SPEC), &sinks);
    let config = Config {
        name,
        source,
        origin,
        decode,
        tests: cases::read(top.open_each("test", &cases::SPEC), &validate, &sinks),
        epoch: epoch::read(top.open("epoch", &epoch::SPEC)),
        limits: limits::read(top.open("limits", &limits::SPEC)),
        balance: balance::read(top.open("balance", &balance::SPEC)),
        cluster: cluster::read(top.open("cluster", &cluster::SPEC)),
        notify: notify::read(top.open("notify", &notify::SPEC)),
        observe: observe::read(top.open("observe", &observe::SPEC)),
        schema,
        validate,
        enrich,
        dedup,
        averages,
        sinks,
        log: log::read(top.open("log", &log::SPEC)),
        rejects,
        places: Places::new(),
        file: top.at.clone(),
    };
    check_source(top, &config);
    config
}

/// A section that every file has.
fn needed<'a>(top: &Section<'a>, name: &str, spec: &'static Spec) -> Section<'a> {
    let section = top.open(name, spec);
    if !section.is_there() && !top.mentions(name) {
        top.reader.report(top.at.error(format!("there is no {} section: {}", spec.heading, spec.what)));
    }
    section
}

fn pipeline_name(top: &Section<'_>) -> Text {
    let Some(name) = top.optional::<Text>(&NAME) else { return Text::default() };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.as_str().is_empty() || !name.as_str().bytes().all(plain) {
        let problem = format!("{name:?} is no name for a pipeline; it may hold letters, digits, _ and -");
        top.reader.report(top.at_key(&NAME).error(problem));
    }
    name
}

/// What has to go with the source.
fn check_source(top: &Section<'_>, config: &Config) {
    let report = |path: &str, problem: &str| {
        if let Some(at) = top.reader.place(path) {
            top.reader.report(at.error(problem));
        }
    };
    if config.source.carries() == Carries::Json && config.decode.format != Format::default() {
        let word = config.source.word();
        report("decode.format", &format!("a source of type = {word:?} makes JSON; write format = \"json\""));
    }
    let location = config.source.location().filter(|location| !location.path.as_str().is_empty());
    if location.is_some_and(|read| config.sinks.iter().any(|sink| sink.location.holds(read))) {
        report("source.path", "lies in the sink: the pipeline would read what it writes; keep them apart");
    }
}

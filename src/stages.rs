//! The configuration, compiled: everything between a raw record and a file, ready to run.
//!
//! Owns the one place where names and expressions of the configuration are checked against each other. Whoever needs the
//! stages takes them from here (the pipeline, `check`, `test`, `sample`, the writing again of a lost file), so all of them
//! do the same. Compiling needs no service and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use millstream_operators::average::{AverageSpec, AverageTotals, Averager};
use millstream_operators::decode::{DecodeError, DecodeOptions, Decoder, Format, Written};
use millstream_operators::dedup::{DedupError, DedupSpec, KeyColumns, Seen};
use millstream_operators::encode::{EncodeOptions, PathLimit};
use millstream_operators::enrich::{Added, Columns, Enrich, Failure};
use millstream_operators::protocol::Place;
use millstream_operators::protocol::commit::FilteredRanges;
use millstream_operators::reject::{self, Stage};
use millstream_operators::route::{Leg, Route, Routed, Takes};
use millstream_operators::state::{Defined, Keeps};
use millstream_operators::validate::{Rule, Rules, Validate, Verdict};
use millstream_operators::{Batch, Column, Origin, RawBatch, Reserve, Unlimited};

use crate::averages::known::Known;
use crate::config::{Config, ConfigError, ConfigErrors, Sink};
use crate::expression::Expression;

mod options;
pub mod steps;

/// The stages of a pipeline.
#[derive(Clone)]
pub struct Stages {
    config: Arc<Config>,
    rules: Arc<Ruling>,
    columns: Arc<Enriching>,
    averages: Arc<[AverageSpec]>,
    dedup: Option<DedupSpec>,
    /// What each sink takes; `None`: all rows.
    filters: Arc<[Option<Arc<Expression>>]>,
    /// The columns of the origin that somebody uses.
    origin: Arc<[Column]>,
}

impl Stages {
    /// Compiles a configuration, or tells everything that is wrong with it.
    pub fn compile(config: Arc<Config>) -> Result<Self, ConfigErrors> {
        let mut errors = Vec::new();
        let decoded = with_origin(&config);
        let rules = Ruling::compile(&config, &decoded, &mut errors);
        let columns = Enriching::compile(&config, &decoded, &mut errors);
        let filters = filters(&config, &columns.schema, &mut errors);
        let origin = used_of_origin(&config, &rules, &columns, &filters).into();
        let stages = Stages {
            averages: options::averages(&config, &columns.schema, &mut errors).into(),
            dedup: config.dedup.as_ref().map(|dedup| DedupSpec { by: dedup.by.clone(), within: dedup.within }),
            rules: Arc::new(rules),
            columns: Arc::new(columns),
            filters: filters.into(),
            origin,
            config,
        };
        if errors.is_empty() {
            stages.check_the_rest(&mut errors);
        }
        if errors.is_empty() { Ok(stages) } else { Err(ConfigErrors::new(errors)) }
    }

    fn check_the_rest(&self, errors: &mut Vec<ConfigError>) {
        if let Err(error) = Decoder::new(self.decode_options()) {
            errors.push(self.wrong_decoder(&error));
        }
        for sink in &self.config.sinks {
            let options = self.data_options(sink, Arc::new(Unlimited));
            if let Err(error) = millstream_operators::encode::Encoder::new(options) {
                errors.push(self.config.at(&sink.key).error(error.to_string()));
            }
        }
    }

    /// What it was compiled from.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The columns of the origin that somebody uses.
    pub fn origin(&self) -> &[Column] {
        &self.origin
    }

    /// The averages, in the order of the file.
    pub fn averages(&self) -> &Arc<[AverageSpec]> {
        &self.averages
    }

    /// The columns of a batch once it is enriched.
    pub fn enriched(&self) -> SchemaRef {
        let columns = &self.columns.schema;
        let has = |columns: &[Column], name: &str| columns.iter().any(|column| column.name == name);
        let wanted = |field: &&Arc<Field>| has(&self.origin, field.name()) || !has(&self.config.origin, field.name());
        Arc::new(Schema::new(columns.fields().iter().filter(wanted).cloned().collect::<Vec<_>>()))
    }

    /// The sink of a place; `None` where this definition has none of that name.
    pub fn sink(&self, place: &Place) -> Option<&Sink> {
        self.config.sinks.iter().find(|sink| sink.place == *place)
    }

    /// The first sink that takes every row.
    pub fn whole_sink(&self) -> Option<&Sink> {
        self.config.sinks.iter().find(|sink| sink.filter.is_none())
    }

    /// The columns that are laid down in a sink, partition columns included, in their order.
    pub fn laid_down(&self, sink: &Sink) -> Vec<String> {
        let select = sink.select.as_ref().map(|select| {
            let kept = sink.partition.iter().filter(|name| sink.keep_partition_columns && !select.contains(name));
            select.iter().chain(kept).cloned().collect()
        });
        select.unwrap_or_else(|| {
            let names = self.columns.schema.fields().iter().map(|field| field.name().clone());
            names.filter(|name| !self.config.origin.iter().any(|column| column.name == *name)).collect()
        })
    }

    /// The averages, ready to be added up.
    pub fn averager(&self) -> Result<Averager, ConfigErrors> {
        let wrong = |error| ConfigErrors::new(vec![self.config.at("average").error(format!("{error}"))]);
        Averager::new(self.averages.to_vec(), &self.enriched()).map_err(wrong)
    }

    /// The operators that have state, with their parts as they are defined.
    pub fn operators(&self) -> Result<BTreeMap<String, Defined>, ConfigErrors> {
        let averages = Known::new(&self.averager()?).definitions();
        let keys = self.dedup.as_ref().map(DedupSpec::defined).unwrap_or_default();
        Ok(BTreeMap::from([(AverageTotals::NAME.to_owned(), averages), (Seen::NAME.to_owned(), keys)]))
    }

    /// A decoder of its own for whoever asks.
    pub fn decoder(&self) -> Result<Decoder, ConfigErrors> {
        Decoder::new(self.decode_options()).map_err(|error| self.wrong_decoder(&error).into())
    }

    fn wrong_decoder(&self, error: &DecodeError) -> ConfigError {
        let key = if let DecodeError::Written(_) = error { "decode.schema" } else { "decode" };
        self.config.at(key).error(error.to_string())
    }

    /// The rules of `[validate]`.
    pub fn validate(&self) -> Validate {
        Validate::new(Box::new(Shared(self.rules.clone())))
    }

    /// The columns of `[enrich]`.
    pub fn enrich(&self) -> Enrich {
        Enrich::new(Box::new(Shared(self.columns.clone())))
    }

    /// What leaves records out that came before; for pipelines that have it.
    pub fn dedup(&self) -> Result<KeyColumns, ConfigErrors> {
        let wrong = |error: DedupError| ConfigErrors::new(vec![self.config.at("dedup.by").error(error.to_string())]);
        KeyColumns::new(&self.dedup.clone().unwrap_or_default(), &self.enriched()).map_err(wrong)
    }

    /// What deals rows out to the sinks, in the order of the file.
    pub fn route(&self) -> Result<Route, ConfigErrors> {
        let leg = |(sink, filter): (&Sink, &Option<Arc<Expression>>)| {
            let at = || self.config.at(&format!("{}.partition", sink.key));
            let limit = PathLimit::new(&self.enriched(), &sink.partition);
            let limit = limit.map_err(|error| ConfigErrors::new(vec![at().error(error.to_string())]))?;
            let takes = filter.as_ref().map(|filter| Box::new(Shared(filter.clone())) as Box<dyn Takes>);
            Ok(Leg { place: sink.place.clone(), takes, limit })
        };
        let legs = self.config.sinks.iter().zip(self.filters.iter()).map(leg);
        Ok(Route::new(legs.collect::<Result<_, ConfigErrors>>()?))
    }

    fn decode_options(&self) -> DecodeOptions {
        options::decode(&self.config, self.origin.to_vec())
    }

    /// How the data files of a sink are laid out, for the store and the worker to be filled in.
    pub fn data_options(&self, sink: &Sink, reserve: Arc<dyn Reserve>) -> EncodeOptions {
        options::data(&self.config, sink, self.enriched(), self.laid_down(sink), reserve)
    }

    /// How rejects files are laid out.
    pub fn rejects_options(&self, reserve: Arc<dyn Reserve>) -> EncodeOptions {
        options::rejects(&self.config, reject::schema(), reserve)
    }
}

/// What becomes of a raw batch: rows that were not refused, those of each sink in the order of the file, and rejects.
pub struct Outcome {
    pub rows: Batch,
    pub sinks: Vec<(Place, Batch)>,
    pub rejects: Vec<Batch>,
}

/// The stages up to encoding as a plain function, for those who need no dataflow: `sample`, `test`, the writing again of a
/// lost file.
pub struct Through {
    decoder: Decoder,
    steps: steps::Plain,
    route: Route,
}

impl Through {
    /// The stages of a pipeline.
    pub fn new(stages: &Stages) -> Result<Self, ConfigErrors> {
        Self::behind(stages.decoder()?, stages)
    }

    /// The same for records as a person writes them: what has no text form of its own is JSON, and no id comes before it.
    pub fn by_hand(stages: &Stages) -> Result<Self, ConfigErrors> {
        let options = stages.decode_options();
        let format = if stages.config.decode.format.needs_schema() { Format::default() } else { options.format };
        let decoder = Decoder::new(DecodeOptions { format, written: Written::Plainly, ..options });
        Self::behind(decoder.map_err(|error| stages.wrong_decoder(&error))?, stages)
    }

    fn behind(decoder: Decoder, stages: &Stages) -> Result<Self, ConfigErrors> {
        Ok(Through { decoder, steps: steps::Plain::new(stages)?, route: stages.route()? })
    }

    /// Takes a raw batch through.
    pub fn apply(&mut self, raw: &Arc<RawBatch>) -> Outcome {
        self.applied(raw, None)
    }

    /// The same as it was once: what steps with state left out then is left out.
    pub fn replay(&mut self, raw: &Arc<RawBatch>, filtered_ranges: &FilteredRanges) -> Outcome {
        self.applied(raw, Some(filtered_ranges))
    }

    fn applied(&mut self, raw: &Arc<RawBatch>, filtered_ranges: Option<&FilteredRanges>) -> Outcome {
        use millstream_operators::decode::Decode;
        let decoded = self.decoder.decode(raw);
        let mut rejects = Vec::new();
        if !decoded.refused.is_empty() {
            rejects.push(reject::batch(raw, Stage::Decode, &decoded.refused));
        }
        let batch = Batch { rows: decoded.rows, origin: Origin { kept: decoded.kept, ..Origin::all(raw.clone()) } };
        let batch = self.steps.apply(batch, &mut rejects, filtered_ranges);
        let Routed { rows, legs, rejects: refused, counts: _ } = self.route.apply(batch);
        rejects.extend(refused);
        Outcome { rows, sinks: self.route.places().cloned().zip(legs).collect(), rejects }
    }
}

/// The rules of `[validate]`, compiled.
struct Ruling {
    rules: Vec<Rule>,
    expressions: Vec<Expression>,
}

impl Ruling {
    fn compile(config: &Config, schema: &SchemaRef, errors: &mut Vec<ConfigError>) -> Self {
        let mut ruling = Ruling { rules: Vec::new(), expressions: Vec::new() };
        for rule in &config.validate {
            match Expression::compile_rule(rule.sql.as_str(), schema) {
                Ok(expression) => {
                    let text = rule.sql.written().to_owned();
                    ruling.rules.push(Rule { name: rule.name.as_str().into(), text });
                    ruling.expressions.push(expression);
                }
                Err(error) => errors.push(rule.at.error(error.to_string())),
            }
        }
        ruling
    }
}

/// The `where` of each sink, compiled.
fn filters(config: &Config, schema: &SchemaRef, errors: &mut Vec<ConfigError>) -> Vec<Option<Arc<Expression>>> {
    let mut compiled = |sink: &Sink| {
        let filter = sink.filter.as_ref()?;
        match Expression::compile_rule(filter.sql.as_str(), schema) {
            Ok(expression) => Some(Arc::new(expression)),
            Err(error) => {
                errors.push(filter.at.error(error.to_string()));
                None
            }
        }
    };
    config.sinks.iter().map(&mut compiled).collect()
}

/// The columns of `[enrich]`, compiled; each may use those before it.
struct Enriching {
    names: Vec<Arc<str>>,
    expressions: Vec<Expression>,
    /// The columns once all are added, those of the origin included.
    schema: SchemaRef,
}

impl Enriching {
    fn compile(config: &Config, decoded: &SchemaRef, errors: &mut Vec<ConfigError>) -> Self {
        let mut enriching = Enriching { names: Vec::new(), expressions: Vec::new(), schema: decoded.clone() };
        for column in &config.enrich {
            match Expression::compile(column.sql.as_str(), &enriching.schema) {
                Ok(expression) => enriching.add(&column.name, expression),
                Err(error) => errors.push(column.at.error(error.to_string())),
            }
        }
        enriching
    }

    fn add(&mut self, name: &str, expression: Expression) {
        // A row whose value cannot be calculated is refused, but until then it is null here.
        self.schema = with_field(&self.schema, expression.field(name).with_nullable(true));
        self.names.push(name.into());
        self.expressions.push(expression);
    }
}

/// Lets any number of workers share what was compiled once.
struct Shared<T>(Arc<T>);

impl Rules for Shared<Ruling> {
    fn rules(&self) -> &[Rule] {
        &self.0.rules
    }

    fn check(&self, index: usize, rows: &RecordBatch) -> Verdict {
        let ruled = self.0.expressions[index].evaluate_rule(rows);
        Verdict { holds: ruled.passed, failed: ruled.failed }
    }
}

impl Takes for Shared<Expression> {
    fn check(&self, rows: &RecordBatch) -> Verdict {
        let ruled = self.0.evaluate_rule(rows);
        Verdict { holds: ruled.passed, failed: ruled.failed }
    }
}

impl Columns for Shared<Enriching> {
    fn add(&self, rows: &RecordBatch) -> Added {
        let mut failed: Vec<Failure> = Vec::new();
        let mut rows = rows.clone();
        for (name, expression) in self.0.names.iter().zip(&self.0.expressions) {
            let evaluated = expression.evaluate(&rows);
            let failure = |(row, message)| Failure { row, column: name.clone(), message };
            failed.extend(evaluated.failed.into_iter().map(failure));
            let schema = with_field(&rows.schema(), expression.field(name).with_nullable(true));
            let columns = rows.columns().iter().cloned().chain([evaluated.values]).collect();
            #[expect(clippy::expect_used, reason = "an expression gives a value of its type for every row")]
            let wider = RecordBatch::try_new(schema, columns).expect("an enriched batch fits its schema");
            rows = wider;
        }
        Added { rows, failed }
    }
}

fn with_field(schema: &SchemaRef, field: Field) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().cloned().chain([Arc::new(field)]).collect::<Vec<_>>()))
}

fn with_origin(config: &Config) -> SchemaRef {
    config.origin.iter().fold(config.schema.arrow(), |schema, column| with_field(&schema, column.field()))
}

fn used_of_origin(
    config: &Config,
    rules: &Ruling,
    columns: &Enriching,
    filters: &[Option<Arc<Expression>>],
) -> Vec<Column> {
    let filters = filters.iter().flatten().map(|filter| &**filter);
    let expressions = rules.expressions.iter().chain(&columns.expressions).chain(filters);
    let averaged = config
        .averages
        .iter()
        .flat_map(|average| average.group.iter().chain(average.time.iter()).chain(std::iter::once(&average.of)));
    let keys = config.dedup.iter().flat_map(|dedup| &dedup.by);
    let selected = config.sinks.iter().flat_map(|sink| sink.select.iter().flatten().chain(&sink.partition));
    let named: BTreeSet<&String> =
        expressions.flat_map(|expression| expression.columns()).chain(selected).chain(averaged).chain(keys).collect();
    config.origin.iter().filter(|column| named.contains(&column.name)).cloned().collect()
}

//! Averages as the log writes them down, and as the dataflow keeps them: the same numbers in two forms.
//!
//! In the dataflow a key has the index of its average and a sum in whole units; in a commit both have a form that outlives
//! a change of the configuration. What must stay true: either form turns into the other and back without loss.

use millstream_operators::average::{
    AverageId, AverageKey, AverageSpec, AverageTotals, Averager, Bucket, Change, Total, Totals, Unit, keep,
    start_of_text,
};
use millstream_operators::state::Defined;

/// The averages of a pipeline, with the units that their sums are counted in.
#[derive(Clone, Debug, Default)]
pub struct Known(Vec<(AverageSpec, Unit)>);

impl Known {
    /// Those of an averager, in its order.
    pub fn new(averager: &Averager) -> Self {
        Known(averager.specs().map(|(spec, unit)| (spec.clone(), unit)).collect())
    }

    /// The average of that name, and its unit.
    pub fn named(&self, name: &str) -> Option<&(AverageSpec, Unit)> {
        self.0.iter().find(|(spec, _)| spec.name == name)
    }

    /// The columns that a key is grouped by.
    pub fn columns(&self, key: &AverageKey) -> Vec<String> {
        self.0[usize::from(key.average)].0.group.clone()
    }

    /// The averages by name, as they are defined: what changes one changes its text.
    pub fn definitions(&self) -> Defined {
        self.0.iter().map(|(spec, _)| (spec.name.clone(), definition(spec))).collect()
    }

    /// Whether the pipeline keeps any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What an epoch changed, as the log writes it down.
    pub fn written(&self, change: &Change) -> (AverageId, Total) {
        let (spec, unit) = &self.0[usize::from(change.key.average)];
        let id = AverageId {
            average: spec.name.clone(),
            by: change.key.by.name().to_owned(),
            from: change.key.from_text(),
            group: change.key.group.clone(),
        };
        (id, Total { sum: unit.text(change.sum), count: change.count })
    }

    /// The totals of the log that this pipeline still keeps, as the dataflow takes them.
    pub fn restored(&self, totals: &AverageTotals) -> Vec<(AverageKey, Totals)> {
        totals.iter().filter_map(|(id, total)| self.read(&id, &total)).collect()
    }

    /// The same one after the other: what was taken from the iterator is held no longer.
    pub fn into_restored(self, totals: AverageTotals) -> impl Iterator<Item = (AverageKey, Totals)> + 'static {
        totals.into_iter().filter_map(move |(id, total)| self.read(&id, &total))
    }

    /// How long the buckets of each average are kept, in microseconds: those alone that are not kept for ever.
    pub fn keeps(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().filter_map(|(spec, _)| Some((spec.name.as_str(), spec.keep?)))
    }

    fn read(&self, id: &AverageId, total: &Total) -> Option<(AverageKey, Totals)> {
        let average = self.0.iter().position(|(spec, _)| spec.name == id.average)?;
        let (spec, unit) = &self.0[average];
        let by = Bucket::from_name(&id.by).filter(|by| spec.by.contains(by))?;
        let from = match &id.from {
            None => 0,
            Some(from) => start_of_text(from)?,
        };
        let key = AverageKey { average: u16::try_from(average).ok()?, by, from, group: id.group.clone() };
        Some((key, (unit.parse(&total.sum)?, total.count)))
    }

    /// Whether this pipeline has the average of that bucket.
    pub fn has(&self, id: &AverageId) -> bool {
        self.named(&id.average).is_some_and(|(spec, _)| spec.by.iter().any(|by| by.name() == id.by))
    }

    /// The mean of a total, where this pipeline keeps its average.
    pub fn mean(&self, id: &AverageId, total: &Total) -> Option<f64> {
        let (_, (sum, count)) = self.read(id, total)?;
        let (_, unit) = self.named(&id.average)?;
        Some(unit.mean(sum, count))
    }
}

fn definition(spec: &AverageSpec) -> String {
    let by: Vec<&str> = spec.by.iter().map(|by| by.name()).collect();
    let time = spec.time.as_deref().unwrap_or("");
    let text = format!("of {} by {} time {time} group {}", spec.of, by.join(","), spec.group.join(","));
    keep::stated(&text, spec.keep)
}

//! The table of the steps between decoding and the sinks.
//!
//! The dataflow, the plain function behind `test`, `sample` and replay, `plan`, and the picture in the documentation are all made from
//! [`STEPS`]. What must stay true: a step does the same in the dataflow and as a plain function.

use millstream_operators::Batch;
use millstream_operators::dedup::{KeyColumns, Owner, remove_filtered};
use millstream_operators::enrich::Enrich;
use millstream_operators::protocol::commit::FilteredRanges;
use millstream_operators::validate::Validate;

use super::Stages;
use crate::config::{Config, ConfigErrors};

/// A row of the table.
pub struct StepSpec {
    pub name: &'static str,
    /// Whether it can reject rows.
    pub refuses: bool,
    /// A description for `plan`; `None` if the pipeline does not have the step.
    pub does: fn(&Config) -> Option<String>,
    make: fn(&Stages) -> Result<Step, ConfigErrors>,
}

/// All steps, in order.
pub static STEPS: [StepSpec; 3] = [
    StepSpec {
        name: "validate",
        refuses: true,
        does: |config| Some(names(config.validate.iter().map(|rule| rule.name.as_str()))),
        make: |stages| Ok(Step::Validate(stages.validate())),
    },
    StepSpec {
        name: "enrich",
        refuses: true,
        does: |config| Some(names(config.enrich.iter().map(|column| column.name.as_str()))),
        make: |stages| Ok(Step::Enrich(stages.enrich())),
    },
    StepSpec {
        name: "dedup",
        refuses: false,
        does: |config| {
            let dedup = config.dedup.as_ref()?;
            Some(format!("the first by {} within {} days", dedup.by.join(", "), dedup.within))
        },
        make: |stages| stages.dedup().map(Step::Dedup),
    },
];

/// The flow of a pipeline that has every step, as `docs/flow.md` shows it; `MILLSTREAM_WRITE_DOCS=1 cargo test --workspace
/// --test docs` writes it there.
pub fn picture() -> String {
    let (mut names, mut refusing) = (vec!["ingest", "decode"], vec!["decode"]);
    for step in &STEPS {
        names.push(step.name);
        refusing.extend(step.refuses.then_some(step.name));
    }
    names.push("route");
    let middle = |name: &str| {
        let before = names.iter().take_while(|known| **known != name).map(|name| name.len() + ARROW.chars().count());
        before.sum::<usize>() + name.len() / 2
    };
    let (down, last) = (middle("ingest"), middle("route"));
    let branch = names.iter().map(|name| name.len() + ARROW.chars().count()).sum::<usize>() - 1;
    let line = |put: &[(usize, char)], fill: &[(usize, usize)]| -> String {
        let end = put.iter().map(|(at, _)| *at).max().unwrap_or(0);
        let filled = |at: usize| fill.iter().any(|(from, to)| (*from..*to).contains(&at));
        let letter = |at: usize| {
            let put = put.iter().find(|(place, _)| *place == at).map(|(_, letter)| *letter);
            put.unwrap_or(if filled(at) { '─' } else { ' ' })
        };
        (0..=end).map(letter).collect()
    };
    let mut rejects: Vec<(usize, char)> = refusing.iter().map(|name| (middle(name), '┴')).collect();
    rejects[0].1 = '└';
    let first = rejects[0].0;
    rejects.extend([(down, '│'), (last, '┤')]);
    // Where all that goes to the commit comes together.
    let meet = branch + SINKS.chars().count() + 3;
    let to_commit = |begin: String, text: &str, at: char| {
        let begin = format!("{begin}{text} ");
        let rest = "─".repeat(meet.saturating_sub(begin.chars().count()));
        format!("{begin}{rest}{at}")
    };
    let lines = [
        to_commit(format!("{} ─", names.join(ARROW)), &format!("┬{SINKS}"), '┐'),
        to_commit(format!("{}{}├", line(&rejects, &[(first, last)]), " ".repeat(branch - last - 1)), "→ average", '┤'),
        to_commit(
            format!("{}{}└", line(&[(down, '│'), (last, '│')], &[]), " ".repeat(branch - last - 1)),
            "→ counts",
            '┼',
        ) + "→ commit → publish → followers",
        to_commit(line(&[(down, '│'), (last, '└')], &[]), "→ rejects: encode → stage", '┤'),
        to_commit(line(&[(down, '└'), (meet / 2 - 4, '─')], &[(down, meet / 2)]), " progress", '┘'),
    ];
    format!("```text\n{}\n```\n", lines.join("\n"))
}

const ARROW: &str = " → ";
const SINKS: &str = "→ per sink: encode → stage";

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "nothing to do".to_owned() } else { names.join(", ") }
}

/// A compiled step.
pub enum Step {
    Validate(Validate),
    Enrich(Enrich),
    Dedup(KeyColumns),
}

/// The steps of a pipeline.
pub fn of(stages: &Stages) -> Result<Vec<Step>, ConfigErrors> {
    let there = STEPS.iter().filter(|entry| (entry.does)(stages.config()).is_some());
    there.map(|entry| (entry.make)(stages)).collect()
}

/// The steps as a plain function.
pub(super) struct Plain {
    steps: Vec<PlainStep>,
}

enum PlainStep {
    Validate(Validate),
    Enrich(Enrich),
    /// With the keys seen so far.
    Dedup(KeyColumns, Owner),
}

impl Plain {
    pub(super) fn new(stages: &Stages) -> Result<Self, ConfigErrors> {
        let plain = |step| match step {
            Step::Validate(validate) => PlainStep::Validate(validate),
            Step::Enrich(enrich) => PlainStep::Enrich(enrich),
            Step::Dedup(dedup) => {
                let owner = Owner::new(dedup.within);
                PlainStep::Dedup(dedup, owner)
            }
        };
        Ok(Plain { steps: of(stages)?.into_iter().map(plain).collect() })
    }

    /// Applies all steps. With `filtered_ranges`, stateful steps repeat the decisions of that commit instead of deciding again.
    pub(super) fn apply(
        &mut self,
        mut batch: Batch,
        rejects: &mut Vec<Batch>,
        filtered_ranges: Option<&FilteredRanges>,
    ) -> Batch {
        for step in &mut self.steps {
            let refused;
            (batch, refused) = match (step, filtered_ranges) {
                (PlainStep::Validate(validate), _) => validate.apply(batch),
                (PlainStep::Enrich(enrich), _) => enrich.apply(batch),
                (PlainStep::Dedup(..), Some(filtered_ranges)) => (remove_filtered(batch, filtered_ranges), None),
                (PlainStep::Dedup(dedup, owner), None) => (dedup.apply(owner, batch), None),
            };
            rejects.extend(refused);
        }
        batch
    }
}

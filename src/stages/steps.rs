//! The steps that rows go through between decoding and the sinks: the one table of them.
//!
//! The dataflow, the plain function behind `test`, `sample` and the writing again of lost files, `plan` and the picture in the
//! documentation are all made from [`TABLE`]. What must stay true: a step does to a row as a plain function what it does in the
//! dataflow.

use millstream_operators::Batch;
use millstream_operators::dedup::{Dedup, Owner, without_left_out};
use millstream_operators::enrich::Enrich;
use millstream_operators::protocol::commit::LeftOut;
use millstream_operators::validate::Validate;

use super::Stages;
use crate::config::{Config, ConfigErrors};

/// A step as the table has it.
pub struct Entry {
    pub name: &'static str,
    /// Whether it refuses rows.
    pub refuses: bool,
    /// What it does in a pipeline; `None`: the pipeline does not have it.
    pub does: fn(&Config) -> Option<String>,
    make: fn(&Stages) -> Result<Step, ConfigErrors>,
}

/// All steps, in their order.
pub static TABLE: [Entry; 3] = [
    Entry {
        name: "validate",
        refuses: true,
        does: |config| Some(names(config.validate.iter().map(|rule| rule.name.as_str()))),
        make: |stages| Ok(Step::Validate(stages.validate())),
    },
    Entry {
        name: "enrich",
        refuses: true,
        does: |config| Some(names(config.enrich.iter().map(|column| column.name.as_str()))),
        make: |stages| Ok(Step::Enrich(stages.enrich())),
    },
    Entry {
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
    for step in &TABLE {
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

/// A step, ready to work.
pub enum Step {
    Validate(Validate),
    Enrich(Enrich),
    Dedup(Dedup),
}

/// The steps of a pipeline.
pub fn of(stages: &Stages) -> Result<Vec<Step>, ConfigErrors> {
    let there = TABLE.iter().filter(|entry| (entry.does)(stages.config()).is_some());
    there.map(|entry| (entry.make)(stages)).collect()
}

/// The steps as a plain function.
pub(super) struct Plain {
    steps: Vec<PlainStep>,
}

enum PlainStep {
    Validate(Validate),
    Enrich(Enrich),
    /// Knows the records that it has met.
    Dedup(Dedup, Owner),
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

    /// Takes a batch through. `left_out`: what steps with state left out then, where they are not to decide anew.
    pub(super) fn apply(&mut self, mut batch: Batch, rejects: &mut Vec<Batch>, left_out: Option<&LeftOut>) -> Batch {
        for step in &mut self.steps {
            let refused;
            (batch, refused) = match (step, left_out) {
                (PlainStep::Validate(validate), _) => validate.apply(batch),
                (PlainStep::Enrich(enrich), _) => enrich.apply(batch),
                (PlainStep::Dedup(..), Some(left_out)) => (without_left_out(batch, left_out), None),
                (PlainStep::Dedup(dedup, owner), None) => (dedup.apply(owner, batch), None),
            };
            rejects.extend(refused);
        }
        batch
    }
}

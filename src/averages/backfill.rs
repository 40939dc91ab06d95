//! An average that is new to a pipeline starts with what is already committed.
//!
//! What must stay true is that averages equal a recount of the committed files. So a start that finds an average whose totals
//! the log does not have, or that is defined otherwise than the log says, counts the committed files once, each with the
//! definition in force when it was written, and commits what that came to before anything is read.

use std::collections::{BTreeMap, BTreeSet};

use millstream_operators::average::keep::{Redefined, redefined};
use millstream_operators::average::{AverageId, AverageTotals, Total};
use millstream_operators::protocol::{Commit, State};
use millstream_operators::state::{Defined, Entries, Keeps, OperatorState};

use crate::averages::recount::Recount;
use crate::clock::Clock;
use crate::connector::StoreError;
use crate::exit::Fatal;
use crate::log::append::{Appended, Large, append_with};
use crate::log::claim::Claimant;
use crate::log::data_files::{Downloaded, download, for_each_batch};
use crate::log::verify::Facts;
use crate::log::{Places, read};
use crate::stages::Stages;

/// Counts what is committed for averages that are new, and commits it; `state` is taken on.
pub async fn backfill(
    stages: &Stages,
    places: &Places,
    who: &Claimant,
    state: &mut State,
    clock: &Clock,
) -> Result<(), Fatal> {
    let Some(now) = who.operators.get(AverageTotals::NAME) else { return Ok(()) };
    let before = state.operators.defined::<AverageTotals>();
    let changed = now.iter().filter(|(name, definition)| before.get(*name) != Some(definition));
    let defined: Defined = changed.map(|(name, text)| (name.clone(), text.clone())).collect();
    if defined.is_empty() {
        return Ok(());
    }
    let goes_on = |name: &String, text: &String| {
        before.get(name).is_some_and(|before| redefined(before, text) == Redefined::KeepsLess)
    };
    let counted = defined.iter().filter(|(name, text)| !goes_on(name, text));
    let names: BTreeSet<String> = counted.map(|(name, _)| name.clone()).collect();
    let mut totals = BTreeMap::new();
    if !names.is_empty() {
        totals = recount(stages, places, state.commit, &names).await?;
        tracing::info!(?names, "averages are new or changed: what is committed was counted for them");
    }
    let mut commit = Commit {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        writer: who.writer.clone(),
        at: clock.text(),
        published: state.commit,
        ..state.next()
    };
    let entries = Some(Entries::new(totals.into_iter().collect::<AverageTotals>()));
    *commit.state.of(AverageTotals::NAME) = OperatorState { defined, entries, ..OperatorState::default() };
    let bytes = match append_with(&*places.log, &mut commit, Large::default()).await? {
        Appended::Ours(bytes) => bytes,
        Appended::Theirs(theirs) => {
            let (store, ours) = (places.log.name().to_owned(), state.generation);
            return Err(Fatal::Fenced { store, commit: theirs.commit, ours, theirs: theirs.generation });
        }
    };
    state.apply(&commit, bytes).map_err(|broken| Fatal::Log(broken.to_string()))?;
    state.published = state.commit;
    Ok(())
}

async fn recount(
    stages: &Stages,
    places: &Places,
    last: u64,
    names: &BTreeSet<String>,
) -> Result<BTreeMap<AverageId, Total>, Fatal> {
    let store = &*places.log;
    let mut facts = Facts::new(stages);
    facts.take_in(store, read::stream(store, 1, last).await?).await?;
    let mut recount = Recount::new(stages, Some(names));
    for (place, path, named) in facts.named() {
        if place.is_rejects() {
            continue;
        }
        let then = facts.stages_of(&place, &path, named.commit)?;
        if let Some(layout) = recount.layout_of(&then, &place) {
            match download(&**places.of(&place)?, &path).await {
                Ok(Downloaded { file, .. }) => for_each_batch(file, |batch| recount.add(&path, &layout, batch))
                    .map(drop)
                    .map_err(|problem| Fatal::Log(format!("{path}: {problem}")))?,
                // A file that somebody removed is for `verify` and `repair` to report; it holds nobody up.
                Err(Fatal::Store(StoreError::Missing { .. })) => {
                    tracing::warn!(path, "a committed file is gone; its rows are not in the new averages");
                }
                Err(fatal) => return Err(fatal),
            }
        }
    }
    let uncountable = recount.uncountable().clone();
    if !uncountable.is_empty() {
        tracing::warn!(?uncountable, "some files do not hold what these averages need; they count from here on");
    }
    let mut totals = recount.totals();
    totals.retain(|id, _| !uncountable.contains(&id.average));
    Ok(totals)
}

//! An average that is new to a pipeline starts with what is already committed.
//!
//! What must stay true is that averages equal a recount of the committed files. So a start that finds an average of which
//! the log says nothing, or that is defined otherwise than the log says, counts the committed files once, and commits what
//! that came to before anything is read. An average whose columns are not laid down cannot be counted so; it counts from here on.

use std::collections::BTreeMap;

use millstream_operators::protocol::check::Checker;
use millstream_operators::protocol::recover::Place;
use millstream_operators::protocol::{AverageId, Commit, State, Total};

use crate::clock::Clock;
use crate::exit::Fatal;
use crate::log::append::{Appended, append};
use crate::log::claim::Claimant;
use crate::log::recount::Recount;
use crate::log::{Places, read, verify};
use crate::stages::Stages;

/// Counts what is committed for averages that are new, and commits it; `state` is taken on.
pub async fn backfill(
    stages: &Stages,
    places: &Places,
    who: &Claimant,
    state: &mut State,
    clock: &Clock,
) -> Result<(), Fatal> {
    let defined = who.averages.iter().filter(|(name, definition)| state.kept.get(*name) != Some(definition));
    let kept: BTreeMap<String, String> = defined.map(|(name, text)| (name.clone(), text.clone())).collect();
    if kept.is_empty() {
        return Ok(());
    }
    let mut totals = recount(stages, places, state.commit).await?;
    totals.retain(|id, _| kept.contains_key(&id.average));
    let names: Vec<&String> = kept.keys().collect();
    tracing::info!(?names, "averages are new or changed: what is committed was counted for them");
    let commit = Commit {
        commit: state.commit + 1,
        generation: state.generation,
        writer: who.writer.clone(),
        pipeline: who.pipeline.clone(),
        at: clock.text(),
        epoch: state.epoch,
        published: state.commit,
        snapshot: state.snapshot.clone(),
        kept,
        averages: totals.into_iter().collect(),
        ..Commit::default()
    };
    if let Appended::Theirs(theirs) = append(&*places.data, &commit).await? {
        let (store, ours) = (places.data.name().to_owned(), state.generation);
        return Err(Fatal::Fenced { store, commit: theirs.commit, ours, theirs: theirs.generation });
    }
    state.apply(&commit, commit.to_bytes().len() as u64).map_err(|broken| Fatal::Log(broken.to_string()))?;
    state.published = state.commit;
    Ok(())
}

async fn recount(stages: &Stages, places: &Places, last: u64) -> Result<BTreeMap<AverageId, Total>, Fatal> {
    let mut checker = Checker::default();
    for number in 1..=last {
        checker.commit(&read::commit(&*places.data, number).await?.0);
    }
    let mut recount = Recount::new(stages);
    for (place, path, _) in checker.named() {
        if place == Place::Data {
            let (file, _, _) = verify::spool(&*places.data, path).await?;
            verify::count(file, path, Some(&mut recount))
                .map_err(|problem| Fatal::Log(format!("{path}: {problem}")))?;
        }
    }
    Ok(recount.totals())
}

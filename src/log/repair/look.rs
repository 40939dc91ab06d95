//! Looking for what is wrong: first whether the log is whole, then whether it is this pipeline's, then whether the files are
//! as it says.
//!
//! No file is read, only listed: `verify` is for their contents.

use std::collections::{BTreeMap, BTreeSet};

use millstream_operators::protocol::commit::Lost;
use millstream_operators::protocol::damage::{Beginning, Damage, Witnesses};
use millstream_operators::protocol::recover::{Unfinished, to_finish};
use millstream_operators::protocol::{Place, State};

use super::{Choice, Finding, Offer, Problem, Report, aside};
use crate::connector::Store;
use crate::connector::store::Entry;
use crate::exit::Fatal;
use crate::log::claim::Claimant;
use crate::log::fold::Folds;
use crate::log::verify::Facts;
use crate::log::{Places, neighbours, read};
use crate::retry::patiently;
use crate::stages::Stages;

/// Looks for everything that is wrong.
pub async fn look(places: &Places, stages: &Stages, who: &Claimant) -> Result<Report, Fatal> {
    let store = &*places.log;
    if let Some(problem) = damage(store).await? {
        return Ok(Report::new(vec![problem]));
    }
    let last = read::end(store).await?;
    if last == 0 {
        let strays = neighbours::check_no_strays(store, None).await;
        return Ok(Report::new(settle(strays)?.into_iter().collect()));
    }
    let state = read::state(store, last).await?;
    let mut problems: Vec<Problem> = settle(who.check(store, &state).map(drop))?.into_iter().collect();
    problems.extend(files(places, stages, &state).await?);
    Ok(Report::new(problems))
}

/// What a start would end with is a problem that the user settles.
fn settle(checked: Result<(), Fatal>) -> Result<Option<Problem>, Fatal> {
    match checked {
        Ok(()) => Ok(None),
        Err(Fatal::Usage(what) | Fatal::Log(what)) => {
            Ok(Some(Problem { what, blocks: true, choices: Vec::new(), finding: Finding::Theirs }))
        }
        Err(fatal) => Err(fatal),
    }
}

fn by_hand(says: impl Into<String>) -> Offer {
    Offer { choice: None, says: says.into() }
}

fn offer(choice: Choice, says: impl Into<String>) -> Offer {
    Offer { choice: Some(choice), says: says.into() }
}

/// What is wrong with the log itself.
async fn damage(store: &dyn Store) -> Result<Option<Problem>, Fatal> {
    let witnesses = read::witnesses(store).await?;
    let there = aside::commits(store).await?;
    match witnesses.conclude() {
        Ok(Beginning::Empty) => Ok(None),
        Err(Damage::Start { first }) => Ok(Some(beheaded(store, first, &there).await?)),
        Err(damage) => Ok(Some(torn(damage.to_string(), end_of_first_run(&there, witnesses.folded)))),
        Ok(Beginning::From(_)) => torn_within(store, &there, witnesses).await,
    }
}

/// The last commit of the unbroken row that begins behind the folded ones.
fn end_of_first_run(there: &[u64], folded: u64) -> u64 {
    there.iter().filter(|number| **number > folded).fold(folded, |last, number| last + u64::from(*number == last + 1))
}

fn torn(what: String, whole: u64) -> Problem {
    let rolled = format!(
        "goes on from commit {whole}, the last whole one: later commits and their files are moved to .millstream/aside, and \
         their records are read again. Records that the source no longer holds end the next start with exit code 4"
    );
    let back = by_hand("put the missing objects back into .millstream, from an older version or a backup");
    let choices = vec![back, offer(Choice::RollBack, rolled)];
    Problem { what, blocks: true, choices, finding: Finding::Torn { whole } }
}

async fn beheaded(store: &dyn Store, first: u64, there: &[u64]) -> Result<Problem, Fatal> {
    let what = Damage::Start { first }.to_string();
    let back = by_hand("put the missing objects back into .millstream, from an older version or a backup");
    let next = there.iter().find(|number| **number >= first).copied();
    let covered = match there.last() {
        Some(last) => read::covered(store, *last).await.unwrap_or(0),
        None => 0,
    };
    let Some(next) = next.filter(|next| covered + 1 >= *next) else {
        let else_ = by_hand("no snapshot covers them, so nothing tells how far was read: choose another [sink] path");
        return Ok(Problem { what, blocks: true, choices: vec![back, else_], finding: Finding::Theirs });
    };
    let says = format!(
        "goes on without commits {first} to {}: the snapshot of commit {covered} tells how far was read. Files that they named \
         are taken as they lie there, and `files` and `epochs` no longer list them",
        next - 1
    );
    let choices = vec![back, offer(Choice::AcceptMissing, says)];
    Ok(Problem { what, blocks: true, choices, finding: Finding::Beheaded { first: next } })
}

/// A log whose ends are there may have a gap, or a commit that cannot be read.
async fn torn_within(store: &dyn Store, there: &[u64], witnesses: Witnesses) -> Result<Option<Problem>, Fatal> {
    let whole = end_of_first_run(there, witnesses.folded);
    if there.last().is_some_and(|last| *last > whole) {
        return Ok(Some(torn(Damage::Gap { commit: whole + 1 }.to_string(), whole)));
    }
    let covered = read::covered(store, whole).await.unwrap_or(witnesses.folded);
    for number in covered.max(witnesses.folded + 1)..=whole {
        match read::commit(store, number).await {
            Ok(_) => {}
            Err(Fatal::Log(what)) => return Ok(Some(torn(what, number - 1))),
            Err(fatal) => return Err(fatal),
        }
    }
    Ok(None)
}

/// What lies in a store, by key.
async fn listed(store: &dyn Store) -> Result<BTreeMap<String, Entry>, Fatal> {
    let entries = patiently(|| store.list("")).await?;
    Ok(entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect())
}

async fn files(places: &Places, stages: &Stages, state: &State) -> Result<Vec<Problem>, Fatal> {
    let store = &*places.log;
    let mut facts = Facts::new(stages);
    facts.take_in(store, read::stream(store, 1, state.commit).await?).await?;
    let commits = read::commits(store, state.published.max(Folds::read(store).await?.upto()) + 1, state.commit).await?;
    let unfinished = to_finish(&commits);
    let open: BTreeSet<(&Place, &str)> = unfinished.iter().map(|file| (&file.place, file.file.path.as_str())).collect();
    let mut problems = Vec::new();
    for (within_it, within) in places.folders() {
        let there = listed(&**within).await?;
        for file in unfinished.iter().filter(|file| within_it.contains(&&file.place)) {
            problems.extend(unpublished(&**within, file, there.get(&file.file.path)).await?);
        }
        for (place, path, named) in facts.checker.named().filter(|(place, _, _)| within_it.contains(place)) {
            if !there.contains_key(path) && !open.contains(&(place, path)) {
                let lost = Lost { place: place.clone(), commit: named.commit, path: path.to_owned(), rows: named.rows };
                problems.push(removed(lost));
            }
        }
        for key in neighbours::ours(&there, state.log) {
            let place = &facts.checker.place_of(&within_it, key);
            let excused = facts.checker.may_be_of_a_missing_commit(place, key);
            if let Some(what) = facts.checker.visible_problem(place, key).filter(|_| !excused) {
                problems.push(stray(place, key, what, false));
            }
        }
    }
    Ok(problems)
}

/// A file that is committed and may not be visible yet.
async fn unpublished(store: &dyn Store, file: &Unfinished, found: Option<&Entry>) -> Result<Option<Problem>, Fatal> {
    let Unfinished { commit, place, file } = file;
    if let Some(found) = found {
        let same = found.size == file.bytes && found.crc.is_none_or(|crc| format!("{crc:016x}") == file.crc);
        let what = format!("{}: something else than the file that commit {commit} names lies there", file.path);
        return Ok((!same).then(|| stray(place, &file.path, what, true)));
    }
    let uploads = patiently(|| store.uploads(&file.path)).await?;
    if uploads.iter().any(|upload| upload.id == file.upload) {
        return Ok(None);
    }
    let what = format!(
        "{}: commit {commit} names it with {} rows, and its upload was lost before it became visible",
        file.path, file.rows
    );
    let again =
        by_hand("start the pipeline: it reads the records again and writes the file; the source must be as it was");
    let lost = Lost { place: place.clone(), commit: *commit, path: file.path.clone(), rows: file.rows };
    let choices = vec![again, accept(&lost)];
    Ok(Some(Problem { what, blocks: true, choices, finding: Finding::Lost(lost) }))
}

fn accept(lost: &Lost) -> Offer {
    offer(
        Choice::AcceptLoss,
        format!("records in the log that its {} rows are lost; shown by epochs and verify for ever", lost.rows),
    )
}

fn removed(lost: Lost) -> Problem {
    let what = format!("{}: commit {} published it with {} rows, and it is gone", lost.path, lost.commit, lost.rows);
    let choices = vec![by_hand("put the file back where it was"), accept(&lost)];
    Problem { what, blocks: false, choices, finding: Finding::Lost(lost) }
}

fn stray(place: &Place, key: &str, what: String, blocks: bool) -> Problem {
    let choices = vec![
        by_hand("move it away"),
        offer(Choice::SetAside, "moves it to .millstream/aside, where no reader of Parquet files finds it"),
    ];
    Problem { what, blocks, choices, finding: Finding::Stray { place: place.clone(), key: key.to_owned() } }
}

//! Each step of the protocol is on disk before the next one begins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::trace::{Call, Event, traced};
use crate::whole::input::Input;
use crate::whole::oracle::Expected;

/// A trace, and the questions that are asked of it.
struct Trace {
    events: Vec<Event>,
}

/// A file that a commit names.
struct File {
    staged: PathBuf,
    visible: PathBuf,
}

struct Commit {
    files: Vec<File>,
    /// Commits up to this one it takes for published.
    published: u64,
    /// When it was given its number.
    named: Event,
}

impl Trace {
    fn naming(&self, path: &Path) -> &Event {
        let is_it = |event: &&Event| matches!(&event.call, Call::Named { to, .. } if to == path);
        self.events.iter().find(is_it).unwrap_or_else(|| panic!("nothing gave {} its name", path.display()))
    }

    /// Whether `path` is synced from first to last within these lines.
    fn is_synced(&self, path: &Path, after: usize, before: usize) -> bool {
        let synced = Call::Synced(path.to_owned());
        self.events.iter().any(|event| event.call == synced && event.began > after && event.ended < before)
    }

    /// The line at which the last write to `path` ended.
    fn written(&self, path: &Path) -> usize {
        let writes = self.events.iter().filter(|event| event.call == Call::Written(path.to_owned()));
        writes.map(|event| event.ended).max().unwrap_or_else(|| panic!("{} was never written", path.display()))
    }

    fn made(&self, path: &Path) -> usize {
        let made = self.events.iter().find(|event| event.call == Call::Made(path.to_owned()));
        made.unwrap_or_else(|| panic!("{} was never made", path.display())).ended
    }

    /// Fails unless the bytes of a file are on disk before `before`.
    fn bytes_are_safe(&self, path: &Path, before: usize) {
        let written = self.written(path);
        assert!(
            self.is_synced(path, written, before),
            "{} is not synced between {written} and {before}",
            path.display()
        );
    }

    /// Fails unless all folders that lead from the root to `path` are synced between `after` and `before`.
    fn name_is_safe(&self, root: &Path, path: &Path, after: usize, before: usize) {
        for folder in path.ancestors().skip(1).take_while(|folder| folder.starts_with(root)) {
            let (folder_name, path) = (folder.display(), path.display());
            let synced = self.is_synced(folder, after, before);
            assert!(synced, "{folder_name}, which names {path}, is not synced between {after} and {before}");
        }
    }
}

fn commits(trace: &Trace, out: &Path) -> BTreeMap<u64, Commit> {
    let rejects = PathBuf::from(format!("{}-rejects", out.display()));
    let mut commits = BTreeMap::new();
    for entry in std::fs::read_dir(out.join(".millstream/commits")).unwrap() {
        let path = entry.unwrap().path();
        let commit: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let mut files = Vec::new();
        for (root, list) in [(out, "files"), (&rejects, "rejects")] {
            for file in commit[list].as_array().into_iter().flatten() {
                let (key, upload) = (file["path"].as_str().unwrap(), file["upload"].as_str().unwrap());
                let staged = root.join(format!(".millstream/staged/{key}.{upload}"));
                files.push(File { staged, visible: root.join(key) });
            }
        }
        let (number, published) = (commit["commit"].as_u64().unwrap(), commit["published"].as_u64().unwrap());
        commits.insert(number, Commit { files, published, named: trace.naming(&path).clone() });
    }
    commits
}

fn root_of<'a>(path: &Path, out: &'a Path, rejects: &'a Path) -> &'a Path {
    if path.starts_with(out) { out } else { rejects }
}

#[tokio::test]
async fn every_step_is_on_disk_before_the_next() {
    let (mut pipeline, mut input) = Input::with_pipeline("durability", false).await;
    for records in [200, 150, 180, 160] {
        input.add_file(records);
    }
    let (ended, events) = traced(&pipeline, 2, &[]).await;
    ended.with(0);
    pipeline.check(&Expected::of_folder(&input.folder)).await;

    let out = PathBuf::from(pipeline.sink.path());
    let rejects = PathBuf::from(format!("{}-rejects", out.display()));
    let trace = Trace { events };
    let commits = commits(&trace, &out);
    let (mut data_files, mut reject_files) = (0, 0);
    for (number, commit) in &commits {
        let Call::Named { from, to } = &commit.named.call else { unreachable!() };
        // The commit's bytes before its number, and its number before anything that is built on it.
        trace.bytes_are_safe(from, commit.named.began);
        let next = commits.get(&(number + 1)).map(|next| next.named.began);
        let shown = commit.files.iter().map(|file| trace.naming(&file.visible).began).min();
        let built_on = next.into_iter().chain(shown).min().unwrap_or(usize::MAX);
        trace.name_is_safe(&out, to, commit.named.ended, built_on);
        // The number of the first commit that takes this one for published.
        let relied_on =
            commits.values().filter(|later| later.published >= *number).map(|later| later.named.began).min();
        for file in &commit.files {
            let root = root_of(&file.visible, &out, &rejects);
            *if root == out { &mut data_files } else { &mut reject_files } += 1;
            // What a commit names before the commit: bytes, and the folders that lead to them.
            trace.bytes_are_safe(&file.staged, commit.named.began);
            trace.name_is_safe(root, &file.staged, trace.made(&file.staged), commit.named.began);
            // It shows after its commit, and is there to stay before anybody relies on it.
            let shown = trace.naming(&file.visible);
            assert!(shown.began > commit.named.ended, "{} shows too early", file.visible.display());
            trace.name_is_safe(root, &file.visible, shown.ended, relied_on.unwrap_or(usize::MAX));
        }
    }
    assert!(commits.len() > 2 && data_files > 1 && reject_files > 0, "too little happened to prove anything");
}

//! `[rejects]`: where refused records go. They are reached as the sink is.

use super::key::{Key, Spec};
use super::location::{Location, is_bucket};
use super::section::Section;
use super::sink::Sink;
use super::text::Text;

const PATH: Key = Key::optional(
    "path",
    "a folder, or s3://bucket/prefix; by default the path of the first sink with -rejects behind it",
    "out-rejects",
);

pub(super) const SPEC: Spec =
    Spec { heading: "[rejects]", what: "where refused records go, with the reason and the raw bytes", keys: &[PATH] };

pub(super) fn read(section: Section<'_>, sinks: &[Sink]) -> Location {
    let sink = &sinks[0];
    let said: Option<Text> = section.optional(&PATH);
    let path = said
        .clone()
        .unwrap_or_else(|| sink.location.path.map(|path| format!("{}-rejects", path.trim_end_matches('/'))));
    let rejects = sink.location.with_path(path);
    if said.is_some() {
        rejects.check(&section, &PATH);
    }
    sinks.iter().for_each(|sink| check_apart(&section, sink, &rejects, said.is_some()));
    section.finish();
    rejects
}

/// A reader of all that lies under the sink must not come upon rejects.
fn check_apart(section: &Section<'_>, sink: &Sink, rejects: &Location, said: bool) {
    let whole_bucket = sink.location.s3().is_some_and(|(bucket, prefix)| is_bucket(bucket) && prefix.is_empty());
    if !said && whole_bucket {
        let at = section.reader.place(&format!("{}.path", sink.key)).unwrap_or_else(|| section.at.with_key(PATH.name));
        let problem = "takes a whole bucket and leaves no place for rejects; add a prefix, as s3://bucket/prefix, or write [rejects] path";
        section.reader.report(at.error(problem));
    } else if !sink.location.path.as_str().is_empty() && sink.location.holds(rejects) {
        let problem = format!(
            "{:?} lies in {}, where readers would take rejects for data; choose a path beside it",
            rejects.path,
            sink.told()
        );
        section.reader.report(section.at_key(&PATH).error(problem));
    }
}

//! `init`: writes a first pipeline file, with every key that there is and what it is for.
//!
//! Owns the choice of what is set in that file; the rest of it is made from the tables that the reader itself uses, so it
//! cannot fall behind. It never writes over a file.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use crate::config::{Key, Spec, reference};

use super::{Failure, Init};

/// What the first file sets, by section and key; all else is there as a comment.
const SET: [(&str, &str, &str); 8] = [
    ("[source]", "type", "\"generate\""),
    ("[source]", "kind", "\"articles\""),
    ("[source]", "count", "10000"),
    ("[[average]]", "of", "\"word_count\""),
    ("[[average]]", "by", "[\"overall\", \"day\"]"),
    ("[[average]]", "time", "\"publish_date\""),
    ("[sink]", "path", "\"enriched\""),
    ("[sink]", "partition", "[\"event_date\"]"),
];

/// What stands in the sections whose keys are the user's own.
const BODIES: [(&str, &str); 3] = [
    (
        "[schema]",
        "article_id = \"string!\"\ntitle = \"string\"\nauthor = \"string\"\npublish_date = \"timestamp\"\ncontent = \"string!\"\n",
    ),
    ("[validate]", "content_not_empty = \"length(content) > 0\"\n"),
    ("[enrich]", "word_count = \"word_count(content)\"\nevent_date = \"cast(publish_date as date)\"\n"),
];

/// Writes a first pipeline file.
pub(super) fn init(asked: &Init, out: &mut impl Write) -> Result<(), Failure> {
    let path = &asked.path;
    write_new(path, &first_file()).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::failed(format!("{} is there already", path.display()))
            .hint("name another file: millstream init other.toml"),
        _ => Failure::failed(format!("{} could not be written: {error}", path.display())),
    })?;
    let path = path.display();
    writeln!(out, "wrote {path}\nnext: millstream check {path}\n      millstream run {path} --until-end")?;
    Ok(())
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// The text of the first file: a pipeline that runs as it is.
fn first_file() -> String {
    let mut text =
        "# A Millstream pipeline. Keys behind a # show what holds without them, or what they may look like.\n\
                    # ${VAR} and ${VAR:-default} work in every value. Secrets stay out of this file.\n\n\
                    name = \"articles\"\n"
            .to_owned();
    for spec in reference::sections() {
        text.push_str(&section(spec));
    }
    text
}

/// A section of the file; one that sets nothing is a comment as a whole.
fn section(spec: &Spec) -> String {
    let body = match BODIES.iter().find(|(heading, _)| *heading == spec.heading) {
        Some((_, body)) => (*body).to_owned(),
        None => spec.keys.iter().map(|key| line(spec, key)).collect(),
    };
    let live = body.lines().any(|line| !line.starts_with('#')) && !is_other_source(spec);
    let heading = if live { spec.heading.to_owned() } else { format!("# {}", spec.heading) };
    let body = if live { body } else { body.lines().map(commented).collect() };
    format!("\n# {}\n{heading}\n{body}", capitalised(spec.what))
}

/// A source that the first file does not read from.
fn is_other_source(spec: &Spec) -> bool {
    spec.heading == "[source]" && !spec.keys.iter().any(|key| key.name == "kind")
}

fn line(spec: &Spec, key: &Key) -> String {
    let set = SET.iter().find(|(heading, name, _)| *heading == spec.heading && *name == key.name);
    let set = set.filter(|_| !is_other_source(spec));
    let setting = match set {
        Some((_, name, value)) => format!("{name} = {value}"),
        None => format!("# {} = {}", key.name, key.example()),
    };
    format!("{setting:<40} # {}\n", key.what)
}

fn commented(line: &str) -> String {
    if line.starts_with('#') { format!("{line}\n") } else { format!("# {line}\n") }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    //! Proves that what `init` writes is right to the last comment; would catch a key whose shown default does not parse,
    //! and a file that is written over.
    use super::*;
    use crate::config::Config;

    fn parse(text: &str) -> Config {
        Config::parse("pipeline.toml", text, &|_| None).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
    }

    #[test]
    fn the_first_file_is_a_pipeline() {
        assert_eq!(parse(&first_file()).averages[0].of, "word_count");
    }

    #[test]
    fn what_it_shows_as_defaults_are_the_defaults() {
        let uncommented: String = first_file().lines().map(|line| uncomment_default(line) + "\n").collect();
        assert_eq!(parse(&uncommented).fingerprint(), parse(&first_file()).fingerprint());
        assert_ne!(uncommented, first_file());
    }

    /// The line without its `#`, if it shows a default (which says nothing new) of a section that is there.
    fn uncomment_default(line: &str) -> String {
        let shown = line.strip_prefix("# ").unwrap_or_default();
        let defaults = reference::sections().into_iter().filter(|spec| matches!(spec.heading, "[sink]"));
        let is_default = |key: &Key| matches!(key.absent, crate::config::Absent::Means(_));
        let known = defaults.flat_map(|spec| spec.keys).filter(|key| is_default(key));
        let known = known.into_iter().any(|key| shown.starts_with(&format!("{} = {}", key.name, key.example())));
        if known { shown.to_owned() } else { line.to_owned() }
    }

    #[test]
    fn a_file_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let asked = Init { path: folder.path().join("pipeline.toml") };
        init(&asked, &mut Vec::new()).unwrap();
        std::fs::write(&asked.path, "mine").unwrap();
        let failure = init(&asked, &mut Vec::new()).unwrap_err();
        assert!(failure.error.to_string().ends_with("pipeline.toml is there already"));
        assert_eq!(std::fs::read_to_string(&asked.path).unwrap(), "mine");
    }
}

//! Everything that a pipeline file can say, for the docs and for the first file that `init` writes.

use super::key::{Absent, Key, Spec};
use super::{
    NAME, average, balance, cases, cluster, decode, dedup, epoch, expressions, limits, log, notify, observe, rejects,
    schema, sink, source,
};

/// The key at the top of the file.
pub fn name() -> &'static Key {
    &NAME
}

/// Every section, in the order in which a file is best written; `[source]` once for each type.
pub fn sections() -> Vec<&'static Spec> {
    let mut sections: Vec<&'static Spec> = source::specs().collect();
    sections.extend([
        &decode::SPEC,
        &schema::SPEC,
        &expressions::VALIDATE,
        &expressions::ENRICH,
        &dedup::SPEC,
        &average::SPEC,
        &sink::SPEC,
        &log::SPEC,
        &rejects::SPEC,
        &epoch::SPEC,
        &limits::SPEC,
        &balance::SPEC,
        &cluster::SPEC,
        &notify::SPEC,
        &observe::SPEC,
        &cases::SPEC,
    ]);
    sections
}

/// The reference of all sections and keys, as Markdown.
pub fn markdown() -> String {
    sections().into_iter().map(section).collect()
}

fn section(spec: &Spec) -> String {
    let mut text = format!("### `{}`\n\n{}\n\n", spec.heading, spec.what);
    if !spec.keys.is_empty() {
        text.push_str("| key | what it is | without it |\n|---|---|---|\n");
        spec.keys.iter().for_each(|key| text.push_str(&row(key)));
        text.push('\n');
    }
    text
}

fn row(key: &Key) -> String {
    let absent = match key.absent {
        Absent::Refused { .. } => "an error".to_owned(),
        Absent::Nothing { .. } => String::new(),
        Absent::Means(_) => format!("`{}`", key.example()),
    };
    format!("| `{}` | {} | {absent} |\n", key.name, key.what)
}

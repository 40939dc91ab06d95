//! `completions`: prints completions for a shell.

use std::io::Write;

use clap::CommandFactory;

use super::{Arguments, Completions, Failure};

/// Prints completions for a shell.
pub(super) fn completions(asked: &Completions, out: &mut impl Write) -> Result<(), Failure> {
    // Made in memory first: the generator panics where its writer fails, as it does when a pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(asked.shell, &mut Arguments::command(), "millstream", &mut script);
    Ok(out.write_all(&script)?)
}

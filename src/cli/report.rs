//! The one way in which a command says that it failed.
//!
//! Owns how an error looks on the screen: what went wrong, why (each cause on a line of its own), and what to do next.

use std::error::Error;
use std::io::{self, Write};

use crate::config::ConfigErrors;

use super::Exit;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// The error, with its causes as its sources.
    pub error: Box<dyn Error + Send + Sync>,
    /// What to do next, where that is not in the error itself.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with an exit code of its own.
    pub fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Failure { exit, error: error.into(), hint: None }
    }

    /// A plain failure: exit code 1.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Failure::new(Exit::Failed, error)
    }

    /// A wrong command line or file: exit code 2.
    pub fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Failure::new(Exit::Usage, error)
    }

    /// The same, with what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Writes it for a person.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "error: {}", indented(&self.error.to_string()))?;
        let mut said = self.error.to_string();
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many errors repeat their cause in their own text; a person needs it once.
            if !said.contains(&text) {
                writeln!(out, "  because: {}", indented(&text))?;
            }
            said = text;
            cause = error.source();
        }
        self.hint.as_ref().map_or(Ok(()), |hint| writeln!(out, "  hint: {}", indented(hint)))
    }
}

/// The lines after the first, under it.
fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n  ")
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Failure::usage(errors)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::failed(error)
    }
}

#[cfg(test)]
mod tests {
    //! Proves how a failure looks; would catch a cause that is lost or said twice.
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not start: {0}")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("the store said no")]
    struct Inner(#[source] io::Error);

    #[test]
    fn causes_and_hint() {
        let error = Outer(Inner(io::Error::other("403\nForbidden")));
        let mut out = Vec::new();
        Failure::failed(error).hint("look at the policy of the bucket").write(&mut out).unwrap();
        let expected = "error: could not start: the store said no\n  because: 403\n  Forbidden\n  hint: look at the policy of the bucket\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

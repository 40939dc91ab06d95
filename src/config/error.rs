//! What is wrong with a pipeline file, said so that it can be put right.
//!
//! Owns the one form that every complaint about the file has, also those that later steps find (an expression that does
//! not compile): file, line, section, key, what is wrong, what would be right. What must stay true: a message quotes a
//! value as it is written in the file, so `${VAR}` never shows what it stands for.

use std::fmt;
use std::sync::Arc;

/// A place in a pipeline file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// From 1; 0 where the whole file is meant.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// The section as it is written, with its brackets; empty at the top of the file.
    pub section: Arc<str>,
    /// The key in the section; empty where the section itself is meant.
    pub key: Arc<str>,
}

impl Located {
    /// A complaint about what stands here.
    pub fn error(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError { at: self.clone(), problem: problem.into(), excerpt: None }
    }

    pub(super) fn with_key(&self, key: &str) -> Self {
        Located { key: key.into(), ..self.clone() }
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        f.write_str(":")?;
        if !self.section.is_empty() {
            write!(f, " {}", self.section)?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        Ok(())
    }
}

/// One thing that is wrong with a pipeline file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub at: Located,
    /// What is wrong, and what would be right.
    pub problem: String,
    /// The line itself with a mark under the fault, where the file could not even be read as TOML.
    pub(super) excerpt: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.at, self.problem)?;
        self.excerpt.as_ref().map_or(Ok(()), |excerpt| write!(f, "\n{excerpt}"))
    }
}

impl std::error::Error for ConfigError {}

/// All that is wrong with a pipeline file, from top to bottom; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Puts complaints in the order of the file.
    pub fn new(mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by_key(|error| (error.at.line, error.at.column));
        ConfigErrors(errors)
    }

    /// The complaints, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        ConfigErrors(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

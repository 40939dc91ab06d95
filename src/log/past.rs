//! The stages of definitions that were in force when files were written.
//!
//! The definition of a pipeline may change between two starts; what was laid down before stays as it is. Whoever looks into
//! an older file, or writes one again, does so with the stages of its time. What must stay true: a definition that cannot be
//! compiled any more is an error that says so, never replaced by today's.

use std::sync::Arc;

use serde_json::Value;

use crate::config::Definition;
use crate::exit::Fatal;
use crate::stages::Stages;

/// Compiles definitions, each once.
pub struct Past<'a> {
    now: &'a Stages,
    current: Value,
    compiled: Vec<(Value, Stages)>,
}

impl<'a> Past<'a> {
    /// Beside the stages of today.
    pub fn new(now: &'a Stages) -> Self {
        Past { now, current: now.config().definition().to_json(), compiled: Vec::new() }
    }

    /// Whether a definition is today's. Logs of the first release hold none; there it is taken for today's.
    pub fn is_current(&self, definition: Option<&Value>) -> bool {
        definition.is_none_or(|definition| *definition == self.current)
    }

    /// The stages of a definition. Logs of the first release hold none; there it is today's.
    pub fn stages(&mut self, definition: Option<&Value>, commit: u64) -> Result<Stages, Fatal> {
        let Some(definition) = definition.filter(|definition| **definition != self.current) else {
            return Ok(self.now.clone());
        };
        if let Some((_, stages)) = self.compiled.iter().find(|(known, _)| known == definition) {
            return Ok(stages.clone());
        }
        let stages = compile(self.now, definition, commit)?;
        self.compiled.push((definition.clone(), stages.clone()));
        Ok(stages)
    }
}

fn compile(now: &Stages, definition: &Value, commit: u64) -> Result<Stages, Fatal> {
    let failed = |error: &dyn std::fmt::Display| {
        Fatal::Failed(format!("the definition in force at commit {commit} cannot be compiled by this build: {error}"))
    };
    let definition = Definition::from_json(definition).map_err(|error| failed(&error))?;
    let name = format!("the definition of commit {commit}");
    let config = now.config().under(&definition, &name).map_err(|error| failed(&error))?;
    Stages::compile(Arc::new(config)).map_err(|error| failed(&error))
}

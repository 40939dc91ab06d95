//! What was made of schemas, kept for the records to come.
//!
//! Owns the way from the id in a record to the plan by which it is read. What must stay true: a plan is made once for an id
//! and not once for a record; a schema that could not be had is asked for again with the next batch.

use hashbrown::HashMap;

use super::fault::Fault;
use crate::reject::Reason;
use crate::written::{Definition, Schemas};

/// Plans that are kept. Beyond that all are forgotten and made again as they are needed.
const KEPT: usize = 1024;

/// Makes a plan of a schema, or says why there can be none.
type Make<P> = dyn Fn(&Definition) -> Result<P, String> + Send;

/// Plans by the ids of their schemas.
pub(super) struct Plans<P> {
    make: Box<Make<P>>,
    /// For records that name no schema.
    one: Option<P>,
    by_id: HashMap<u32, Result<P, String>>,
}

impl<P> Plans<P> {
    /// For records that all are written with `one`, or else name theirs.
    pub(super) fn new(
        one: Option<&Definition>,
        make: impl Fn(&Definition) -> Result<P, String> + Send + 'static,
    ) -> Result<Self, String> {
        let one = one.map(&make).transpose()?;
        Ok(Plans { make: Box::new(make), one, by_id: HashMap::new() })
    }

    /// The plan of a record.
    pub(super) fn of(&mut self, id: Option<u32>, schemas: Option<&Schemas>) -> Result<&mut P, Box<Fault>> {
        let Some(id) = id else {
            return self.one.as_mut().ok_or_else(|| Fault::new(Reason::Decode, "nothing says what it is written with"));
        };
        if !self.by_id.contains_key(&id) {
            let made = match schemas.and_then(|schemas| schemas.get(id)).map(|definition| &**definition) {
                None => return Err(unusable(id, "it did not come with the record")),
                Some(Definition::Unusable(why)) => return Err(unusable(id, why)),
                Some(definition) => (self.make)(definition),
            };
            if self.by_id.len() >= KEPT {
                self.by_id.clear();
            }
            self.by_id.insert(id, made);
        }
        match self.by_id.get_mut(&id) {
            Some(Ok(plan)) => Ok(plan),
            Some(Err(why)) => Err(unusable(id, why)),
            None => Err(unusable(id, "it is not kept")),
        }
    }
}

#[cold]
fn unusable(id: u32, why: &str) -> Box<Fault> {
    let line: String = why.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect();
    Fault::new(Reason::Decode, format!("schema {id}: {line}"))
}

/// How much of a reason is said with each record.
const SHOWN: usize = 160;

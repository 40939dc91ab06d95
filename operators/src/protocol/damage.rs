//! What a start concludes from the objects of a log that are there and those that are not.
//!
//! A log that lost objects must never be taken for a new one, nor for a shorter one: either would read records again that
//! are laid down already. Three witnesses tell: the hint, which is written only after the commit that it names; the record
//! of what was folded away; and the first commit behind that, which nothing ever deletes without such a record.
//!
//! What must stay true: `Empty` only if nothing at all is left of a log; `From` names a commit that is there, or what was
//! folded.

use thiserror::Error;

/// The witnesses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Witnesses {
    /// The commit that the hint names, if there is a hint.
    pub hint: Option<u64>,
    /// Whether that commit is there.
    pub hinted: bool,
    /// Commits up to this one are folded away; 0 if none are.
    pub folded: u64,
    /// Whether the commit behind those is there.
    pub first: bool,
    /// Whether any object of a log is there. Needs to be known only where all else says that there is none.
    pub traces: bool,
}

/// Where to look for the end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// There is no log.
    Empty,
    /// This commit is there; the end is here or behind it.
    From(u64),
}

/// What is wrong with a log.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Damage {
    #[error("the hint names commit {hint}, which is not there: commits are missing at the end of the log")]
    End { hint: u64 },
    #[error("commit {first} is not there: commits are missing at the beginning of the log")]
    Start { first: u64 },
    #[error("commit {commit} is not there, and commits behind it are: the log has a gap")]
    Gap { commit: u64 },
    #[error("commit {commit} cannot be read: {why}")]
    Cut { commit: u64, why: String },
}

impl Witnesses {
    /// Whether an empty answer hangs on [`Witnesses::traces`].
    pub fn wants_traces(&self) -> bool {
        self.hint.is_none() && self.folded == 0 && !self.first
    }

    /// What they say together.
    pub fn conclude(&self) -> Result<Beginning, Damage> {
        match *self {
            Witnesses { hint: Some(hint), hinted: false, folded, .. } if hint > folded => Err(Damage::End { hint }),
            Witnesses { first: false, folded, traces, .. } if folded > 0 || traces || self.hint.is_some() => {
                Err(Damage::Start { first: folded + 1 })
            }
            Witnesses { first: false, .. } => Ok(Beginning::Empty),
            Witnesses { hint: Some(hint), folded, .. } if hint > folded => Ok(Beginning::From(hint)),
            Witnesses { folded, .. } => Ok(Beginning::From(folded + 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    //! The mistake this would catch: a log whose end or beginning is gone, taken for a shorter one or for none.

    use super::*;

    #[test]
    fn every_loss_is_told_from_a_new_log() {
        let none = Witnesses::default();
        assert!(none.wants_traces());
        assert_eq!(none.conclude(), Ok(Beginning::Empty));
        let hinted = Witnesses { hint: Some(16), hinted: true, first: true, ..none };
        for (witnesses, said) in [
            (Witnesses { first: true, ..none }, Ok(Beginning::From(1))),
            (hinted, Ok(Beginning::From(16))),
            (Witnesses { hinted: false, ..hinted }, Err(Damage::End { hint: 16 })),
            (Witnesses { first: false, ..hinted }, Err(Damage::Start { first: 1 })),
            (Witnesses { hint: None, first: false, traces: true, ..hinted }, Err(Damage::Start { first: 1 })),
            // The hint was lost, or was never renewed since the commits that it names were folded away.
            (Witnesses { hint: None, folded: 40, ..hinted }, Ok(Beginning::From(41))),
            (Witnesses { hinted: false, folded: 40, ..hinted }, Ok(Beginning::From(41))),
            (Witnesses { folded: 40, first: false, ..hinted }, Err(Damage::Start { first: 41 })),
            (
                Witnesses { hint: Some(70), hinted: false, folded: 40, first: true, traces: false },
                Err(Damage::End { hint: 70 }),
            ),
        ] {
            assert_eq!(witnesses.conclude(), said, "{witnesses:?}");
        }
    }
}

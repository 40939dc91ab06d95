//! After trying to create a commit: is it ours, is it another's, or must we look again?
//!
//! Creating the object `commits/<n>.json` is the one decision of the protocol. What this file settles is how to learn the
//! outcome when the store does not say: the object under the number is read, and its bytes tell. Nothing is ever guessed
//! from an error or a timeout.

/// What the store said to our creating the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is there now, with our bytes.
    New,
    /// Something was there already.
    Exists,
    /// The call did not happen.
    NotDone,
    /// No clear answer.
    Unclear,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The commit is made.
    Done,
    /// Read the object under the number, then ask [`after_reading`].
    ReadBack,
    /// Try to create it again.
    CreateAgain,
    /// Another's commit holds the number: a newer generation is at work.
    Fenced,
}

/// What follows from the store's answer to a create.
pub fn after_creating(answer: Answer) -> Step {
    match answer {
        Answer::New => Step::Done,
        Answer::Exists | Answer::Unclear => Step::ReadBack,
        Answer::NotDone => Step::CreateAgain,
    }
}

/// What follows from the object that was read back under the number.
pub fn after_reading(ours: &[u8], found: Option<&[u8]>) -> Step {
    match found {
        Some(found) if found == ours => Step::Done,
        Some(_) => Step::Fenced,
        None => Step::CreateAgain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mistake this would catch: taking a lost answer for a failure (and committing the epoch twice), or taking
    /// another's commit for ours.
    #[test]
    fn only_the_bytes_decide() {
        assert_eq!(after_creating(Answer::Exists), Step::ReadBack);
        assert_eq!(after_creating(Answer::Unclear), Step::ReadBack);
        assert_eq!(after_reading(b"ours", Some(b"ours")), Step::Done);
        assert_eq!(after_reading(b"ours", Some(b"theirs")), Step::Fenced);
        assert_eq!(after_reading(b"ours", None), Step::CreateAgain);
    }
}

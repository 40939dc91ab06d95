//! What follows when a store was asked to complete an upload that a commit names.
//!
//! The answer alone proves little: an upload that is not known may have been completed by anyone, a refusal may concern a
//! repeated call whose first answer was lost. So the object under the key is looked at, and both together decide. What must
//! stay true: a file counts as published only where the object is whole, or the store said yes and lets nobody look; it
//! counts as lost only where the upload can no longer be completed and the object stayed away through all looks.

use crate::protocol::commit::FileRecord;

/// What the store answered to the last call to complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompleteAnswer {
    /// It did so.
    Completed,
    /// It does not know the upload (any more).
    NoSuchUpload,
    /// It knows the upload, but its parts do not make the object.
    BadParts,
    /// The call may have happened.
    Unclear,
    /// The call did not happen, and may go through later.
    NotDone,
    /// It will never do so for us: no right, no bucket.
    Refused,
}

/// What a look at the key found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundObject {
    /// The object that the commit names, by size and checksum.
    Whole,
    /// Another object.
    Other,
    /// Nothing.
    Nothing,
    /// The store did not answer.
    Unseen,
    /// The store does not let us look.
    Barred,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishStep {
    /// The file is published.
    Done,
    /// Something else lies under the key: stop and name it.
    Wrong,
    /// The file has to be written again from the source.
    Lost,
    /// The store said yes, and the object stayed away: stop; a later start looks again.
    Missing,
    /// A final no: stop with what the store said.
    Refused,
    /// The store is away or contradicts itself for too long: stop; a later start goes on here.
    GiveUp,
    /// Pause, then look again.
    LookAgain,
    /// Pause, then complete and look again.
    CompleteAgain,
}

/// What lies under a file's key, given the size and the checksum of an object that is there.
pub fn found(file: &FileRecord, object: Option<(u64, Option<u64>)>) -> FoundObject {
    match object {
        None => FoundObject::Nothing,
        Some((bytes, crc)) if bytes == file.bytes && crc.is_none_or(|crc| is_sum(file, crc)) => FoundObject::Whole,
        Some(_) => FoundObject::Other,
    }
}

/// Whether `crc` is the checksum that the commit says.
pub fn is_sum(file: &FileRecord, crc: u64) -> bool {
    format!("{crc:016x}") == file.crc
}

/// The decision. `looked_enough`: a stale view, or another's call to complete that is still at work, would have shown by
/// now. `tried_enough`: nobody should wait any longer for a clear answer.
pub fn after_completing(
    answer: CompleteAnswer,
    found: FoundObject,
    looked_enough: bool,
    tried_enough: bool,
) -> PublishStep {
    use CompleteAnswer::*;
    match (answer, found) {
        (_, FoundObject::Whole) => PublishStep::Done,
        (_, FoundObject::Other) => PublishStep::Wrong,
        (Completed, FoundObject::Barred) => PublishStep::Done,
        (Refused, FoundObject::Nothing) | (_, FoundObject::Barred) => PublishStep::Refused,
        (Completed, FoundObject::Nothing) if looked_enough => PublishStep::Missing,
        (NoSuchUpload | BadParts, FoundObject::Nothing) if looked_enough => PublishStep::Lost,
        (Refused, FoundObject::Unseen) if tried_enough => PublishStep::Refused,
        (Unclear | NotDone, FoundObject::Nothing) | (_, FoundObject::Unseen) if tried_enough => PublishStep::GiveUp,
        (Completed | Refused, _) => PublishStep::LookAgain,
        (NoSuchUpload | BadParts | Unclear | NotDone, _) => PublishStep::CompleteAgain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_the_file_by_size_and_sum() {
        let file = FileRecord { bytes: 9, crc: format!("{:016x}", 7), ..FileRecord::default() };
        for (object, expected) in [
            (None, FoundObject::Nothing),
            (Some((9, None)), FoundObject::Whole),
            (Some((9, Some(7))), FoundObject::Whole),
            (Some((9, Some(8))), FoundObject::Other),
            (Some((8, None)), FoundObject::Other),
            (Some((8, Some(7))), FoundObject::Other),
        ] {
            assert_eq!(found(&file, object), expected, "{object:?}");
        }
    }

    /// Every answer with every look: early, after enough looks, and after enough tries. The mistakes it would catch: a file
    /// of somebody else taken for ours; a file that is there written a second time, because one look missed it; a missing
    /// one taken for published; and a retry that never ends.
    #[test]
    fn every_answer_with_every_look_has_one_step() {
        use FoundObject::*;
        use PublishStep::*;
        let table = [
            (CompleteAnswer::Completed, Whole, [Done, Done, Done]),
            (CompleteAnswer::Completed, Other, [Wrong, Wrong, Wrong]),
            (CompleteAnswer::Completed, Nothing, [LookAgain, Missing, Missing]),
            (CompleteAnswer::Completed, Unseen, [LookAgain, LookAgain, GiveUp]),
            (CompleteAnswer::Completed, Barred, [Done, Done, Done]),
            (CompleteAnswer::NoSuchUpload, Whole, [Done, Done, Done]),
            (CompleteAnswer::NoSuchUpload, Other, [Wrong, Wrong, Wrong]),
            (CompleteAnswer::NoSuchUpload, Nothing, [CompleteAgain, Lost, Lost]),
            (CompleteAnswer::NoSuchUpload, Unseen, [CompleteAgain, CompleteAgain, GiveUp]),
            (CompleteAnswer::NoSuchUpload, Barred, [Refused, Refused, Refused]),
            (CompleteAnswer::BadParts, Whole, [Done, Done, Done]),
            (CompleteAnswer::BadParts, Other, [Wrong, Wrong, Wrong]),
            (CompleteAnswer::BadParts, Nothing, [CompleteAgain, Lost, Lost]),
            (CompleteAnswer::BadParts, Unseen, [CompleteAgain, CompleteAgain, GiveUp]),
            (CompleteAnswer::BadParts, Barred, [Refused, Refused, Refused]),
            (CompleteAnswer::Unclear, Whole, [Done, Done, Done]),
            (CompleteAnswer::Unclear, Other, [Wrong, Wrong, Wrong]),
            (CompleteAnswer::Unclear, Nothing, [CompleteAgain, CompleteAgain, GiveUp]),
            (CompleteAnswer::Unclear, Unseen, [CompleteAgain, CompleteAgain, GiveUp]),
            (CompleteAnswer::Unclear, Barred, [Refused, Refused, Refused]),
            (CompleteAnswer::NotDone, Whole, [Done, Done, Done]),
            (CompleteAnswer::NotDone, Other, [Wrong, Wrong, Wrong]),
            (CompleteAnswer::NotDone, Nothing, [CompleteAgain, CompleteAgain, GiveUp]),
            (CompleteAnswer::NotDone, Unseen, [CompleteAgain, CompleteAgain, GiveUp]),
            (CompleteAnswer::NotDone, Barred, [Refused, Refused, Refused]),
            (CompleteAnswer::Refused, Whole, [Done, Done, Done]),
            (CompleteAnswer::Refused, Other, [Wrong, Wrong, Wrong]),
            (CompleteAnswer::Refused, Nothing, [Refused, Refused, Refused]),
            (CompleteAnswer::Refused, Unseen, [LookAgain, LookAgain, Refused]),
            (CompleteAnswer::Refused, Barred, [Refused, Refused, Refused]),
        ];
        for (answer, found, steps) in table {
            for ((looked, tried), step) in [(false, false), (true, false), (true, true)].into_iter().zip(steps) {
                let came = after_completing(answer, found, looked, tried);
                assert_eq!(came, step, "{answer:?} and {found:?}, looked enough: {looked}, tried enough: {tried}");
            }
        }
    }
}

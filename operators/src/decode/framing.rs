//! What stands before a record: nothing, or the id of the schema that it was written with.
//!
//! Owns the frame of schema registries: a zero, and the id in four bytes, the highest first. What must stay true: a record
//! without the frame is refused and not read as if it had one.

use super::fault::Fault;
use super::text::Payload;
use crate::reject::Reason;

/// Whether records are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Bare,
    Registered,
}

impl Framing {
    /// The id of a record's schema, if it has one, and the record itself.
    pub(super) fn open(self, payload: Payload<'_>) -> Result<(Option<u32>, Payload<'_>), Box<Fault>> {
        if payload.bytes().is_empty() {
            return Err(Fault::new(Reason::Decode, "an empty message is no record"));
        }
        match self {
            Framing::Bare => Ok((None, payload)),
            Framing::Registered => match id(payload.bytes()) {
                Some(id) => Ok((Some(id), Payload::Bytes(&payload.bytes()[FRAME..]))),
                None => Err(no_frame(payload.bytes())),
            },
        }
    }
}

/// Bytes before a framed record.
const FRAME: usize = 5;

/// The id that a framed record begins with.
pub fn id(payload: &[u8]) -> Option<u32> {
    match payload {
        [0, a, b, c, d, ..] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

#[cold]
fn no_frame(payload: &[u8]) -> Box<Fault> {
    let found = match payload {
        [0, ..] => format!("there are {} bytes", payload.len()),
        [first, ..] => format!("the first byte is {first:#04x}"),
        [] => "there is nothing".into(),
    };
    Fault::new(
        Reason::Decode,
        format!("no schema id: a record of a registry begins with 0x00 and four bytes, but {found}"),
    )
}

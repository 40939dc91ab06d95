//! The bytes of records as text.
//!
//! Owns the check that a record is UTF-8, under whatever key, for the formats that are text. What must stay true: one record
//! that is not costs those beside it nothing but the second look; bytes of a format that is none are never looked at.

use super::fault::Fault;
use super::unpack::Unpack;
use crate::batch::{RawBatch, Records};
use crate::reject::Reason;

/// Records of which it is known whether they are UTF-8. One look at a whole buffer is cheaper than one at each record; only
/// where that fails, each is looked at.
pub(super) struct Checked<'a> {
    /// The text of a buffer, and where in the buffer it begins.
    whole: Option<(&'a str, usize)>,
}

impl<'a> Checked<'a> {
    pub(super) fn new(raw: &'a RawBatch, from: usize) -> Self {
        let whole = match &raw.records {
            Records::Framed { data, spans } => spans.get(from).and_then(|(start, _)| {
                let start = *start as usize;
                Some((simdutf8::basic::from_utf8(data.get(start..)?).ok()?, start))
            }),
            _ => None,
        };
        Checked { whole }
    }

    /// The bytes of a record, unpacked.
    pub(super) fn payload<'t>(
        &self,
        raw: &'t RawBatch,
        row: usize,
        unpack: &'t mut Unpack,
    ) -> Result<Payload<'t>, Box<Fault>>
    where
        'a: 't,
    {
        match &raw.records {
            Records::Framed { data, spans } => {
                let (start, end) = (spans[row].0 as usize, spans[row].1 as usize);
                let bytes = unpack.plain(&data[start..end])?;
                let known = self.whole.and_then(|(text, from)| text.get(start.checked_sub(from)?..end - from));
                Ok(known.map_or(Payload::Bytes(bytes), Payload::Text))
            }
            Records::Payloads(payloads) => Ok(Payload::Bytes(unpack.payload(&payloads[row])?)),
            Records::Rows(_) => Ok(Payload::Text("")),
        }
    }
}

/// The bytes of a record, of which it may be known that they are text.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    Bytes(&'a [u8]),
    Text(&'a str),
}

impl<'a> Payload<'a> {
    pub(super) fn bytes(&self) -> &'a [u8] {
        match self {
            Payload::Bytes(bytes) => bytes,
            Payload::Text(text) => text.as_bytes(),
        }
    }

    /// The record as text, if it is.
    pub(super) fn text(&self) -> Result<&'a str, Box<Fault>> {
        match self {
            Payload::Bytes(bytes) => utf8(bytes),
            Payload::Text(text) => Ok(text),
        }
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Box<Fault>> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| no_utf8(bytes))
}

#[cold]
fn no_utf8(bytes: &[u8]) -> Box<Fault> {
    let utf16 = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..]);
    if utf16 {
        return Fault::new(Reason::Decode, "looks like UTF-16, only UTF-8 is read");
    }
    let at = std::str::from_utf8(bytes).err().map_or(0, |error| error.valid_up_to());
    Fault::new(Reason::Decode, format!("not UTF-8 at byte {at}"))
}

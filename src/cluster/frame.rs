//! What goes over a link once both ends have proved themselves: frames.
//!
//! ```text
//! kind (1 byte) · length (4 bytes, little-endian) · that many bytes
//! ```
//! Owns the form alone. What must stay true: a frame is never longer than its kind may be, so that nobody makes a process
//! take memory without bound.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use millstream_operators::protocol::State;
use serde::{Deserialize, Serialize};

/// The most bytes of data in a frame.
pub(super) const MOST_DATA: usize = 256 << 10;
/// The most bytes of a word. Terms hold the position of every split; a million of them are some 100 MiB.
const MOST_WORD: usize = 1 << 30;
const HEADER: usize = 5;

/// A frame.
#[derive(Debug)]
pub(super) enum Frame {
    /// Whoever sends it is alive, and has nothing else to say.
    Beat,
    /// Bytes between the workers.
    Data(Bytes),
    /// Something that processes say to each other.
    Word(Box<Word>),
    /// No data follows.
    End,
}

/// What processes say to each other beside the data.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// To process 0: the starts of all processes that the sender is linked to; its own among them.
    Roster(Vec<Option<u64>>),
    /// From process 0: where all of them start.
    Terms(Box<Terms>),
    /// To everybody: the sender takes part in this generation, and data of it follows.
    Join(u64),
    /// To process 0: the sender was asked to stop.
    Stop,
    /// The sender leaves, with this exit code.
    Bye { exit: u8, why: String },
}

/// What process 0 gives to the others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Terms {
    /// The starts of the processes that take part, in their order.
    pub roster: Vec<u64>,
    /// The claimed log: its generation, and where to go on from. What operators keep stays with process 0.
    pub state: State,
}

impl Frame {
    fn kind(&self) -> u8 {
        match self {
            Frame::Beat => 0,
            Frame::Data(_) => 1,
            Frame::Word(_) => 2,
            Frame::End => 3,
        }
    }

    /// Writes the frame, all but its data, into `head`; the data is to follow.
    pub(super) fn write(&self, head: &mut BytesMut) -> io::Result<Bytes> {
        let body = match self {
            Frame::Beat | Frame::End => Bytes::new(),
            Frame::Data(data) => data.clone(),
            Frame::Word(word) => serde_json::to_vec(word)?.into(),
        };
        head.put_u8(self.kind());
        head.put_u32_le(u32::try_from(body.len()).map_err(io::Error::other)?);
        Ok(body)
    }

    /// Takes the next frame off `bytes`, if all of it is there. Its data is a part of them, not a copy.
    pub(super) fn read(bytes: &mut BytesMut) -> io::Result<Option<Frame>> {
        let Some(header) = bytes.get(..HEADER) else { return Ok(None) };
        let (kind, length) = (header[0], u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize);
        let most = match kind {
            0 | 3 => 0,
            1 => MOST_DATA,
            2 => MOST_WORD,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of the unknown kind {kind}"))),
        };
        if length > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
        }
        if bytes.len() < HEADER + length {
            bytes.reserve(HEADER + length - bytes.len());
            return Ok(None);
        }
        bytes.advance(HEADER);
        let body = bytes.split_to(length).freeze();
        Ok(Some(match kind {
            0 => Frame::Beat,
            1 => Frame::Data(body),
            2 => Frame::Word(serde_json::from_slice(&body)?),
            _ => Frame::End,
        }))
    }
}

#[cfg(test)]
mod tests {
    //! What breaks when these fail: bytes between workers that arrive as others, and memory taken for a length that a
    //! broken peer makes up.

    use super::*;

    fn written(frames: &[Frame]) -> BytesMut {
        let mut bytes = BytesMut::new();
        for frame in frames {
            let body = frame.write(&mut bytes).unwrap();
            bytes.extend_from_slice(&body);
        }
        bytes
    }

    #[test]
    fn frames_are_read_as_they_were_written_however_they_arrive() {
        let data = Bytes::from(vec![7; MOST_DATA]);
        let stop = || Frame::Word(Box::new(Word::Bye { exit: 3, why: "x".into() }));
        let all = written(&[Frame::Beat, stop(), Frame::Data(data), Frame::Data(Bytes::new()), Frame::End]);
        let mut arrived = BytesMut::new();
        let mut read = Vec::new();
        for piece in all.chunks(1_000) {
            arrived.extend_from_slice(piece);
            while let Some(frame) = Frame::read(&mut arrived).unwrap() {
                read.push(frame);
            }
        }
        assert_eq!((read.len(), arrived.len()), (5, 0));
        assert_eq!(written(&read), all);
    }

    #[test]
    fn no_length_and_no_kind_is_believed() {
        for header in [[1_u8, 1, 0, 4, 0], [0, 1, 0, 0, 0], [2, 1, 0, 0, 0x40], [9, 0, 0, 0, 0]] {
            assert!(Frame::read(&mut BytesMut::from(&header[..])).is_err(), "{header:?}");
        }
    }
}

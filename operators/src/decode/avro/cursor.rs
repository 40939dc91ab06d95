//! Reads Avro's binary form from left to right.
//!
//! Owns numbers and lengths. What must stay true: nothing is read beyond the record, whatever a length claims, and nothing is
//! copied.

/// Why bytes are not Avro, and where.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) at: usize,
    pub(super) what: &'static str,
}

/// A place in a record.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Cursor { bytes, at }
    }

    #[cold]
    pub(super) fn flaw(&self, what: &'static str) -> Flaw {
        Flaw { at: self.at, what }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next so many bytes.
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Flaw> {
        let Some(taken) = self.bytes[self.at..].get(..length) else {
            return Err(self.flaw("the record ends in the middle of a value"));
        };
        self.at += length;
        Ok(taken)
    }

    /// A number in groups of seven bits, the lowest first, its sign in the lowest bit.
    pub(super) fn long(&mut self) -> Result<i64, Flaw> {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let Some(byte) = self.bytes.get(self.at) else {
                return Err(self.flaw("the record ends in the middle of a number"));
            };
            // The tenth byte holds the one bit that is left.
            if shift == 63 && *byte > 1 {
                return Err(self.flaw("a number of more than 64 bits"));
            }
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
            shift += 7;
        }
    }

    pub(super) fn int(&mut self) -> Result<i32, Flaw> {
        let start = self.at;
        let value = i32::try_from(self.long()?);
        value.map_err(|_| Flaw { at: start, what: "an int of more than 32 bits" })
    }

    pub(super) fn bool(&mut self) -> Result<bool, Flaw> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Flaw { at: self.at - 1, what: "a boolean is 0 or 1" }),
        }
    }

    /// Bytes behind their length.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Flaw> {
        let start = self.at;
        let length = self.long()?;
        match usize::try_from(length) {
            Ok(length) if length <= self.left() => self.take(length),
            Ok(_) => Err(Flaw { at: start, what: "a length beyond the end of the record" }),
            Err(_) => Err(Flaw { at: start, what: "a negative length" }),
        }
    }

    /// One of `count`, by its number.
    pub(super) fn choice(&mut self, count: usize, what: &'static str) -> Result<usize, Flaw> {
        let start = self.at;
        let chosen = usize::try_from(self.long()?).ok().filter(|chosen| *chosen < count);
        chosen.ok_or(Flaw { at: start, what })
    }

    /// What a block of a list begins with; none at the end of the list.
    pub(super) fn block(&mut self) -> Result<Option<Block>, Flaw> {
        let start = self.at;
        let count = self.long()?;
        let (count, end) = match count {
            0 => return Ok(None),
            1.. => (count as u64, None),
            _ => {
                let size = usize::try_from(self.long()?).ok().filter(|size| *size <= self.left());
                let size = size.ok_or(Flaw { at: start, what: "a block beyond the end of the record" })?;
                (count.unsigned_abs(), Some(self.at + size))
            }
        };
        Ok(Some(Block { start, count, end }))
    }
}

/// Some items of a list or a map.
pub(super) struct Block {
    pub(super) start: usize,
    pub(super) count: u64,
    /// Where it ends, if it says so.
    pub(super) end: Option<usize>,
}

impl Block {
    /// Refuses a block that did not end where it said.
    pub(super) fn ended(&self, cursor: &Cursor<'_>) -> Result<(), Flaw> {
        match self.end {
            Some(end) if end != cursor.position() => Err(cursor.flaw("a block does not end where it says")),
            _ => Ok(()),
        }
    }
}

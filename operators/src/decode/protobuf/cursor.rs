//! Reads Protobuf's wire form from left to right.
//!
//! Owns numbers, keys and lengths. What must stay true: nothing is read beyond the record, whatever a length claims; a group
//! is gone past without going deeper than the limit.

/// Why bytes are not Protobuf, and where.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) at: usize,
    pub(super) what: &'static str,
}

/// How a value lies in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Varint,
    Eight,
    Framed,
    Group,
    EndOfGroup,
    Four,
}

/// A place in a stretch of a record.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of a stretch that lies in the record.
    pub(super) fn new(record: &'a [u8], start: usize, end: usize) -> Self {
        Cursor { bytes: record, at: start, end: end.min(record.len()) }
    }

    #[cold]
    pub(super) fn flaw(&self, what: &'static str) -> Flaw {
        Flaw { at: self.at, what }
    }

    /// All of the record, of which this is a stretch.
    pub(super) fn record(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn left(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.end
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Flaw> {
        if length > self.left() {
            return Err(self.flaw("a value ends beyond what it is in"));
        }
        let taken = &self.bytes[self.at..self.at + length];
        self.at += length;
        Ok(taken)
    }

    pub(super) fn varint(&mut self) -> Result<u64, Flaw> {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            if self.at_end() {
                return Err(self.flaw("a number ends beyond what it is in"));
            }
            let byte = self.bytes[self.at];
            // The tenth byte holds the one bit that is left.
            if shift == 63 && byte > 1 {
                return Err(self.flaw("a number of more than 64 bits"));
            }
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// The number of a field, and how its value lies.
    pub(super) fn key(&mut self) -> Result<(u32, Wire), Flaw> {
        let start = self.at;
        let key = self.varint()?;
        let wire = match key & 7 {
            0 => Wire::Varint,
            1 => Wire::Eight,
            2 => Wire::Framed,
            3 => Wire::Group,
            4 => Wire::EndOfGroup,
            5 => Wire::Four,
            _ => return Err(Flaw { at: start, what: "no such wire type" }),
        };
        match u32::try_from(key >> 3) {
            Ok(number @ 1..=0x1fff_ffff) => Ok((number, wire)),
            _ => Err(Flaw { at: start, what: "no such field number" }),
        }
    }

    /// Goes past a value; where what it holds begins and ends.
    pub(super) fn value(&mut self, number: u32, wire: Wire, depth: usize) -> Result<(usize, usize), Flaw> {
        let mut start = self.at;
        match wire {
            Wire::Varint => self.varint().map(drop)?,
            Wire::Eight => self.take(8).map(drop)?,
            Wire::Four => self.take(4).map(drop)?,
            Wire::Framed => {
                let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                start = self.at;
                self.take(length)?;
            }
            Wire::Group => self.group(number, depth)?,
            Wire::EndOfGroup => return Err(self.flaw("the end of a group that did not begin")),
        }
        Ok((start, self.at))
    }

    /// Goes past a group whose beginning is behind us.
    fn group(&mut self, group: u32, depth: usize) -> Result<(), Flaw> {
        let deeper = depth.checked_sub(1).ok_or_else(|| self.flaw("nesting is too deep"))?;
        loop {
            match self.key()? {
                (number, Wire::EndOfGroup) if number == group => return Ok(()),
                (number, wire) => self.value(number, wire, deeper).map(drop)?,
            }
        }
    }
}

//! Reads JSON from left to right: the grammar of RFC 8259, nothing more and nothing less.
//!
//! Owns where a value begins and ends and whether it is JSON at all. Knows nothing of schemas. What must stay true: every
//! byte is looked at once, nothing is copied, and nesting beyond the limit is an error before it costs stack.

/// What a value looks like, without its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// No value was seen.
    #[default]
    Absent,
    Null,
    True,
    False,
    /// A number without fraction and exponent.
    Integer,
    /// Any other number.
    Fraction,
    /// A string that stands in the text as it is.
    Plain,
    /// A string with escapes.
    Escaped,
    Object,
    Array,
}

/// Where a value stands in its record; of a string, what is between the quotes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) form: Form,
}

/// Why a text is not JSON, and where.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) at: usize,
    pub(super) what: &'static str,
}

/// A place in a text that is known to be UTF-8.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    max_depth: usize,
    /// Whether there is a control character anywhere, be it the space between values; if not, no string need be searched.
    controls: bool,
}

impl<'a> Cursor<'a> {
    /// At the beginning of a text.
    pub(super) fn new(text: &'a str, max_depth: usize) -> Self {
        Cursor { bytes: text.as_bytes(), at: 0, max_depth, controls: has_control(text.as_bytes()) }
    }

    /// Somewhere in a text that was found to be JSON before, so that not all of it is looked at again.
    pub(super) fn again(text: &'a str, at: usize) -> Self {
        Cursor { bytes: text.as_bytes(), at, max_depth: usize::MAX, controls: false }
    }

    /// What is wrong here.
    #[cold]
    pub(super) fn flaw(&self, what: &'static str) -> Flaw {
        Flaw { at: self.at, what }
    }

    /// The next byte; 0 at the end, which JSON has nowhere.
    pub(super) fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// Goes past `byte` if it is next.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let next = self.peek() == byte;
        self.at += usize::from(next);
        next
    }

    /// Goes past `expected` if that is next.
    pub(super) fn eat_all(&mut self, expected: &[u8]) -> bool {
        let next = self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(expected));
        self.at += if next { expected.len() } else { 0 };
        next
    }

    pub(super) fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// The colon after a key, and the space around it.
    pub(super) fn colon(&mut self) -> Result<(), Flaw> {
        self.space();
        if !self.eat(b':') {
            return Err(self.flaw("expected `:` after a key"));
        }
        self.space();
        Ok(())
    }

    /// What follows a member of an object or list that ends with `close`: whether there is another one.
    pub(super) fn another(&mut self, close: u8) -> Result<bool, Flaw> {
        self.space();
        if self.eat(b',') {
            self.space();
            return Ok(true);
        }
        if self.eat(close) {
            return Ok(false);
        }
        Err(self.flaw(match (self.at_end(), close) {
            (true, _) => "the text ends in the middle",
            (_, b'}') => "expected `,` or `}`",
            _ => "expected `,` or `]`",
        }))
    }

    /// Refuses to go `depth` levels deep if that is too deep.
    pub(super) fn allow(&self, depth: usize) -> Result<(), Flaw> {
        if depth > self.max_depth { Err(self.flaw("nesting is too deep")) } else { Ok(()) }
    }

    /// Goes past a value that stands `depth` levels deep.
    pub(super) fn value(&mut self, depth: usize) -> Result<Slot, Flaw> {
        let start = self.at;
        let form = match self.peek() {
            b'"' => {
                self.step();
                return self.string();
            }
            b'{' => self.object(depth + 1)?,
            b'[' => self.array(depth + 1)?,
            b'-' | b'0'..=b'9' => self.number()?,
            _ => self.word()?,
        };
        Ok(self.slot(start, form))
    }

    pub(super) fn slot(&self, start: usize, form: Form) -> Slot {
        Slot { start: start as u32, end: self.at as u32, form }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn back_to(&mut self, position: usize) {
        self.at = position;
    }

    fn object(&mut self, depth: usize) -> Result<Form, Flaw> {
        self.allow(depth)?;
        self.step();
        self.space();
        if self.eat(b'}') {
            return Ok(Form::Object);
        }
        loop {
            self.key()?;
            self.colon()?;
            self.value(depth)?;
            if !self.another(b'}')? {
                return Ok(Form::Object);
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Form, Flaw> {
        self.allow(depth)?;
        self.step();
        self.space();
        if self.eat(b']') {
            return Ok(Form::Array);
        }
        loop {
            self.value(depth)?;
            if !self.another(b']')? {
                return Ok(Form::Array);
            }
        }
    }

    /// A key with its quotes.
    pub(super) fn key(&mut self) -> Result<Slot, Flaw> {
        if !self.eat(b'"') {
            return Err(self.flaw("expected a key in quotes"));
        }
        self.string()
    }

    /// The rest of a string whose opening quote is behind us.
    fn string(&mut self) -> Result<Slot, Flaw> {
        let start = self.at;
        let mut form = Form::Plain;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let length = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            self.no_control(&rest[..length])?;
            self.at += length;
            match rest.get(length) {
                Some(b'"') => {
                    let slot = self.slot(start, form);
                    self.step();
                    return Ok(slot);
                }
                Some(_) => self.escape()?,
                None => return Err(self.flaw("the text ends in a string")),
            }
            form = Form::Escaped;
        }
    }

    /// Refuses a part of a string, which begins here, if there is a control character in it.
    fn no_control(&mut self, part: &[u8]) -> Result<(), Flaw> {
        if self.controls && has_control(part) {
            self.at += part.iter().take_while(|byte| **byte >= b' ').count();
            return Err(self.flaw("a control character in a string must be escaped"));
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Flaw> {
        self.step();
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                self.step();
                Ok(())
            }
            b'u' => match self.unit()? {
                0xD800..=0xDBFF => self.low_surrogate(),
                0xDC00..=0xDFFF => Err(self.flaw("a lone surrogate is no character")),
                _ => Ok(()),
            },
            _ => Err(self.flaw("no such escape")),
        }
    }

    fn low_surrogate(&mut self) -> Result<(), Flaw> {
        if self.eat(b'\\') && self.peek() == b'u' && matches!(self.unit()?, 0xDC00..=0xDFFF) {
            return Ok(());
        }
        Err(self.flaw("a lone surrogate is no character"))
    }

    /// `uXXXX`
    fn unit(&mut self) -> Result<u16, Flaw> {
        self.step();
        let digits = self.bytes.get(self.at..self.at + 4).and_then(hex);
        let unit = digits.ok_or_else(|| self.flaw("expected four hex digits after \\u"))?;
        self.at += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Result<Form, Flaw> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        let mut form = Form::Integer;
        if self.eat(b'.') {
            form = Form::Fraction;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            form = Form::Fraction;
            self.step();
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        Ok(form)
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        if !self.peek().is_ascii_digit() {
            return Err(self.flaw("expected a digit"));
        }
        while self.peek().is_ascii_digit() {
            self.step();
        }
        Ok(())
    }

    fn word(&mut self) -> Result<Form, Flaw> {
        for (word, form) in [("null", Form::Null), ("true", Form::True), ("false", Form::False)] {
            if self.eat_all(word.as_bytes()) {
                return Ok(form);
            }
        }
        Err(self.flaw(if self.at_end() { "the text ends where a value should be" } else { "expected a value" }))
    }
}

/// The UTF-16 unit that four hex digits stand for.
pub(super) fn hex(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |unit: u16, digit| Some((unit << 4) | char::from(*digit).to_digit(16)? as u16))
}

/// Whether there is a byte below the space. A minimum over all bytes is a loop that the compiler makes vector code of.
fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' '
}

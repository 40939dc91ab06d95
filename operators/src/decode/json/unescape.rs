//! Strings with escapes.
//!
//! Owns the meaning of an escape. The text was read by the cursor before, so every escape in it is whole.

use std::fmt::Write;

use super::cursor::hex;

/// Writes the string that `text` stands for: the runs between the escapes are copied whole.
pub(super) fn unescape(text: &str, out: &mut impl Write) -> std::fmt::Result {
    let mut rest = text;
    while let Some(escape) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.write_str(&rest[..escape])?;
        let (character, length) = character(&rest.as_bytes()[escape + 1..]);
        out.write_char(character)?;
        rest = rest.get(escape + 1 + length..).unwrap_or("");
    }
    out.write_str(rest)
}

/// The character that an escape stands for, and its length without the backslash.
fn character(escape: &[u8]) -> (char, usize) {
    match escape.first() {
        Some(b'b') => ('\u{8}', 1),
        Some(b'f') => ('\u{c}', 1),
        Some(b'n') => ('\n', 1),
        Some(b'r') => ('\r', 1),
        Some(b't') => ('\t', 1),
        Some(b'u') => unicode(escape),
        Some(other) => (char::from(*other), 1),
        None => (char::REPLACEMENT_CHARACTER, 0),
    }
}

fn unicode(escape: &[u8]) -> (char, usize) {
    let unit = |at: usize| escape.get(at..at + 4).and_then(hex);
    let units = [unit(1), unit(7)].into_iter().map_while(|unit| unit);
    let first = char::decode_utf16(units).next().and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER);
    (first, if first.len_utf16() == 2 { 11 } else { 5 })
}

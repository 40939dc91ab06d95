//! `word_count_uax29(text)`: the number of Unicode words, the segments of UAX #29 in which there is a letter or a digit.
//!
//! Exactly `unicode-segmentation`'s `unicode_words().count()`, whose boundaries Unicode's own test file confirms. Most text
//! is ASCII, and there the rules come down to seven states, stepped through a table byte by byte. What holds a character
//! beyond ASCII is handed to the crate, from the whitespace before it to the whitespace after it.
//!
//! What must stay true: cutting at ASCII whitespace changes no count. No rule joins a space to what stands before it but
//! another space (WB3d), and what joins to it from behind (WB4) joins to the start of a text just the same.

#[cfg(test)]
mod tests;

use unicode_segmentation::UnicodeSegmentation;

/// What the count means, for those who write it beside the data.
pub const DEFINITION: &str = "UAX #29 word segments of Unicode 17 that contain a letter or a digit";

/// The number of words in `text`. Reads ASCII once, the rest twice, and allocates nothing.
pub fn word_count_uax29(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut words, mut state) = (0, State::Apart);
    // Where the piece between whitespace began in which we are, and how many words there were before it.
    let (mut start, mut before) = (0, 0);
    let mut at = 0;
    while at < bytes.len() {
        let class = CLASSES[usize::from(bytes[at])];
        if class == Class::Beyond {
            let end = end_of_piece(bytes, at);
            words = before + text[start..end].unicode_words().count();
            (at, state) = (end, State::Apart);
            continue;
        }
        at += 1;
        let (next, counted) = STEPS[state as usize][class as usize];
        words += usize::from(counted);
        state = next;
        if class == Class::Space {
            (start, before) = (at, words);
        }
    }
    words
}

/// Where the first ASCII whitespace at or behind `from` stands.
fn end_of_piece(bytes: &[u8], from: usize) -> usize {
    let rest = &bytes[from..];
    from + rest.iter().position(|byte| CLASSES[usize::from(*byte)] == Class::Space).unwrap_or(rest.len())
}

/// What the rules ask of an ASCII byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    /// `_`, which joins with letters and digits on either side.
    Under,
    /// `:`, which joins letters.
    Colon,
    /// `,` and `;`, which join digits.
    Comma,
    /// `.` and `'`, which join letters, and join digits.
    Stop,
    /// Space, tab and the line ends: a cut is safe here.
    Space,
    /// All else of ASCII.
    Other,
    /// A byte of a character beyond ASCII.
    Beyond,
}

/// What stands just before the byte to come.
#[derive(Clone, Copy)]
enum State {
    /// Nothing that joins.
    Apart,
    Letter,
    Digit,
    /// `_` behind a letter or a digit.
    Under,
    /// `_` in a segment that has neither yet.
    UnderOnly,
    /// A letter and a mark that may join it to another.
    LetterMark,
    /// A digit and a mark that may join it to another.
    DigitMark,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'_' => Class::Under,
            b':' => Class::Colon,
            b',' | b';' => Class::Comma,
            b'.' | b'\'' => Class::Stop,
            b' ' | b'\t' | b'\n' | b'\r' => Class::Space,
            0x80.. => Class::Beyond,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

/// By state and class: the state to come, and whether a word begins to count.
const STEPS: [[(State, bool); 8]; 7] = {
    use State::{Apart, Digit, DigitMark, Letter, LetterMark, Under, UnderOnly};
    const APART: (State, bool) = (Apart, false);
    // Columns:   letter           digit           under               colon                comma               stop
    [
        [(Letter, true), (Digit, true), (UnderOnly, false), APART, APART, APART, APART, APART],
        [
            (Letter, false),
            (Digit, false),
            (Under, false),
            (LetterMark, false),
            APART,
            (LetterMark, false),
            APART,
            APART,
        ],
        [(Letter, false), (Digit, false), (Under, false), APART, (DigitMark, false), (DigitMark, false), APART, APART],
        [(Letter, false), (Digit, false), (Under, false), APART, APART, APART, APART, APART],
        [(Letter, true), (Digit, true), (UnderOnly, false), APART, APART, APART, APART, APART],
        [(Letter, false), (Digit, true), (UnderOnly, false), APART, APART, APART, APART, APART],
        [(Letter, true), (Digit, false), (UnderOnly, false), APART, APART, APART, APART, APART],
    ]
};

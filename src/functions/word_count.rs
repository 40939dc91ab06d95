//! `word_count(text)`: exactly Python's `len(text.split())`, at the speed of memory rather than of characters.
//!
//! Words are what stands between whitespace, and whitespace is what Python's `str.isspace` says: Rust's, and the four
//! separators U+001C to U+001F besides. There is no list of words, no decoding and no branch per character: the text is
//! looked at in blocks of [`BLOCK`] bytes, and each loop over a block is plain enough for the compiler to make vector
//! instructions of it.
//!
//! For every byte we ask whether a whitespace character *ends* there, which takes the byte and the two before it. A word
//! ends where such a character follows a byte at which none ends. So a block needs three bytes and three answers of the
//! block before it and nothing of the one after; spaces before and after the text take the place of both.
//!
//! What must stay true: the text is UTF-8 (a `&str`), so a byte after a leading byte can only be a continuation.

#[cfg(test)]
mod tests;

/// What the count means, for those who write it beside the data.
pub const DEFINITION: &str = "Python's len(text.split())";

/// Bytes looked at together. Under 256, so that the words of a block can be added up in a byte.
const BLOCK: usize = 128;
/// How far behind a block it needs to see: a whitespace character has at most three bytes.
const BEHIND: usize = 3;

/// A block and the bytes behind it.
type Window = [u8; BEHIND + BLOCK];
/// For each of the last bytes, whether a whitespace character ends there (1 or 0).
type Ends = [u8; BEHIND];

/// The number of words in `text`. Reads it once and allocates nothing.
pub fn word_count(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut ends = [1; BEHIND];
    let mut window = [b' '; BEHIND + BLOCK];
    let first = bytes.len().min(BLOCK);
    window[BEHIND..BEHIND + first].copy_from_slice(&bytes[..first]);
    let mut words = words_ended(&window, &mut ends);
    if bytes.len() < BLOCK {
        return words;
    }
    let mut behind = BLOCK - BEHIND;
    while let Some(window) = bytes[behind..].first_chunk() {
        words += words_ended(window, &mut ends);
        behind += BLOCK;
    }
    let rest = &bytes[behind..];
    window[..rest.len()].copy_from_slice(rest);
    window[rest.len()..].fill(b' ');
    words + words_ended(&window, &mut ends)
}

/// The number of words that end in the block; `ends` is brought up to the block's end.
fn words_ended(window: &Window, ends: &mut Ends) -> usize {
    let all_bits = window.iter().fold(0, |bits, byte| bits | byte);
    if all_bits < 0x80 { words_ended_ascii(window, ends) } else { words_ended_any(window, ends) }
}

fn words_ended_ascii(window: &Window, carried: &mut Ends) -> usize {
    let mut ends = [0; BEHIND + BLOCK];
    ends[..BEHIND].copy_from_slice(carried);
    for at in BEHIND..BEHIND + BLOCK {
        ends[at] = u8::from(is_space(window[at]));
    }
    let mut words = 0u8;
    for at in BEHIND..BEHIND + BLOCK {
        words = words.wrapping_add(ends[at] & !ends[at - 1]);
    }
    carried.copy_from_slice(&ends[BLOCK..]);
    words.into()
}

fn words_ended_any(window: &Window, carried: &mut Ends) -> usize {
    let (mut ones, mut twos, mut threes) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
    let mut ends = [0; BEHIND + BLOCK];
    ends[..BEHIND].copy_from_slice(carried);
    for at in 0..BLOCK {
        let (before, last, byte) = (window[at + 1], window[at + 2], window[at + 3]);
        ones[at] = u8::from(is_space(byte));
        twos[at] = u8::from(is_space_of_two(last, byte));
        threes[at] = u8::from(is_space_of_three(before, last, byte));
        ends[at + BEHIND] = ones[at] | twos[at] | threes[at];
    }
    let mut words = 0u8;
    for at in 0..BLOCK {
        // Of a character as many bytes long as it may be: did whitespace end just before it began?
        let word = (ones[at] & !ends[at + 2]) | (twos[at] & !ends[at + 1]) | (threes[at] & !ends[at]);
        words = words.wrapping_add(word);
    }
    carried.copy_from_slice(&ends[BLOCK..]);
    words.into()
}

// The three below use `|` and `&` on purpose: `||` and `&&` are branches, and a loop with branches is not vectorised.

/// U+0009 to U+000D, U+001C to U+0020.
fn is_space(byte: u8) -> bool {
    (byte.wrapping_sub(0x09) < 5) | (byte.wrapping_sub(0x1c) < 5)
}

/// U+0085, U+00A0.
fn is_space_of_two(last: u8, byte: u8) -> bool {
    (last == 0xc2) & ((byte == 0x85) | (byte == 0xa0))
}

/// U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F, U+3000.
fn is_space_of_three(before: u8, last: u8, byte: u8) -> bool {
    let in_2000 = (last == 0x80) & ((byte.wrapping_sub(0x80) < 0x0b) | (byte | 1 == 0xa9) | (byte == 0xaf));
    let in_2040 = (last == 0x81) & (byte == 0x9f);
    ((before == 0xe2) & (in_2000 | in_2040))
        | ((before == 0xe1) & (last == 0x9a) & (byte == 0x80))
        | ((before == 0xe3) & (last == 0x80) & (byte == 0x80))
}

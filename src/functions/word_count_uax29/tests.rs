//! Proves that `word_count_uax29` counts Unicode's words: the library we lean on draws every boundary of Unicode's
//! `WordBreakTest.txt`, and our count equals the one made from the file's boundaries and, for random text, the library's.
//!
//! Catches: a wrong entry in the table of steps, a cut at whitespace that is not safe, a library of another Unicode
//! version than the test file's.

use proptest::prelude::*;
use unicode_segmentation::{UNICODE_VERSION, UnicodeSegmentation};

use super::word_count_uax29;

const BREAKS: &str = include_str!("../../../tests/data/WordBreakTest.txt");

/// The segments of a line of the test file: hexadecimal code points with `÷` where a break is and `×` where none is.
fn segments(line: &str) -> Vec<String> {
    let marked = line.split('#').next().unwrap();
    let parts = marked.split('÷').map(str::trim).filter(|part| !part.is_empty());
    let character = |code: &str| char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap();
    parts.map(|part| part.split('×').map(|code| character(code.trim())).collect()).collect()
}

fn lines() -> impl Iterator<Item = Vec<String>> {
    BREAKS.lines().map(segments).filter(|segments| !segments.is_empty())
}

#[test]
fn the_test_file_is_of_the_library_s_unicode() {
    let (major, minor, patch) = UNICODE_VERSION;
    assert!(BREAKS.starts_with(&format!("# WordBreakTest-{major}.{minor}.{patch}.txt")));
    assert!(lines().count() > 1800);
}

#[test]
fn every_line_of_unicode_s_test_file_agrees() {
    for expected in lines() {
        let text = expected.concat();
        assert_eq!(text.split_word_bounds().collect::<Vec<_>>(), expected, "boundaries of {text:?}");
        let words = expected.iter().filter(|segment| segment.chars().any(char::is_alphanumeric)).count();
        assert_eq!(word_count_uax29(&text), words, "words of {text:?}");
    }
}

#[test]
fn every_short_text_of_ascii_classes_counts_as_the_library_does() {
    let signs = [b'a', b'Z', b'0', b'_', b':', b',', b';', b'.', b'\'', b'"', b' ', b'\n', b'-'];
    let base = signs.len();
    for number in 0..base.pow(5) {
        let text: String = (0..5).map(|place| signs[number / base.pow(place) % base] as char).collect();
        assert_eq!(word_count_uax29(&text), text.unicode_words().count(), "{text:?}");
    }
}

/// Characters that the rules treat apart, one or two of each kind.
const PECULIAR: &[char] = &[
    '\r', '\n', '\t', '\u{b}', '\u{85}', '\u{2028}', '\u{3000}', '\u{a0}', '\u{301}', '\u{93e}', '\u{ad}', '\u{200d}',
    '\u{200b}', 'é', 'א', '"', '\u{b7}', '\u{387}', '’', '‘', '\u{2024}', '\u{fe52}', '٫', '٣', '\u{203f}', 'カ', 'ー',
    '中', 'ひ', 'ก', '🇩', '🇪', '😀', 'Ⓜ', '🅰', '👩', '🚀', 'ª', '²', '①',
];

fn any_char() -> impl Strategy<Value = char> {
    prop_oneof![
        3 => proptest::char::range('a', 'e'),
        1 => proptest::char::range('0', '9'),
        3 => proptest::sample::select(&[' ', '_', ':', ',', ';', '.', '\'', '"', '-'][..]),
        3 => proptest::sample::select(PECULIAR),
        1 => any::<char>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn counts_as_the_library_does(chars in proptest::collection::vec(any_char(), 0..60)) {
        let text: String = chars.into_iter().collect();
        prop_assert_eq!(word_count_uax29(&text), text.unicode_words().count());
    }
}

//! Proves that `word_count` is `len(text.split())`: against Python itself for every code point and for every whitespace
//! character between every kind of neighbour, and against a naive count for random text of any length.
//!
//! Catches: a whitespace character left out or one too many (U+200B, U+180E, U+FEFF are none), one that is missed where a
//! block begins or ends, and a word counted twice or not at all at such a place.

use std::io::Write;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::{BLOCK, word_count};

/// Python's whitespace, from the documentation of `str.isspace` (bidirectional class WS, B or S, or category Zs).
const SPACES: &[char] = &[
    '\u{9}', '\u{a}', '\u{b}', '\u{c}', '\u{d}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{1f}', '\u{20}', '\u{85}', '\u{a0}',
    '\u{1680}', '\u{2000}', '\u{2001}', '\u{2002}', '\u{2003}', '\u{2004}', '\u{2005}', '\u{2006}', '\u{2007}',
    '\u{2008}', '\u{2009}', '\u{200a}', '\u{2028}', '\u{2029}', '\u{202f}', '\u{205f}', '\u{3000}',
];

/// Neighbours that share bytes with whitespace: same leading byte, same last byte, or nearly.
const NEIGHBOURS: &[char] = &[
    'a',
    '\u{0}',
    '\u{8}',
    '\u{e}',
    '\u{1b}',
    '!',
    '\u{7f}',
    '\u{80}',
    '\u{84}',
    '\u{86}',
    'é',
    'à',
    '\u{9f}',
    '\u{1681}',
    '\u{180e}',
    '\u{200b}',
    '\u{201c}',
    '\u{2019}',
    '\u{202a}',
    '\u{2060}',
    '\u{2080}',
    '\u{3001}',
    '中',
    '\u{feff}',
    '\u{fffd}',
    '😀',
    '\u{20000}',
];

fn naive(text: &str) -> usize {
    text.split(SPACES).filter(|word| !word.is_empty()).count()
}

/// Runs a Python script with `input` as its standard input and gives back the numbers that it prints.
fn python(script: &str, input: &str) -> Vec<usize> {
    let mut child = Command::new("python3")
        .args(["-c", script])
        .env("PYTHONUTF8", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test suite needs python3 on the PATH");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.as_bytes().to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "python3 failed");
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(|number| number.parse().unwrap()).collect()
}

#[test]
fn the_same_code_points_divide_words_as_in_python() {
    let script = "print(*(c for c in range(0x110000) if not 0xd800 <= c < 0xe000 and len(f'a{chr(c)}b'.split()) == 2))";
    let ours: Vec<usize> =
        ('\0'..=char::MAX).filter(|c| word_count(&format!("a{c}b")) == 2).map(|c| c as usize).collect();
    assert_eq!(ours, python(script, ""));
}

/// Every whitespace character between all pairs of neighbours (and of whitespace), at every place near a block's edge.
fn corpus() -> Vec<String> {
    let around: Vec<char> = NEIGHBOURS.iter().chain(SPACES).copied().collect();
    let mut texts = Vec::new();
    for (index, space) in SPACES.iter().enumerate() {
        for left in &around {
            for right in &around {
                texts.push(format!("{left}{space}{right}"));
            }
        }
        for shift in 0..8 {
            for (other, neighbour) in around.iter().enumerate() {
                let filler = if (index + other) % 2 == 0 { "x" } else { " " };
                let start = BLOCK * (1 + other % 3) - shift;
                texts.push(format!("{}{neighbour}{space}{neighbour}", filler.repeat(start)));
                texts.push(format!("{}{space}{neighbour}{space} b{space}", filler.repeat(start)));
            }
        }
    }
    texts.push(String::new());
    texts
}

#[test]
fn counts_as_python_does() {
    let texts = corpus();
    let script = "import json, sys\nprint(*(len(text.split()) for text in json.load(sys.stdin)))";
    let counts = python(script, &serde_json::to_string(&texts).unwrap());
    assert_eq!(counts.len(), texts.len());
    for (text, count) in texts.iter().zip(counts) {
        assert_eq!(word_count(text), count, "{text:?}");
        assert_eq!(naive(text), count, "the oracle of the property test, {text:?}");
    }
}

fn any_char() -> impl Strategy<Value = char> {
    prop_oneof![
        4 => Just('a'),
        2 => Just(' '),
        2 => proptest::sample::select(SPACES),
        2 => proptest::sample::select(NEIGHBOURS),
        1 => any::<char>(),
    ]
}

proptest! {
    #[test]
    fn counts_as_the_naive_way_does(chars in proptest::collection::vec(any_char(), 0..4 * BLOCK), cut in 0..BLOCK) {
        let text: String = chars.into_iter().collect();
        prop_assert_eq!(word_count(&text), naive(&text));
        // The same text at another offset from the block's edge.
        let shifted = format!("{}{text}", "y".repeat(cut));
        prop_assert_eq!(word_count(&shifted), naive(&shifted));
    }
}

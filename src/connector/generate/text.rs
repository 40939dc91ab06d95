//! Prose with the statistics of news: a word-level Markov chain over classes of words, in sentences and paragraphs.
//!
//! Owns what follows what, how long sentences and articles are, and punctuation. Writes straight into a buffer in the form
//! that a JSON string needs (`\"`, `\n` as two characters), so that nothing is escaped afterwards. What must stay true: the
//! text is a function of the numbers drawn, and it compresses and splits into words about as real news does (tests hold
//! it to that).

use std::sync::LazyLock;

use super::rng::Rng;
use super::vocabulary::{Class, Vocabulary, length};

use Class::{
    Adjective as J, Adverb as R, Auxiliary as X, Conjunction as C, Determiner as D, Figure as F, Name as M, Noun as N,
    Preposition as P, Pronoun as I, Verb as V,
};

/// For each class, in the order of [`Class`], what comes next: sixteen equally likely successors.
const NEXT: [[Class; 16]; 11] = [
    [N, N, N, N, N, N, N, N, J, J, J, J, J, J, F, M], // determiner
    [N, N, N, N, N, N, N, N, N, N, N, N, J, J, C, P], // adjective
    [P, P, P, P, P, V, V, V, X, X, C, C, C, N, R, V], // noun
    [D, D, D, D, D, P, P, P, N, J, R, I, C, M, F, D], // verb
    [V, V, V, V, V, V, R, R, R, J, J, D, D, P, V, V], // auxiliary
    [V, V, V, J, J, P, P, D, D, X, C, R, N, I, V, P], // adverb
    [D, D, D, D, D, D, N, N, N, J, J, M, M, F, M, D], // preposition
    [D, D, D, D, I, I, I, N, N, M, J, V, R, X, P, D], // conjunction
    [X, X, X, X, X, V, V, V, V, V, R, X, V, X, P, V], // pronoun
    [V, V, V, X, X, P, P, P, C, C, N, N, M, R, X, V], // name
    [N, N, N, N, N, N, N, P, P, J, N, N, C, N, N, N], // figure
];

/// What a sentence begins with.
const FIRST: [Class; 16] = [D, D, D, D, D, D, I, I, I, M, M, P, C, R, J, N];

/// Words of an article: the middle, the fewest and the most.
const MEDIAN_WORDS: u64 = 300;
const FEWEST_WORDS: u64 = 20;
const MOST_WORDS: u64 = 4000;

/// An article's text in about as many words as real ones have.
pub(super) fn article(rng: &mut Rng, out: &mut Vec<u8>) {
    let mut left = article_words(rng);
    let mut in_paragraph = 2 + rng.below(4);
    loop {
        left = left.saturating_sub(sentence(rng, out));
        if left == 0 {
            return;
        }
        in_paragraph -= 1;
        if in_paragraph == 0 {
            out.extend_from_slice(br"\n\n");
            in_paragraph = 1 + rng.below(5);
        } else {
            out.push(b' ');
        }
    }
}

/// A headline of a few words, without a stop.
pub(super) fn title(rng: &mut Rng, out: &mut Vec<u8>) {
    let words = 5 + rng.below(7);
    let mut class = [N, J, M, D][rng.below(4) as usize];
    let start = out.len();
    for _ in 0..words {
        word(rng, class, out);
        class = NEXT[class as usize][rng.below(16) as usize];
    }
    word(rng, N, out);
    begin(out, start);
}

/// Writes a sentence with its stop; answers its words.
fn sentence(rng: &mut Rng, out: &mut Vec<u8>) -> u64 {
    let (open, close): (&[u8], &[u8]) = match rng.below(64) {
        0..=15 => ("“".as_bytes(), "”".as_bytes()),
        16..=18 => (br#"\""#, br#"\""#),
        _ => (b"", b""),
    };
    out.extend_from_slice(open);
    let start = out.len();
    let words = clause(rng, out);
    begin(out, start);
    out.extend_from_slice(match rng.below(32) {
        0 => b"?",
        1 => b"!",
        _ => b".",
    });
    out.extend_from_slice(close);
    words
}

/// The words of a sentence: about as many as drawn, and on until it may end.
fn clause(rng: &mut Rng, out: &mut Vec<u8>) -> u64 {
    let wanted = 7 + rng.below(12) + rng.below(12);
    let mut class = FIRST[rng.below(16) as usize];
    let mut words = 1;
    word(rng, class, out);
    while words < wanted || !matches!(class, N | M | R | F) {
        let bits = rng.bits();
        let next = NEXT[class as usize][(bits & 15) as usize];
        punctuate(class, next, bits >> 4, out);
        class = next;
        word(rng, class, out);
        words += 1;
    }
    words
}

/// What may stand between two words: now and then a comma, a dash, a possessive.
#[inline]
fn punctuate(before: Class, next: Class, bits: u64, out: &mut Vec<u8>) {
    let draw = bits & 63;
    match (before, next) {
        (N | M, C) if draw < 24 => out.push(b','),
        (N, V | X) if draw < 5 => out.extend_from_slice(" —".as_bytes()),
        (N | M, N) if draw < 28 => out.extend_from_slice("’s".as_bytes()),
        (N | V, P) if draw < 2 => out.push(b','),
        _ => {}
    }
}

/// Copies a word with the space before it: always a whole slot, then cut to its length, which is cheaper than a copy of
/// just that length.
#[inline]
fn word(rng: &mut Rng, class: Class, out: &mut Vec<u8>) {
    let slot = Vocabulary::get().of(class).draw(rng);
    let until = out.len() + length(slot);
    out.extend_from_slice(slot);
    out.truncate(until);
}

/// Makes what was written from `start` a beginning: no space before it, a capital first.
fn begin(out: &mut Vec<u8>, start: usize) {
    out.remove(start);
    out[start].make_ascii_uppercase();
}

/// The length of an article: log-normal, by whole numbers alone so that it is the same on every machine.
fn article_words(rng: &mut Rng) -> u64 {
    // Eight dice of 0..=255 are near enough to a normal distribution with deviation 209.
    let dice: u64 = rng.bits().to_le_bytes().iter().map(|die| u64::from(*die)).sum();
    (MEDIAN_WORDS * GROWTH[dice as usize / 8] / GROWTH[128]).clamp(FEWEST_WORDS, MOST_WORDS)
}

/// e^(x · 0.0234) for x = 0..=255 in fixed point: one deviation (26 steps) is a factor of 1.85.
static GROWTH: LazyLock<[u64; 256]> = LazyLock::new(|| {
    let mut growth = [0; 256];
    let mut value: u64 = 1 << 20;
    for step in &mut growth {
        *step = value;
        value += value * 97 / 4096;
    }
    growth
});

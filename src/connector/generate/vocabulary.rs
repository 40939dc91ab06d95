//! The vocabulary: every word ready to be copied, and how often each is drawn.
//!
//! Owns the classes of words and their frequencies, which fall with rank as they do in real text. Drawing a word is one
//! look into a table; copying it is one copy of a fixed size. Nothing is allocated after the vocabulary is made.

use std::sync::LazyLock;

use super::rng::Rng;
use super::words;

/// What kind of word may stand where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    Determiner,
    Adjective,
    Noun,
    Verb,
    Auxiliary,
    Adverb,
    Preposition,
    Conjunction,
    Pronoun,
    Name,
    Figure,
}

/// Bytes that a word takes in its table, the last of which is its length.
const SLOT: usize = 24;

/// Entries in a table of draws; a power of two.
const DRAWS: usize = 1 << 14;

/// A word with the space before it.
pub(super) type Slot = [u8; SLOT];

/// The words of one class.
pub(super) struct Words {
    slots: Vec<Slot>,
    draws: Vec<u16>,
}

impl Words {
    /// `words` by falling frequency: the one at rank r is drawn in proportion to 1 / (r + `flat`).
    fn new<'a>(words: impl Iterator<Item = &'a str>, flat: u32) -> Self {
        let slots: Vec<Slot> = words.filter(|word| word.len() + 2 <= SLOT).map(slot).collect();
        let draws = draws(slots.len(), flat);
        Words { slots, draws }
    }

    /// A word, with the space before it and its length behind.
    #[inline]
    pub(super) fn draw(&self, rng: &mut Rng) -> &Slot {
        let at = (rng.bits() as usize) & (DRAWS - 1);
        &self.slots[usize::from(self.draws[at])]
    }
}

/// The length of the word in a slot, with its space.
#[inline]
pub(super) fn length(slot: &Slot) -> usize {
    usize::from(slot[SLOT - 1])
}

fn slot(word: &str) -> Slot {
    let mut slot = [b' '; SLOT];
    slot[1..=word.len()].copy_from_slice(word.as_bytes());
    slot[SLOT - 1] = (word.len() + 1) as u8;
    slot
}

/// For each draw the rank it means. Weights are whole numbers, so that the table is the same on every machine.
fn draws(ranks: usize, flat: u32) -> Vec<u16> {
    let weight = |rank: usize| (1u64 << 32) / (rank as u64 + u64::from(flat));
    let total: u64 = (0..ranks).map(weight).sum();
    let mut draws = Vec::with_capacity(DRAWS);
    let mut below = 0u64;
    for rank in 0..ranks {
        below += weight(rank);
        let until = (u128::from(below) * DRAWS as u128 / u128::from(total.max(1))) as usize;
        draws.resize(until.max(draws.len()), rank as u16);
    }
    draws.resize(DRAWS, 0);
    draws
}

/// All classes.
pub(super) struct Vocabulary {
    classes: [Words; 11],
}

impl Vocabulary {
    /// The one vocabulary, made at its first use.
    pub(super) fn get() -> &'static Vocabulary {
        static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(Vocabulary::new);
        &VOCABULARY
    }

    fn new() -> Self {
        let plain = |list: &'static str, flat| Words::new(list.split_whitespace(), flat);
        Vocabulary {
            classes: [
                plain(words::DETERMINERS, 1),
                owned(&adjectives(), 12),
                owned(&nouns(), 25),
                owned(&verbs(), 25),
                plain(words::AUXILIARIES, 1),
                owned(&adverbs(), 6),
                plain(words::PREPOSITIONS, 1),
                plain(words::CONJUNCTIONS, 1),
                plain(words::PRONOUNS, 1),
                plain(words::NAMES, 20),
                plain(words::FIGURES, 15),
            ],
        }
    }

    /// The words of a class.
    #[inline]
    pub(super) fn of(&self, class: Class) -> &Words {
        &self.classes[class as usize]
    }
}

fn owned(list: &[String], flat: u32) -> Words {
    Words::new(list.iter().map(String::as_str), flat)
}

/// Plain nouns, their plurals among them, then the marked ones and the long tail.
fn nouns() -> Vec<String> {
    let mut nouns = Vec::new();
    for (rank, noun) in words::NOUNS.split_whitespace().enumerate() {
        nouns.push(noun.to_owned());
        if rank % 2 == 0 {
            nouns.push(plural(noun));
        }
    }
    nouns.splice(30..30, words::MARKED.split_whitespace().map(str::to_owned));
    nouns.extend(tail(&["ion", "or", "ment", "ance", "ity", "ist"]));
    nouns
}

fn verbs() -> Vec<String> {
    let mut verbs: Vec<String> = vec!["said".into(), "said".into(), "told".into(), "made".into(), "took".into()];
    for verb in words::VERBS.split_whitespace() {
        let stem = verb.strip_suffix('e').unwrap_or(verb);
        verbs.extend([format!("{stem}ed"), verb.to_owned(), format!("{stem}ing"), plural(verb)]);
    }
    verbs.extend(tail(&["ed", "ing"]));
    verbs
}

fn adjectives() -> Vec<String> {
    let mut adjectives: Vec<String> = words::ADJECTIVES.split_whitespace().map(str::to_owned).collect();
    adjectives.extend(tail(&["ive", "able", "al"]));
    adjectives
}

fn adverbs() -> Vec<String> {
    let made = words::ADJECTIVES.split_whitespace().skip(30).filter(|word| !word.ends_with("ly"));
    words::ADVERBS.split_whitespace().map(str::to_owned).chain(made.map(|word| format!("{word}ly"))).collect()
}

fn plural(noun: &str) -> String {
    match noun.as_bytes() {
        [.., b's' | b'x' | b'h'] => format!("{noun}es"),
        [.., before, b'y'] if !b"aeiou".contains(before) => format!("{}ies", &noun[..noun.len() - 1]),
        _ => format!("{noun}s"),
    }
}

/// The long tail: middles with endings first, then with beginnings too.
fn tail(endings: &[&str]) -> Vec<String> {
    let mut tail = Vec::new();
    let middles = || words::MIDDLES.split_whitespace();
    for middle in middles() {
        tail.extend(endings.iter().map(|ending| format!("re{middle}{ending}")));
    }
    for (turn, beginning) in words::BEGINNINGS.split_whitespace().enumerate() {
        for (at, middle) in middles().enumerate() {
            tail.push(format!("{beginning}{middle}{}", endings[(turn + at) % endings.len()]));
        }
    }
    tail
}

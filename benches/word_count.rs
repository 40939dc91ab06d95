//! How fast words are counted, beside the plain way of counting them: `cargo bench --bench word_count`.
//!
//! Prints megabytes per second on one core, best of several passes, over 16 MB of the generate source's articles (some
//! three in a hundred characters beyond ASCII: names, quotes, dashes, CJK), over the same with those characters replaced,
//! and over its titles. Fails where ASCII articles are under 1,000 MB/s or mixed ones under 600 MB/s.
#![expect(clippy::print_stdout, reason = "what a bench is for")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use millstream::connector::generate::record::{Kind, Records};
use millstream::functions::char_count::char_count;
use millstream::functions::sentence_count::sentence_count;
use millstream::functions::word_count::word_count;
use millstream::functions::word_count_uax29::word_count_uax29;
use millstream::functions::xxh3::xxh3;

/// Bytes of text per pass.
const BYTES: usize = 16_000_000;
const PASSES: usize = 5;
const LEAST_ASCII: f64 = 1_000.0;
const LEAST_MIXED: f64 = 600.0;

fn main() -> ExitCode {
    let mixed = texts("content");
    let ascii: Vec<String> = mixed.iter().map(|text| text.replace(|c: char| !c.is_ascii(), "e")).collect();
    let of_ascii = compare("articles, ASCII", &ascii);
    let of_mixed = compare("articles as they are", &mixed);
    compare("titles", &texts("title"));
    if of_ascii >= LEAST_ASCII && of_mixed >= LEAST_MIXED {
        return ExitCode::SUCCESS;
    }
    println!("missed: {LEAST_ASCII} MB/s of ASCII and {LEAST_MIXED} MB/s of mixed articles are wanted");
    ExitCode::FAILURE
}

/// Measures all functions on some texts; the speed of `word_count`.
fn compare(name: &str, texts: &[String]) -> f64 {
    let (bytes, characters) = texts.iter().fold((0, 0), |sum, text| (sum.0 + text.len(), sum.1 + text.chars().count()));
    let beyond = texts.iter().flat_map(|text| text.chars()).filter(|c| !c.is_ascii()).count();
    println!(
        "{name}: {} bytes each, {:.1} in a hundred characters beyond ASCII",
        bytes / texts.len(),
        beyond as f64 * 100.0 / characters as f64
    );
    let ours = measure("word_count", texts, word_count);
    let plain = measure("str::split_whitespace().count()", texts, |text| text.split_whitespace().count());
    println!("  {:<34}{:>8.1} times", "word_count is faster", ours / plain);
    measure("word_count_uax29", &texts[..texts.len() / 4], word_count_uax29);
    measure("char_count", texts, char_count);
    measure("xxh3", texts, |text| usize::from(xxh3(text)[0]));
    measure("sentence_count", &texts[..texts.len() / 16], sentence_count);
    ours
}

/// Times `count` over all texts, prints and returns megabytes per second.
fn measure(name: &str, texts: &[String], count: impl Fn(&str) -> usize) -> f64 {
    let bytes: usize = texts.iter().map(String::len).sum();
    let pass = |_| {
        let start = Instant::now();
        black_box(texts.iter().map(|text| count(black_box(text))).sum::<usize>());
        start.elapsed().as_secs_f64()
    };
    let best = (0..PASSES).map(pass).fold(f64::INFINITY, f64::min);
    let speed = bytes as f64 / best / 1e6;
    println!("  {name:<34}{speed:>8.0} MB/s");
    speed
}

/// A field of the generate source's articles, about [`BYTES`] of it.
fn texts(field: &str) -> Vec<String> {
    let records = Records::new(Kind::Articles, 1, 0.0);
    let (mut texts, mut bytes, mut line) = (Vec::new(), 0, Vec::new());
    while bytes < BYTES {
        line.clear();
        records.write(0, texts.len() as u64, &mut line);
        let record: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let text = record[field].as_str().unwrap().to_owned();
        bytes += text.len();
        texts.push(text);
    }
    texts
}

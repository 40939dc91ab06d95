//! What we count in a text: `word_count` and its kin, each a pure function over `&str`, and their SQL form.
//!
//! Owns the counting, the loop over Arrow's string arrays and the registration as SQL functions. It does not own how an
//! expression is parsed or evaluated. What must stay true: a function depends on nothing but its text, so that a replay
//! writes the same rows; null gives null; the encoding of a string array makes no difference to the answer.

pub mod char_count;
mod column;
pub mod sentence_count;
mod sql;
pub mod word_count;
pub mod word_count_uax29;
pub mod xxh3;

pub use sql::register;

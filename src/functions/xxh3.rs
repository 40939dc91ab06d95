//! `xxh3(text)`: the XXH3-64 hash of the text's UTF-8 bytes (seed 0), for finding duplicates and for sampling.
//!
//! The answer is text, 16 lower-case hexadecimal digits: the hash is an unsigned 64-bit number, and half of those do not
//! fit `int64`. Digits come highest first, so texts order as numbers would.

/// A hash as it is written.
pub type Hex = [u8; 16];

/// The hash of `text` as 16 hexadecimal digits.
pub fn xxh3(text: &str) -> Hex {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let hash = xxhash_rust::xxh3::xxh3_64(text.as_bytes());
    std::array::from_fn(|place| DIGITS[(hash >> (60 - 4 * place)) as usize & 0xf])
}

#[cfg(test)]
mod tests {
    //! Catches another seed, another byte order, lost leading zeros. The expected value of the empty text is the one that
    //! XXH3's own specification gives.
    use super::xxh3;

    #[test]
    fn writes_the_hash_in_sixteen_digits() {
        assert_eq!(&xxh3(""), b"2d06800538d394c2");
        for text in ["a", "news", "中文", &"long ".repeat(1000)] {
            let expected = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()));
            assert_eq!(xxh3(text), *expected.as_bytes());
        }
    }
}

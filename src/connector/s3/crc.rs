//! CRC-64/NVME as S3 writes it: eight bytes, the highest first, in base64.
//!
//! Owns the text form and the joining of parts' sums. What must stay true: text and number are each other's inverse.

use crc_fast::CrcAlgorithm::Crc64Nvme;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The sum of some bytes.
pub(super) fn of(bytes: &[u8]) -> u64 {
    crc_fast::checksum(Crc64Nvme, bytes)
}

/// The sum of two stretches of bytes, the second `size` long, from the sums of both.
pub(super) fn joined(first: u64, second: u64, size: u64) -> u64 {
    crc_fast::checksum_combine(Crc64Nvme, first, second, size)
}

/// A sum as S3 writes it.
pub(super) fn text(crc: u64) -> String {
    // 64 bits are ten digits of six and one of the four bits that are left.
    let high = (0..10).map(|digit| (crc >> (58 - 6 * digit)) & 63);
    let digits = high.chain([(crc & 15) << 2]).map(|digit| ALPHABET[digit as usize] as char);
    digits.chain(['=']).collect()
}

/// A sum as it was written; `None` for what is none.
pub(super) fn parse(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('=').filter(|digits| digits.len() == 11)?;
    let value = |byte: u8| ALPHABET.iter().position(|&letter| letter == byte).map(|at| at as u128);
    let bits = digits.bytes().try_fold(0u128, |bits, byte| Some(bits << 6 | value(byte)?))?;
    (bits & 3 == 0).then_some((bits >> 2) as u64)
}

#[cfg(test)]
mod tests {
    //! Held against the published check value; a digit wrong would make S3 refuse every object.
    use super::*;

    #[test]
    fn the_check_value_is_written_as_published() {
        assert_eq!(of(b"123456789"), 0xae8b_1486_0a79_9888);
        assert_eq!(text(of(b"123456789")), "rosUhgp5mIg=");
    }

    proptest::proptest! {
        #[test]
        fn text_and_number_are_inverse(crc: u64) {
            proptest::prop_assert_eq!(parse(&text(crc)), Some(crc));
        }

        #[test]
        fn sums_join_as_bytes_do(first: Vec<u8>, second: Vec<u8>) {
            let whole = [first.as_slice(), second.as_slice()].concat();
            proptest::prop_assert_eq!(joined(of(&first), of(&second), second.len() as u64), of(&whole));
        }
    }

    #[test]
    fn what_is_no_sum_is_none() {
        for text in ["", "=", "rosUhgp5mIg", "rosUhgp5mIh=", "rosUhgp5mI!=", "AAAAAAAAAAAAAAA="] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}

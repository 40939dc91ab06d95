//! From a function over one text to one over a column of texts, whatever their encoding.
//!
//! Owns the loops. Plain string arrays are walked by their offsets into one buffer of values; a dictionary is counted once
//! per distinct value. Memory is that of the answer.

use std::sync::Arc;

use arrow::array::{Array, ArrayAccessor, ArrayRef, AsArray, Int64Array, StringArray, StringBuilder, new_null_array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::xxh3::Hex;

/// What a function makes of one text.
#[derive(Clone, Copy)]
pub(super) enum PerText {
    Count(fn(&str) -> usize),
    Hash(fn(&str) -> Hex),
}

impl PerText {
    /// The type of the answers.
    pub(super) fn data_type(self) -> DataType {
        match self {
            PerText::Count(_) => DataType::Int64,
            PerText::Hash(_) => DataType::Utf8,
        }
    }

    /// The answers for a column; null for null.
    pub(super) fn over(self, texts: &dyn Array) -> Result<ArrayRef, ArrowError> {
        match texts.data_type() {
            DataType::Utf8 => Ok(self.each(texts.as_string::<i32>())),
            DataType::LargeUtf8 => Ok(self.each(texts.as_string::<i64>())),
            DataType::Utf8View => Ok(self.each(texts.as_string_view())),
            DataType::Null => Ok(new_null_array(&self.data_type(), texts.len())),
            DataType::Dictionary(_, _) => {
                let dictionary = texts.as_any_dictionary();
                take(&self.over(dictionary.values())?, dictionary.keys(), None)
            }
            other => Err(ArrowError::InvalidArgumentError(format!("text was expected, not {other}"))),
        }
    }

    fn each<'a>(self, texts: impl ArrayAccessor<Item = &'a str>) -> ArrayRef {
        match self {
            PerText::Count(count) => Arc::new(counts(texts, count)),
            PerText::Hash(hash) => Arc::new(hashes(texts, hash)),
        }
    }
}

fn counts<'a>(texts: impl ArrayAccessor<Item = &'a str>, count: fn(&str) -> usize) -> Int64Array {
    let counts: Vec<i64> = (0..texts.len())
        .map(|row| if texts.is_null(row) { 0 } else { i64::try_from(count(texts.value(row))).unwrap_or(i64::MAX) })
        .collect();
    Int64Array::new(counts.into(), texts.nulls().cloned())
}

fn hashes<'a>(texts: impl ArrayAccessor<Item = &'a str>, hash: fn(&str) -> Hex) -> StringArray {
    let mut hashes = StringBuilder::with_capacity(texts.len(), texts.len() * size_of::<Hex>());
    for row in 0..texts.len() {
        if texts.is_null(row) {
            hashes.append_null();
        } else {
            hashes.append_option(std::str::from_utf8(&hash(texts.value(row))).ok());
        }
    }
    hashes.finish()
}

#[cfg(test)]
mod tests {
    //! Catches an encoding that gives another answer, a null that becomes a count, and a sliced array read from its start.
    use arrow::compute::cast;

    use super::super::{word_count::word_count, xxh3::xxh3};
    use super::*;

    #[test]
    fn every_encoding_gives_the_same_answer() {
        let texts = StringArray::from(vec![Some("left out"), Some("one"), None, Some(""), Some("one"), Some("a b  c")]);
        let texts = texts.slice(1, 5);
        let expected = Int64Array::from(vec![Some(1), None, Some(0), Some(1), Some(3)]);
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        for encoding in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary] {
            let encoded = cast(&texts, &encoding).unwrap();
            let counts = PerText::Count(word_count).over(&encoded).unwrap();
            assert_eq!(counts.as_primitive(), &expected, "{encoding}");
            let hashes = PerText::Hash(xxh3).over(&encoded).unwrap();
            assert_eq!(hashes.as_string::<i32>().value(0).as_bytes(), xxh3("one"), "{encoding}");
            assert!(hashes.is_null(1), "{encoding}");
        }
        let nulls = PerText::Count(word_count).over(&new_null_array(&DataType::Null, 2)).unwrap();
        assert_eq!((nulls.data_type(), nulls.null_count()), (&DataType::Int64, 2));
        assert!(PerText::Count(word_count).over(&expected).is_err());
    }
}

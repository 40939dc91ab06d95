//! Our functions as SQL functions.
//!
//! Owns names and signatures: one argument, a text of any encoding or null. A new function is one variant here and one
//! file beside.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::char_count::char_count;
use super::column::PerText;
use super::sentence_count::sentence_count;
use super::word_count::word_count;
use super::word_count_uax29::word_count_uax29;
use super::xxh3::xxh3;

/// Our functions, for a registry of SQL functions.
pub fn register() -> Vec<Arc<ScalarUDF>> {
    use Which::{Chars, Hash, Sentences, Words, WordsUax29};
    [Words, WordsUax29, Chars, Sentences, Hash]
        .map(|which| {
            Arc::new(ScalarUDF::from(TextFunction { which, signature: Signature::string(1, Volatility::Immutable) }))
        })
        .into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Which {
    Words,
    WordsUax29,
    Chars,
    Sentences,
    Hash,
}

impl Which {
    fn name(self) -> &'static str {
        match self {
            Which::Words => "word_count",
            Which::WordsUax29 => "word_count_uax29",
            Which::Chars => "char_count",
            Which::Sentences => "sentence_count",
            Which::Hash => "xxh3",
        }
    }

    fn per_text(self) -> PerText {
        match self {
            Which::Words => PerText::Count(word_count),
            Which::WordsUax29 => PerText::Count(word_count_uax29),
            Which::Chars => PerText::Count(char_count),
            Which::Sentences => PerText::Count(sentence_count),
            Which::Hash => PerText::Hash(xxh3),
        }
    }
}

/// One of our functions, as DataFusion calls it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TextFunction {
    which: Which,
    signature: Signature,
}

impl ScalarUDFImpl for TextFunction {
    fn name(&self) -> &str {
        self.which.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.which.per_text().data_type())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.which.per_text().data_type(), nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let per_text = self.which.per_text();
        match &args.args[0] {
            ColumnarValue::Array(texts) => Ok(ColumnarValue::Array(per_text.over(texts)?)),
            ColumnarValue::Scalar(text) => {
                let answer = per_text.over(&text.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?))
            }
        }
    }
}

//! Lets a column be named like an SQL word: `timestamp`, `order`, `user.date` work without quotes.
//!
//! The parser knows hundreds of words by heart and would take a column of that name for one of them. So before parsing we
//! walk the words of the expression and put in quotes those that name a column. Which those are, their places tell: SQL
//! goes back and forth between places for an operand (a column, a literal, a call) and places for an operator (`+`, `and`,
//! `between`, `as`). A word in the place of an operand that names a column is that column, unless it is
//!
//! - called, `date(…)`; or begins a literal, `date '2024-02-28'`, `interval '1 day'`;
//! - one of [`PREFIXES`], which begin an operand themselves: a column of such a name needs double quotes;
//! - what `extract(day from …)` and `trim(both …)` begin with.
//!
//! A word behind a dot is always a name. Words in quotes stay as they are. What must stay true: every token keeps its
//! place in the text, so that errors found later point to where the user wrote it.

use arrow::datatypes::Schema;
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// Words that begin an operand and so cannot be columns without quotes.
const PREFIXES: [&str; 5] = ["not", "null", "true", "false", "case"];

/// Words in the place of an operator behind which comes an operand. Others (`at`, `time`, `similar`, `not`, `end`) are
/// followed by another word of the operator, or by nothing.
const OPERATORS: [&str; 21] = [
    "and", "or", "xor", "in", "like", "ilike", "rlike", "regexp", "between", "to", "div", "escape", "when", "then",
    "else", "from", "for", "placing", "using", "zone", "collate",
];

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Operand,
    Operator,
    /// Behind `case`: an operand, or `when`.
    AfterCase,
    /// Behind `is`: `not null`, `true`, `distinct from …`.
    AfterIs,
    /// The name of a type behind `::`.
    TypeName,
    /// Inside a type, or its arguments, until that many parentheses are closed.
    Type(u32),
    /// A name behind a dot.
    Part,
}

/// Puts the words that name a column of `schema` in quotes.
pub(super) fn quote_columns(tokens: &mut [TokenWithSpan], schema: &Schema) {
    let places: Vec<usize> =
        (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let mut expect = Expect::Operand;
    for index in 0..places.len() {
        let near = |offset: isize| {
            let place = places.get(index.checked_add_signed(offset)?)?;
            Some(&tokens[*place].token)
        };
        let (quote, next) = match &tokens[places[index]].token {
            Token::Word(word) => read_word(word, expect, schema, near),
            other => (false, read_other(other, expect)),
        };
        if quote && let Token::Word(word) = &mut tokens[places[index]].token {
            word.quote_style = Some('"');
            word.keyword = Keyword::NoKeyword;
        }
        expect = next;
    }
}

/// The first word of `tokens` that is a column of `schema` but had to be taken for SQL, for the error message.
pub(super) fn column_taken_for_sql<'a>(tokens: &'a [TokenWithSpan], schema: &Schema) -> Option<&'a str> {
    tokens.iter().find_map(|token| match &token.token {
        Token::Word(word) if word.quote_style.is_none() && is_one_of(word, &PREFIXES) => {
            schema.column_with_name(&word.value).map(|_| word.value.as_str())
        }
        _ => None,
    })
}

/// Whether a word is to be quoted, and what may come behind it.
fn read_word<'a>(
    word: &Word,
    expect: Expect,
    schema: &Schema,
    near: impl Fn(isize) -> Option<&'a Token>,
) -> (bool, Expect) {
    let called = near(1) == Some(&Token::LParen);
    if word.quote_style.is_some() {
        return (false, if matches!(expect, Expect::Type(_)) { expect } else { Expect::Operator });
    }
    match expect {
        Expect::Part => (!called, Expect::Operator),
        Expect::Type(_) => (false, expect),
        Expect::TypeName => (false, if called { Expect::Type(0) } else { Expect::Operator }),
        Expect::Operator => (false, behind_operator(word)),
        Expect::AfterIs => (false, behind_is(word)),
        Expect::AfterCase if is_one_of(word, &["when"]) => (false, Expect::Operand),
        Expect::Operand | Expect::AfterCase => read_operand(word, called, schema, near),
    }
}

fn read_operand<'a>(
    word: &Word,
    called: bool,
    schema: &Schema,
    near: impl Fn(isize) -> Option<&'a Token>,
) -> (bool, Expect) {
    if is_one_of(word, &["not"]) {
        return (false, Expect::Operand);
    }
    if is_one_of(word, &["case"]) {
        return (false, Expect::AfterCase);
    }
    let sql = called || is_one_of(word, &PREFIXES) || begins_literal(word, near(1)) || is_part_of_call(word, &near);
    (!sql && schema.column_with_name(&word.value).is_some(), Expect::Operator)
}

/// `date '…'`, `interval 3 day`, `timestamp with time zone '…'`.
fn begins_literal(word: &Word, next: Option<&Token>) -> bool {
    match next {
        Some(Token::SingleQuotedString(_)) => true,
        Some(Token::Number(_, _)) => is_one_of(word, &["interval"]),
        Some(Token::Word(next)) => is_one_of(word, &["timestamp", "time"]) && is_one_of(next, &["with", "without"]),
        _ => false,
    }
}

/// The `day` of `extract(day from …)`, the `both` of `trim(both from …)`.
fn is_part_of_call<'a>(word: &Word, near: &impl Fn(isize) -> Option<&'a Token>) -> bool {
    let (Some(Token::LParen), Some(Token::Word(call))) = (near(-1), near(-2)) else { return false };
    let alone = matches!(near(1), Some(Token::RParen | Token::Comma));
    let extract = is_one_of(call, &["extract"]) && matches!(near(1), Some(Token::Word(_)));
    let trim = is_one_of(call, &["trim"]) && is_one_of(word, &["both", "leading", "trailing"]);
    !alone && (extract || trim)
}

fn behind_operator(word: &Word) -> Expect {
    if is_one_of(word, &["is"]) {
        Expect::AfterIs
    } else if is_one_of(word, &["as"]) {
        Expect::Type(1)
    } else if is_one_of(word, &OPERATORS) {
        Expect::Operand
    } else {
        Expect::Operator
    }
}

fn behind_is(word: &Word) -> Expect {
    if is_one_of(word, &["not", "distinct"]) {
        Expect::AfterIs
    } else if is_one_of(word, &["from"]) {
        Expect::Operand
    } else {
        Expect::Operator
    }
}

fn read_other(token: &Token, expect: Expect) -> Expect {
    match (token, expect) {
        (Token::LParen, Expect::Type(open)) => Expect::Type(open + 1),
        (Token::RParen, Expect::Type(open)) if open > 1 => Expect::Type(open - 1),
        (Token::RParen, _) => Expect::Operator,
        (_, Expect::Type(_)) => expect,
        (Token::Period, _) => Expect::Part,
        (Token::DoubleColon, _) => Expect::TypeName,
        (Token::RBracket | Token::Number(_, _) | Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_), _) => {
            Expect::Operator
        }
        _ => Expect::Operand,
    }
}

fn is_one_of(word: &Word, words: &[&str]) -> bool {
    word.quote_style.is_none() && words.iter().any(|other| word.value.eq_ignore_ascii_case(other))
}

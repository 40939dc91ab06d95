//! What calls and operators give, one line each.

use super::*;

#[test]
fn conditions() {
    check(&[
        ("case when \"order\" > 0 then 'plus' when \"order\" < 0 then 'minus' end", ["plus", "-", "minus"]),
        ("case group when 1 then 'one' else 'other' end", ["one", "other", "other"]),
        ("coalesce(title, 'none')", ["The Daily News", "none", "Älter\u{a0}werden"]),
        ("nullif(group, 0)", ["1", "-", "2"]),
        ("group in (1, 2)", ["true", "false", "true"]),
        ("group not in (1, 2)", ["false", "true", "false"]),
        ("title like 'The%'", ["true", "-", "false"]),
        ("title not like 'The%'", ["false", "-", "true"]),
        ("title ilike '%NEWS'", ["true", "-", "false"]),
        ("group between 1 and 1", ["true", "false", "false"]),
        ("title is null", ["false", "true", "false"]),
        ("select is not true", ["false", "true", "true"]),
        ("title is distinct from 'x'", ["true", "true", "true"]),
        ("not select or group = 2", ["false", "-", "true"]),
        ("group + 1 > 1 and length(content) > 0", ["true", "false", "true"]),
    ]);
}

#[test]
fn casts() {
    check(&[
        ("cast(publish_date as date)", ["2024-02-28", "-", "9999-12-31"]),
        ("publish_date::date", ["2024-02-28", "-", "9999-12-31"]),
        ("try_cast(number as int)", ["12", "-", "-3"]),
        ("try_cast(number as bigint) + 1", ["13", "-", "-2"]),
        ("cast(group as string)", ["1", "0", "2"]),
        ("cast(group as int64)", ["1", "0", "2"]),
        ("cast(group as float64) / 2", ["0.5", "0.0", "1.0"]),
        ("cast(group as decimal(10, 2))", ["1.00", "0.00", "2.00"]),
        ("group::smallint", ["1", "0", "2"]),
        ("cast('2024-02-28 10:11:12' as timestamp) = timestamp '2024-02-28T10:11:12Z'", ["true", "true", "true"]),
        ("cast(date as timestamp)", ["2024-02-28T00:00:00Z", "-", "2024-02-29T00:00:00Z"]),
        ("cast(content as binary) = cast('' as binary)", ["false", "true", "false"]),
    ]);
}

#[test]
fn times() {
    check(&[
        ("date_trunc('hour', publish_date)", ["2024-02-28T10:00:00Z", "-", "9999-12-31T23:00:00Z"]),
        ("date_trunc('month', date)", ["2024-02-01T00:00:00Z", "-", "2024-02-01T00:00:00Z"]),
        ("date_part('year', publish_date)", ["2024", "-", "9999"]),
        ("extract(day from publish_date)", ["28", "-", "31"]),
        ("extract(month from date)", ["2", "-", "2"]),
        ("to_timestamp('2024-02-28T10:11:12.345678Z') = publish_date", ["true", "-", "false"]),
        ("to_timestamp('9999-12-31 23:59:59') = publish_date", ["false", "-", "true"]),
        ("to_timestamp(group)", ["1970-01-01T00:00:01Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:02Z"]),
        (
            "to_timestamp_millis(group)",
            ["1970-01-01T00:00:00.001Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.002Z"],
        ),
        ("publish_date - interval '1 day'", ["2024-02-27T10:11:12.345678Z", "-", "9999-12-30T23:59:59Z"]),
        ("date + interval '1 month'", ["2024-03-28", "-", "2024-03-29"]),
        ("publish_date >= timestamp '2024-02-28 10:11:12'", ["true", "-", "true"]),
        ("publish_date < '2025-01-01'", ["true", "-", "false"]),
        ("publish_date > date '2024-02-28'", ["true", "-", "true"]),
        ("publish_date between date '2024-02-28' and timestamp '9999-01-01'", ["true", "-", "false"]),
        ("date = date '2024-02-29'", ["false", "-", "true"]),
        ("publish_date > date", ["true", "-", "true"]),
    ]);
}

#[test]
fn lengths_of_time() {
    check(&[
        ("publish_date - date > interval '10 hours'", ["true", "-", "true"]),
        // Longer than seven days, though it has no part that is told in days.
        ("publish_date - date > interval '7 days'", ["false", "-", "true"]),
        ("interval '7 days' < publish_date - date", ["false", "-", "true"]),
        ("publish_date - date between interval '10 hours' and interval '1 day'", ["true", "-", "false"]),
        ("publish_date - date not between interval '10 hours' and interval '1 day'", ["false", "-", "true"]),
        ("timestamp - publish_date = interval '0 days'", ["true", "-", "true"]),
        ("timestamp - publish_date is distinct from interval '0 days'", ["false", "true", "false"]),
        ("date - publish_date < interval '-1 hour'", ["true", "-", "true"]),
        ("date - publish_date < -interval '11 hours'", ["false", "-", "true"]),
        ("interval '24 hours' = interval '1 day'", ["true", "true", "true"]),
        ("publish_date - interval '1 month' < date", ["true", "-", "false"]),
        ("date_part('epoch', publish_date - date)", ["36672.345678", "-", "251693135999.0"]),
        ("extract(epoch from date - publish_date) < -36000", ["true", "-", "true"]),
        ("cast(timestamp as date) - date", ["0", "-", "2913114"]),
    ]);
}

#[test]
fn hours() {
    check(&[
        ("date_part('hour', publish_date)", ["10", "-", "23"]),
        ("extract(hour from timestamp)", ["10", "-", "23"]),
        (
            "case when publish_date < '2262-01-01' then to_char(publish_date, '%Y-%m-%dT%H') end",
            ["2024-02-28T10", "-", "-"],
        ),
    ]);
}

#[test]
fn texts_and_numbers() {
    check(&[
        ("lower(title)", ["the daily news", "-", "älter\u{a0}werden"]),
        ("upper(title)", ["THE DAILY NEWS", "-", "ÄLTER\u{a0}WERDEN"]),
        ("length(content)", ["14", "0", "3"]),
        ("substr(title, 1, 3)", ["The", "-", "Ält"]),
        ("substring(title from 1 for 3)", ["The", "-", "Ält"]),
        ("concat(title, '!', number)", ["The Daily News!12", "!x", "Älter\u{a0}werden!-3"]),
        ("title || '!'", ["The Daily News!", "-", "Älter\u{a0}werden!"]),
        ("trim(both ' ' from ' x ')", ["x", "x", "x"]),
        ("position('D' in title)", ["5", "-", "0"]),
        ("replace(content, ' ', '')", ["onetwothree", "", "a\u{1c}b"]),
        ("split_part(title, ' ', 2)", ["Daily", "-", ""]),
        ("starts_with(title, 'The')", ["true", "-", "false"]),
        ("regexp_like(title, '^[A-Z]')", ["true", "-", "false"]),
        ("regexp_replace(title, ' .*', '')", ["The", "-", "Älter\u{a0}werden"]),
        ("abs(\"order\")", ["7", "-", "1"]),
        ("round(value * 2)", ["3.0", "-", "NaN"]),
        ("group % 2 = 0", ["false", "true", "true"]),
        ("group * 1.5", ["1.5", "0.0", "3.0"]),
        ("greatest(group, 1)", ["1", "1", "2"]),
        ("-group", ["-1", "0", "-2"]),
        ("1 + 2 * 3", ["7", "7", "7"]),
        ("'it''s'", ["it's", "it's", "it's"]),
    ]);
}

#[test]
fn our_functions() {
    check(&[
        ("word_count(content)", ["3", "0", "2"]),
        ("word_count(title)", ["3", "-", "2"]),
        ("word_count_uax29(title)", ["3", "-", "2"]),
        ("char_count(title)", ["14", "-", "12"]),
        ("sentence_count(content)", ["1", "0", "1"]),
        ("xxh3(content) = '2d06800538d394c2'", ["false", "true", "false"]),
        ("word_count(null)", ["-", "-", "-"]),
        ("word_count('a b')", ["2", "2", "2"]),
        ("word_count(user.id)", ["1", "-", "1"]),
        ("word_count(arrow_cast(content, 'LargeUtf8'))", ["3", "0", "2"]),
    ]);
}

#[test]
fn only_types_of_columns_come_out() {
    let cases = [
        ("arrow_cast(title, 'Utf8View')", DataType::Utf8),
        ("arrow_cast(title, 'LargeUtf8')", DataType::Utf8),
        ("arrow_cast(title, 'Dictionary(Int32, Utf8)')", DataType::Utf8),
        ("arrow_cast(publish_date, 'Timestamp(Millisecond, None)')", Kind::Timestamp.data_type()),
        ("arrow_cast(date, 'Date64')", DataType::Date32),
        ("arrow_cast(group, 'UInt8')", DataType::Int32),
        ("arrow_cast(group, 'UInt64')", DataType::Int64),
        ("arrow_cast(group, 'Float32')", DataType::Float64),
        ("arrow_cast(content, 'LargeBinary')", DataType::Binary),
        ("18446744073709551615 - 18446744073709551614", DataType::Int64),
    ];
    for (sql, data_type) in cases {
        assert_eq!(compile(sql).data_type(), data_type, "{sql}");
        if !sql.contains("publish_date") {
            values(sql);
        }
    }
    assert!(matches!(compile("user").kind(), Kind::Struct(_)));
    assert!(matches!(compile("tags").kind(), Kind::List(_)));
    assert!(matches!(compile("named_struct('a', group, 'b', arrow_cast(title, 'Utf8View'))").kind(), Kind::Struct(_)));
}

#[test]
fn rules_are_true_or_not() {
    let rule = Expression::compile_rule("value > 1 and not cast(number as int) < 0", &rows().schema()).unwrap();
    let ruled = rule.evaluate_rule(&rows());
    assert_eq!(ruled.passed, BooleanArray::from(vec![true, false, false]));
    let constant = Expression::compile_rule("true", &rows().schema()).unwrap();
    assert_eq!(constant.evaluate_rule(&rows()).passed.true_count(), 3);
    let message = Expression::compile_rule("length(title)", &rows().schema()).unwrap_err().to_string();
    assert_eq!(message, "a rule has to be true or false, and this is int32; compare it with something");
}

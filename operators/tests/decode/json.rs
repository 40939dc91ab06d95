//! Proves, case by case, what a JSON record means. It would catch a value that is guessed or rounded, a reason that is not
//! the stated one, a key that counts twice, and text that is no JSON yet taken.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use millstream_operators::decode::{Decode, DecodeOptions, Decoder, origin_everywhere};
use millstream_operators::{Column, Kind, Reason, Refusal};
use serde_json::Value;

use super::*;

/// One optional column `a`.
fn a(kind: Kind) -> Decoder {
    decoder(vec![Column::new("a", kind)])
}

/// Each text, and the row or the refusal that it becomes.
fn check(decoder: &mut Decoder, cases: &[(&str, &str)]) {
    let texts: Vec<&str> = cases.iter().map(|(text, _)| *text).collect();
    for ((text, expected), fate) in cases.iter().zip(decode(decoder, &texts)) {
        assert_eq!(fate.brief(), *expected, "{text}: {fate:?}");
    }
}

#[test]
fn what_is_no_json_is_a_decode_reject() {
    for text in [
        "",
        " ",
        "\t\r\n",
        "{",
        "}",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1}}",
        "{\"a\":1} x",
        "{\"a\":1}{\"a\":2}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":-Infinity}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":+1}",
        "{\"a\":-}",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":--1}",
        "{\"a\":0x1}",
        "{\"a\":1_0}",
        "{\"a\":tru}",
        "{\"a\":True}",
        "{\"a\":nul}",
        "{\"a\":nulll}",
        "{\"a\":undefined}",
        "{\"a\":\"x}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\u12G4\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\\ud800\\ud800\"}",
        "{\"a\":\"\\ud800x\"}",
        "{\"a\":\"\\ud800\\n\"}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\u{0}\"}",
        "{\"a\":[1,]}",
        "{\"a\":[1}",
        "{\"a\":[,1]}",
        "{\"a\":{\"b\":1]}",
        "[1,2",
        "\"abc",
        "nope",
        "{\"a\":1}\u{0}",
        "{\"a\":1/**/}",
        "{\"z\":\"\\ud800\"}",
        "{\"z\":NaN}",
        "{\"z\":[01]}",
        "{\"z\\ud800\":1}",
        "{\"a\u{1}\":1}",
        "\u{feff}\u{feff}{}",
        "\u{a0}{}",
    ] {
        let fate = &decode(&mut a(Kind::Int64), &[text])[0];
        assert_eq!(fate.brief(), "decode -", "{text}: {fate:?}");
    }
}

#[test]
fn bytes_that_are_no_utf8_are_a_decode_reject_and_say_so() {
    let mut decoder = a(Kind::String);
    let utf16: Vec<u8> = "{\"a\":\"b\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked: Vec<u8> = [0xff, 0xfe].into_iter().chain(utf16.iter().copied()).collect();
    let records: [&[u8]; 6] =
        [b"{\"a\":\"\xff\"}", b"{\"z\":\"\xc3\"}", &utf16, &marked, b"{\"a\":\"\xed\xa0\x80\"}", b"{\"a\":\"good\"}"];
    let found = decode(&mut decoder, &records);
    for fate in &found[..5] {
        assert_eq!(fate.brief(), "decode -");
    }
    assert!(found[0].message().contains("not UTF-8 at byte 6"), "{:?}", found[0]);
    assert!(found[2].message().contains("UTF-16") && found[3].message().contains("UTF-16"));
    assert_eq!(found[5].brief(), r#"{"a":"good"}"#, "those around a broken record are read");
}

#[test]
fn a_record_is_an_object() {
    check(
        &mut a(Kind::Int64),
        &[
            ("[1,2]", "type -"),
            ("[{\"a\":1}]", "type -"),
            ("1", "type -"),
            ("\"a\"", "type -"),
            ("null", "type -"),
            ("true", "type -"),
            ("{}", r#"{"a":null}"#),
            (" \t\r\n{ \"a\" : 1 } \n", r#"{"a":1}"#),
            ("\u{feff}{\"a\":1}", r#"{"a":1}"#),
        ],
    );
}

#[test]
fn strings_come_out_as_they_were_meant() {
    let mut decoder = a(Kind::String);
    let long = "x".repeat(100);
    let cases = [
        (r#"{"a":""}"#.to_owned(), String::new()),
        (r#"{"a":"\"\\\/\b\f\n\r\t"}"#.to_owned(), "\"\\/\u{8}\u{c}\n\r\t".to_owned()),
        (r#"{"a":"\u0041\u00e9\u6771\u0000"}"#.to_owned(), "Aé東\u{0}".to_owned()),
        (r#"{"a":"x\ud83d\ude00y\uD83D\uDE00"}"#.to_owned(), "x😀y😀".to_owned()),
        (r#"{"a":"é東😀"}"#.to_owned(), "é東😀".to_owned()),
        (r#"{"a":"\\u0041"}"#.to_owned(), "\\u0041".to_owned()),
        (format!(r#"{{"a":"{long}\n{long}\""}}"#), format!("{long}\n{long}\"")),
        ("{\"a\":\"\u{7f}\u{85}\u{2028}\"}".to_owned(), "\u{7f}\u{85}\u{2028}".to_owned()),
    ];
    let texts: Vec<&String> = cases.iter().map(|(text, _)| text).collect();
    for ((text, expected), fate) in cases.iter().zip(decode(&mut decoder, &texts)) {
        assert_eq!(fate, Fate::Row(json!({ "a": expected })), "{text}");
    }
}

#[test]
fn types_are_strict() {
    for (kind, cases) in [
        (
            Kind::String,
            [("1", "type a"), ("true", "type a"), ("{}", "type a"), ("[]", "type a"), ("null", r#"{"a":null}"#)]
                .as_slice(),
        ),
        (
            Kind::Int32,
            &[
                ("2147483647", r#"{"a":2147483647}"#),
                ("-2147483648", r#"{"a":-2147483648}"#),
                ("2147483648", "type a"),
                ("1.0", "type a"),
                ("1e3", "type a"),
                ("\"1\"", "type a"),
                ("false", "type a"),
            ],
        ),
        (
            Kind::Int64,
            &[
                ("9223372036854775807", r#"{"a":9223372036854775807}"#),
                ("-9223372036854775808", r#"{"a":-9223372036854775808}"#),
                ("9223372036854775808", "type a"),
                ("-0", r#"{"a":0}"#),
                ("1.5", "type a"),
                ("\"seven\"", "type a"),
            ],
        ),
        (
            Kind::Float64,
            &[
                ("1", r#"{"a":1.0}"#),
                ("-0.0", r#"{"a":-0.0}"#),
                ("1e3", r#"{"a":1000.0}"#),
                ("1e999", "type a"),
                ("\"1\"", "type a"),
            ],
        ),
        (
            Kind::Bool,
            &[("true", r#"{"a":true}"#), ("false", r#"{"a":false}"#), ("1", "type a"), ("\"true\"", "type a")],
        ),
        (
            Kind::Timestamp,
            &[
                ("\"1970-01-02\"", r#"{"a":86400000000}"#),
                ("\"1970-01-01T00:00\\u003a01Z\"", r#"{"a":1000000}"#),
                ("0", "type a"),
                ("\"soon\"", "type a"),
                ("\"1970-01-01T00:00:60Z\"", "type a"),
            ],
        ),
        (Kind::Date, &[("\"1970-01-02\"", r#"{"a":1}"#), ("\"1970-01-02T00:00\"", "type a"), ("1", "type a")]),
        (
            decimal(5, 2),
            &[
                ("1.5", r#"{"a":"150"}"#),
                ("\"-999.99\"", r#"{"a":"-99999"}"#),
                ("1.555", "type a"),
                ("1000", "type a"),
                ("1e1", r#"{"a":"1000"}"#),
                ("\"x\"", "type a"),
                ("true", "type a"),
            ],
        ),
        (
            Kind::Binary,
            &[
                ("\"aGk=\"", r#"{"a":[104,105]}"#),
                ("\"\"", r#"{"a":[]}"#),
                ("\"aGk\"", "type a"),
                ("\"a_-=\"", "type a"),
                ("\"aGk= \"", "type a"),
                ("1", "type a"),
            ],
        ),
        (
            Kind::Struct(vec![Column::new("b", Kind::Int64)]),
            &[("{}", r#"{"a":{"b":null}}"#), ("[]", "type a"), ("1", "type a"), ("{\"b\":\"x\"}", "type a.b")],
        ),
        (
            list(Column::new("item", Kind::Int64)),
            &[
                ("[]", r#"{"a":[]}"#),
                (" [ 1 , null , 2 ] ", r#"{"a":[1,null,2]}"#),
                ("{}", "type a"),
                ("1", "type a"),
                ("[1,\"x\"]", "type a[1]"),
                ("[1,2,3,[]]", "type a[3]"),
            ],
        ),
    ] {
        let mut decoder = a(kind.clone());
        for (text, expected) in cases {
            let fate = &decode(&mut decoder, &[format!("{{\"a\":{text}}}")])[0];
            assert_eq!(fate.brief(), *expected, "{kind:?} from {text}: {fate:?}");
        }
    }
}

#[test]
fn an_odd_number_under_an_ignored_key_harms_nothing() {
    let digits = format!(r#"{{"a":1,"z":{}}}"#, "7".repeat(400));
    check(
        &mut a(Kind::Int64),
        &[(r#"{"z":1e999999,"a":1}"#, r#"{"a":1}"#), (&digits, r#"{"a":1}"#), (r#"{"z":-0.0e-0,"a":1}"#, r#"{"a":1}"#)],
    );
}

#[test]
fn keys_are_taken_as_they_are_and_the_last_of_equal_ones_counts() {
    let inner = Kind::Struct(vec![Column::new("x", Kind::Int64), Column::new("y", Kind::Int64)]);
    let mut nested = decoder(vec![
        Column::new("A", Kind::Int64),
        Column::new("s", inner.clone()),
        Column::new("l", list(Column::new("item", inner))),
        Column::new("q\"\\\n", Kind::Int64),
        Column::new("é", Kind::Int64),
    ]);
    let row = |text: &str, nested: &mut Decoder| match &decode(nested, &[text])[0] {
        Fate::Row(row) => row.clone(),
        refused => panic!("{text}: {refused:?}"),
    };
    for (text, column, expected) in [
        (r#"{"A":1,"a":2}"#, "A", json!(1)),
        (r#"{"A":1,"A":2}"#, "A", json!(2)),
        (r#"{"A":"no int","A":2}"#, "A", json!(2)),
        (r#"{"A":1,"A":null}"#, "A", Value::Null),
        (r#"{"A":1,"\u0041":2}"#, "A", json!(2)),
        (r#"{"s":{"x":1,"y":2},"s":{"y":3}}"#, "s", json!({"x":null,"y":3})),
        (r#"{"s":{"x":1,"y":2},"s":null}"#, "s", Value::Null),
        (r#"{"s":{"x":1,"x":2}}"#, "s", json!({"x":2,"y":null})),
        (r#"{"l":[{"x":1,"y":1},{"x":2,"x":3}]}"#, "l", json!([{"x":1,"y":1},{"x":3,"y":null}])),
        (r#"{"l":[{"x":1}],"l":[]}"#, "l", json!([])),
        (r#"{"q\"\\\n":5}"#, "q\"\\\n", json!(5)),
        (r#"{"\u00e9":5}"#, "é", json!(5)),
        (r#"{"é":6,"e":1}"#, "é", json!(6)),
        (r#"{"A ":5,"AA":6,"":7}"#, "A", Value::Null),
    ] {
        assert_eq!(row(text, &mut nested)[column], expected, "{text}");
    }
}

#[test]
fn the_order_of_keys_makes_no_difference() {
    let names = ["id", "title", "author", "publish_date", "content"];
    let mut decoder = decoder(names.iter().map(|name| Column::new(*name, Kind::String)).collect());
    for turn in 0..names.len() {
        let mut keys = names.to_vec();
        keys.rotate_left(turn);
        keys.insert(turn, "unknown");
        let members: Vec<String> = keys.iter().map(|key| format!("\"{key}\":\"{key} of {turn}\"")).collect();
        let Fate::Row(row) = decode(&mut decoder, &[format!("{{{}}}", members.join(","))]).remove(0) else { panic!() };
        names.iter().for_each(|name| assert_eq!(row[*name], format!("{name} of {turn}")));
    }
}

#[test]
fn what_is_required_must_be_there_and_not_null() {
    let mut decoder = decoder(vec![
        Column::new(
            "user",
            Kind::Struct(vec![Column::new("platform", Kind::String), Column::new("id", Kind::String).required()]),
        )
        .required(),
        Column::new("tags", list(Column::new("item", Kind::String).required())),
        Column::new("items", list(Column::new("item", Kind::Struct(vec![Column::new("sku", Kind::Int64).required()])))),
        Column::new("last", Kind::Int64).required(),
    ]);
    check(
        &mut decoder,
        &[
            (r#"{"last":1}"#, "missing user.id"),
            (r#"{"user":null,"last":1}"#, "null user"),
            (r#"{"user":{},"last":1}"#, "missing user.id"),
            (r#"{"user":{"id":null},"last":1}"#, "null user.id"),
            (r#"{"user":{"id":1}}"#, "type user.id"),
            (r#"{"user":{"id":"u"},"tags":["a","b",null],"last":1}"#, "null tags[2]"),
            (r#"{"user":{"id":"u"},"items":[{"sku":1},{}],"last":1}"#, "missing items[1].sku"),
            (r#"{"user":{"id":"u"},"items":[{"sku":"x"}],"last":1}"#, "type items[0].sku"),
            (r#"{"user":{"id":"u"},"tags":["a"]}"#, "missing last"),
            (r#"{"user":{"id":"u"},"last":null}"#, "null last"),
            (r#"{"last":"x","user":{}}"#, "missing user.id"),
            (
                r#"{"user":{"id":"u"},"last":1}"#,
                r#"{"user":{"platform":null,"id":"u"},"tags":null,"items":null,"last":1}"#,
            ),
        ],
    );
}

#[test]
fn a_null_struct_has_null_children() {
    let mut decoder = a(Kind::Struct(vec![Column::new("b", Kind::Int64)]));
    let decoded = decoder.decode(&Arc::new(payloads(&["{}", "{\"a\":null}"])));
    let a = decoded.rows.column(0).as_struct().clone();
    assert_eq!((a.null_count(), a.column(0).null_count()), (2, 2));
}

#[test]
fn messages_name_the_type_and_the_beginning_of_the_value() {
    let mut decoder = a(Kind::Int64);
    let text = format!("{{\"a\":\"{}\"}}", "abcdefgh".repeat(50));
    assert_eq!(
        decode(&mut decoder, &[text])[0].message(),
        "expected int64, found string \"abcdefghabcdefghabcdefghabcdefgh…\""
    );
    assert_eq!(decode(&mut decoder, &["{\"a\":{\"s\":\"secret\"}}"])[0].message(), "expected int64, found object");
    assert_eq!(decode(&mut decoder, &["{\"a\" 1}"])[0].message(), "not JSON at byte 5: expected `:` after a key");
}

#[test]
fn what_the_source_refused_stays_as_it_was() {
    let mut batch = payloads(&["{\"a\":1}", "{\"a\":2}", "no", "{\"a\":4}"]);
    let before = Refusal { row: 1, reason: Reason::TooLarge, field: None, message: "far too large".into() };
    batch.refused = vec![before.clone()];
    let decoded = a(Kind::Int64).decode(&Arc::new(batch));
    assert_eq!(decoded.kept.as_deref(), Some([0, 3].as_slice()));
    assert_eq!(decoded.refused[0], before);
    assert_eq!(decoded.refused[1].row, 2);
}

#[test]
fn the_origin_is_told_where_it_is_asked_for() {
    let options = DecodeOptions {
        schema: schema(vec![Column::new("a", Kind::Int64)]),
        origin: origin_everywhere().to_vec(),
        ..Default::default()
    };
    let mut decoder = Decoder::new(options).unwrap();
    let records = ["{\"a\":1}", "no", "{\"a\":3}"];
    let decoded = decoder.decode(&Arc::new(lines(&records)));
    assert_eq!(
        fates(&decoded, 3)[2],
        Fate::Row(json!({"a":3,"_split":"split-0","_position":"11","_arrived_at":1_000_000}))
    );
    let mut each = payloads(&records);
    each.positions = Positions::Each(["5.1", "5.2#note", "7#note"].map(Position::new).to_vec());
    let Fate::Row(row) = fates(&decoder.decode(&Arc::new(each)), 3).remove(2) else { panic!() };
    assert_eq!(row["_position"], "7");
}

/// Would catch a key that goes to the row beside its own where a record between them was refused.
#[test]
fn what_a_source_tells_beside_its_records_goes_to_their_rows() {
    let origin = ["_key", "_headers"].map(|name| Column::new(name, Kind::String)).to_vec();
    let schema = schema(vec![Column::new("a", Kind::Int64)]);
    let mut decoder = Decoder::new(DecodeOptions { schema, origin, ..Default::default() }).unwrap();
    let mut batch = payloads(&["{\"a\":1}", "no", "{\"a\":3}", "{\"a\":4}"]);
    let keys = StringArray::from(vec![Some("k1"), Some("k2"), None, Some("k4")]);
    let columns: [(&str, ArrayRef); 1] = [("_key", Arc::new(keys))];
    batch.beside.columns = Some(RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true))).unwrap());
    batch.positions = Positions::Numbered(vec![3, 5, 9, 11]);
    let fates = fates(&decoder.decode(&Arc::new(batch)), 4);
    assert_eq!(fates[0], Fate::Row(json!({"a": 1, "_key": "k1", "_headers": null})));
    assert_eq!(
        fates[2..],
        [(3, None), (4, Some("k4"))].map(|(a, key)| Fate::Row(json!({"a": a, "_key": key, "_headers": null})))
    );
}

#[test]
fn a_schema_without_columns_still_counts_rows() {
    let decoded = decoder(vec![]).decode(&Arc::new(payloads(&["{}", "{\"a\":1}", "x"])));
    assert_eq!((decoded.rows.num_rows(), decoded.refused.len()), (2, 1));
}

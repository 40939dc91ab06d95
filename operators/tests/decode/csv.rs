//! Proves, case by case, what a CSV record means. It would catch a quote that is lost, an empty text that becomes null, and
//! columns that are found by place where they have names.

use std::sync::Arc;

use millstream_operators::decode::{Csv, Decode, DecodeError, DecodeOptions, Decoder, Format};
use millstream_operators::{Column, Kind};

use super::*;

fn reader(columns: Vec<Column>, csv: Csv) -> Result<Decoder, DecodeError> {
    Decoder::new(DecodeOptions {
        format: Format::named("csv").unwrap(),
        schema: schema(columns),
        csv,
        ..Default::default()
    })
}

fn placed(columns: Vec<Column>) -> Decoder {
    reader(columns, Csv { header: false, null: "NA".into(), ..Default::default() }).unwrap()
}

fn two(kind: Kind) -> Decoder {
    placed(vec![Column::new("a", kind), Column::new("b", Kind::String)])
}

#[test]
fn fields_are_split_as_rfc_4180_says() {
    let mut decoder = two(Kind::String);
    for (text, expected) in [
        ("x,y", r#"{"a":"x","b":"y"}"#),
        ("x,y\r\n", r#"{"a":"x","b":"y"}"#),
        ("\u{feff}x,y", r#"{"a":"x","b":"y"}"#),
        ("\"x,1\",\"y\"\"z\"\"\"", r#"{"a":"x,1","b":"y\"z\""}"#),
        ("\"two\nlines\",é", r#"{"a":"two\nlines","b":"é"}"#),
        ("\"\",", r#"{"a":"","b":null}"#),
        ("NA,\"NA\"", r#"{"a":null,"b":"NA"}"#),
        ("5\" screen, y ", r#"{"a":"5\" screen","b":" y "}"#),
        (",", r#"{"a":null,"b":null}"#),
        ("x", "decode -"),
        ("x,y,z", "decode -"),
        ("\"x,y", "decode -"),
        ("\"x\"y,z", "decode -"),
        ("", "decode -"),
    ] {
        assert_eq!(decode(&mut decoder, &[text])[0].brief(), expected, "{text}");
    }
    assert_eq!(decode(&mut decoder, &[b"x,\xff".as_slice()])[0].brief(), "decode -");
}

#[test]
fn values_are_read_by_type() {
    for (kind, text, expected) in [
        (Kind::Int32, "-5", "-5"),
        (Kind::Int64, "\"12\"", "12"),
        (Kind::Int64, "1.0", "type a"),
        (Kind::Int64, " 1", "type a"),
        (Kind::Int64, "\"\"", "type a"),
        (Kind::Float64, "2.5e1", "25.0"),
        (Kind::Float64, "NaN", "type a"),
        (Kind::Float64, "inf", "type a"),
        (Kind::Bool, "true", "true"),
        (Kind::Bool, "1", "type a"),
        (Kind::Timestamp, "1970-01-01 00:00:01", "1000000"),
        (Kind::Timestamp, "1", "type a"),
        (Kind::Date, "1970-01-02", "1"),
        (decimal(4, 1), "12.5", "\"125\""),
        (decimal(4, 1), "12.55", "type a"),
        (Kind::Binary, "aGk=", "[104,105]"),
        (Kind::Int64, "", "null"),
    ] {
        let fate = &decode(&mut two(kind.clone()), &[format!("{text},y")])[0];
        let expected =
            if expected.ends_with(" a") { expected.into() } else { format!(r#"{{"a":{expected},"b":"y"}}"#) };
        assert_eq!(fate.brief(), expected, "{kind:?} from {text}");
    }
}

fn headed(header: Option<&str>, record: &str) -> Fate {
    let columns = vec![Column::new("id", Kind::Int64).required(), Column::new("name", Kind::String)];
    let mut decoder = reader(columns, Csv { delimiter: b';', ..Default::default() }).unwrap();
    let mut batch = lines(&[record]);
    batch.beside.header = header.map(|header| Bytes::copy_from_slice(header.as_bytes()));
    fates(&decoder.decode(&Arc::new(batch)), 1).remove(0)
}

#[test]
fn columns_go_by_the_names_of_the_header() {
    for (header, record, expected) in [
        (Some("name;other;id\r\n"), "n;o;7", r#"{"id":7,"name":"n"}"#),
        (Some("\u{feff}\"id\";\"a;b\""), "7;x", r#"{"id":7,"name":null}"#),
        (Some("id;id"), "7;8", r#"{"id":8,"name":null}"#),
        (Some("name"), "n", "missing id"),
        (Some("id;name"), ";n", "null id"),
        (Some("id;name"), "7", "decode -"),
        (Some("\"id;name"), "7;n", "decode -"),
        (Some(""), "7;n", "decode -"),
        (None, "7;n", "decode -"),
    ] {
        assert_eq!(headed(header, record).brief(), expected, "{header:?} {record}");
    }
}

#[test]
fn each_file_has_its_own_header() {
    let columns = vec![Column::new("a", Kind::Int64), Column::new("b", Kind::Int64)];
    let mut decoder = reader(columns, Csv::default()).unwrap();
    for (header, expected) in [("a,b", r#"{"a":1,"b":2}"#), ("b,a", r#"{"a":2,"b":1}"#), ("a,b", r#"{"a":1,"b":2}"#)] {
        let mut batch = lines(&["1,2"]);
        batch.beside.header = Some(Bytes::copy_from_slice(header.as_bytes()));
        assert_eq!(fates(&decoder.decode(&Arc::new(batch)), 1)[0].brief(), expected);
    }
}

#[test]
fn what_csv_cannot_hold_is_refused_at_once() {
    for kind in [Kind::Struct(vec![]), list(Column::new("item", Kind::String))] {
        let error = reader(vec![Column::new("tags", kind)], Csv::default()).err().unwrap();
        assert!(error.to_string().contains("`tags`"), "{error}");
    }
    assert!(reader(vec![], Csv { delimiter: b'"', ..Default::default() }).is_err());
}

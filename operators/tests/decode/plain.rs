//! Proves that a payload of format "text" is one value, as it is. It would catch bytes that are trimmed or taken for text, and
//! a payload that is unpacked wrongly.

use millstream_operators::decode::Format;

use super::*;

fn reader(kind: Kind) -> Decoder {
    let columns = vec![Column::new("line", kind).required()];
    Decoder::new(DecodeOptions {
        format: Format::named("text").unwrap(),
        schema: schema(columns),
        ..Default::default()
    })
    .unwrap()
}

#[test]
fn a_payload_is_one_text() {
    let records: [&[u8]; 4] = [b" a\tb, \"c\" ", "\u{feff}é\u{0}".as_bytes(), b"\xffx", b"null"];
    let found: Vec<_> = decode(&mut reader(Kind::String), &records).iter().map(Fate::brief).collect();
    let expected =
        [r#"{"line":" a\tb, \"c\" "}"#, "{\"line\":\"\u{feff}é\\u0000\"}", "decode line", r#"{"line":"null"}"#];
    assert_eq!(found, expected);
    let empty = fates(&reader(Kind::String).decode(&Arc::new(payloads(&["", "x"]))), 2);
    assert_eq!((empty[0].brief().as_str(), empty[1].brief().as_str()), ("decode -", r#"{"line":"x"}"#));
}

#[test]
fn a_payload_is_any_bytes_where_the_column_is_binary() {
    let records: [&[u8]; 2] = [b"\xff\x00", b"QUJD"];
    let found: Vec<_> = decode(&mut reader(Kind::Binary), &records).iter().map(Fate::brief).collect();
    assert_eq!(found, [r#"{"line":[255,0]}"#, r#"{"line":[81,85,74,68]}"#]);
}

#[test]
fn a_payload_is_unpacked_first() {
    let packed = zstd::encode_all(b"plain".as_slice(), 1).unwrap();
    let found = fates(&reader(Kind::String).decode(&Arc::new(payloads(&[packed]))), 1);
    assert_eq!(found[0].brief(), r#"{"line":"plain"}"#);
}

#[test]
fn there_is_one_column_of_text_or_bytes() {
    let two = vec![Column::new("a", Kind::String), Column::new("b", Kind::String)];
    for columns in [
        vec![],
        two,
        vec![Column::new("a", Kind::Int64)],
        vec![Column::new("a", list(Column::new("item", Kind::String)))],
    ] {
        let made = Decoder::new(DecodeOptions {
            format: Format::named("text").unwrap(),
            schema: schema(columns),
            ..Default::default()
        });
        assert!(made.err().unwrap().to_string().contains("one column"));
    }
}

//! Proves that a hostile record costs itself and nothing else: no panic, no stack, no memory beyond the limits, and the
//! records around it are read. It would catch recursion that follows the input, a bomb that is unpacked, and a record lost
//! or doubled for whatever bytes.

use std::io::Write;
use std::sync::Arc;

use flate2::write::GzEncoder;
use millstream_operators::decode::{Compression, Csv, Decode, DecodeOptions, Decoder, Format, Limits};
use millstream_operators::{Column, Kind};
use proptest::prelude::*;

use super::*;

const GOOD: &[u8] = b"{\"a\":1}";

fn columns() -> Vec<Column> {
    vec![Column::new("a", Kind::Int64), Column::new("l", list(Column::new("item", Kind::Int64)))]
}

/// What becomes of a payload between two good ones.
fn fate(decoder: &mut Decoder, payload: &[u8]) -> Fate {
    let decoded = decoder.decode(&Arc::new(payloads(&[GOOD, payload, GOOD])));
    let mut found = fates(&decoded, 3);
    assert_eq!(
        (found[0].brief(), found[2].brief()),
        (r#"{"a":1,"l":null}"#.to_owned(), r#"{"a":1,"l":null}"#.to_owned())
    );
    found.remove(1)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

#[test]
fn depth_is_limited_under_known_and_ignored_keys() {
    let nested = |key: &str, depth: usize| format!("{{\"{key}\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"z\":".repeat(depth), "}".repeat(depth));
    let mut decoder = decoder(columns());
    assert_eq!(fate(&mut decoder, nested("z", 63).as_bytes()).brief(), r#"{"a":null,"l":null}"#);
    assert_eq!(fate(&mut decoder, objects(64).as_bytes()).brief(), r#"{"a":null,"l":null}"#);
    for text in [nested("z", 64), nested("l", 64), nested("z", 10_000), objects(65), objects(10_000)] {
        let fate = fate(&mut decoder, text.as_bytes());
        assert_eq!(fate.brief(), "decode -");
        assert!(fate.message().contains("nesting"), "{fate:?}");
    }
    let open = fate(&mut decoder, &vec![b'['; 10 << 20]);
    assert!(open.message().contains("nesting"), "{open:?}");
    assert_eq!(fate(&mut decoder, &[b"{\"l\":".as_slice(), &vec![b'['; 9 << 20]].concat()).brief(), "decode -");
}

#[test]
fn a_payload_over_the_limit_is_too_large() {
    let mut decoder = decoder(columns());
    let padded = |bytes: usize| format!("{{\"a\":1}}{}", " ".repeat(bytes - 7)).into_bytes();
    assert_eq!(fate(&mut decoder, &padded(10 << 20)).brief(), r#"{"a":1,"l":null}"#);
    assert_eq!(fate(&mut decoder, &padded((10 << 20) + 1)).brief(), "too_large -");
    assert_eq!(fate(&mut decoder, &padded(50 << 20)).brief(), "too_large -");
}

#[test]
fn packed_payloads_are_unpacked_up_to_the_limit() {
    let mut decoder = decoder(columns());
    let row = r#"{"a":1,"l":null}"#;
    for pack in [gzip, zstd] {
        assert_eq!(fate(&mut decoder, &pack(GOOD)).brief(), row);
        let (first, second) = GOOD.split_at(3);
        assert_eq!(
            fate(&mut decoder, &[pack(first), pack(second)].concat()).brief(),
            row,
            "two members are one payload"
        );
        let full = format!("{{\"a\":1}}{}", " ".repeat((10 << 20) - 7));
        assert_eq!(fate(&mut decoder, &pack(full.as_bytes())).brief(), row);
        assert_eq!(fate(&mut decoder, &pack(format!("{full} ").as_bytes())).brief(), "too_large -");
        assert_eq!(fate(&mut decoder, &pack(&vec![b' '; 300 << 20])).brief(), "too_large -");
        let whole = pack(GOOD);
        for length in 4..whole.len() {
            assert_eq!(fate(&mut decoder, &whole[..length]).brief(), "decode -", "{length} of {} bytes", whole.len());
        }
        assert_eq!(fate(&mut decoder, &[whole, b"trailing".to_vec()].concat()).brief(), "decode -");
        assert_eq!(fate(&mut decoder, &pack(b"")).brief(), "decode -");
    }
}

#[test]
fn a_named_compression_is_taken_at_its_word() {
    let of = |compression| DecodeOptions { schema: schema(columns()), compression, ..Default::default() };
    for (compression, pack) in [(Compression::Gzip, gzip as fn(&[u8]) -> Vec<u8>), (Compression::Zstd, zstd)] {
        let mut decoder = Decoder::new(of(compression)).unwrap();
        let found = fates(&decoder.decode(&Arc::new(payloads(&[pack(GOOD), GOOD.to_vec()]))), 2);
        assert_eq!((found[0].brief().as_str(), found[1].brief().as_str()), (r#"{"a":1,"l":null}"#, "decode -"));
    }
    let mut none = Decoder::new(of(Compression::None)).unwrap();
    assert_eq!(fate(&mut none, &gzip(GOOD)).brief(), "decode -");
}

#[test]
fn a_list_that_multiplies_is_too_large() {
    let wide = Kind::Struct((0..50).map(|i| Column::new(format!("c{i}"), Kind::Int64)).collect());
    let mut decoder = decoder(vec![Column::new("a", Kind::Int64), Column::new("l", list(Column::new("item", wide)))]);
    let text = format!("{{\"l\":[{}{{}}]}}", "{},".repeat(1_000_000));
    assert_eq!(fate(&mut decoder, text.as_bytes()).brief(), "too_large l[205603]");
}

#[test]
fn limits_out_of_range_are_refused() {
    for limits in [
        Limits { depth: 0, ..Default::default() },
        Limits { depth: 100_000, ..Default::default() },
        Limits { record_bytes: 2 << 30, ..Default::default() },
        Limits { part_bytes: 0, ..Default::default() },
    ] {
        assert!(Decoder::new(DecodeOptions { limits, ..Default::default() }).is_err());
    }
    assert!(
        Decoder::new(DecodeOptions { schema: schema(vec![Column::new("d", decimal(99, 2))]), ..Default::default() })
            .is_err()
    );
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let tokens = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"l\"",
        "\\u",
        "d800",
        "\\",
        "1",
        "-",
        "e9",
        ".",
        "null",
        "true",
        " ",
        "\n",
        "\u{feff}",
        "é",
        "\u{1f}\u{8b}",
        "\r",
    ];
    let token = prop_oneof![
        4 => prop::sample::select(tokens.to_vec()).prop_map(|token| token.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
        1 => prop::sample::select(vec![gzip(GOOD), zstd(GOOD)]),
    ];
    prop::collection::vec(token, 0..30).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn whatever_the_bytes_every_record_is_in_one_place(records in prop::collection::vec(bytes(), 0..20)) {
        let flat = vec![Column::new("a", Kind::Int64), Column::new("l", Kind::String).required()];
        let csv = DecodeOptions { format: Format::named("csv").unwrap(), csv: Csv { header: false, ..Default::default() }, schema: schema(flat), ..Default::default() };
        for mut decoder in [decoder(columns()), Decoder::new(csv).unwrap()] {
            fates(&decoder.decode(&Arc::new(payloads(&records))), records.len());
            fates(&decoder.decode(&Arc::new(lines(&records))), records.len());
        }
    }
}

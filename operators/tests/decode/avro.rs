//! Proves that records in Avro's binary form become the rows that their schema says, read by whatever schema they were
//! written with; the bytes are those of the official library's own encoder, and where a schema has changed, the rows are held
//! against its resolving reader. It would catch a field that is read for another, a branch of a union that is mistaken, a
//! value that is promoted wrongly, a count or a length that is believed, and a record that costs more than itself.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Schema as Writer};
use millstream_operators::decode::{Format, Limits, Written};
use millstream_operators::{Definition, Schemas};
use proptest::prelude::*;

use super::*;

fn definition(schema: &str) -> Arc<Definition> {
    Arc::new(Definition::Avro { schema: schema.into(), references: Vec::new() })
}

fn options(columns: Vec<Column>, written: Written) -> DecodeOptions {
    let compression = millstream_operators::decode::Compression::None;
    DecodeOptions {
        format: Format::named("avro").unwrap(),
        compression,
        schema: schema(columns),
        written,
        ..Default::default()
    }
}

fn reader(columns: Vec<Column>, writer: &str) -> Decoder {
    Decoder::new(options(columns, Written::With(definition(writer)))).unwrap()
}

/// What the official library makes of a value.
fn encoded(writer: &str, value: Avro) -> Vec<u8> {
    let writer = Writer::parse_str(writer).unwrap();
    GenericDatumWriter::builder(&writer).build().unwrap().write_value_to_vec(value).unwrap()
}

fn record<const N: usize>(fields: [(&str, Avro); N]) -> Avro {
    Avro::Record(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

/// What becomes of one value under the type `writer`, read into a column of a kind.
fn fate_of(writer: &str, value: Avro, kind: Kind) -> Fate {
    let writer = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"w","type":"int"}},{{"name":"v","type":{writer}}}]}}"#
    );
    let bytes = encoded(&writer, record([("w", Avro::Int(1)), ("v", value)]));
    let mut decoder = reader(vec![Column::new("v", kind).required()], &writer);
    fates(&decoder.decode(&Arc::new(payloads(&[bytes]))), 1).remove(0)
}

#[test]
fn each_type_goes_into_the_columns_that_it_fits() {
    let fixed = |size: usize| format!(r#"{{"type":"fixed","name":"F","size":{size}}}"#);
    let logical = |of: &str, name: &str| format!(r#"{{"type":"{of}","logicalType":"{name}"}}"#);
    let money = r#"{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}"#;
    let cents = Avro::Decimal(Decimal::from((-1234_i32).to_be_bytes().to_vec()));
    let color = r#"{"type":"enum","name":"Color","symbols":["RED","GREEN"]}"#;
    let id: [u8; 16] = std::array::from_fn(|index| index as u8);
    let uuid = r#"{"type":{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}}"#;
    let uuid = &uuid[8..uuid.len() - 1];
    let text = |text: &str| Avro::String(text.into());
    for (writer, value, kind, expected) in [
        ("\"int\"".to_owned(), Avro::Int(-7), Kind::Int32, r#"{"v":-7}"#),
        ("\"int\"".into(), Avro::Int(-7), Kind::Int64, r#"{"v":-7}"#),
        ("\"int\"".into(), Avro::Int(-7), Kind::Float64, r#"{"v":-7.0}"#),
        ("\"int\"".into(), Avro::Int(-7), decimal(5, 2), r#"{"v":"-700"}"#),
        ("\"int\"".into(), Avro::Int(1000), decimal(5, 2), "type v"),
        ("\"int\"".into(), Avro::Int(7), Kind::String, "type v"),
        ("\"int\"".into(), Avro::Int(1), Kind::Bool, "type v"),
        ("\"long\"".into(), Avro::Long(i64::MIN), Kind::Int64, r#"{"v":-9223372036854775808}"#),
        ("\"long\"".into(), Avro::Long(2_147_483_648), Kind::Int32, "type v"),
        ("\"long\"".into(), Avro::Long(2_147_483_647), Kind::Int32, r#"{"v":2147483647}"#),
        ("\"long\"".into(), Avro::Long(1), Kind::Timestamp, "type v"),
        ("\"float\"".into(), Avro::Float(0.5), Kind::Float64, r#"{"v":0.5}"#),
        ("\"double\"".into(), Avro::Double(0.1), Kind::Float64, r#"{"v":0.1}"#),
        ("\"double\"".into(), Avro::Double(1.0), Kind::Int64, "type v"),
        ("\"double\"".into(), Avro::Double(0.5), decimal(5, 2), "type v"),
        ("\"boolean\"".into(), Avro::Boolean(true), Kind::Bool, r#"{"v":true}"#),
        ("\"boolean\"".into(), Avro::Boolean(true), Kind::Int32, "type v"),
        ("\"string\"".into(), text("é 😀"), Kind::String, "{\"v\":\"é 😀\"}"),
        ("\"string\"".into(), text("1970-01-02"), Kind::Timestamp, r#"{"v":86400000000}"#),
        ("\"string\"".into(), text("1970-01-02"), Kind::Date, r#"{"v":1}"#),
        ("\"string\"".into(), text("1.5"), decimal(5, 2), r#"{"v":"150"}"#),
        ("\"string\"".into(), text("AA=="), Kind::Binary, "type v"),
        ("\"string\"".into(), text("7"), Kind::Int64, "type v"),
        ("\"bytes\"".into(), Avro::Bytes(vec![0, 255]), Kind::Binary, r#"{"v":[0,255]}"#),
        ("\"bytes\"".into(), Avro::Bytes(b"text".into()), Kind::String, "type v"),
        (fixed(2), Avro::Fixed(2, vec![1, 2]), Kind::Binary, r#"{"v":[1,2]}"#),
        (color.into(), Avro::Enum(1, "GREEN".into()), Kind::String, r#"{"v":"GREEN"}"#),
        (color.into(), Avro::Enum(1, "GREEN".into()), Kind::Int32, "type v"),
        (money.into(), cents.clone(), decimal(6, 2), r#"{"v":"-1234"}"#),
        (money.into(), cents.clone(), decimal(10, 4), r#"{"v":"-123400"}"#),
        (money.into(), cents.clone(), decimal(6, 1), "type v"),
        (money.into(), cents.clone(), decimal(3, 2), "type v"),
        (money.into(), cents, Kind::Float64, "type v"),
        (logical("int", "date"), Avro::Date(-1), Kind::Date, r#"{"v":-1}"#),
        (logical("int", "date"), Avro::Date(1), Kind::Timestamp, r#"{"v":86400000000}"#),
        (logical("int", "date"), Avro::Date(i32::MAX), Kind::Date, "type v"),
        (logical("int", "date"), Avro::Date(1), Kind::Int32, "type v"),
        (logical("int", "time-millis"), Avro::TimeMillis(5), Kind::Int32, r#"{"v":5}"#),
        (logical("long", "timestamp-millis"), Avro::TimestampMillis(-1), Kind::Timestamp, r#"{"v":-1000}"#),
        (logical("long", "timestamp-micros"), Avro::TimestampMicros(-1), Kind::Timestamp, r#"{"v":-1}"#),
        (logical("long", "timestamp-nanos"), Avro::TimestampNanos(-1), Kind::Timestamp, r#"{"v":-1}"#),
        (logical("long", "timestamp-nanos"), Avro::TimestampNanos(1_999), Kind::Timestamp, r#"{"v":1}"#),
        (logical("long", "local-timestamp-millis"), Avro::LocalTimestampMillis(5), Kind::Timestamp, r#"{"v":5000}"#),
        (logical("long", "local-timestamp-micros"), Avro::LocalTimestampMicros(5), Kind::Timestamp, r#"{"v":5}"#),
        (logical("long", "timestamp-millis"), Avro::TimestampMillis(i64::MAX), Kind::Timestamp, "type v"),
        (logical("long", "timestamp-millis"), Avro::TimestampMillis(1), Kind::Int64, "type v"),
        (
            uuid.into(),
            Avro::Uuid(apache_avro::Uuid::from_bytes(id)),
            Kind::String,
            r#"{"v":"00010203-0405-0607-0809-0a0b0c0d0e0f"}"#,
        ),
        (
            logical("string", "uuid"),
            Avro::Uuid(apache_avro::Uuid::from_bytes(id)),
            Kind::String,
            r#"{"v":"00010203-0405-0607-0809-0a0b0c0d0e0f"}"#,
        ),
        ("[\"null\",\"int\"]".into(), Avro::Union(0, Box::new(Avro::Null)), Kind::Int32, "null v"),
        ("[\"null\",\"int\"]".into(), Avro::Union(1, Box::new(Avro::Int(3))), Kind::Int32, r#"{"v":3}"#),
        ("[\"string\",\"int\"]".into(), Avro::Union(1, Box::new(Avro::Int(3))), Kind::String, "type v"),
        ("[\"string\",\"int\"]".into(), Avro::Union(0, Box::new(text("x"))), Kind::String, r#"{"v":"x"}"#),
        ("\"null\"".into(), Avro::Null, Kind::Int32, "null v"),
        (r#"{"type":"map","values":"int"}"#.into(), Avro::Map([].into()), Kind::String, "type v"),
        (r#"{"type":"array","items":"int"}"#.into(), Avro::Array(vec![]), Kind::String, "type v"),
        (
            r#"{"type":"array","items":"int"}"#.into(),
            Avro::Array(vec![Avro::Int(1), Avro::Int(2)]),
            list(Column::new("item", Kind::Int64)),
            r#"{"v":[1,2]}"#,
        ),
        (
            r#"{"type":"array","items":"int"}"#.into(),
            Avro::Array(vec![Avro::Int(1)]),
            list(Column::new("item", Kind::String)),
            "type v[0]",
        ),
        (
            r#"{"type":"array","items":["null","int"]}"#.into(),
            Avro::Array(vec![Avro::Union(1, Box::new(Avro::Int(1))), Avro::Union(0, Box::new(Avro::Null))]),
            list(Column::new("item", Kind::Int32).required()),
            "null v[1]",
        ),
    ] {
        let said = format!("{writer} {value:?} as {kind:?}");
        assert_eq!(fate_of(&writer, value, kind).brief(), expected, "{said}");
    }
}

const TREE: &str = r#"{"type":"record","name":"Tree","namespace":"n","fields":[
    {"name":"Id","type":"long","aliases":["id"]},
    {"name":"note","type":{"type":"map","values":{"type":"array","items":"Tree"}}},
    {"name":"user","type":["null",{"type":"record","name":"User","fields":[
        {"name":"name","type":["null","string"]},{"name":"best","type":["null","User"]}]}]},
    {"name":"also","type":["null","User"]},
    {"name":"below","type":{"type":"array","items":"Tree"}}]}"#;

fn tree(id: i64, user: Avro, below: Vec<Avro>) -> Avro {
    record([
        ("Id", Avro::Long(id)),
        ("note", Avro::Map([("k".to_owned(), Avro::Array(vec![]))].into())),
        ("user", user.clone()),
        ("also", user),
        ("below", Avro::Array(below)),
    ])
}

fn user(name: Option<&str>) -> Avro {
    let name =
        name.map_or(Avro::Union(0, Box::new(Avro::Null)), |name| Avro::Union(1, Box::new(Avro::String(name.into()))));
    Avro::Union(1, Box::new(record([("name", name), ("best", Avro::Union(0, Box::new(Avro::Null)))])))
}

#[test]
fn a_type_that_holds_itself_is_read_as_far_as_the_schema_goes() {
    let person = |name: &str| Column::new(name, Kind::Struct(vec![Column::new("name", Kind::String)]));
    let below = Kind::Struct(vec![Column::new("Id", Kind::Int64), person("user")]);
    let columns = vec![
        Column::new("below", list(Column::new("item", below))),
        person("also"),
        Column::new("Id", Kind::Int64),
        Column::new("id", Kind::Int64),
    ];
    let value = tree(1, user(Some("ann")), vec![tree(2, user(None), vec![tree(3, user(None), vec![])])]);
    let null = Avro::Union(0, Box::new(Avro::Null));
    let records = [encoded(TREE, value), encoded(TREE, tree(4, null, vec![]))];
    let mut decoder = reader(columns, TREE);
    let found: Vec<_> = decode(&mut decoder, &records).iter().map(Fate::brief).collect();
    let first = r#"{"below":[{"Id":2,"user":{"name":null}}],"also":{"name":"ann"},"Id":1,"id":null}"#;
    assert_eq!(found, [first, r#"{"below":[],"also":null,"Id":4,"id":null}"#]);
}

/// Would catch a field of one element that shines through in the next.
#[test]
fn elements_of_several_types_are_apart() {
    let writer = r#"{"type":"record","name":"R","fields":[{"name":"v","type":{"type":"array","items":[
        {"type":"record","name":"A","fields":[{"name":"a","type":"int"}]},
        {"type":"record","name":"B","fields":[{"name":"b","type":"string"}]}]}}]}"#;
    let a = |a| Avro::Union(0, Box::new(record([("a", Avro::Int(a))])));
    let b = |b: &str| Avro::Union(1, Box::new(record([("b", Avro::String(b.into()))])));
    let item = Kind::Struct(vec![Column::new("a", Kind::Int32), Column::new("b", Kind::String)]);
    let bytes = encoded(writer, record([("v", Avro::Array(vec![a(1), b("x"), a(2)]))]));
    let mut decoder = reader(vec![Column::new("v", list(Column::new("item", item)))], writer);
    let expected = r#"{"v":[{"a":1,"b":null},{"a":null,"b":"x"},{"a":2,"b":null}]}"#;
    assert_eq!(decode(&mut decoder, &[bytes])[0].brief(), expected);
}

#[test]
fn what_is_required_and_not_there_says_where() {
    let person = Kind::Struct(vec![Column::new("age", Kind::Int32), Column::new("name", Kind::String).required()]);
    let columns = |name: &str| vec![Column::new("Id", Kind::Int64), Column::new(name, person.clone())];
    let records = [encoded(TREE, tree(1, user(Some("x")), vec![])), encoded(TREE, tree(1, user(None), vec![]))];
    let mut there = reader(columns("user"), TREE);
    let found: Vec<_> = decode(&mut there, &records).iter().map(Fate::brief).collect();
    assert_eq!(found, [r#"{"Id":1,"user":{"age":null,"name":"x"}}"#, "null user.name"]);
    let null = encoded(TREE, tree(1, Avro::Union(0, Box::new(Avro::Null)), vec![]));
    assert_eq!(decode(&mut there, &[null])[0].brief(), "null user");
    assert_eq!(decode(&mut reader(columns("User"), TREE), &records)[0].brief(), "missing User.name");
}

/// A batch whose records name the schemas that they were written with.
fn registered(records: &[(u32, Vec<u8>)], schemas: &Schemas) -> RawBatch {
    let framed = |(id, record): &(u32, Vec<u8>)| [&[0], id.to_be_bytes().as_slice(), record].concat();
    let mut batch = payloads(&records.iter().map(framed).collect::<Vec<_>>());
    batch.beside.schemas = Some(Arc::new(schemas.clone()));
    batch
}

const V1: &str = r#"{"type":"record","name":"E","fields":[
    {"name":"a","type":"int"},{"name":"gone","type":"string"},{"name":"b","type":"float"},{"name":"c","type":"string"}]}"#;
const V2: &str = r#"{"type":"record","name":"E","fields":[
    {"name":"c","type":["null","string"]},{"name":"b","type":"double"},{"name":"new","type":"string","default":"?"},
    {"name":"a","type":"long"}]}"#;

/// Would catch a record that is read by the schema of the one before it.
#[test]
fn a_batch_of_two_versions_is_what_the_resolving_reader_says() {
    let one = |a: i32| {
        record([
            ("a", Avro::Int(a)),
            ("gone", Avro::String("g".into())),
            ("b", Avro::Float(0.5)),
            ("c", Avro::String("x".into())),
        ])
    };
    let two = |a: i64| {
        let none = Avro::Union(0, Box::new(Avro::Null));
        record([("c", none), ("b", Avro::Double(0.25)), ("new", Avro::String("n".into())), ("a", Avro::Long(a))])
    };
    let records: Vec<(u32, Vec<u8>)> = (0..40)
        .map(|at| if at % 3 == 0 { (7, encoded(V1, one(at))) } else { (70_000, encoded(V2, two(at.into()))) })
        .collect();
    let schemas = Schemas::from_iter([(7, definition(V1)), (70_000, definition(V2))]);
    let columns = vec![
        Column::new("a", Kind::Int64).required(),
        Column::new("b", Kind::Float64).required(),
        Column::new("c", Kind::String),
        Column::new("new", Kind::String),
    ];
    let mut decoder = Decoder::new(options(columns, Written::ById)).unwrap();
    let found = fates(&decoder.decode(&Arc::new(registered(&records, &schemas))), records.len());
    let ours = r#"{"type":"record","name":"E","fields":[{"name":"a","type":"long"},{"name":"b","type":"double"},
        {"name":"c","type":["null","string"],"default":null},{"name":"new","type":["null","string"],"default":null}]}"#;
    let (v1, v2, ours) =
        (Writer::parse_str(V1).unwrap(), Writer::parse_str(V2).unwrap(), Writer::parse_str(ours).unwrap());
    for ((id, bytes), fate) in records.iter().zip(found) {
        let writer = if *id == 7 { &v1 } else { &v2 };
        let resolving = GenericDatumReader::builder(writer).reader_schema(&ours).build().unwrap();
        let expected = resolving.read_value(&mut bytes.as_slice()).unwrap();
        assert_eq!(fate, Fate::Row(expected.try_into().unwrap()));
    }
}

#[test]
fn ids_that_lead_nowhere_are_refused_with_their_number() {
    let unusable = |why: &str| Arc::new(Definition::Unusable(why.into()));
    let broken = Arc::new(Definition::Avro { schema: r#"{"type":"record"}"#.into(), references: vec![] });
    let schemas =
        Schemas::from_iter([(1, definition(V1)), (2, unusable("the registry does not know it")), (3, broken)]);
    let good = encoded(
        V1,
        record([
            ("a", Avro::Int(1)),
            ("gone", Avro::String("".into())),
            ("b", Avro::Float(0.0)),
            ("c", Avro::String("".into())),
        ]),
    );
    let mut batch = registered(&[1, 2, 3, 4, 1].map(|id| (id, good.clone())), &schemas);
    let Records::Payloads(payloads) = &mut batch.records else { unreachable!() };
    payloads.extend([Bytes::from_static(b"{\"a\":1}"), Bytes::from_static(&[0, 0, 0]), Bytes::new()]);
    let mut decoder = Decoder::new(options(vec![Column::new("a", Kind::Int64)], Written::ById)).unwrap();
    let found = fates(&decoder.decode(&Arc::new(batch.clone())), 8);
    let briefs: Vec<_> = found.iter().map(Fate::brief).collect();
    let row = r#"{"a":1}"#;
    assert_eq!(briefs, [row, "decode -", "decode -", "decode -", row, "decode -", "decode -", "decode -"]);
    assert_eq!(found[1].message(), "schema 2: the registry does not know it");
    assert!(found[5].message().contains("0x7b"), "{:?}", found[5]);

    // What could not be had before may come with a later batch.
    batch.beside.schemas = Some(Arc::new(Schemas::from_iter([(2, definition(V1))])));
    assert_eq!(fates(&decoder.decode(&Arc::new(batch)), 8)[1].brief(), row);
}

#[test]
fn references_between_schemas_are_followed() {
    let outer = r#"{"type":"record","name":"Outer","namespace":"a","fields":[{"name":"in","type":"b.Inner"},{"name":"x","type":"int"}]}"#;
    let inner = r#"{"type":"record","name":"Inner","namespace":"b","fields":[{"name":"n","type":"long"}]}"#;
    let whole = outer.replace("\"b.Inner\"", inner);
    let bytes = encoded(&whole, record([("in", record([("n", Avro::Long(5))])), ("x", Avro::Int(6))]));
    let with = Definition::Avro { schema: outer.into(), references: vec![inner.into()] };
    let columns =
        || vec![Column::new("in", Kind::Struct(vec![Column::new("n", Kind::Int64)])), Column::new("x", Kind::Int32)];
    let mut decoder = Decoder::new(options(columns(), Written::With(Arc::new(with)))).unwrap();
    assert_eq!(decode(&mut decoder, &[bytes])[0].brief(), r#"{"in":{"n":5},"x":6}"#);
    let without = Decoder::new(options(columns(), Written::With(definition(outer))));
    assert!(without.err().unwrap().to_string().contains("b.Inner"));
}

/// A record that is an array of so many of `items`, as raw bytes behind the block's count.
fn blocks(items: &str, kind: Kind, bytes: &[u8]) -> Fate {
    let writer = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"v","type":{{"type":"array","items":{items}}}}}]}}"#
    );
    let mut decoder = reader(vec![Column::new("v", list(Column::new("item", kind)))], &writer);
    fates(&decoder.decode(&Arc::new(payloads(&[bytes]))), 1).remove(0)
}

#[test]
fn counts_and_lengths_are_not_believed() {
    let longest = [0xff_u8; 9];
    let most = [longest.as_slice(), &[0x01]].concat();
    let past_all = [longest.as_slice(), &[0x02]].concat();
    for bytes in [
        most.clone(),
        [most.clone(), vec![0]].concat(),
        past_all,
        vec![0x80; 40],
        vec![0x7e, 0],
        vec![1, 0x7e, 0],
        vec![1, 1, 0],
        vec![1, 4, 2, 0],
        vec![2],
        vec![],
    ] {
        for (items, kind) in [("\"int\"", Kind::Int32), ("\"string\"", Kind::String), ("\"null\"", Kind::String)] {
            let fate = blocks(items, kind, &bytes);
            // So many nulls take so many bytes: none.
            let nulls = items == "\"null\"" && bytes == [0x7e, 0];
            assert!(nulls || fate.brief().starts_with("decode"), "{items} {bytes:02x?}: {fate:?}");
        }
    }
    assert_eq!(blocks("\"int\"", Kind::Int32, &[3, 4, 2, 4, 2, 6, 0]).brief(), r#"{"v":[1,2,3]}"#);
    assert_eq!(blocks("\"null\"", Kind::Int32, &[4, 0]).brief(), r#"{"v":[null,null]}"#);
    let empty = r#"{"type":"record","name":"None","fields":[]}"#;
    assert_eq!(blocks(empty, Kind::Int32, &[4, 0]).brief(), "type v[0]");
    assert!(blocks("\"int\"", Kind::Int32, &[2, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0]).message().contains("32 bits"));
    assert!(blocks("\"boolean\"", Kind::Bool, &[2, 2, 0]).message().contains("boolean"));
    assert!(blocks("\"string\"", Kind::String, &[2, 2, 0xff, 0]).message().contains("UTF-8"));
    assert!(blocks("[\"null\",\"int\"]", Kind::Int32, &[2, 4, 0]).message().contains("union"));
    assert!(blocks("[\"null\",\"int\"]", Kind::Int32, &[2, 1, 0]).message().contains("union"));
}

/// Would catch work that grows with what a schema says and not with what a record has.
#[test]
fn schemas_that_multiply_cost_nothing() {
    let mut of_nothing = r#"{"type":"record","name":"R0","fields":[]}"#.to_owned();
    for level in 1..38 {
        let before = level - 1;
        of_nothing = format!(
            r#"{{"type":"record","name":"R{level}","fields":[{{"name":"a","type":{of_nothing}}},{{"name":"b","type":"R{before}"}}]}}"#
        );
    }
    let writer = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"v","type":"int"}},{{"name":"w","type":{of_nothing}}}]}}"#
    );
    let mut decoder = reader(vec![Column::new("v", Kind::Int32)], &writer);
    assert_eq!(fates(&decoder.decode(&Arc::new(payloads(&[[2]]))), 1)[0].brief(), r#"{"v":1}"#);
    let endless = r#"{"type":"record","name":"R","fields":[{"name":"v","type":"R"},{"name":"w","type":"R"}]}"#;
    let mut decoder = reader(vec![Column::new("x", Kind::Int32)], endless);
    assert!(fates(&decoder.decode(&Arc::new(payloads(&[[2]]))), 1)[0].message().contains("nesting"));
}

#[test]
fn depth_is_limited_also_where_nobody_reads() {
    let chain = r#"{"type":"record","name":"R","fields":[{"name":"v","type":["null","R"]}]}"#;
    let limits = Limits { depth: 5, ..Limits::default() };
    let options =
        DecodeOptions { limits, ..options(vec![Column::new("w", Kind::Int32)], Written::With(definition(chain))) };
    let mut decoder = Decoder::new(options).unwrap();
    let deep = |levels: usize| [vec![2; levels], vec![0]].concat();
    let found = decode(&mut decoder, &[deep(4), deep(5), deep(100_000)]);
    assert_eq!(found[0].brief(), r#"{"w":null}"#);
    assert!(found[1].message().contains("nesting") && found[2].message().contains("nesting"));
}

#[test]
fn a_list_that_multiplies_is_too_large() {
    let wide = Kind::Struct((0..50).map(|i| Column::new(format!("c{i}"), Kind::Int64)).collect());
    let item = r#"{"type":"record","name":"I","fields":[{"name":"x","type":"boolean"}]}"#;
    let count = 1_000_000_i64;
    let mut bytes = encoded("\"long\"", Avro::Long(count));
    bytes.resize(bytes.len() + count as usize, 0);
    bytes.push(0);
    assert_eq!(blocks(item, wide, &bytes).brief(), "too_large v[205603]");
}

#[test]
fn what_is_no_record_at_all_is_of_another_type() {
    for (writer, value) in
        [("\"string\"", Avro::String("x".into())), ("[\"null\",\"int\"]", Avro::Union(1, Box::new(Avro::Int(1))))]
    {
        let mut decoder = reader(vec![Column::new("a", Kind::Int32)], writer);
        assert_eq!(decode(&mut decoder, &[encoded(writer, value)])[0].brief(), "type -");
    }
    let options = options(vec![Column::new("a", Kind::Int32)], Written::With(definition("{}")));
    assert!(Decoder::new(options).err().unwrap().to_string().contains("no Avro schema"));
}

/// A writer's type with one of its values, the kind that reads it, and what must come out.
#[derive(Clone, Debug)]
struct Drawn {
    writer: Value,
    value: Avro,
    kind: Kind,
    expected: Value,
}

fn leaf() -> impl Strategy<Value = Drawn> {
    let drawn =
        |writer: &str, value: Avro, kind: Kind, expected: Value| Drawn { writer: json!(writer), value, kind, expected };
    prop_oneof![
        any::<i32>().prop_map(move |v| drawn("int", Avro::Int(v), Kind::Int64, json!(v))),
        any::<i64>().prop_map(move |v| drawn("long", Avro::Long(v), Kind::Int64, json!(v))),
        any::<bool>().prop_map(move |v| drawn("boolean", Avro::Boolean(v), Kind::Bool, json!(v))),
        (-1e9..1e9).prop_map(move |v: f64| drawn("double", Avro::Double(v), Kind::Float64, json!(v))),
        ".{0,9}".prop_map(move |v| drawn("string", Avro::String(v.clone()), Kind::String, json!(v))),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(move |v| drawn(
            "bytes",
            Avro::Bytes(v.clone()),
            Kind::Binary,
            json!(v)
        )),
    ]
}

fn any_value() -> impl Strategy<Value = Drawn> {
    leaf().prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            (inner.clone(), any::<bool>(), any::<bool>())
                .prop_map(|(drawn, first, there)| optional(drawn, first, there)),
            prop::collection::vec(inner.clone(), 0..5).prop_map(structure),
            (inner, 0..4_usize).prop_map(|(drawn, times)| Drawn {
                writer: json!({"type": "array", "items": drawn.writer}),
                value: Avro::Array(vec![drawn.value; times]),
                kind: list(Column::new("item", drawn.kind)),
                expected: vec![drawn.expected; times].into(),
            }),
        ]
    })
}

fn optional(drawn: Drawn, null_first: bool, there: bool) -> Drawn {
    if drawn.writer.is_array() {
        return drawn;
    }
    let writer = if null_first { json!(["null", drawn.writer]) } else { json!([drawn.writer, "null"]) };
    let branch = u32::from(null_first == there);
    let (value, expected) = if there { (drawn.value, drawn.expected) } else { (Avro::Null, Value::Null) };
    Drawn { writer, value: Avro::Union(branch, Box::new(value)), expected, ..drawn }
}

/// A record of which every third field is not read, and the others in the opposite order.
fn structure(fields: Vec<Drawn>) -> Drawn {
    let names = || (0..fields.len()).map(|at| format!("f{at}"));
    let read = || fields.iter().zip(names()).enumerate().filter(|(at, _)| at % 3 != 2).map(|(_, field)| field).rev();
    let members = fields.iter().zip(names()).map(|(field, name)| json!({"name": name, "type": field.writer}));
    Drawn {
        writer: json!({"type": "record", "name": "?", "fields": members.collect::<Vec<_>>()}),
        value: Avro::Record(fields.iter().zip(names()).map(|(field, name)| (name, field.value.clone())).collect()),
        kind: Kind::Struct(read().map(|(field, name)| Column::new(name, field.kind.clone())).collect()),
        expected: read().map(|(field, name)| (name, field.expected.clone())).collect::<Map<_, _>>().into(),
    }
}

/// Gives each record a name of its own.
fn named(writer: &Value) -> String {
    let mut parts = Vec::new();
    for (at, part) in writer.to_string().split("\"?\"").enumerate() {
        parts.push(if at == 0 { part.to_owned() } else { format!("\"R{at}\"{part}") });
    }
    parts.concat()
}

fn columns_of(kind: &Kind) -> Vec<Column> {
    let Kind::Struct(columns) = kind else { unreachable!("a record is a struct") };
    columns.clone()
}

proptest! {
    #[test]
    fn random_records_are_what_was_encoded(drawn in prop::collection::vec(any_value(), 1..6).prop_map(structure)) {
        let writer = named(&drawn.writer);
        let bytes = encoded(&writer, drawn.value.clone());
        prop_assume!(!bytes.is_empty());
        let mut decoder = reader(columns_of(&drawn.kind), &writer);
        for fate in decode(&mut decoder, &[bytes.clone(), bytes]) {
            prop_assert_eq!(fate, Fate::Row(drawn.expected.clone()));
        }
    }

    #[test]
    fn whatever_is_cut_or_flipped_the_next_record_is_read(
        drawn in prop::collection::vec(any_value(), 1..5).prop_map(structure),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let writer = named(&drawn.writer);
        let bytes = encoded(&writer, drawn.value.clone());
        prop_assume!(!bytes.is_empty());
        let mut flipped = bytes.clone();
        flips.iter().for_each(|(at, with)| flipped[at.index(bytes.len())] ^= with);
        let mut decoder = reader(columns_of(&drawn.kind), &writer);
        let prefixes = (0..bytes.len()).map(|end| bytes[..end].to_vec());
        for broken in prefixes.chain([[bytes.as_slice(), &[0]].concat()]) {
            let found = decode(&mut decoder, &[broken, bytes.clone()]);
            prop_assert!(found[0].brief().starts_with("decode"), "{:?}", found[0]);
            prop_assert_eq!(&found[1], &Fate::Row(drawn.expected.clone()));
        }
        let found = decode(&mut decoder, &[flipped, bytes.clone()]);
        prop_assert_eq!(&found[1], &Fate::Row(drawn.expected.clone()));
    }

    #[test]
    fn any_bytes_are_a_row_or_a_refusal(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10)) {
        let columns = vec![Column::new("below", list(Column::new("item", Kind::Struct(vec![Column::new("Id", Kind::Int64)]))))];
        fates(&reader(columns, TREE).decode(&Arc::new(payloads(&records))), records.len());
    }
}

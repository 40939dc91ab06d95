//! Proves that records in Protobuf's binary form become the rows that their message says; the bytes are those of
//! prost-reflect's encoder of dynamic messages, and what must come out is what its decoder says that they are. It would catch
//! a field that is read for another, a default that is taken for nothing or nothing for a default, values that are lost where
//! a message comes in parts, a length that is believed, and a record that costs more than itself.

use millstream_operators::decode::{Format, Limits, Written};
use millstream_operators::written::Root;
use millstream_operators::{Definition, Schemas};
use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, MessageOptions, OneofDescriptorProto,
};
use prost_reflect::{
    DescriptorPool, DynamicMessage, Kind as Proto, MapKey, MessageDescriptor, ReflectMessage, Value as Dynamic,
};

use super::*;

fn field(number: i32, name: &str, kind: Type) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.into()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(kind.into()),
        ..Default::default()
    }
}

fn of(number: i32, name: &str, kind: Type, type_name: &str) -> FieldDescriptorProto {
    FieldDescriptorProto { type_name: Some(type_name.into()), ..field(number, name, kind) }
}

fn repeated(field: FieldDescriptorProto) -> FieldDescriptorProto {
    FieldDescriptorProto { label: Some(Label::Repeated.into()), ..field }
}

/// In the oneof of this number; `optional` is one that has nobody else in it.
fn in_oneof(oneof: i32, field: FieldDescriptorProto) -> FieldDescriptorProto {
    FieldDescriptorProto { oneof_index: Some(oneof), ..field }
}

fn optional(oneof: i32, field: FieldDescriptorProto) -> FieldDescriptorProto {
    FieldDescriptorProto { proto3_optional: Some(true), ..in_oneof(oneof, field) }
}

fn message(name: &str, fields: Vec<FieldDescriptorProto>, oneofs: &[&str]) -> DescriptorProto {
    let oneof = |name: &&str| OneofDescriptorProto { name: Some((*name).into()), options: None };
    let oneof_decl = oneofs.iter().map(oneof).collect();
    DescriptorProto { name: Some(name.into()), field: fields, oneof_decl, ..Default::default() }
}

/// `google.protobuf.Timestamp` and wrappers, as far as they are used here.
fn well_known() -> Vec<FileDescriptorProto> {
    let file = |name: &str, messages| FileDescriptorProto {
        name: Some(format!("google/protobuf/{name}.proto")),
        package: Some("google.protobuf".into()),
        syntax: Some("proto3".into()),
        message_type: messages,
        ..Default::default()
    };
    let timestamp = message("Timestamp", vec![field(1, "seconds", Type::Int64), field(2, "nanos", Type::Int32)], &[]);
    let wrapper = |name: &str, kind| message(name, vec![field(1, "value", kind)], &[]);
    let wrappers = vec![wrapper("StringValue", Type::String), wrapper("Int64Value", Type::Int64)];
    vec![file("timestamp", vec![timestamp]), file("wrappers", wrappers)]
}

/// A file whose messages are `All`, with a field of each type, and `Other`.
fn files() -> FileDescriptorSet {
    const SCALARS: [(&str, Type); 15] = [
        ("double", Type::Double),
        ("float", Type::Float),
        ("int32", Type::Int32),
        ("int64", Type::Int64),
        ("uint32", Type::Uint32),
        ("uint64", Type::Uint64),
        ("sint32", Type::Sint32),
        ("sint64", Type::Sint64),
        ("fixed32", Type::Fixed32),
        ("fixed64", Type::Fixed64),
        ("sfixed32", Type::Sfixed32),
        ("sfixed64", Type::Sfixed64),
        ("bool", Type::Bool),
        ("string", Type::String),
        ("bytes", Type::Bytes),
    ];
    let mut fields: Vec<_> = SCALARS.iter().zip(1..).map(|((name, kind), number)| field(number, name, *kind)).collect();
    fields.extend([
        of(16, "color", Type::Enum, ".t.Color"),
        of(17, "inner", Type::Message, ".t.All.Inner"),
        repeated(field(18, "numbers", Type::Sint32)),
        repeated(field(19, "names", Type::String)),
        repeated(of(20, "inners", Type::Message, ".t.All.Inner")),
        repeated(of(21, "colors", Type::Enum, ".t.Color")),
        of(22, "at", Type::Message, ".google.protobuf.Timestamp"),
        of(23, "label", Type::Message, ".google.protobuf.StringValue"),
        repeated(of(24, "map", Type::Message, ".t.All.MapEntry")),
        in_oneof(0, field(25, "left", Type::String)),
        in_oneof(0, field(26, "right", Type::Int32)),
        in_oneof(0, of(27, "middle", Type::Message, ".t.All.Inner")),
        optional(1, field(200, "maybe", Type::Int32)),
        repeated(of(5000, "times", Type::Message, ".google.protobuf.Timestamp")),
    ]);
    let inner_fields = vec![
        field(1, "id", Type::Int64),
        optional(0, field(2, "note", Type::String)),
        of(3, "inner", Type::Message, ".t.All.Inner"),
        repeated(field(4, "tags", Type::String)),
    ];
    let entry = DescriptorProto {
        options: Some(MessageOptions { map_entry: Some(true), ..Default::default() }),
        ..message("MapEntry", vec![field(1, "key", Type::String), field(2, "value", Type::Int32)], &[])
    };
    let all = DescriptorProto {
        nested_type: vec![message("Inner", inner_fields, &["_note"]), entry],
        ..message("All", fields, &["side", "_maybe"])
    };
    let named = |(name, number): (&str, i32)| EnumValueDescriptorProto {
        name: Some(name.into()),
        number: Some(number),
        options: None,
    };
    let color = EnumDescriptorProto {
        name: Some("Color".into()),
        value: [("NONE", 0), ("RED", 1), ("BLUE", -1)].map(named).into(),
        ..Default::default()
    };
    let main = FileDescriptorProto {
        name: Some("t.proto".into()),
        package: Some("t".into()),
        syntax: Some("proto3".into()),
        dependency: vec!["google/protobuf/timestamp.proto".into(), "google/protobuf/wrappers.proto".into()],
        message_type: vec![all, message("Other", vec![field(1, "string", Type::String)], &[])],
        enum_type: vec![color],
        ..Default::default()
    };
    let mut file = well_known();
    file.push(main);
    FileDescriptorSet { file }
}

fn all() -> MessageDescriptor {
    DescriptorPool::from_file_descriptor_set(files()).unwrap().get_message_by_name("t.All").unwrap()
}

fn definition(root: Root) -> Arc<Definition> {
    Arc::new(Definition::Protobuf { files: files().encode_to_vec(), root })
}

fn options(columns: Vec<Column>, written: Written) -> DecodeOptions {
    let compression = millstream_operators::decode::Compression::None;
    DecodeOptions {
        format: Format::named("protobuf").unwrap(),
        compression,
        schema: schema(columns),
        written,
        ..Default::default()
    }
}

fn reader(columns: Vec<Column>) -> Decoder {
    Decoder::new(options(columns, Written::With(definition(Root::Message("t.All".into()))))).unwrap()
}

fn encoded<const N: usize>(fields: [(&str, Dynamic); N]) -> Vec<u8> {
    let mut message = DynamicMessage::new(all());
    fields.into_iter().for_each(|(name, value)| message.set_field_by_name(name, value));
    message.encode_to_vec()
}

/// A message in another, by the name of its field.
fn within<const N: usize>(name: &str, fields: [(&str, Dynamic); N]) -> Dynamic {
    let field = all().get_field_by_name(name).unwrap();
    let Proto::Message(kind) = field.kind() else { unreachable!("{name} is a message") };
    let mut message = DynamicMessage::new(kind);
    fields.into_iter().for_each(|(name, value)| message.set_field_by_name(name, value));
    Dynamic::Message(message)
}

/// What becomes of records read into one column.
fn briefs(column: Column, records: &[Vec<u8>]) -> Vec<String> {
    decode(&mut reader(vec![column]), records).iter().map(Fate::brief).collect()
}

fn text(text: &str) -> Dynamic {
    Dynamic::String(text.into())
}

#[test]
fn each_type_goes_into_the_columns_that_it_fits() {
    let big = u64::MAX;
    let timestamp = |seconds, nanos| within("at", [("seconds", Dynamic::I64(seconds)), ("nanos", Dynamic::I32(nanos))]);
    let nan = Dynamic::Message(DynamicMessage::new(
        all().get_field_by_name("label").unwrap().kind().as_message().unwrap().clone(),
    ));
    for (name, value, kind, expected) in [
        ("double", Dynamic::F64(0.1), Kind::Float64, r#"{"double":0.1}"#),
        ("float", Dynamic::F32(0.5), Kind::Float64, r#"{"float":0.5}"#),
        ("double", Dynamic::F64(1.0), Kind::Int64, "type double"),
        ("int32", Dynamic::I32(-5), Kind::Int32, r#"{"int32":-5}"#),
        ("int32", Dynamic::I32(-5), decimal(4, 1), r#"{"int32":"-50"}"#),
        ("int64", Dynamic::I64(i64::MIN), Kind::Int64, r#"{"int64":-9223372036854775808}"#),
        ("int64", Dynamic::I64(1 << 40), Kind::Int32, "type int64"),
        ("uint32", Dynamic::U32(u32::MAX), Kind::Int64, r#"{"uint32":4294967295}"#),
        ("uint32", Dynamic::U32(u32::MAX), Kind::Int32, "type uint32"),
        ("uint64", Dynamic::U64(big), Kind::Int64, "type uint64"),
        ("uint64", Dynamic::U64(big), decimal(20, 0), r#"{"uint64":"18446744073709551615"}"#),
        ("sint32", Dynamic::I32(i32::MIN), Kind::Int32, r#"{"sint32":-2147483648}"#),
        ("sint64", Dynamic::I64(-3), Kind::Float64, r#"{"sint64":-3.0}"#),
        ("fixed32", Dynamic::U32(7), Kind::Int32, r#"{"fixed32":7}"#),
        ("fixed64", Dynamic::U64(7), Kind::Int64, r#"{"fixed64":7}"#),
        ("sfixed32", Dynamic::I32(-7), Kind::Int32, r#"{"sfixed32":-7}"#),
        ("sfixed64", Dynamic::I64(-7), Kind::Int64, r#"{"sfixed64":-7}"#),
        ("bool", Dynamic::Bool(true), Kind::Bool, r#"{"bool":true}"#),
        ("bool", Dynamic::Bool(true), Kind::Int32, "type bool"),
        ("string", text("é 😀"), Kind::String, "{\"string\":\"é 😀\"}"),
        ("string", text("1970-01-02"), Kind::Timestamp, r#"{"string":86400000000}"#),
        ("string", text("x"), Kind::Binary, "type string"),
        ("bytes", Dynamic::Bytes(vec![0, 255].into()), Kind::Binary, r#"{"bytes":[0,255]}"#),
        ("bytes", Dynamic::Bytes(vec![1].into()), Kind::String, "type bytes"),
        ("color", Dynamic::EnumNumber(-1), Kind::String, r#"{"color":"BLUE"}"#),
        ("color", Dynamic::EnumNumber(-1), Kind::Int32, r#"{"color":-1}"#),
        ("color", Dynamic::EnumNumber(9), Kind::String, "type color"),
        ("color", Dynamic::EnumNumber(9), Kind::Int64, r#"{"color":9}"#),
        ("at", timestamp(-1, 999_999_999), Kind::Timestamp, r#"{"at":-1}"#),
        ("at", timestamp(1, 1_999), Kind::Timestamp, r#"{"at":1000001}"#),
        ("at", timestamp(1, -1), Kind::Timestamp, "type at"),
        ("at", timestamp(i64::MAX, 0), Kind::Timestamp, "type at"),
        ("at", timestamp(253_402_300_800, 0), Kind::Timestamp, "type at"),
        ("at", timestamp(1, 0), Kind::Date, "type at"),
        ("label", within("label", [("value", text("x"))]), Kind::String, r#"{"label":"x"}"#),
        ("label", nan, Kind::String, r#"{"label":""}"#),
        ("inner", within("inner", []), Kind::String, "type inner"),
        ("numbers", Dynamic::List(vec![]), Kind::Int32, "type numbers"),
        ("names", Dynamic::List(vec![text("a")]), list(Column::new("item", Kind::Int32)), "type names[0]"),
        ("string", text("a"), list(Column::new("item", Kind::String)), "type string"),
        (
            "map",
            Dynamic::Map([(MapKey::String("k".into()), Dynamic::I32(1))].into()),
            list(Column::new("item", Kind::String)),
            "type map",
        ),
    ] {
        let said = format!("{name} as {kind:?}");
        // Another field keeps the record from being empty.
        let record = encoded([(name, value), ("maybe", Dynamic::I32(1))]);
        assert_eq!(briefs(Column::new(name, kind).required(), &[record])[0], expected, "{said}");
    }
}

/// Would catch a default that is taken for nothing, and nothing for a default.
#[test]
fn what_is_not_there_is_a_default_or_missing() {
    let empty = encoded([("uint32", Dynamic::U32(1))]);
    let inner = Kind::Struct(vec![Column::new("id", Kind::Int64), Column::new("note", Kind::String).required()]);
    for (name, kind, expected) in [
        ("double", Kind::Float64, r#"{"double":0.0}"#),
        ("int64", Kind::Int64, r#"{"int64":0}"#),
        ("bool", Kind::Bool, r#"{"bool":false}"#),
        ("string", Kind::String, r#"{"string":""}"#),
        ("bytes", Kind::Binary, r#"{"bytes":[]}"#),
        ("color", Kind::String, r#"{"color":"NONE"}"#),
        ("numbers", list(Column::new("item", Kind::Int32)), r#"{"numbers":[]}"#),
        ("maybe", Kind::Int32, "missing maybe"),
        ("left", Kind::String, "missing left"),
        ("at", Kind::Timestamp, "missing at"),
        ("label", Kind::String, "missing label"),
        ("inner", inner.clone(), "missing inner.note"),
        ("nowhere", Kind::Int32, "missing nowhere"),
        ("String", Kind::String, "missing String"),
    ] {
        assert_eq!(briefs(Column::new(name, kind.clone()).required(), std::slice::from_ref(&empty))[0], expected);
        if expected.starts_with("missing") && name != "inner" {
            assert_eq!(
                briefs(Column::new(name, kind), std::slice::from_ref(&empty))[0],
                format!("{{\"{name}\":null}}")
            );
        }
    }
    let there = encoded([("inner", within("inner", [("id", Dynamic::I64(1))]))]);
    assert_eq!(briefs(Column::new("inner", inner), &[there])[0], "missing inner.note");
}

/// Would catch values that are lost where a message is not written at once.
#[test]
fn messages_in_parts_are_one_and_the_last_of_two_values_counts() {
    let parts = [
        encoded([("string", text("first")), ("numbers", Dynamic::List(vec![Dynamic::I32(1), Dynamic::I32(-2)]))]),
        encoded([("inner", within("inner", [("id", Dynamic::I64(1)), ("tags", Dynamic::List(vec![text("a")]))]))]),
        vec![18 << 3 & 0x7f | 0x80, 1, 6],
        encoded([("at", within("at", [("seconds", Dynamic::I64(5))])), ("left", text("l"))]),
        encoded([("string", text("last")), ("numbers", Dynamic::List(vec![Dynamic::I32(4)]))]),
        encoded([("inner", within("inner", [("note", text("n")), ("tags", Dynamic::List(vec![text("b")]))]))]),
        encoded([("at", within("at", [("nanos", Dynamic::I32(7_000))])), ("right", Dynamic::I32(3))]),
    ];
    let texts = || list(Column::new("item", Kind::String));
    let inner = vec![Column::new("id", Kind::Int64), Column::new("note", Kind::String), Column::new("tags", texts())];
    let columns = vec![
        Column::new("string", Kind::String),
        Column::new("numbers", list(Column::new("item", Kind::Int32))),
        Column::new("inner", Kind::Struct(inner)),
        Column::new("at", Kind::Timestamp),
        Column::new("left", Kind::String),
        Column::new("right", Kind::Int32),
    ];
    let expected = r#"{"string":"last","numbers":[1,-2,3,4],"inner":{"id":1,"note":"n","tags":["a","b"]},"at":5000007,"left":null,"right":3}"#;
    let record = parts.concat();
    assert_eq!(decode(&mut reader(columns), std::slice::from_ref(&record))[0].brief(), expected);
    assert_eq!(briefs(Column::new("left", Kind::String), &[record])[0], r#"{"left":null}"#);
}

#[test]
fn what_the_schema_does_not_know_is_gone_past() {
    let group = [0x0b_u8 | 0x30, 0x0b | 0x38, 0x08, 0x01, 0x0c | 0x38, 0x0c | 0x30];
    let mut record = encoded([("string", text("x"))]);
    record.extend(group);
    record.extend([0xf8, 0xff, 0x01, 0x05]);
    // Another wire type than the field has: not that field.
    record.extend([14 << 3, 7]);
    assert_eq!(briefs(Column::new("string", Kind::String), &[record])[0], r#"{"string":"x"}"#);
}

#[test]
fn counts_and_lengths_are_not_believed() {
    let longest = [0xff_u8; 9];
    let string = |tail: &[u8]| [&[14 << 3 | 2], tail].concat();
    let deep = |levels: usize| [vec![0x33; levels], vec![0x34; levels]].concat();
    for (record, says) in [
        (string(&[5, b'a']), "beyond"),
        (string(&[longest.as_slice(), &[1]].concat()), "beyond"),
        (string(&[longest.as_slice(), &[2]].concat()), "64 bits"),
        (string(&[]), "beyond"),
        (vec![0x80; 20], "64 bits"),
        (vec![0x00, 0x01], "field number"),
        (vec![0x07], "wire type"),
        (vec![0x34], "group"),
        (vec![0x33, 0x3c], "group"),
        (vec![0x33], "beyond"),
        (deep(100), "nesting"),
        (vec![0x33; 100_000], "nesting"),
    ] {
        let found = decode(&mut reader(vec![Column::new("string", Kind::String)]), &[record, string(&[1, b'a'])]);
        assert!(found[0].brief().starts_with("decode") && found[0].message().contains(says), "{says}: {:?}", found[0]);
        assert_eq!(found[1].brief(), r#"{"string":"a"}"#);
    }
    let numbers = Column::new("numbers", list(Column::new("item", Kind::Int32)));
    assert_eq!(briefs(numbers, &[vec![0x92, 1, 2, 0x80, 0x80]])[0], "decode numbers[0]");
    assert_eq!(briefs(Column::new("string", Kind::String), &[string(&[1, 0xff])])[0], "decode string");
    let depth = Limits { depth: 3, ..Limits::default() };
    let inner = |below: Kind| Kind::Struct(vec![Column::new("inner", below)]);
    let columns = vec![Column::new("inner", inner(inner(Kind::Struct(vec![Column::new("id", Kind::Int64)]))))];
    let nested = encoded([("inner", within("inner", [("inner", within("inner", [("inner", within("inner", []))]))]))]);
    let written = Written::With(definition(Root::Message("t.All".into())));
    let mut decoder = Decoder::new(DecodeOptions { limits: depth, ..options(columns, written) }).unwrap();
    assert!(decode(&mut decoder, &[nested])[0].message().contains("nesting"));
}

#[test]
fn a_list_that_multiplies_is_too_large() {
    let wide = Kind::Struct((0..50).map(|i| Column::new(format!("c{i}"), Kind::Int64)).collect());
    let record = [0xa2, 1, 0].repeat(1_000_000);
    assert_eq!(
        briefs(Column::new("inners", list(Column::new("item", wide))), &[record])[0],
        "too_large inners[205603]"
    );
}

/// Would catch a record of a registry that is read as the first message of its file whatever it says.
#[test]
fn a_record_of_a_registry_says_which_message_it_is() {
    let framed = |path: &[u8], body: &[u8]| [&[0, 0, 0, 0, 9], path, body].concat();
    let string = |text: &[u8]| [&[1 << 3 | 2, text.len() as u8], text].concat();
    let (all, inner) = (encoded([("string", text("all"))]), [8, 5, 0x12, 1, b'n']);
    let records = [
        framed(&[0], &all),
        framed(&[2, 0], &all),
        framed(&[2, 2], &string(b"other")),
        framed(&[4, 0, 0], &inner),
        framed(&[4, 0, 0], &[]),
        framed(&[2, 4], &all),
        framed(&[2, 1], &all),
        framed(&[0xfe, 0xff, 3], &all),
        framed(&[], &[]),
        vec![0, 0, 0, 0, 8, 0],
    ];
    let mut batch = payloads(&records);
    batch.beside.schemas = Some(Arc::new(Schemas::from_iter([(9, definition(Root::InFile("t.proto".into())))])));
    let columns = vec![Column::new("string", Kind::String), Column::new("note", Kind::String)];
    let mut decoder = Decoder::new(options(columns, Written::ById)).unwrap();
    let found: Vec<_> = fates(&decoder.decode(&Arc::new(batch)), 10).iter().map(Fate::brief).collect();
    let row = |string: &str, note: &str| format!(r#"{{"string":{string},"note":{note}}}"#);
    assert_eq!(found[..3], [row("\"all\"", "null"), row("\"all\"", "null"), row("\"other\"", "null")]);
    assert_eq!(found[3..5], [row("null", "\"n\""), row("null", "null")]);
    assert_eq!(found[5..], ["decode -"; 5]);
}

#[test]
fn a_message_that_is_not_there_is_found_out_at_once() {
    let made = |root: Root| Decoder::new(options(vec![Column::new("a", Kind::Int32)], Written::With(definition(root))));
    assert!(made(Root::Message("t.Alle".into())).err().unwrap().to_string().contains("t.Alle"));
    assert!(made(Root::Message("t.All.Inner".into())).is_ok());
}

/// A value as the tests show it, by what prost-reflect's decoder says: an oracle that knows nothing of our plans.
fn shown(value: &Dynamic, kind: &Proto) -> Value {
    match (value, kind) {
        (Dynamic::Bool(value), _) => json!(value),
        (Dynamic::I32(value), _) => json!(value),
        (Dynamic::I64(value), _) => json!(value),
        (Dynamic::U32(value), _) => json!(value),
        (Dynamic::U64(value), _) => json!(value),
        (Dynamic::F32(value), _) => json!(f64::from(*value)),
        (Dynamic::F64(value), _) => json!(value),
        (Dynamic::String(value), _) => json!(value),
        (Dynamic::Bytes(value), _) => json!(value.to_vec()),
        (Dynamic::EnumNumber(number), Proto::Enum(names)) => json!(names.get_value(*number).unwrap().name()),
        (Dynamic::Message(message), _) => shown_message(message),
        (Dynamic::List(values), kind) => values.iter().map(|value| shown(value, kind)).collect(),
        (_, kind) => panic!("not drawn: {kind:?}"),
    }
}

fn shown_message(message: &DynamicMessage) -> Value {
    let field = |field: prost_reflect::FieldDescriptor| {
        let there = !field.supports_presence() || message.has_field(&field);
        let value = if there { shown(&message.get_field(&field), &field.kind()) } else { Value::Null };
        (field.name().to_owned(), value)
    };
    let read = |field: &prost_reflect::FieldDescriptor| NAMES.contains(&field.name());
    Value::Object(message.descriptor().fields().filter(read).map(field).collect())
}

/// The fields that the drawn records are read by, here and one level below.
const NAMES: [&str; 22] = [
    "double", "float", "int32", "int64", "uint32", "sint32", "sint64", "fixed32", "sfixed32", "sfixed64", "bool",
    "string", "bytes", "color", "inner", "numbers", "names", "inners", "left", "right", "maybe", "id",
];

fn columns_of(message: &MessageDescriptor, depth: usize) -> Vec<Column> {
    let read = |field: &prost_reflect::FieldDescriptor| NAMES.contains(&field.name()) && depth < 4;
    message.fields().filter(read).map(|field| Column::new(field.name(), kind_of(&field, depth))).collect()
}

fn kind_of(field: &prost_reflect::FieldDescriptor, depth: usize) -> Kind {
    let kind = match field.kind() {
        Proto::Double | Proto::Float => Kind::Float64,
        Proto::Bool => Kind::Bool,
        Proto::String | Proto::Enum(_) => Kind::String,
        Proto::Bytes => Kind::Binary,
        Proto::Message(message) => Kind::Struct(columns_of(&message, depth + 1)),
        _ => Kind::Int64,
    };
    if field.is_list() { list(Column::new("item", kind)) } else { kind }
}

/// A message whose fields are drawn from bytes; `depth` levels may lie below it.
fn drawn(kind: &MessageDescriptor, bytes: &mut std::slice::Iter<'_, u8>, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(kind.clone());
    for field in kind.fields().filter(|field| NAMES.contains(&field.name())) {
        let count = bytes.next().map_or(0, |byte| usize::from(byte % 4));
        if count == 0 || (depth == 0 && matches!(field.kind(), Proto::Message(_))) {
            continue;
        }
        let values = (0..count).map(|_| one(&field.kind(), bytes, depth));
        let value = if field.is_list() { Dynamic::List(values.collect()) } else { values.last().unwrap() };
        message.set_field(&field, value);
    }
    message
}

fn one(kind: &Proto, bytes: &mut std::slice::Iter<'_, u8>, depth: usize) -> Dynamic {
    let byte = bytes.next().copied().unwrap_or(1);
    let number = i64::from(byte as i8) << (byte % 40);
    match kind {
        Proto::Double => Dynamic::F64(number as f64 / 8.0),
        Proto::Float => Dynamic::F32(f32::from(byte) / 8.0),
        Proto::Int32 | Proto::Sint32 | Proto::Sfixed32 => Dynamic::I32(number as i32),
        Proto::Int64 | Proto::Sint64 | Proto::Sfixed64 => Dynamic::I64(number),
        Proto::Uint32 | Proto::Fixed32 => Dynamic::U32(number as u32),
        Proto::Uint64 | Proto::Fixed64 => Dynamic::U64(number as u64),
        Proto::Bool => Dynamic::Bool(byte % 2 == 1),
        Proto::String => Dynamic::String("é".repeat(usize::from(byte % 5))),
        Proto::Bytes => Dynamic::Bytes(vec![byte; usize::from(byte % 5)].into()),
        Proto::Enum(_) => Dynamic::EnumNumber([0, 1, -1][usize::from(byte % 3)]),
        Proto::Message(kind) => Dynamic::Message(drawn(kind, bytes, depth - 1)),
    }
}

proptest! {
    #[test]
    fn random_messages_are_what_the_decoder_of_prost_reflect_says(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = drawn(&all(), &mut bytes.iter(), 2).encode_to_vec();
        prop_assume!(!bytes.is_empty());
        let expected = shown_message(&DynamicMessage::decode(all(), bytes.as_slice()).unwrap());
        let mut decoder = reader(columns_of(&all(), 0));
        for fate in decode(&mut decoder, &[bytes.clone(), bytes]) {
            let Fate::Row(row) = fate else { panic!("{fate:?}") };
            prop_assert_eq!(as_deep_as(&row, &expected), expected.clone());
        }
    }

    #[test]
    fn whatever_is_cut_or_flipped_the_next_record_is_read(
        bytes in prop::collection::vec(any::<u8>(), 1..80),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let bytes = drawn(&all(), &mut bytes.iter(), 2).encode_to_vec();
        prop_assume!(!bytes.is_empty());
        let mut decoder = reader(columns_of(&all(), 0));
        let good = decode(&mut decoder, std::slice::from_ref(&bytes)).remove(0);
        let mut flipped = bytes.clone();
        flips.iter().for_each(|(at, with)| flipped[at.index(bytes.len())] ^= with);
        let prefixes = (1..bytes.len()).map(|end| bytes[..end].to_vec());
        for broken in prefixes.chain([flipped]) {
            let understood = DynamicMessage::decode(all(), broken.as_slice()).is_ok();
            let found = decode(&mut decoder, &[broken, bytes.clone()]);
            // What their decoder takes may still be of no use to us (an enum's unknown number), but is never broken.
            prop_assert!(!understood || !found[0].brief().starts_with("decode"), "{:?}", found[0]);
            prop_assert_eq!(&found[1], &good);
        }
    }

    #[test]
    fn any_bytes_are_a_row_or_a_refusal(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10)) {
        fates(&reader(columns_of(&all(), 0)).decode(&Arc::new(payloads(&records))), records.len());
    }
}

/// Of a row what the oracle speaks of: the schema goes no deeper than four levels, the drawn records than three.
fn as_deep_as(row: &Value, expected: &Value) -> Value {
    match (row, expected) {
        (Value::Object(row), Value::Object(expected)) => expected
            .iter()
            .map(|(name, value)| (name.clone(), row.get(name).map_or(Value::Null, |row| as_deep_as(row, value))))
            .collect(),
        (Value::Array(row), Value::Array(expected)) if row.len() == expected.len() => {
            row.iter().zip(expected).map(|(row, expected)| as_deep_as(row, expected)).collect()
        }
        (row, _) => row.clone(),
    }
}

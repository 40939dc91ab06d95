//! Events that are broken on purpose: in each way that a producer gets one wrong, and in each field that it can get wrong.
//!
//! Owns the ways, and what an event looks like that is broken in one of them. What must stay true: a broken event is one line
//! of UTF-8 and a reject under the schema and the rules of `examples/user-events`; which field it hits is drawn, so that a few
//! hundred of a way show all of them.

use super::record::{Event, Kind, one, put};
use super::rng::Rng;

/// How a record is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A field that is required is not there.
    Missing,
    /// A value of another type.
    WrongType,
    /// It ends too early.
    BadJson,
    /// A text that is no time.
    BadTime,
    /// A field that is required is null.
    Null,
    /// A value, or the whole event, lies one level deeper than it should.
    Nested,
    /// The name of an event that nobody has heard of.
    UnknownEvent,
    /// A name or an id with nothing in it.
    Empty,
    /// A list, a text or a number where an event should be.
    NotARecord,
    /// More levels than a record may have, under a key that nobody reads.
    TooDeep,
    /// A key comes twice, first with a good value: the last one counts.
    Twice,
    /// A time, but of a clock that was never set, or runs ahead by centuries.
    OtherTime,
}

impl Fault {
    /// The ways in which records of a kind are broken.
    pub fn of(kind: Kind) -> &'static [Fault] {
        use Fault::{
            BadJson, BadTime, Empty, Missing, Nested, NotARecord, Null, OtherTime, TooDeep, Twice, UnknownEvent,
            WrongType,
        };
        match kind {
            Kind::Articles => &[Missing, WrongType, BadJson, BadTime, Null],
            Kind::Events => &[
                Missing,
                WrongType,
                BadJson,
                BadTime,
                Null,
                Nested,
                UnknownEvent,
                Empty,
                NotARecord,
                TooDeep,
                Twice,
                OtherTime,
            ],
        }
    }
}

const NO_TIMES: [&str; 9] = [
    "2023-13-01T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "2023-10-23T24:00:00Z",
    "2023-10-23T23:59:60Z",
    " 2023-10-23T00:00:00Z",
    "23/10/2023 12:34",
    "1698064496",
    "yesterday",
    "",
];
const OTHER_TIMES: [&str; 3] = ["1970-01-01T00:00:00Z", "2999-10-23T12:34:56Z", "0001-01-01T00:00:00Z"];
const UNKNOWN: [&str; 4] = ["teleport", "View", "purchase ", "add-to-cart"];
/// Levels that no limit of ours lets through.
const DEEP: usize = 300;

/// An event as its members in order, each with the JSON of its value.
type Members = Vec<(&'static str, String)>;

/// Appends an event that is broken in one way.
pub(super) fn write(event: &Event, fault: Fault, rng: &mut Rng, out: &mut Vec<u8>) {
    let mut members = members(event);
    match fault {
        Fault::Missing => missing(&mut members, event, rng),
        Fault::WrongType => wrong_type(&mut members, event, rng),
        Fault::BadTime => set(&mut members, "timestamp", quoted(one(rng, &NO_TIMES))),
        Fault::Null => null(&mut members, event, rng),
        Fault::Nested => nested(&mut members, event, rng),
        Fault::UnknownEvent => set(&mut members, "event_name", quoted(one(rng, &UNKNOWN))),
        Fault::Empty => empty(&mut members, event, rng),
        Fault::TooDeep => members.push(("context", format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP)))),
        Fault::Twice => members.push(again(rng)),
        Fault::OtherTime => set(&mut members, "timestamp", quoted(one(rng, &OTHER_TIMES))),
        Fault::NotARecord => return no_record(&members, rng, out),
        Fault::BadJson => {
            let whole = object(&members);
            // Each event is longer, and ASCII as far as that.
            return out.extend_from_slice(&whole.as_bytes()[..1 + rng.below(100) as usize]);
        }
    }
    out.extend_from_slice(object(&members).as_bytes());
}

fn members(event: &Event) -> Members {
    vec![
        ("timestamp", quoted(&event.time())),
        ("event_name", quoted(event.name)),
        ("user_identifiers", user(event, &quoted(&event.user_id()))),
        ("product_information", event.product()),
    ]
}

fn user(event: &Event, id: &str) -> String {
    format!("{{\"platform\":\"{}\",\"id\":{id}}}", event.platform)
}

fn missing(members: &mut Members, event: &Event, rng: &mut Rng) {
    match rng.below(4) {
        3 => set(members, "user_identifiers", format!("{{\"platform\":\"{}\"}}", event.platform)),
        member => drop(members.remove(member as usize)),
    }
}

fn wrong_type(members: &mut Members, event: &Event, rng: &mut Rng) {
    match rng.below(7) {
        0 => set(members, "timestamp", "1698064496".into()),
        1 => set(members, "event_name", "7".into()),
        2 => set(members, "user_identifiers", user(event, "12345")),
        3 => set(members, "user_identifiers", quoted(&event.user_id())),
        4 => set(members, "user_identifiers", "{\"platform\":true,\"id\":\"user_1\"}".into()),
        5 => set(members, "product_information", "[]".into()),
        _ => set(members, "product_information", "{\"name\":\"Steel Lamp\",\"SKU\":1110}".into()),
    }
}

fn null(members: &mut Members, event: &Event, rng: &mut Rng) {
    match rng.below(4) {
        3 => set(members, "user_identifiers", user(event, "null")),
        member => members[member as usize].1 = "null".into(),
    }
}

fn nested(members: &mut Members, event: &Event, rng: &mut Rng) {
    match rng.below(5) {
        0 => *members = vec![("event", object(members))],
        1 => set(members, "user_identifiers", user(event, "{\"value\":\"user_1\"}")),
        2 => set(members, "user_identifiers", format!("[{}]", user(event, "\"user_1\""))),
        3 => set(members, "event_name", format!("{{\"name\":\"{}\"}}", event.name)),
        _ => set(members, "timestamp", format!("{{\"$date\":\"{}\"}}", event.time())),
    }
}

fn empty(members: &mut Members, event: &Event, rng: &mut Rng) {
    match rng.below(3) {
        0 => set(members, "event_name", "\"\"".into()),
        1 => set(members, "user_identifiers", user(event, "\"\"")),
        _ => set(members, "user_identifiers", user(event, "\"  \"")),
    }
}

/// A key that has been there, with a value that is none.
fn again(rng: &mut Rng) -> (&'static str, String) {
    match rng.below(3) {
        0 => ("timestamp", "null".into()),
        1 => ("event_name", quoted(one(rng, &UNKNOWN))),
        _ => ("user_identifiers", "{\"platform\":\"web\"}".into()),
    }
}

fn no_record(members: &Members, rng: &mut Rng, out: &mut Vec<u8>) {
    match rng.below(4) {
        0 => put(out, format_args!("[{}]", object(members))),
        1 => out.extend_from_slice(b"\"view\""),
        2 => out.extend_from_slice(b"null"),
        _ => out.extend_from_slice(b"42"),
    }
}

fn set(members: &mut Members, name: &str, value: String) {
    if let Some(member) = members.iter_mut().find(|member| member.0 == name) {
        member.1 = value;
    }
}

fn object(members: &Members) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

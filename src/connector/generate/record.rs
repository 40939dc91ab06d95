//! One synthetic record: an article or a user event, whole or broken on purpose, as one line of JSON.
//!
//! A record is a function of seed, split and index. Each way of being broken makes the record a reject under the schema
//! that its kind is meant for, and leaves it one line.

use std::io::Write;

use super::rng::Rng;
use super::text;

/// What is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `article_id, title, author, publish_date, content`.
    Articles,
    /// `timestamp, event_name, user_identifiers, product_information`.
    Events,
}

/// 2023-10-23T00:00:00Z, where generated time begins.
const FIRST_SECOND: u64 = 1_698_019_200;
const DAY: u64 = 86_400;
const DAYS: u64 = 7;

const EVENTS: [&str; 8] = ["view", "view", "view", "click", "click", "add_to_cart", "search", "purchase"];
const PLATFORMS: [&str; 4] = ["web", "web", "ios", "android"];
const MAKES: [&str; 10] =
    ["Wireless", "Ergonomic", "Portable", "Foldable", "Compact", "Classic", "Silent", "Solar", "Crème", "Steel"];
const PRODUCTS: [&str; 12] = [
    "Mouse",
    "Keyboard",
    "Headset",
    "Monitor",
    "Lamp",
    "Charger",
    "Backpack",
    "Café Press",
    "Notebook",
    "Speaker",
    "Stand",
    "Camera",
];

/// How a record is broken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    MissingField,
    WrongType,
    BadJson,
    BadTime,
    Null,
}

/// Writes records of one kind.
#[derive(Clone, Debug)]
pub struct Records {
    kind: Kind,
    seed: u64,
    /// Of 2³² records, how many are broken.
    broken: u64,
}

impl Records {
    /// Records of `kind`, a `broken` share (0 to 1) of which is bad on purpose.
    pub fn new(kind: Kind, seed: u64, broken: f64) -> Self {
        Records { kind, seed, broken: (broken.clamp(0.0, 1.0) * (1u64 << 32) as f64) as u64 }
    }

    /// Appends record `index` of `split`, without a line end.
    pub fn write(&self, split: u64, index: u64, out: &mut Vec<u8>) {
        let mut rng = Rng::of(self.seed, split, index);
        let fault = self.fault(&mut rng);
        let start = out.len();
        match self.kind {
            Kind::Articles => article(&mut rng, split, index, fault, out),
            Kind::Events => event(&mut rng, fault, out),
        }
        if fault == Fault::BadJson {
            cut(&mut rng, start, out);
        }
    }

    fn fault(&self, rng: &mut Rng) -> Fault {
        if rng.bits() >> 32 >= self.broken {
            return Fault::None;
        }
        [Fault::MissingField, Fault::WrongType, Fault::BadJson, Fault::BadTime, Fault::Null][rng.below(5) as usize]
    }
}

fn article(rng: &mut Rng, split: u64, index: u64, fault: Fault, out: &mut Vec<u8>) {
    if fault == Fault::WrongType {
        put(out, format_args!("{{\"article_id\":{index},\"title\":\""));
    } else {
        put(out, format_args!("{{\"article_id\":\"article-{split}-{index:08}\",\"title\":\""));
    }
    text::title(rng, out);
    put(out, format_args!("\",\"author\":\"Desk {}\",\"publish_date\":\"", 1 + rng.below(40)));
    time(rng, fault, out);
    match fault {
        Fault::MissingField => out.extend_from_slice(b"\"}"),
        Fault::Null => out.extend_from_slice(b"\",\"content\":null}"),
        _ => {
            out.extend_from_slice(b"\",\"content\":\"");
            text::article(rng, out);
            out.extend_from_slice(b"\"}");
        }
    }
}

fn event(rng: &mut Rng, fault: Fault, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    time(rng, fault, out);
    put(out, format_args!("\",\"event_name\":\"{}\",\"user_identifiers\":", one(rng, &EVENTS)));
    let (platform, user) = (one(rng, &PLATFORMS), 10_000 + rng.below(90_000));
    match fault {
        Fault::MissingField => put(out, format_args!("{{\"platform\":\"{platform}\"}}")),
        Fault::Null => put(out, format_args!("{{\"platform\":\"{platform}\",\"id\":null}}")),
        Fault::WrongType => put(out, format_args!("{{\"platform\":\"{platform}\",\"id\":{user}}}")),
        _ => put(out, format_args!("{{\"platform\":\"{platform}\",\"id\":\"user_{user}\"}}")),
    }
    let (make, product) = (rng.below(MAKES.len() as u64), rng.below(PRODUCTS.len() as u64));
    put(
        out,
        format_args!(
            ",\"product_information\":{{\"name\":\"{} {}\",\"SKU\":\"SKU-{}\"}}}}",
            MAKES[make as usize],
            PRODUCTS[product as usize],
            1001 + make * PRODUCTS.len() as u64 + product
        ),
    );
}

/// A time within the generated days, or something that is none.
fn time(rng: &mut Rng, fault: Fault, out: &mut Vec<u8>) {
    let second = FIRST_SECOND + rng.below(DAYS * DAY);
    if fault == Fault::BadTime {
        return put(out, format_args!("2023-13-{:02} 25:61", 32 + second % 60));
    }
    let (day, of_day) = ((second - FIRST_SECOND) / DAY, second % DAY);
    let (hour, minute) = (of_day / 3600, of_day / 60 % 60);
    put(out, format_args!("2023-10-{:02}T{hour:02}:{minute:02}:{:02}Z", 23 + day, of_day % 60));
}

/// Cuts the record written from `start` somewhere before its closing brace, and never inside a character.
fn cut(rng: &mut Rng, start: usize, out: &mut Vec<u8>) {
    let mut at = start + 1 + rng.below((out.len() - start - 1) as u64) as usize;
    while out[at] & 0xC0 == 0x80 {
        at -= 1;
    }
    out.truncate(at);
}

fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.below(of.len() as u64) as usize]
}

/// Writing to a vector cannot fail.
fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

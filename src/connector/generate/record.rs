//! One synthetic record: an article or a user event, whole or broken on purpose, as one line of JSON.
//!
//! A record is a function of seed, split and index. A broken one is a reject under the schema that its kind is meant for, and
//! still one line; the ways in which events are broken have a file of their own (`broken`).

use std::fmt::{self, Display};
use std::io::Write;

use super::broken::{self, Fault};
use super::rng::Rng;
use super::text;

/// What is generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// `article_id, title, author, publish_date, content`.
    #[default]
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
        let fault = self.draw_fault(&mut rng);
        let start = out.len();
        match (self.kind, fault) {
            (Kind::Articles, _) => article(&mut rng, split, index, fault, out),
            (Kind::Events, None) => Event::draw(&mut rng).write(out),
            (Kind::Events, Some(fault)) => broken::write(&Event::draw(&mut rng), fault, &mut rng, out),
        }
        if self.kind == Kind::Articles && fault == Some(Fault::BadJson) {
            cut(&mut rng, start, out);
        }
    }

    /// How record `index` of `split` is broken, if it is.
    pub fn fault(&self, split: u64, index: u64) -> Option<Fault> {
        self.draw_fault(&mut Rng::of(self.seed, split, index))
    }

    /// What record `index` of `split` belongs to: the id of its article, or of its event's user. A broken record has it too.
    pub fn key(&self, split: u64, index: u64) -> String {
        let mut rng = Rng::of(self.seed, split, index);
        self.draw_fault(&mut rng);
        match self.kind {
            Kind::Articles => article_id(split, index),
            Kind::Events => Event::draw(&mut rng).user_id(),
        }
    }

    fn draw_fault(&self, rng: &mut Rng) -> Option<Fault> {
        if rng.bits() >> 32 >= self.broken {
            return None;
        }
        let faults = Fault::of(self.kind);
        Some(faults[rng.below(faults.len() as u64) as usize])
    }
}

fn article_id(split: u64, index: u64) -> String {
    format!("article-{split}-{index:08}")
}

fn article(rng: &mut Rng, split: u64, index: u64, fault: Option<Fault>, out: &mut Vec<u8>) {
    match fault {
        Some(Fault::WrongType) => put(out, format_args!("{{\"article_id\":{index},\"title\":\"")),
        _ => put(out, format_args!("{{\"article_id\":\"{}\",\"title\":\"", article_id(split, index))),
    }
    text::title(rng, out);
    put(out, format_args!("\",\"author\":\"Desk {}\",\"publish_date\":\"", 1 + rng.below(40)));
    let second = rng.below(DAYS * DAY);
    match fault {
        Some(Fault::BadTime) => put(out, format_args!("2023-13-{:02} 25:61", 32 + (FIRST_SECOND + second) % 60)),
        _ => put(out, format_args!("{}", time(second))),
    }
    match fault {
        Some(Fault::Missing) => out.extend_from_slice(b"\"}"),
        Some(Fault::Null) => out.extend_from_slice(b"\",\"content\":null}"),
        _ => {
            out.extend_from_slice(b"\",\"content\":\"");
            text::article(rng, out);
            out.extend_from_slice(b"\"}");
        }
    }
}

/// What a user did.
pub(super) struct Event {
    /// Since generated time begins.
    second: u64,
    pub(super) name: &'static str,
    pub(super) platform: &'static str,
    user: u64,
    make: u64,
    product: u64,
}

impl Event {
    fn draw(rng: &mut Rng) -> Self {
        Event {
            second: rng.below(DAYS * DAY),
            name: one(rng, &EVENTS),
            platform: one(rng, &PLATFORMS),
            user: 10_000 + rng.below(90_000),
            make: rng.below(MAKES.len() as u64),
            product: rng.below(PRODUCTS.len() as u64),
        }
    }

    pub(super) fn time(&self) -> String {
        time(self.second).to_string()
    }

    pub(super) fn user_id(&self) -> String {
        format!("user_{}", self.user)
    }

    /// Its product, as JSON.
    pub(super) fn product(&self) -> String {
        let (make, product) = (MAKES[self.make as usize], PRODUCTS[self.product as usize]);
        format!("{{\"name\":\"{make} {product}\",\"SKU\":\"SKU-{}\"}}", self.sku())
    }

    fn sku(&self) -> u64 {
        1001 + self.make * PRODUCTS.len() as u64 + self.product
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Event { name, platform, user, .. } = self;
        put(out, format_args!("{{\"timestamp\":\"{}\",\"event_name\":\"{name}\"", time(self.second)));
        put(out, format_args!(",\"user_identifiers\":{{\"platform\":\"{platform}\",\"id\":\"user_{user}\"}}"));
        put(out, format_args!(",\"product_information\":{}}}", self.product()));
    }
}

/// A time so many seconds after generated time begins, without an allocation.
fn time(second: u64) -> impl Display {
    fmt::from_fn(move |f| {
        let (day, of_day) = (second / DAY, second % DAY);
        let (hour, minute) = (of_day / 3600, of_day / 60 % 60);
        write!(f, "2023-10-{:02}T{hour:02}:{minute:02}:{:02}Z", 23 + day, of_day % 60)
    })
}

/// Cuts the record written from `start` somewhere before its closing brace, and never inside a character.
fn cut(rng: &mut Rng, start: usize, out: &mut Vec<u8>) {
    let mut at = start + 1 + rng.below((out.len() - start - 1) as u64) as usize;
    while out[at] & 0xC0 == 0x80 {
        at -= 1;
    }
    out.truncate(at);
}

pub(super) fn one(rng: &mut Rng, of: &'static [&'static str]) -> &'static str {
    of[rng.below(of.len() as u64) as usize]
}

/// Writing to a vector cannot fail.
pub(super) fn put(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

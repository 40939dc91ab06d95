//! Articles on their way: generated, decoded and enriched as the articles example does it, for benches of later stages.

use std::sync::Arc;

use bytes::Bytes;
use millstream::config::Config;
use millstream::connector::generate::record::{Kind, Records as Generated};
use millstream::stages::{Stages, Through};
use millstream_operators::batch::{Beside, Permit, Positions, RawBatch, Records};
use millstream_operators::{Batch, Position};

/// JSON in a batch, about: what the files source fetches at a time.
const BATCH_BYTES: usize = 1 << 20;

const PIPELINE: &str = r#"
name = "bench"
[source]
type = "generate"
[schema]
article_id = "string!"
title = "string"
author = "string"
publish_date = "timestamp"
content = "string!"
[enrich]
word_count = "word_count(content)"
event_date = "cast(publish_date as date)"
[[average]]
of = "word_count"
by = ["overall", "hour", "day"]
time = "publish_date"
[[average]]
name = "by_author"
of = "word_count"
group = ["author"]
[sink]
path = "nowhere"
compression = "zstd(3)"
"#;

/// The stages, and about so many MB of articles that have gone through them up to enrich.
pub(crate) fn articles(megabytes: usize) -> (Stages, Vec<Batch>, usize) {
    let config = Config::parse("bench.toml", PIPELINE, &|_| None).unwrap();
    let stages = Stages::compile(Arc::new(config)).unwrap();
    let mut through = Through::new(&stages).unwrap();
    let (generated, mut next, mut bytes) = (Generated::new(Kind::Articles, 1, 0.0), 0, 0);
    let mut batches = Vec::new();
    while bytes < megabytes * 1_000_000 {
        let raw = raw(&generated, &mut next);
        bytes += raw.size;
        batches.push(through.apply(&Arc::new(raw)).rows);
    }
    (stages, batches, bytes)
}

fn raw(generated: &Generated, next: &mut u64) -> RawBatch {
    let (first, mut data, mut spans) = (*next, Vec::new(), Vec::new());
    while data.len() < BATCH_BYTES {
        let start = data.len() as u32;
        generated.write(0, *next, &mut data);
        spans.push((start, data.len() as u32));
        *next += 1;
    }
    RawBatch {
        split: "bench".into(),
        size: data.len(),
        records: Records::Framed { data: Bytes::from(data), spans },
        positions: Positions::Counted { first },
        until: Position::at(*next),
        arrived_at: 0,
        refused: Vec::new(),
        beside: Beside::default(),
        permit: Permit::free(),
    }
}

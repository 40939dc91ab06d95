//! A file is laid down whole whatever goes wrong on the way, and handed back only then.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use millstream_operators::batch::Permit;
use millstream_operators::encode::{FileId, Summary};

use super::*;
use crate::connector::memory::{Call, Chance, Fate, Faults, MemoryStore, Operation, Unreliable};

const KEY: &str = "day=1/e1-w0-0-g1.parquet";

fn pieces(count: u32, whole: bool) -> Vec<Piece> {
    let summary = Summary { rows: 1, bytes: 1, crc: 1, ranges: Vec::new(), partition: Vec::new() };
    let piece = |number: u32| Piece {
        file: FileId { epoch: 1, part: 0 },
        key: KEY.into(),
        number,
        bytes: Bytes::from(format!("part {number};")),
        permit: Permit::free(),
        end: (whole && number == count).then(|| summary.clone()),
    };
    (1..=count).map(piece).collect()
}

async fn laid(store: &dyn Store, pieces: Vec<Piece>) -> Result<Option<Laid>, StoreError> {
    lay(store, KEY, stream::iter(pieces), &Semaphore::new(3)).await
}

/// Would catch a replay, or an epoch, that fails of one lost answer, and parts that end up in another order.
#[tokio::test(start_paused = true)]
async fn a_file_is_whole_in_any_weather() {
    for seed in 0..50 {
        let base = MemoryStore::new("lake");
        let faults = Faults::seeded(seed, Chance::each(60, std::time::Duration::from_secs(2)));
        let store = Unreliable::new(Arc::new(base.clone()), Arc::new(faults));
        let laid = laid(&store, pieces(9, true)).await.unwrap().unwrap();
        let parts: Vec<PartTag> = laid.parts.into_iter().map(PartTag).collect();
        base.complete(&Upload { key: KEY.to_owned(), id: laid.upload }, &parts).await.unwrap();
        let expected: String = (1..=9).map(|number| format!("part {number};")).collect();
        assert_eq!(base.objects()[KEY], Bytes::from(expected), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_stops_halfway_is_not_handed_back() {
    let store = MemoryStore::new("lake");
    assert_eq!(laid(&store, pieces(3, false)).await.unwrap(), None);
    assert_eq!(laid(&store, Vec::new()).await.unwrap(), None);
    assert_eq!(store.uploads("").await.unwrap().len(), 1, "nothing begins without a piece");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_at_once() {
    let refuse = |call: &Call<'_>| match call.operation {
        Operation::PutPart => Fate::Refused,
        _ => Fate::Works,
    };
    let store = Unreliable::new(Arc::new(MemoryStore::new("lake")), Arc::new(Faults::new(refuse)));
    let began = tokio::time::Instant::now();
    assert!(matches!(laid(&store, pieces(3, true)).await, Err(StoreError::Refused { .. })));
    assert!(began.elapsed().is_zero());
}

//! The memory source: the laws, and what only a stream does: splits that end, have children, and lose their oldest records.

use std::sync::Arc;

use millstream::connector::memory::source::{Lake, MemorySource, article};
use millstream::connector::{Bounds, End, Source, SourceError};
use millstream_operators::Position;

use super::laws;
use super::outlet::{Collect, clock, read};

fn lake() -> Arc<Lake> {
    let lake = Lake::new(3, article);
    lake.open("a", &[]);
    lake.arrive("a", 40);
    lake.divide("a", &["b", "c"]);
    lake.arrive("b", 7);
    lake.arrive("c", 33);
    lake.merge(&["b", "c"], "d");
    lake.arrive("d", 12);
    lake
}

#[tokio::test]
async fn a_lake_keeps_the_laws() {
    let lake = lake();
    let make = || -> Arc<dyn Source> { Arc::new(MemorySource::new(lake.clone(), Bounds::UntilEnd, 5, clock())) };
    let wanted = |split: &str| {
        let arrived = lake.splits().into_iter().find(|(name, _)| &**name == split).unwrap().1.arrived;
        (0..arrived).map(|index| article(3, split, index).to_vec()).collect()
    };
    laws::all(&make, &wanted, 4096).await;
    let ends = |name: &'static str| {
        let source = make();
        async move {
            let split = source.discover().await.unwrap().splits.into_iter().find(|split| &*split.name == name).unwrap();
            (split.parents.len(), read(&*source, &split, None).await.0.unwrap())
        }
    };
    assert_eq!(ends("a").await, (0, End::Finished));
    assert_eq!(ends("c").await, (1, End::Finished));
    assert_eq!(ends("d").await, (2, End::Resting));
}

#[tokio::test]
async fn an_endless_reader_waits_for_what_arrives() {
    let lake = lake();
    let source = Arc::new(MemorySource::new(lake.clone(), Bounds::Unbounded, 5, clock()));
    let split = source.discover().await.unwrap().splits.pop().unwrap();
    let reader = tokio::spawn(async move {
        let mut collect = Collect::default();
        (source.read(&split, None, &mut collect).await.unwrap(), collect.records.len())
    });
    tokio::task::yield_now().await;
    lake.arrive("d", 3);
    tokio::task::yield_now().await;
    lake.close("d");
    lake.arrive("d", 100);
    assert_eq!(reader.await.unwrap(), (End::Finished, 15));
}

#[tokio::test]
async fn what_retention_took_is_named() {
    let lake = lake();
    lake.trim("a", 10);
    let source = MemorySource::new(lake, Bounds::UntilEnd, 5, clock());
    let split = source.discover().await.unwrap().splits.remove(0);
    let (end, _) = read(&source, &split, Some(Position::at(9))).await;
    assert!(matches!(end, Err(SourceError::Gone { .. })));
    assert_eq!(read(&source, &split, Some(Position::at(10))).await.1.records.len(), 30);
}

//! The generate source: the laws against records made one by one, shares, and the pace.

use std::sync::Arc;
use std::time::Duration;

use millstream::connector::generate::record::Records;
use millstream::connector::generate::{Generate, Kind, Options};
use millstream::connector::{Bounds, End, Source};
use tokio::time::Instant;

use super::laws;
use super::outlet::{clock, read};

fn options(kind: Kind) -> Options {
    Options { kind, seed: 11, splits: 3, count: Some(5000), rate: None, broken: 0.05 }
}

fn make(options: Options) -> Arc<dyn Source> {
    Arc::new(Generate::new(options, Bounds::UntilEnd, clock()).unwrap())
}

#[tokio::test]
async fn generated_records_keep_the_laws() {
    for kind in [Kind::Articles, Kind::Events] {
        let wanted = |split: &str| {
            let number: u64 = split.strip_prefix("generate-").unwrap().parse().unwrap();
            let record = |index| {
                let mut out = Vec::new();
                Records::new(kind, 11, 0.05).write(number, index, &mut out);
                out
            };
            (0..if number < 2 { 1667 } else { 1666 }).map(record).collect()
        };
        laws::all(&|| make(options(kind)), &wanted, 4 << 20).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_over_all_splits() {
    let source = make(Options { rate: Some(60.0), count: Some(300), ..options(Kind::Events) });
    let split = source.discover().await.unwrap().splits.remove(1);
    let began = Instant::now();
    let (end, collect) = read(&*source, &split, None).await;
    assert_eq!((end.unwrap(), collect.records.len()), (End::Finished, 100));
    // A third of the splits has a third of the rate: 100 records at 20 a second.
    let took = began.elapsed();
    assert!((Duration::from_millis(5000)..=Duration::from_millis(5051)).contains(&took), "{took:?}");
    assert_eq!(collect.borders.len(), 100);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let good = options(Kind::Events);
    for bad in [
        Options { splits: 0, ..good.clone() },
        Options { rate: Some(0.0), ..good.clone() },
        Options { rate: Some(f64::NAN), ..good.clone() },
        Options { broken: 1.5, ..good.clone() },
        Options { count: None, ..good.clone() },
    ] {
        assert!(Generate::new(bad, Bounds::UntilEnd, clock()).is_err());
    }
    let source = make(good.clone());
    let split = source.discover().await.unwrap().splits.pop().unwrap();
    let fewer = make(Options { splits: 2, ..good });
    assert!(read(&*fewer, &split, None).await.0.unwrap_err().to_string().contains("2 splits"));
}

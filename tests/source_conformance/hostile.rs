//! Files that mean harm, or are merely broken: each costs one reject, never the process, and bounded memory.

use std::sync::Arc;

use millstream::connector::files::{Format, Options};
use millstream::connector::{Bounds, End};
use millstream_operators::Position;

use super::files::{Pack, only, options, parquet, source};
use super::outlet::{Collect, read};
use super::shelf::Shelf;

const BOUNDS: [Bounds; 2] = [Bounds::UntilEnd, Bounds::Unbounded];

async fn all_of(bytes: Vec<u8>, options: Options, from: Option<Position>) -> Collect {
    let shelf = Arc::new(Shelf::default());
    shelf.set("a", bytes);
    let source = source(&shelf, options);
    let (end, collect) = read(&*source, &only(&*source).await, from).await;
    assert_eq!(end.unwrap(), End::Resting);
    collect
}

fn reasons(collect: &Collect) -> Vec<Option<&str>> {
    collect.records.iter().map(|record| record.refused.as_ref().map(|(reason, _)| reason.as_str())).collect()
}

#[tokio::test]
async fn a_line_of_any_length_costs_the_limit_and_one_reject() {
    let limit = 1 << 20;
    for (length, pack) in [
        (limit + 1, Pack::Plain),
        (50 << 20, Pack::Plain),
        (200 << 20, Pack::Zstd(usize::MAX)),
        (50 << 20, Pack::Gzip(usize::MAX)),
    ] {
        let mut text = b"before\n".to_vec();
        text.resize(text.len() + length, b'x');
        text.extend_from_slice(b"\nafter\n");
        for bounds in BOUNDS {
            let options = Options { record_limit: limit, fetch: 1 << 18, ..options(bounds) };
            let collect = all_of(pack.pack(&text), options.clone(), None).await;
            assert_eq!(reasons(&collect), [None, Some("too_large"), None]);
            let record = &collect.records[1];
            assert_eq!((record.payload.len(), record.position.number()), (limit, Some(7)));
            assert!(record.refused.as_ref().unwrap().1.contains(&format!("{length} bytes")));
            assert_eq!(collect.texts()[2], "after");
            assert!(collect.peak <= 2 * (limit + (1 << 19)), "{} bytes", collect.peak);
            for (from, count) in &collect.borders {
                let rest = all_of(pack.pack(&text), options.clone(), Some(from.clone())).await;
                assert_eq!(rest.records, collect.records[*count..]);
            }
        }
    }
}

#[tokio::test]
async fn a_long_line_that_fits_the_limit_is_a_record() {
    for length in [(1 << 20) - 1, 1 << 20] {
        for end in [&b"\r\n"[..], b"\n"] {
            let text = [&vec![b'x'; length][..], end, b"after\n"].concat();
            let options = Options { record_limit: 1 << 20, fetch: 1000, ..options(Bounds::Unbounded) };
            let collect = all_of(text, options, None).await;
            assert_eq!(reasons(&collect), [None, None]);
            assert_eq!(collect.records[0].payload.len(), length);
        }
    }
}

#[tokio::test]
async fn an_endless_last_line_is_refused_only_where_the_run_has_an_end() {
    let text = vec![b'x'; 5000];
    for (bounds, wanted) in [(Bounds::UntilEnd, &[Some("too_large")][..]), (Bounds::Unbounded, &[])] {
        let collect = all_of(text.clone(), Options { record_limit: 100, fetch: 64, ..options(bounds) }, None).await;
        assert_eq!(reasons(&collect), wanted);
    }
}

#[tokio::test]
async fn bytes_that_cannot_be_unpacked_are_one_reject_and_the_file_rests() {
    let text: String = (0..20_000).map(|n| format!("{{\"n\":{n},\"m\":{}}}\n", n * n % 1009)).collect();
    let mut mended = 0;
    for pack in [Pack::Gzip(40_000), Pack::Zstd(40_000)] {
        let whole = pack.pack(text.as_bytes());
        let mut broken = whole.clone();
        let middle = broken.len() / 2;
        broken[middle..middle + 40].fill(0xA5);
        for bounds in BOUNDS {
            let options = || Options { fetch: 4096, ..options(bounds) };
            let collect = all_of(broken.clone(), options(), None).await;
            let (last, before) = collect.records.split_last().unwrap();
            assert_eq!(last.refused.as_ref().unwrap().0, "decode");
            assert!(before.len() > 1000 && before.iter().all(|record| record.refused.is_none()));
            // Read again it is not refused again.
            let from = collect.until();
            assert!(all_of(broken.clone(), options(), from.clone()).await.records.is_empty());
            // Mended, it is read on from there, and the record that was cut comes behind the refusal. (Some codecs give
            // bytes before they see that they are wrong; then what was read is not what lies there now.)
            let read = last.position.number().unwrap() as usize;
            if before.iter().map(|record| record.payload.clone()).collect::<Vec<_>>().join(&b'\n')
                == text.as_bytes()[..read - 1]
            {
                let rest = all_of_version(whole.clone(), options(), from.clone()).await;
                assert_eq!(rest.texts().join("\n") + "\n", text[read..]);
                assert!(rest.records[0].position >= Position::new(from.unwrap().order()));
                mended += 1;
            }
        }
    }
    assert!(mended > 0, "no stream broke cleanly, so nothing was mended");
}

/// The same with another version of the file, as if it had been written anew.
async fn all_of_version(bytes: Vec<u8>, options: Options, from: Option<Position>) -> Collect {
    let shelf = Arc::new(Shelf::default());
    shelf.set("a", Vec::new());
    shelf.set("a", bytes);
    let source = source(&shelf, options);
    let (end, collect) = read(&*source, &only(&*source).await, from).await;
    assert_eq!(end.unwrap(), End::Resting);
    collect
}

#[tokio::test]
async fn a_stream_cut_short_waits_for_its_rest_or_is_refused_where_the_run_has_an_end() {
    let text: String = (0..5000).map(|n| format!("line {n} {}\n", n * n % 1009)).collect();
    for pack in [Pack::Gzip(usize::MAX), Pack::Zstd(7000)] {
        let whole = pack.pack(text.as_bytes());
        for cut in [3, 12, whole.len() / 2, whole.len() - 1] {
            let part = whole[..cut].to_vec();
            let endless = all_of(part.clone(), options(Bounds::Unbounded), None).await;
            assert!(reasons(&endless).iter().all(Option::is_none), "{pack:?} {cut}");
            let rest = all_of_version(whole.clone(), options(Bounds::Unbounded), endless.until()).await;
            assert_eq!([endless.texts(), rest.texts()].concat(), text.lines().collect::<Vec<_>>(), "{pack:?} {cut}");
            if cut > 4 {
                let bounded = all_of(part.clone(), options(Bounds::UntilEnd), None).await;
                assert_eq!(reasons(&bounded).iter().flatten().collect::<Vec<_>>(), [&"decode"], "{pack:?} {cut}");
                assert!(all_of(part, options(Bounds::UntilEnd), bounded.until()).await.records.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn a_bomb_costs_a_window() {
    let bomb = Pack::Gzip(usize::MAX).pack(&vec![b' '; 300 << 20]);
    let collect = all_of(bomb, options(Bounds::UntilEnd), None).await;
    assert_eq!(reasons(&collect), [Some("too_large")]);
    assert!(collect.peak <= 2 * (12 << 20));
}

#[tokio::test]
async fn csv_without_a_usable_header_is_no_silent_loss() {
    let csv = |bounds| Options {
        format: Format::Csv { delimiter: b',', header: true },
        record_limit: 100,
        fetch: 64,
        ..options(bounds)
    };
    for bounds in BOUNDS {
        assert!(all_of(b"a,b\n".to_vec(), csv(bounds), None).await.records.is_empty());
        assert!(all_of(b"a,b".to_vec(), csv(bounds), None).await.records.is_empty());
        let endless = all_of(vec![b'x'; 5000], csv(bounds), None).await;
        assert_eq!(reasons(&endless), [Some("decode")]);
        assert!(all_of(vec![b'x'; 5000], csv(bounds), endless.until()).await.records.is_empty());
    }
    let cut = Pack::Gzip(99).pack(b"a,b\n1,2\n");
    let bounded = all_of(cut[..cut.len() - 12].to_vec(), csv(Bounds::UntilEnd), None).await;
    assert_eq!(reasons(&bounded).last(), Some(&Some("decode")));
}

#[tokio::test]
async fn a_parquet_file_that_is_none_is_one_reject_or_waited_for() {
    let options = |bounds| Options { format: Format::Parquet, ..options(bounds) };
    let whole = parquet(3000);
    for bytes in [b"no parquet".to_vec(), whole[..whole.len() / 2].to_vec(), b"PAR1".to_vec()] {
        let bounded = all_of(bytes.clone(), options(Bounds::UntilEnd), None).await;
        assert_eq!(reasons(&bounded), [Some("decode")]);
        assert!(all_of(bytes.clone(), options(Bounds::UntilEnd), bounded.until()).await.records.is_empty());
        if !bytes.ends_with(b"PAR1") {
            assert!(all_of(bytes, options(Bounds::Unbounded), None).await.records.is_empty());
        }
        let mended = all_of_version(whole.clone(), options(Bounds::Unbounded), bounded.until()).await;
        assert_eq!(mended.records.len(), 3000);
        assert!(mended.records.windows(2).all(|pair| pair[0].position < pair[1].position));
    }
    let mut broken = whole.clone();
    broken[20_000..20_200].fill(0xFF);
    let collect = all_of(broken, options(Bounds::UntilEnd), None).await;
    assert_eq!(reasons(&collect).iter().flatten().count(), 1);
}

#[tokio::test]
async fn empty_files_hold_nothing() {
    for bounds in BOUNDS {
        for format in [Format::Lines, Format::Csv { delimiter: b',', header: true }, Format::Parquet] {
            assert!(all_of(Vec::new(), Options { format, ..options(bounds) }, None).await.records.is_empty());
        }
        for empty in [Pack::Gzip(9).pack(b"\n"), Pack::Zstd(9).pack(b"\n"), b"\n\r\n \n".to_vec()] {
            assert!(all_of(empty, options(bounds), None).await.records.is_empty());
        }
    }
}

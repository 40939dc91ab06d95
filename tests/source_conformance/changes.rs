//! Files that grow, change, shrink, appear and go while a pipeline lives. Would catch a reader that takes another file for the one it
//! read, and one that reads anew what it has read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream::connector::files::{Files, Format, Options};
use millstream::connector::{Bounds, End, Source, SourceError};
use millstream_operators::Position;

use super::files::{Pack, only, options, parquet, source};
use super::outlet::{clock, read};
use super::shelf::Shelf;

/// Reads the only file of an endless source; answers its texts and where it goes on.
async fn step(
    shelf: &Arc<Shelf>,
    options: Options,
    from: Option<Position>,
) -> Result<(Vec<String>, Option<Position>), SourceError> {
    let source = source(shelf, options);
    let (end, collect) = read(&*source, &only(&*source).await, from.clone()).await;
    assert_eq!(end?, End::Resting);
    Ok((collect.texts(), collect.until().or(from)))
}

fn endless() -> Options {
    Options { fetch: 64, ..options(Bounds::Unbounded) }
}

#[tokio::test]
async fn a_file_that_grows_is_read_on() {
    for pack in [Pack::Plain, Pack::Gzip(99), Pack::Zstd(99)] {
        let shelf = Arc::new(Shelf::default());
        shelf.set("a", pack.pack(b"one\ntwo\n"));
        let (texts, from) = step(&shelf, endless(), None).await.unwrap();
        assert_eq!(texts, ["one", "two"]);
        // A line that is still written waits for its end.
        shelf.append("a", &pack.pack(b"thr"));
        let (texts, from) = step(&shelf, endless(), from).await.unwrap();
        assert!(texts.is_empty());
        shelf.append("a", &pack.pack(b"ee\nfour\n"));
        let (texts, from) = step(&shelf, endless(), from).await.unwrap();
        assert_eq!(texts, ["three", "four"]);
        // Nothing new costs nothing: not one byte is fetched.
        let before = shelf.reads.load(Ordering::SeqCst);
        assert!(step(&shelf, endless(), from).await.unwrap().0.is_empty());
        assert_eq!(shelf.reads.load(Ordering::SeqCst), before);
    }
}

/// Would catch a start that gives a reader to each of a million files that are read already, and one that passes over a
/// file that has grown.
#[tokio::test]
async fn a_file_is_exhausted_where_it_was_read_to_its_end_and_until_it_changes() {
    for (pack, bounds) in
        [(Pack::Plain, Bounds::UntilEnd), (Pack::Plain, Bounds::Unbounded), (Pack::Gzip(99), Bounds::UntilEnd)]
    {
        let shelf = Arc::new(Shelf::default());
        shelf.set("a", pack.pack(b"one\ntwo\n"));
        let before = source(&shelf, Options { fetch: 4, ..options(bounds) });
        let split = only(&*before).await;
        let (_, collect) = read(&*before, &split, None).await;
        assert!(!before.is_exhausted(&split, None));
        let (last, earlier) = collect.borders.split_last().unwrap();
        assert!(earlier.iter().all(|(until, _)| !before.is_exhausted(&split, Some(until))));
        assert!(before.is_exhausted(&split, Some(&last.0)));
        shelf.append("a", &pack.pack(b"three\n"));
        let after = source(&shelf, options(bounds));
        assert!(!after.is_exhausted(&only(&*after).await, Some(&last.0)));
    }
    let shelf = Arc::new(Shelf::default());
    shelf.set("a", b"".to_vec());
    let empty = source(&shelf, options(Bounds::UntilEnd));
    assert!(empty.is_exhausted(&only(&*empty).await, None));
    assert!(!empty.is_exhausted(&only(&*empty).await, Some(&Position::new("4959.7"))), "a position of another source");
}

#[tokio::test]
async fn a_last_line_without_an_end_is_a_record_where_the_run_has_an_end() {
    for pack in [Pack::Plain, Pack::Gzip(99), Pack::Zstd(99)] {
        let shelf = Arc::new(Shelf::default());
        shelf.set("a", pack.pack(b"one\ntwo"));
        let (texts, from) = step(&shelf, endless(), None).await.unwrap();
        assert_eq!(texts, ["one"]);
        let (texts, from) = step(&shelf, options(Bounds::UntilEnd), from).await.unwrap();
        assert_eq!(texts, ["two"]);
        // The line went on after all: its rest is a record of its own, which nothing can take for whole in silence.
        shelf.append("a", &pack.pack(b" and a half\n"));
        assert_eq!(step(&shelf, endless(), from).await.unwrap().0, [" and a half"]);
    }
}

#[tokio::test]
async fn a_read_part_that_changed_or_shrank_is_an_error_that_names_the_file() {
    let long: String = (0..40_000).map(|n| format!("line {n} of a file that is longer than a block\n")).collect();
    let changed = long.replacen("line 7 ", "line 8 ", 1);
    let last = long.replace("line 39999 ", "line 38888 ");
    for pack in [Pack::Plain, Pack::Gzip(1 << 20), Pack::Zstd(1 << 20)] {
        let options = || Options { fetch: 1 << 18, ..options(Bounds::Unbounded) };
        let shelf = Arc::new(Shelf::default());
        shelf.set("2024/a", pack.pack(long.as_bytes()));
        let (_, from) = step(&shelf, options(), None).await.unwrap();
        for other in [&changed, &last, &long[..long.len() / 2].to_owned(), &String::new()] {
            shelf.set("2024/a", pack.pack(format!("{other}more\n").as_bytes()));
            let error = step(&shelf, options(), from.clone()).await.unwrap_err();
            assert!(matches!(error, SourceError::Changed { .. }), "{error}");
            assert!(error.to_string().starts_with("2024/a: "), "{error}");
        }
        // Written anew with the same content it is the same file, however it is packed now.
        shelf.set("2024/a", Pack::Gzip(777_777).pack(format!("{long}more\n").as_bytes()));
        assert_eq!(step(&shelf, options(), from).await.unwrap().0, ["more"]);
    }
}

#[tokio::test]
async fn a_large_log_is_not_read_anew_for_every_line() {
    let shelf = Arc::new(Shelf::default());
    let line = [&[b'x'; 999][..], b"\n"].concat();
    let text = line.repeat(80_000);
    let source = source(&shelf, options(Bounds::Unbounded));
    shelf.set("log", text.clone());
    let (_, collect) = read(&*source, &only(&*source).await, None).await;
    let mut from = collect.until();
    let mut costs = Vec::new();
    for _ in 0..5 {
        shelf.append("log", b"more\n");
        let before = shelf.reads.load(Ordering::SeqCst);
        let (end, collect) = read(&*source, &only(&*source).await, from).await;
        assert_eq!((end.unwrap(), collect.texts()), (End::Resting, vec!["more".into()]));
        from = collect.until();
        costs.push(shelf.reads.load(Ordering::SeqCst) - before);
    }
    assert!(costs[0] > 70 && costs[1..].iter().all(|cost| *cost < 6), "{costs:?} reads");
    // Its end is always looked at, and another process looks at all of it.
    let change = |at: usize| {
        let mut other = [&text[..], &b"more\n".repeat(6)].concat();
        other[at] = b'y';
        shelf.set("log", other);
    };
    change(text.len() - 7);
    assert!(matches!(read(&*source, &only(&*source).await, from.clone()).await.0, Err(SourceError::Changed { .. })));
    change(7);
    let another = super::files::source(&shelf, options(Bounds::Unbounded));
    assert!(matches!(read(&*another, &only(&*another).await, from).await.0, Err(SourceError::Changed { .. })));
}

#[tokio::test]
async fn a_parquet_file_never_changes() {
    let shelf = Arc::new(Shelf::default());
    shelf.set("a.parquet", parquet(100));
    let options = || Options { format: Format::Parquet, ..options(Bounds::Unbounded) };
    let (texts, from) = step(&shelf, options(), None).await.unwrap();
    assert_eq!(texts.len(), 100);
    assert!(step(&shelf, options(), from.clone()).await.unwrap().0.is_empty());
    shelf.set("a.parquet", parquet(101));
    assert!(matches!(step(&shelf, options(), from).await, Err(SourceError::Changed { .. })));
}

#[tokio::test]
async fn a_run_with_an_end_reads_what_was_there_at_its_start() {
    let shelf = Arc::new(Shelf::default());
    shelf.set("a", b"one\ntwo\n".to_vec());
    let source = source(&shelf, options(Bounds::UntilEnd));
    let first = source.discover().await.unwrap();
    assert!(first.complete);
    shelf.append("a", b"three\n");
    shelf.set("b", b"four\n".to_vec());
    assert_eq!(source.discover().await.unwrap().splits, first.splits);
    let (end, collect) = read(&*source, &first.splits[0], None).await;
    assert_eq!((end.unwrap(), collect.texts()), (End::Resting, vec!["one".into(), "two".into()]));
}

#[tokio::test]
async fn new_files_are_noticed_and_hidden_ones_are_not() {
    let shelf = Arc::new(Shelf::default());
    shelf.set("in/a.json", b"1\n".to_vec());
    for hidden in ["in/.a.json.part", "in/_SUCCESS", ".millstream/commits/1.json", "in/_tmp/x.json", "out/a.json"] {
        shelf.set(hidden, b"1\n".to_vec());
    }
    let source = Files::new(shelf.clone(), "in/**/*", Options::new(Bounds::Unbounded, clock())).unwrap();
    let names = |discovery: millstream::connector::Discovery| {
        discovery.splits.iter().map(|split| split.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(source.discover().await.unwrap()), ["in/a.json"]);
    shelf.set("in/2024/b.json", b"1\n".to_vec());
    let found = source.discover().await.unwrap();
    assert!(!found.complete);
    assert_eq!(names(found), ["in/2024/b.json", "in/a.json"]);
}

#[tokio::test]
async fn a_file_that_vanishes_is_no_loss_unless_it_was_partly_read() {
    let shelf = Arc::new(Shelf::default());
    shelf.set("a", b"one\ntwo\n".to_vec());
    let source = source(&shelf, endless());
    let split = only(&*source).await;
    let (_, collect) = read(&*source, &split, None).await;
    shelf.remove("a");
    let (end, nothing) = read(&*source, &split, None).await;
    assert_eq!((end.unwrap(), nothing.records.len()), (End::Resting, 0));
    let half = Position::new(collect.records[1].position.order());
    assert!(matches!(read(&*source, &split, Some(half)).await.0, Err(SourceError::Changed { .. })));
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_named() {
    let shelf = Arc::new(Shelf::default());
    shelf.set("in/secret", b"one\n".to_vec());
    shelf.forbidden.lock().unwrap().push("in/secret".into());
    let error = step(&shelf, endless(), None).await.unwrap_err();
    assert!(matches!(error, SourceError::Refused { .. }));
    assert_eq!(error.to_string(), "in/secret: the shelf refused to read in/secret: permission denied");
}

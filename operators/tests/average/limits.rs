//! What averages cost, and where it ends: totals are counted in the byte budget; more of them than `max_groups`, or than there is memory for, hold
//! their epoch back; folded ones count for nothing.

use millstream_operators::average::AverageFailure;
use millstream_operators::{Reserve, Unlimited};
use timely::worker::Worker;

use super::*;

/// A row whose only average is that of `words`, in an hour and a group.
fn counted(hour: i64, group: usize) -> Row {
    let country = Some(format!("group {group:06}"));
    Row { words: Some(1), price: None, score: None, at: Some(hour * HOUR), country, platform: None }
}

fn by_hour_and_country() -> AverageSpec {
    let (by, group) = (vec![Bucket::Hour], vec!["country".into()]);
    AverageSpec {
        name: "words".into(),
        of: "words".into(),
        by,
        time: Some("at".into()),
        group,
        ..AverageSpec::default()
    }
}

/// A dataflow of one average on one worker, fed an epoch at a time.
struct Alone {
    input: timely::dataflow::operators::vec::input::Handle<u64, Batch>,
    probe: timely::dataflow::ProbeHandle<u64>,
    told: Arc<Mutex<Vec<Change>>>,
    failures: Arc<Mutex<Vec<String>>>,
}

impl Alone {
    fn new(worker: &mut Worker, spec: AverageSpec, saved: Vec<(AverageKey, Totals)>, room: Arc<Room>) -> Self {
        let (told, failures) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (out, failed) = (told.clone(), failures.clone());
        let (input, probe) = worker.dataflow::<u64, _, _>(|scope| {
            let (input, batches) = scope.new_input::<Batch>();
            let averager = Averager::new(vec![spec], &batch(&[]).rows.schema()).unwrap();
            let failed = move |failure: AverageFailure| failed.lock().unwrap().push(failure.to_string());
            let changes = averages(batches, averager, saved, 1, room, failed);
            let (probe, _) = changes.inspect(move |change| out.lock().unwrap().push(change.clone())).probe();
            (input, probe)
        });
        let mut alone = Alone { input, probe, told, failures };
        alone.input.advance_to(1);
        alone
    }

    /// Gives an epoch its rows; whether it came through.
    fn epoch(&mut self, worker: &mut Worker, rows: &[Row]) -> bool {
        let next = self.input.time() + 1;
        self.input.send(batch(rows));
        self.input.advance_to(next);
        steps(worker);
        !self.probe.less_than(&next)
    }

    fn totals(&self) -> Vec<(AverageKey, Totals)> {
        let told = self.told.lock().unwrap();
        let latest: BTreeMap<_, _> =
            told.iter().map(|change| (change.key.clone(), (change.sum, change.count))).collect();
        latest.into_iter().collect()
    }
}

/// Steps enough for all that can be done.
fn steps(worker: &mut Worker) {
    for _ in 0..200 {
        worker.step();
    }
}

/// A dataflow that is held back never ends by itself.
fn end(worker: &mut Worker) {
    worker.installed_dataflows().into_iter().for_each(|dataflow| worker.drop_dataflow(dataflow));
}

#[test]
fn an_epoch_with_more_totals_than_there_may_be_never_comes_through() {
    timely::execute_directly(|worker| {
        let spec = |most| AverageSpec { max_groups: Some(most), ..by_hour_and_country() };
        let groups = |groups: std::ops::Range<usize>| groups.map(|group| counted(0, group)).collect::<Vec<_>>();
        let mut run = Alone::new(worker, spec(10), vec![], Room::unlimited().into());
        assert!(run.epoch(worker, &groups(0..6)));
        assert!(run.epoch(worker, &groups(0..10)), "ten are allowed");
        let saved = run.totals();
        assert!(!run.epoch(worker, &groups(9..11)), "an eleventh is not");
        assert!(!run.epoch(worker, &groups(0..1)), "nor is anything after it");
        let failures = run.failures.lock().unwrap().clone();
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert!(failures[0].starts_with("average words: more than 10 totals"), "{failures:?}");
        assert!(failures[0].contains("[[average]] max_groups"), "{failures:?}");

        // What was committed is over a lower limit already: the same, in the same words, before anything is read.
        let lower = Alone::new(worker, spec(9), saved.clone(), Room::unlimited().into());
        steps(worker);
        assert_eq!(lower.failures.lock().unwrap()[0], failures[0].replace("10", "9"));
        // With a higher one it goes on to the last digit.
        let mut higher = Alone::new(worker, spec(11), saved, Room::unlimited().into());
        assert!(higher.epoch(worker, &groups(9..11)));
        let totals: Vec<_> = higher.totals().into_iter().map(|(_, totals)| totals).collect();
        assert_eq!(totals, [(2, 2), (1, 1)], "group 9 again, group 10 for the first time");
        end(worker);
    });
}

#[test]
fn what_is_folded_away_counts_for_no_limit_and_takes_no_memory() {
    timely::execute_directly(|worker| {
        let spec = AverageSpec { keep: Some(2 * HOUR), max_groups: Some(3 * 50), ..by_hour_and_country() };
        let room = Arc::new(Room::new(Arc::new(Unlimited), usize::MAX, 1));
        let mut run = Alone::new(worker, spec, vec![], room.clone());
        let mut most = 0;
        for hour in 0..100 {
            // Groups of their own in every hour, and late rows for an hour that was folded away long ago.
            let late = counted(hour - 10, 7);
            let rows: Vec<Row> = (0..50).map(|group| counted(hour, hour as usize * 50 + group)).chain([late]).collect();
            assert!(run.epoch(worker, &rows), "hour {hour}: {:?}", run.failures.lock().unwrap());
            most = most.max(room.held());
        }
        // Three hours that count, one on its way out, and the text of its groups.
        assert!(most > 0 && most < 5 * 50 * 300, "{most}");
        assert!(run.totals().iter().all(|(_, (_, count))| *count == 1));
    });
}

/// Counts what is taken and not given back.
#[derive(Clone, Default)]
struct Counting(Arc<std::sync::atomic::AtomicI64>);

struct Taken(Counting, i64);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.0.fetch_sub(self.1, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Reserve for Counting {
    fn reserve(&self, bytes: usize) -> Permit {
        self.0.fetch_add(bytes as i64, std::sync::atomic::Ordering::Relaxed);
        Permit::new(Taken(self.clone(), bytes as i64))
    }
}

#[test]
fn a_group_is_counted_in_the_budget_and_one_too_many_for_it_is_told() {
    const GROUPS: usize = 20_000;
    timely::execute_directly(|worker| {
        let (budget, rows) = (Counting::default(), (0..GROUPS).map(|group| counted(0, group)).collect::<Vec<_>>());
        let room = |most| Arc::new(Room::new(Arc::new(budget.clone()), most, 1));
        let mut run = Alone::new(worker, by_hour_and_country(), vec![], room(GROUPS * 400));
        assert!(run.epoch(worker, &rows));
        let held = budget.0.load(std::sync::atomic::Ordering::Relaxed) as usize;
        assert!((GROUPS * 100..GROUPS * 400).contains(&held), "{} bytes a group", held / GROUPS);
        let saved = run.totals();
        assert_eq!(saved.len(), GROUPS);
        drop(run);

        let mut run = Alone::new(worker, by_hour_and_country(), vec![], room(GROUPS * 100));
        assert!(run.epoch(worker, &rows[..GROUPS / 4]));
        assert!(!run.epoch(worker, &rows), "there is no room for all");
        let failures = run.failures.lock().unwrap().clone();
        assert_eq!(failures.len(), 1, "{failures:?}");
        for part in ["average words: its 20000 totals", "2000000 bytes", "[limits] memory", "max_groups"] {
            assert!(failures[0].contains(part), "{part} is not in {failures:?}");
        }
        end(worker);
    });
}

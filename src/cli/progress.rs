//! What a person sees of long work: one line redrawn on a terminal, a plain line per epoch elsewhere.
//!
//! Owns how it looks and how often it is drawn. It has no clock: the caller says how long the work has taken. What must
//! stay true: on a terminal at most five drawings a second; elsewhere no escape codes, and at most one line per epoch.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// The shortest time between two drawings on a terminal.
const PAUSE: Duration = Duration::from_millis(200);

/// How far the work has come, in all since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub rows: u64,
    /// Bytes as they were read.
    pub bytes: u64,
    pub rejects: u64,
    /// The epoch being taken in.
    pub epoch: u64,
    /// The last commit.
    pub commit: u64,
    pub open_splits: usize,
}

/// Shows how far the work has come.
pub struct Progress<W: Write> {
    out: W,
    terminal: bool,
    /// When the last line was drawn, and what it said of how much.
    drawn: Option<(Duration, Status)>,
    /// Whether a line is on the terminal that the next one takes the place of.
    open: bool,
}

impl Progress<io::Stderr> {
    /// On stderr.
    pub fn stderr() -> Self {
        let out = io::stderr();
        let terminal = out.is_terminal();
        Progress::new(out, terminal)
    }
}

impl<W: Write> Progress<W> {
    /// On any writer, as a terminal or not.
    pub fn new(out: W, terminal: bool) -> Self {
        Progress { out, terminal, drawn: None, open: false }
    }

    /// Shows the status, if it is time to. `elapsed` counts from the beginning of the work.
    pub fn show(&mut self, status: &Status, elapsed: Duration) -> io::Result<()> {
        if self.is_due(status, elapsed) { self.draw(status, elapsed) } else { Ok(()) }
    }

    /// Shows the last status, and leaves it there.
    pub fn finish(&mut self, status: &Status, elapsed: Duration) -> io::Result<()> {
        if self.terminal || self.drawn.is_none_or(|(_, before)| before != *status) {
            self.draw(status, elapsed)?;
        }
        self.release()
    }

    /// Prints a line of its own, above the status on a terminal.
    pub fn say(&mut self, line: &str) -> io::Result<()> {
        let clear = if std::mem::take(&mut self.open) { "\r\x1b[K" } else { "" };
        writeln!(self.out, "{clear}{line}")?;
        self.out.flush()
    }

    fn is_due(&self, status: &Status, elapsed: Duration) -> bool {
        match self.drawn {
            None => self.terminal || status.epoch > 0 || status.commit > 0,
            Some((at, _)) if self.terminal => elapsed.saturating_sub(at) >= PAUSE,
            Some((_, before)) => status.epoch > before.epoch,
        }
    }

    fn draw(&mut self, status: &Status, elapsed: Duration) -> io::Result<()> {
        let line = line(status, self.rate(status, elapsed), elapsed);
        self.drawn = Some((elapsed, *status));
        if self.terminal {
            self.open = true;
            write!(self.out, "\r\x1b[K{line}")?;
        } else {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }

    /// Rows a second since the last drawing.
    fn rate(&self, status: &Status, elapsed: Duration) -> f64 {
        let (at, before) = self.drawn.unwrap_or_default();
        let seconds = elapsed.saturating_sub(at).as_secs_f64();
        if seconds > 0.0 { status.rows.saturating_sub(before.rows) as f64 / seconds } else { 0.0 }
    }

    fn release(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.open) {
            writeln!(self.out)?;
        }
        self.out.flush()
    }
}

fn line(status: &Status, rate: f64, elapsed: Duration) -> String {
    let Status { rows, bytes, rejects, epoch, commit, open_splits } = status;
    let (rows, rate) = (number(*rows as f64), number(rate));
    let seconds = elapsed.as_secs();
    let time = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let bytes = size(*bytes as f64);
    format!(
        "{time} epoch {epoch} commit {commit}: {rows} rows ({rate}/s), {bytes}, {rejects} rejects, {open_splits} splits"
    )
}

/// A number with three digits or so, and a letter.
fn number(value: f64) -> String {
    match value {
        value if value >= 1e9 => format!("{:.1}G", value / 1e9),
        value if value >= 1e6 => format!("{:.1}M", value / 1e6),
        value if value >= 1e4 => format!("{:.1}k", value / 1e3),
        value => format!("{value:.0}"),
    }
}

fn size(bytes: f64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = UNITS.iter().find(|(_, factor)| bytes >= *factor as f64);
    unit.map_or_else(|| format!("{bytes} B"), |(name, factor)| format!("{:.1} {name}", bytes / *factor as f64))
}

#[cfg(test)]
mod tests {
    //! Proves how often and how progress is shown; would catch escape codes in a log file and a terminal flooded with lines.
    use super::*;

    fn shown(terminal: bool, steps: &[(u64, Status)]) -> String {
        let mut progress = Progress::new(Vec::new(), terminal);
        for (millis, status) in steps {
            progress.show(status, Duration::from_millis(*millis)).unwrap();
        }
        String::from_utf8(progress.out).unwrap()
    }

    fn status(epoch: u64, rows: u64) -> Status {
        Status { rows, bytes: rows * 100, rejects: 2, epoch, commit: epoch.saturating_sub(1), open_splits: 3 }
    }

    #[test]
    fn a_log_gets_one_line_an_epoch() {
        let steps =
            [(0, status(0, 0)), (1000, status(1, 20_000)), (1500, status(1, 25_000)), (3000, status(2, 2_000_000))];
        let expected = "0:00:01 epoch 1 commit 0: 20.0k rows (20.0k/s), 1.9 MiB, 2 rejects, 3 splits\n\
                        0:00:03 epoch 2 commit 1: 2.0M rows (990.0k/s), 190.7 MiB, 2 rejects, 3 splits\n";
        assert_eq!(shown(false, &steps), expected);
    }

    #[test]
    fn a_terminal_gets_one_line_five_times_a_second() {
        let steps: Vec<_> = (0..100).map(|step| (step * 10, status(step, step))).collect();
        let drawn = shown(true, &steps);
        assert_eq!(drawn.matches("\r\x1b[K").count(), 5);
        assert!(!drawn.contains('\n'));
    }

    #[test]
    fn the_last_line_stays_and_messages_go_above_it() {
        let mut progress = Progress::new(Vec::new(), true);
        progress.show(&status(1, 1), Duration::ZERO).unwrap();
        progress.say("average word_count 512").unwrap();
        progress.finish(&status(1, 500), Duration::from_secs(1)).unwrap();
        let drawn = String::from_utf8(progress.out).unwrap();
        assert!(drawn.contains("\r\x1b[Kaverage word_count 512\n"), "{drawn:?}");
        assert!(drawn.ends_with("500 rows (499/s), 48.8 KiB, 2 rejects, 3 splits\n"), "{drawn:?}");
    }
}

//! Standard output, which may be gone.
//!
//! What must stay true: a reader who has read enough (`| head`), a closed stdout and a full disk end no command and change no
//! exit code. What could not be written is told of on stderr, unless nobody wanted it.

use std::io::{self, Write};

/// A writer that never fails: after the first error it writes no more, and keeps the error.
#[derive(Debug)]
pub(super) struct Out<W> {
    out: W,
    failed: Option<io::Error>,
}

impl Out<io::Stdout> {
    /// Standard output. It is not locked: a run writes to it from another thread.
    pub(super) fn stdout() -> Self {
        Out::new(io::stdout())
    }
}

impl<W: Write> Out<W> {
    fn new(out: W) -> Self {
        Out { out, failed: None }
    }

    fn unless_failed<T>(&mut self, write: impl FnOnce(&mut W) -> io::Result<T>) {
        if self.failed.is_none() {
            self.failed = write(&mut self.out).err();
        }
    }

    /// What was lost that somebody may miss.
    pub(super) fn lost(self) -> Option<io::Error> {
        self.failed.filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }
}

impl<W: Write> Write for Out<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_failed(|out| out.write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_failed(Write::flush);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    //! Would catch a command that ends because nobody reads what it prints.
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn nothing_fails_and_only_what_somebody_may_miss_is_told() {
        let lost = |kind| {
            let mut out = Out::new(Broken(kind));
            writeln!(out, "a line").unwrap();
            out.flush().unwrap();
            out.lost().map(|error| error.kind())
        };
        assert_eq!(lost(io::ErrorKind::StorageFull), Some(io::ErrorKind::StorageFull));
        assert_eq!(lost(io::ErrorKind::BrokenPipe), None);
    }
}

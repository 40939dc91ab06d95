//! Logs: to stderr, in lines; `RUST_LOG` says what, and `-v` says more.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Starts logging, once for the process.
pub(super) fn start(verbose: u8) {
    let usual = match verbose {
        0 => "warn,millstream=info",
        1 => "info,millstream=debug",
        _ => "debug,millstream=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let colours = io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(colours)
        // Where stderr is gone, it would tell of that on stderr, and panic.
        .log_internal_errors(false);
    // A second start in one process (a test) keeps the first.
    let _ = subscriber.try_init();
}

//! The command line: what was asked, who does it, and how the process ends.
//!
//! Owns parsing, the dispatch to one file per command, and the one report of a failure. What must stay true: exit codes are
//! those of [`Exit`]; results go to stdout, all else to stderr; a stdout or stderr that is gone changes no exit code; signals
//! are caught before anything else is done.

mod arguments;
mod check;
mod completions;
mod files;
mod fold;
mod init;
mod kafka;
mod kinesis;
mod load;
mod logging;
mod look;
mod out;
mod plan;
pub mod populate;
pub mod progress;
mod repair;
mod report;
mod run;
mod sample;
mod signals;
mod test;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Parser;

pub use crate::exit::Exit;
pub use arguments::{
    Arguments, Averages, Check, Command, Completions, Fold, Init, Log, Look, MadeUp, PipelineFile, Plan, Populate,
    PopulateFiles, PopulateKafka, PopulateKinesis, Repair, Run, Sample,
};
pub use report::Failure;

use out::Out;
use signals::Signals;

/// Does what the arguments (the program's name first) ask for, and says how it went.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let signals = Signals::of_command(&arguments);
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(answer) => return answered(&answer),
    };
    let done =
        checked(&arguments).and_then(|()| signals.map_err(deaf)).and_then(|signals| dispatch(arguments, signals));
    match done {
        Ok(exit) => exit,
        Err(failure) => {
            // Where stderr itself is gone, the exit code is all that is left to say.
            let _ = failure.write(&mut io::stderr().lock());
            failure.exit
        }
    }
}

/// What clap answers by itself: help and version on stdout, wrong usage on stderr.
fn answered(answer: &clap::Error) -> Exit {
    // Where nobody can read it, the exit code still tells.
    let _ = answer.print();
    if answer.use_stderr() { Exit::Usage } else { Exit::Done }
}

/// The handlers installed at the start. An argument before the command may have hidden it; then they come now.
fn caught_early(signals: Option<Signals>) -> Result<Signals, Failure> {
    signals.map_or_else(|| Signals::catch().map_err(deaf), Ok)
}

fn deaf(error: io::Error) -> Failure {
    Failure::failed(format!("cannot listen for signals: {error}"))
}

/// What goes with what, where clap cannot tell.
fn checked(arguments: &Arguments) -> Result<(), Failure> {
    let Command::Run(run) = &arguments.command else { return Ok(()) };
    match run.process {
        Some(_) if run.hosts.is_none() && !run.supervised => {
            let problem = "--process says which of several processes to be, and nothing says where the others are";
            Err(Failure::usage(problem).hint(
                "name a file with their addresses with --hosts, or leave --process out to start all of them here",
            ))
        }
        Some(process) if process >= run.processes.get() => {
            let problem = format!("--process {process} is not one of {} processes, counted from 0", run.processes);
            Err(Failure::usage(problem).hint("say with --processes how many there are"))
        }
        _ => Ok(()),
    }
}

fn dispatch(arguments: Arguments, signals: Option<Signals>) -> Result<Exit, Failure> {
    logging::start(arguments.verbose);
    let mut out = Out::stdout();
    let done = command(arguments, signals, &mut out);
    let _ = out.flush();
    if let Some(error) = out.lost() {
        tracing::warn!(%error, "stdout could not be written; what was asked for is not all there");
    }
    done
}

fn command(arguments: Arguments, signals: Option<Signals>, out: &mut impl Write) -> Result<Exit, Failure> {
    match arguments.command {
        Command::Run(asked) => run::run(&Run { verbose: arguments.verbose, ..asked }, caught_early(signals)?),
        Command::Check(asked) => check::check(&asked, out),
        Command::Test(asked) => return test::test(&asked, out),
        Command::Plan(asked) => plan::plan(&asked, out),
        Command::Populate(Populate::Files(asked)) => files::populate(&asked, caught_early(signals)?, out),
        Command::Populate(Populate::Kafka(asked)) => kafka::populate(&asked, caught_early(signals)?, out),
        Command::Populate(Populate::Kinesis(asked)) => kinesis::populate(&asked, caught_early(signals)?, out),
        Command::Epochs(asked) => look::epochs(&asked, out),
        Command::Files(asked) => look::files(&asked, out),
        Command::Averages(asked) => look::averages(&asked, out),
        Command::Sample(asked) => sample::sample(&asked, out),
        Command::Verify(asked) => return verify::verify(&asked, out),
        Command::Repair(asked) => return repair::repair(&asked, out),
        Command::Log(Log::Fold(asked)) => fold::fold(&asked, out),
        Command::Init(asked) => init::init(&asked, out),
        Command::Completions(asked) => completions::completions(&asked, out),
    }?;
    Ok(Exit::Done)
}

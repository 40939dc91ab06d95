//! The command line: what was asked, who does it, and how the process ends.
//!
//! Owns parsing, the dispatch to one file per command, and the one report of a failure. What must stay true: exit codes are
//! those of [`Exit`]; results go to stdout, all else to stderr.

mod arguments;
mod check;
mod completions;
mod files;
mod init;
mod kafka;
mod kinesis;
mod load;
mod logging;
mod look;
mod plan;
pub mod populate;
pub mod progress;
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
    Arguments, Check, Command, Completions, Init, Look, MadeUp, PipelineFile, Plan, Populate, PopulateFiles,
    PopulateKafka, PopulateKinesis, Run, Sample,
};
pub use report::Failure;

/// Does what the arguments (the program's name first) ask for, and says how it went.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(answer) => return answered(&answer),
    };
    match checked(&arguments).and_then(|()| dispatch(arguments)) {
        Ok(exit) => exit,
        // Whoever reads the answer (`| head`) has read enough.
        Err(failure) if failure.is_broken_pipe() => Exit::Done,
        Err(failure) => {
            // Where stderr itself is gone, the exit code is all that is left to say.
            let _ = failure.write(&mut io::stderr().lock());
            failure.exit
        }
    }
}

/// What clap answers by itself: help and version on stdout, wrong usage on stderr.
fn answered(answer: &clap::Error) -> Exit {
    let printed = answer.print();
    if answer.use_stderr() || printed.is_err() { Exit::Usage } else { Exit::Done }
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

fn dispatch(arguments: Arguments) -> Result<Exit, Failure> {
    logging::start(arguments.verbose);
    // Not locked for as long as it takes: a run writes to it from another thread.
    let mut out = io::stdout();
    match arguments.command {
        Command::Run(asked) => run::run(&Run { verbose: arguments.verbose, ..asked }),
        Command::Check(asked) => check::check(&asked, &mut out),
        Command::Test(asked) => return test::test(&asked, &mut out),
        Command::Plan(asked) => plan::plan(&asked, &mut out),
        Command::Populate(Populate::Files(asked)) => files::populate(&asked, &mut out),
        Command::Populate(Populate::Kafka(asked)) => kafka::populate(&asked, &mut out),
        Command::Populate(Populate::Kinesis(asked)) => kinesis::populate(&asked, &mut out),
        Command::Epochs(asked) => look::epochs(&asked, &mut out),
        Command::Files(asked) => look::files(&asked, &mut out),
        Command::Averages(asked) => look::averages(&asked, &mut out),
        Command::Sample(asked) => sample::sample(&asked, &mut out),
        Command::Verify(asked) => return verify::verify(&asked, &mut out),
        Command::Init(asked) => init::init(&asked, &mut out),
        Command::Completions(asked) => completions::completions(&asked, &mut out),
    }?;
    out.flush()?;
    Ok(Exit::Done)
}

//! The command line: one small file per verb. The only place that prints, and the only one that knows
//! clap and anyhow; what a verb decides, it decides with the floors below.

mod args;
mod context;
mod distributions;
mod exit;
mod failure;
mod findings;
mod following;
mod logging;
mod outfile;
mod progress;
mod recorded;
mod summary;
mod sweeping;
mod ticks;
mod verbs;

use std::ffi::OsString;
use std::process::ExitCode;

pub use args::{Args, command};
pub use context::Context;
pub use exit::Exit;

/// Runs the command that `arguments` (with the program's name in front) describes.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match args::parse(arguments) {
        Ok(args) => args,
        Err(answer) => return failure::clap_answer(&answer).into(),
    };
    let context = Context::new(args.global);
    context.start_logging(args.verb.logging());
    let exit = args.verb.run(&context).unwrap_or_else(|error| failure::report(&error, &context));
    exit.into()
}

//! The tree of verbs and the options that all of them share.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use super::logging::Logging;
use super::verbs;
use super::{Context, Exit};

const AFTER_HELP: &str = "\
Exit status: 0 all good, 1 internal error, 2 usage or configuration, 3 some readings failed, \
4 no host reached, 10 findings (with --fail-on-findings), 130 interrupted.

A SELECTOR is a node set (web[01-48].eu), @group, label=value, a glob, or set operations on \
them: a,b (or) a!b (without) a&b (both) a^b (one of the two).";

/// Push one-shot probes to a fleet over SSH, keep what they read, and see which hosts differ.
#[derive(Debug, Parser)]
#[command(name = "dropsonde", version, after_help = AFTER_HELP, max_term_width = 110)]
#[command(propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Options of every verb")]
pub struct Global {
    /// Configuration file [default: $XDG_CONFIG_HOME/dropsonde/config.toml, then /etc/dropsonde/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// State directory: archive and index [default: $XDG_STATE_HOME/dropsonde]
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// A setting for this run, over file and environment: --set limits.concurrency=64
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// Print one JSON value
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but the answer and errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more; twice, everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    Demo(verbs::demo::Demo),
    Init(verbs::init::Init),
    Config(verbs::config::Config),
    Daemon(verbs::daemon::Daemon),
    Doctor(verbs::doctor::Doctor),
    Hosts(verbs::hosts::Hosts),
    Probes(verbs::probes::Probes),
    Quarantine(verbs::quarantine::Quarantine),
    Run(verbs::run::Run),
    Schedule(verbs::schedule::Schedule),
    Sweep(verbs::sweep::Sweep),
    Sweeps(verbs::sweeps::Sweeps),
    Show(verbs::show::Show),
    Top(verbs::top::Top),
    Compare(verbs::compare::Compare),
    Outliers(verbs::outliers::Outliers),
    Report(verbs::report::Report),
    Alerts(verbs::alerts::Alerts),
    Explain(verbs::explain::Explain),
    History(verbs::history::History),
    Fold(verbs::fold::Fold),
    Flame(verbs::flame::Flame),
    Query(verbs::query::Query),
    Export(verbs::export::Export),
    Check(verbs::check::Check),
    Prune(verbs::prune::Prune),
    Backup(verbs::backup::Backup),
    Snapshot(verbs::snapshot::Snapshot),
    Reindex(verbs::reindex::Reindex),
    Completions(verbs::shell::Completions),
    Man(verbs::shell::Man),
}

impl Verb {
    pub fn run(self, context: &Context) -> Result<Exit> {
        match self {
            Self::Demo(verb) => verb.run(context),
            Self::Init(verb) => verb.run(context),
            Self::Config(verb) => verb.run(context),
            Self::Daemon(verb) => verb.run(context),
            Self::Doctor(verb) => verb.run(context),
            Self::Hosts(verb) => verb.run(context),
            Self::Probes(verb) => verb.run(context),
            Self::Quarantine(verb) => verb.run(context),
            Self::Run(verb) => verb.run(context),
            Self::Schedule(verb) => verb.run(context),
            Self::Sweep(verb) => verb.run(context),
            Self::Sweeps(verb) => verb.run(context),
            Self::Show(verb) => verb.run(context),
            Self::Top(verb) => verb.run(context),
            Self::Compare(verb) => verb.run(context),
            Self::Outliers(verb) => verb.run(context),
            Self::Report(verb) => verb.run(context),
            Self::Alerts(verb) => verb.run(context),
            Self::Explain(verb) => verb.run(context),
            Self::History(verb) => verb.run(context),
            Self::Fold(verb) => verb.run(context),
            Self::Flame(verb) => verb.run(context),
            Self::Query(verb) => verb.run(context),
            Self::Export(verb) => verb.run(context),
            Self::Check(verb) => verb.run(context),
            Self::Prune(verb) => verb.run(context),
            Self::Backup(verb) => verb.run(context),
            Self::Snapshot(verb) => verb.run(context),
            Self::Reindex(verb) => verb.run(context),
            Self::Completions(verb) => verb.run(context),
            Self::Man(verb) => verb.run(context),
        }
    }
}

impl Verb {
    /// How the verb logs.
    pub(super) fn logging(&self) -> Logging {
        match self {
            Self::Daemon(verb) => verb.logging(),
            _ => Logging::default(),
        }
    }
}

/// The whole tree, for completions and the manual.
pub fn command() -> clap::Command {
    Args::command()
}

pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
    Args::try_parse_from(arguments)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_is_consistent() {
        super::command().debug_assert();
    }

    fn verbs() -> Vec<clap::Command> {
        let mut verbs = vec![super::command()];
        let mut at = 0;
        while let Some(verb) = verbs.get(at) {
            verbs.extend(verb.get_subcommands().cloned().collect::<Vec<_>>());
            at += 1;
        }
        verbs
    }

    /// A line that is broken here would be broken once more where the terminal is narrow.
    #[test]
    fn prose_is_left_to_the_terminal_to_break() {
        for verb in verbs() {
            let text = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let is_prose = |line: &&str| !line.is_empty() && !line.starts_with("  ");
            for both in lines.windows(2) {
                let goes_on = both.iter().all(is_prose) && !both[0].ends_with(['.', ':']);
                assert!(!goes_on, "{}: {both:?}", verb.get_name());
            }
        }
    }

    #[test]
    fn every_argument_says_what_it_is() {
        for verb in verbs() {
            for argument in verb.get_arguments() {
                let said = argument.get_help().is_some() || !argument.get_possible_values().is_empty();
                assert!(said, "{} {}", verb.get_name(), argument.get_id());
            }
        }
    }
}

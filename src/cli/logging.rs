//! Where log lines go and what they look like. Nothing here decides what is said.

use std::io;

use rustix::fs::fstat;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What a log line looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Entries of the journal where stderr leads there, else text
    #[default]
    Auto,
    Text,
    /// A line of JSON for each
    Json,
}

/// What a verb says without --quiet and --verbose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Usual {
    #[default]
    Warnings,
    /// What a verb that nobody watches does, too.
    Events,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Logging {
    pub format: LogFormat,
    pub usual: Usual,
}

/// Fields are DROPSONDE_HOST and so on in the journal: those without a prefix are its own.
const PREFIX: &str = "DROPSONDE";

pub(super) fn start(format: LogFormat, level: LevelFilter, color: bool) {
    if format == LogFormat::Auto
        && stderr_is_the_journal()
        && let Ok(journal) = tracing_journald::layer()
    {
        let journal =
            journal.with_field_prefix(Some(PREFIX.to_owned())).with_syslog_identifier("dropsonde".to_owned());
        tracing_subscriber::registry().with(level).with(journal).init();
        return;
    }
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_target(false)
        // It would report a failing stderr to stderr, and panic.
        .log_internal_errors(false);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).init(),
        LogFormat::Auto | LogFormat::Text => lines.with_ansi(color).init(),
    }
}

/// The manager says which stream it has made for us; a redirection since then is another file.
fn stderr_is_the_journal() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let stderr = fstat(io::stderr()).ok();
    stderr.is_some_and(|stat| stream.to_str() == Some(&format!("{}:{}", stat.st_dev, stat.st_ino)))
}

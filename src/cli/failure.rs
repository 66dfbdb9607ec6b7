//! Errors for a person: one clear message, and the exit status that it means.

use std::io;

use anyhow::Error;

use super::{Context, Exit};
use crate::config;
use crate::daemon::DaemonError;
use crate::render::{Diagnostic, Lines, Severity, Spot, counted, escape};
use crate::select::SelectError;
use crate::store::StoreError;

/// Something that the user asked for and cannot have, in words that say what to do instead.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// A selector that does not fit, with the text it stands in.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct BadSelector {
    pub text: String,
    pub error: SelectError,
}

/// Help and version are answers; everything else of clap's is a usage error.
pub(super) fn clap_answer(answer: &clap::Error) -> Exit {
    // Nobody is left to tell when stdout or stderr is closed.
    let _ = answer.print();
    if answer.use_stderr() { Exit::Usage } else { Exit::Good }
}

/// Prints what went wrong and says what it means for the exit status.
pub(super) fn report(error: &Error, context: &Context) -> Exit {
    if is_broken_pipe(error) {
        // The reader has seen enough (`| head`).
        return Exit::Good;
    }
    if let Some(faults) = error.downcast_ref::<config::Faults>() {
        return faults_exit(faults, context);
    }
    if let Some(bad) = error.downcast_ref::<BadSelector>() {
        let expected = format!("expected {}", bad.error.expected());
        let span = bad.error.span();
        let spot =
            Spot { origin: "selector", text: &bad.text, start: span.start, end: span.end, label: &expected };
        let title = bad.error.to_string();
        let drawn = Diagnostic { severity: Severity::Error, title: &title, spot, also: &[], help: None };
        context.tell(&drawn.render(context.err_style()));
        return Exit::Usage;
    }
    context.tell(&format!("dropsonde: {}\n", escape(&chain(error), Lines::Single)));
    if error.is::<Usage>() {
        return Exit::Usage;
    }
    let of_the_daemon = || match error.downcast_ref::<DaemonError>()? {
        DaemonError::Store(error) => Some(error),
        _ => None,
    };
    match error.downcast_ref::<StoreError>().or_else(of_the_daemon) {
        Some(
            StoreError::NoIndex { .. }
            | StoreError::NoSweep { .. }
            // The unit counts on it: a second daemon is no better for being started again.
            | StoreError::DaemonRuns { .. }
            | StoreError::NoReading { .. }
            | StoreError::Pruned { .. }
            | StoreError::Query(_)
            | StoreError::QueryTimeout(_),
        ) => Exit::Usage,
        _ => Exit::Internal,
    }
}

/// The error and its causes, each said once: some errors have their cause in their own words already.
fn chain(error: &Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn is_broken_pipe(error: &Error) -> bool {
    let broken = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
    };
    error.chain().any(broken)
}

/// Draws every fault of a configuration under its place.
fn faults_exit(faults: &config::Faults, context: &Context) -> Exit {
    for fault in faults.iter() {
        let label =
            fault.expected.as_ref().map(|expected| format!("expected {expected}")).unwrap_or_default();
        let spot = |place: &config::Place, label| -> SpotText {
            SpotText {
                file: place.file.to_string(),
                text: place.text.to_string(),
                span: place.span.clone(),
                label,
            }
        };
        let main = spot(&fault.place, label);
        let also: Vec<SpotText> = fault.also.iter().map(|(place, what)| spot(place, what.clone())).collect();
        let also: Vec<Spot<'_>> = also.iter().map(SpotText::borrow).collect();
        let drawn = Diagnostic {
            severity: Severity::Error,
            title: &fault.title,
            spot: main.borrow(),
            also: &also,
            help: fault.help.as_deref(),
        };
        context.tell(&drawn.render(context.err_style()));
    }
    let count = faults.iter().count();
    context.tell(&format!("dropsonde: {} in the configuration\n", counted(count, "fault")));
    Exit::Usage
}

struct SpotText {
    file: String,
    text: String,
    span: std::ops::Range<usize>,
    label: String,
}

impl SpotText {
    fn borrow(&self) -> Spot<'_> {
        Spot {
            origin: &self.file,
            text: &self.text,
            start: self.span.start,
            end: self.span.end,
            label: &self.label,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let store = Error::new(StoreError::io("open", Path::new("/state/seq"), full()));
        assert_eq!(chain(&store), format!("open /state/seq: {}", full()));
        let context = Error::new(full()).context("write to stdout");
        assert_eq!(chain(&context), format!("write to stdout: {}", full()));
    }
}

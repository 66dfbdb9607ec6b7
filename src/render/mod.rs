//! Text for people and JSON for programs, into a `String`; the verbs print it.
//!
//! It never asks what it writes to: colour and width are the caller's to know ([`Style`]). And what
//! came from a host never leaves as it came: tables, diagnostics and JSON escape every text they take
//! in, whoever wrote it.

mod chart;
pub mod csv;
mod diagnostic;
mod diff;
mod escape;
mod exposition;
pub mod findings;
mod flame;
pub mod json;
mod probe_docs;
pub mod reports;
mod sparkline;
mod style;
mod table;
mod template;
pub mod units;
mod words;

pub use chart::{Chart, line_ink};
pub use diagnostic::{Diagnostic, Severity, Spot};
pub use diff::unified;
pub use escape::{Lines, escape, escape_bytes, escape_limited, is_unprintable};
pub use exposition::{Exposition, Families, foreign_label, label_text, number};
pub use flame::{Caption, FlameError, Folded, Widths, flame, flame_diff};
pub use probe_docs::probe_docs;
pub use sparkline::{sparkline, sparkline_within, squeeze};
pub use style::{Ink, Style};
pub use table::{Cell, Column, Table};
pub use template::{BadTemplate, Template};
pub use words::{counted, shell_word};

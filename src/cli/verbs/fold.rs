//! `fold`: hosts by what a probe printed there, and what sets each group apart from the largest.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::cli::failure::Usage;
use crate::cli::recorded::Recorded;
use crate::cli::{Context, Exit};
use crate::collect::{Archived, Caps};
use crate::model::{HostName, Outcome};
use crate::render::findings::{FoldGroup, FoldReport, WithoutOutput};
use crate::render::json::Schema;
use crate::render::{Ink, Lines, Style, counted, escape, unified, units};
use crate::select::fold;
use crate::store::StateDir;
use crate::store::index::{ReadingRow, SweepRow};
use crate::survey::{SameText, own_words, same_texts, without_words};

/// Groups that are shown; JSON has all.
const GROUPS: usize = 10;

/// Sweeps among which one with the probe is looked for.
const LOOK_BACK: usize = 200;

/// Of a group's text or difference.
const MOST_BYTES: usize = 64 << 10;
const MOST_LINES: usize = 60;

/// Group hosts by what a probe printed there, and show what sets them apart
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Hosts whose output is the same are one group. The largest is shown whole, the others by what sets them apart \
from it, as `diff -u` writes it. For probes whose format is text; one that prints numbers makes a group of every host.

Lines that each host has for itself would do so, too, and are left out: those that begin with boot_id, hostname or \
machine_id, and with a word behind which at least 8 hosts, and half of all, have each something else. --all keeps \
them.

Examples:
  dropsonde fold host_context
  dropsonde fold host_context -H role=web --sweep latest --json")]
pub struct Fold {
    /// Hosts are put together by what it printed
    #[arg(value_name = "PROBE")]
    probe: String,
    /// Only these hosts
    #[arg(short = 'H', long, value_name = "SELECTOR")]
    hosts: Option<String>,
    /// An id, the beginning of one, or `latest` [default: the newest with this probe]
    #[arg(long, value_name = "SWEEP")]
    sweep: Option<String>,
    /// Compare all lines, also those that each host has for itself
    #[arg(long)]
    all: bool,
    /// How many groups [default: 10; all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl Fold {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let recorded = Recorded::open(context)?;
        let probe = recorded.probe(&self.probe)?;
        let sweep = self.sweep.as_deref().map(|text| recorded.sweep(text)).transpose()?;
        let hosts = self.hosts.as_deref().map(|text| recorded.hosts(text, sweep.as_ref())).transpose()?;
        let asked =
            |row: &ReadingRow| row.probe == probe && hosts.as_ref().is_none_or(|all| all.contains(&row.host));
        let readings = |sweep: &SweepRow| -> Result<Vec<ReadingRow>> {
            Ok(recorded.reader.ledger(&sweep.sweep)?.into_iter().filter(asked).collect())
        };
        let (sweep, rows) = match sweep {
            Some(sweep) => {
                let rows = readings(&sweep)?;
                (sweep, rows)
            }
            None => newest(&recorded, readings)?,
        };
        if rows.is_empty() {
            let why = format!("sweep {} has no reading of {probe} on these hosts", sweep.sweep);
            return Err(Usage(why).into());
        }
        let state = StateDir::at(&context.state_dir()?);
        let own = if self.all { BTreeSet::new() } else { own(&state, &rows) };
        let source = Source { state: &state, own: &own };
        let texts = same_texts(rows, |row| source.output(row));
        let shown = self.limit.unwrap_or(if context.global.json { usize::MAX } else { GROUPS });
        let mut groups = Vec::new();
        let largest = texts.groups.first().map(|it| source.text(it));
        for (nth, group) in texts.groups.iter().take(shown).enumerate() {
            groups.push(folded(
                &source,
                group,
                (nth > 0).then_some(&largest).and_then(Option::as_ref),
                &texts.groups[0],
            ));
        }
        let without = texts.without.into_iter().map(|(why, hosts)| WithoutOutput { hosts, why }).collect();
        let report = FoldReport {
            schema: Schema,
            probe: &probe,
            sweep: &sweep.sweep,
            groups,
            left_out: own.iter().map(String::as_str).collect(),
            without,
        };
        if context.global.json {
            context.print_json(&report)?;
            return Ok(Exit::Good);
        }
        context.print(&paper(&report, &texts.groups, context.out_style()))?;
        if texts.groups.len() > report.groups.len() {
            let all = texts.groups.len();
            context.remark(&format!(
                "{}; --limit {all} shows all",
                counted(all - report.groups.len(), "more group")
            ));
        }
        Ok(Exit::Good)
    }
}

/// The newest sweep with a reading of it.
fn newest(
    recorded: &Recorded<'_>,
    readings: impl Fn(&SweepRow) -> Result<Vec<ReadingRow>>,
) -> Result<(SweepRow, Vec<ReadingRow>)> {
    for sweep in recorded.reader.sweeps(LOOK_BACK)? {
        let rows = readings(&sweep)?;
        if !rows.is_empty() {
            return Ok((sweep, rows));
        }
    }
    let why =
        format!("none of the last {LOOK_BACK} sweeps has it on these hosts; --sweep names an older one");
    Err(Usage(why).into())
}

fn output(state: &StateDir, row: &ReadingRow) -> Result<Vec<u8>, String> {
    let archived = Archived::open(state, row).map_err(|error| error.to_string())?;
    if archived.reading.wire.is_empty() {
        return Err("no output".to_owned());
    }
    archived.output(Caps::default()).map_err(|error| error.to_string())
}

/// The first words of the lines that each host has for itself.
fn own(state: &StateDir, rows: &[ReadingRow]) -> BTreeSet<String> {
    let whole = rows.iter().filter(|row| row.outcome == Outcome::Ok);
    own_words(whole.filter_map(|row| output(state, row).ok()))
}

/// What is compared: outputs without the lines that each host has for itself.
struct Source<'a> {
    state: &'a StateDir,
    own: &'a BTreeSet<String>,
}

impl Source<'_> {
    fn output(&self, row: &ReadingRow) -> Result<Vec<u8>, String> {
        let text = output(self.state, row)?;
        Ok(if self.own.is_empty() { text } else { without_words(&text, self.own) })
    }

    /// A group's text, whole; it was read before, so a failure now is an empty text.
    fn text(&self, group: &SameText) -> String {
        String::from_utf8_lossy(&self.output(&group.reading).unwrap_or_default()).into_owned()
    }
}

fn folded(source: &Source<'_>, group: &SameText, largest: Option<&String>, first: &SameText) -> FoldGroup {
    let own = source.text(group);
    let hosts = fold(&group.hosts);
    let diff = largest.map(|largest| cut(&unified((&fold(&first.hosts), largest), (&hosts, &own))));
    FoldGroup { hosts: group.hosts.clone(), folded: hosts, bytes: group.bytes, text: cut(&own), diff }
}

/// At most [`MOST_BYTES`], whole characters.
fn cut(text: &str) -> String {
    let end = (0..=MOST_BYTES.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    if end == text.len() { text.to_owned() } else { format!("{}…", &text[..end]) }
}

fn paper(report: &FoldReport<'_>, all: &[SameText], style: &Style) -> String {
    let hosts: usize = all.iter().map(|group| group.hosts.len()).sum();
    let mut text = format!(
        "{} · sweep {} · {} · {}\n",
        style.paint(Ink::Bold, report.probe.as_str()),
        report.sweep,
        counted(hosts, "host"),
        counted(all.len(), "group")
    );
    if !report.left_out.is_empty() {
        let words = escape(&report.left_out.join(", "), Lines::Single).into_owned();
        text.push_str(&format!("Left out, as each host has its own: {words} (--all keeps that)\n"));
    }
    for group in &report.groups {
        let title = format!("{} ({})", group.folded, group.hosts.len());
        let bytes = units::value(group.bytes as f64, "bytes");
        text.push_str(&format!("\n{} · {bytes}\n", style.paint(Ink::Bold, &title)));
        match &group.diff {
            None if group.text.is_empty() => text.push_str("  (nothing)\n"),
            None => text.push_str(&block(&group.text, |_| None, style)),
            // The names of the sides stand above already.
            Some(diff) => text.push_str(&block(
                diff.split_once("@@").map_or(diff, |(head, _)| &diff[head.len()..]),
                ink,
                style,
            )),
        }
    }
    for WithoutOutput { hosts, why } in &report.without {
        let hosts: &[HostName] = hosts;
        text.push_str(&format!("\n{} ({}): {}\n", fold(hosts), hosts.len(), escape(why, Lines::Single)));
    }
    text
}

fn ink(line: &str) -> Option<Ink> {
    match line.as_bytes().first() {
        Some(b'+') => Some(Ink::Green),
        Some(b'-') => Some(Ink::Red),
        Some(b'@') => Some(Ink::Cyan),
        _ => None,
    }
}

fn block(text: &str, ink: impl Fn(&str) -> Option<Ink>, style: &Style) -> String {
    let mut out = String::new();
    for line in text.lines().take(MOST_LINES) {
        let safe = escape(line, Lines::Single);
        let painted = ink(line).map_or(safe.clone(), |ink| style.paint(ink, &safe).into_owned().into());
        out.push_str(&format!("  {}\n", painted.trim_end()));
    }
    let more = text.lines().count().saturating_sub(MOST_LINES);
    if more > 0 {
        out.push_str(&format!("  … {}\n", counted(more, "more line")));
    }
    out
}

//! What probes show, when to use them and what they cost, as Markdown: docs/probes.md is made of it. It
//! says nothing that does not stand in the probes' own files.

use std::fmt::Write as _;
use std::time::Duration;

use super::units;
use crate::model::{Cost, Judging, Kind, Measured, MetricSpec, Privilege, Probe, Worse, duration_text};

const HEAD: &str = "\
# The probes

Made from `probes.d/*.toml`; `dropsonde probes docs > docs/probes.md` makes it anew. What the numbers of `proc` are made from stands in
[metrics.md](metrics.md), how to write a probe in [writing-probes.md](writing-probes.md). `dropsonde doctor` says which of them a host can run.

**Cost**: `cheap` is for every sweep; `moderate` for now and then, or for a few hosts; `heavy` only by hand or when something is wrong already.
**CPU** is what one reading takes of the host, the shell around it included, on an idle and on a loaded machine; a reading over its **budget** is
flagged, and two in a row put the probe in quarantine on that host (`dropsonde quarantine`). A **tracer** never runs at once with another one.
**Slowdown** is how many times longer `perf bench sched pipe` takes beside it: the worst case, two tasks that do nothing but wake each other.

What a host lacks (a tool, a tracepoint, a capability of its root) makes a reading `unsupported`, and says what. A user who may not become root there
is another matter: where sudo or a gate refuses, what needs root is `denied`, and says by whom and what to do.
";

/// The whole page.
pub fn probe_docs(probes: &[&Probe]) -> String {
    let mut text = HEAD.to_owned();
    text.push_str("\n| probe | shows | cost | root | window | CPU idle, loaded |\n| --- | --- | --- | --- | --- | --- |\n");
    for probe in probes {
        let cpu = probe.measured.as_ref().map_or("–".to_owned(), |it| {
            format!("{}, {}", units::elapsed(it.cpu_idle), units::elapsed(it.cpu_loaded))
        });
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| [`{name}`](#{name}) | {} | {} | {} | {} | {cpu} |",
            cell(&probe.summary),
            probe.cost.as_str(),
            if probe.privilege == Privilege::Root { "yes" } else { "no" },
            probe.window.map_or("a glance".to_owned(), duration_text),
            name = probe.name,
        );
    }
    for probe in probes {
        section(&mut text, probe);
    }
    text
}

/// Text within a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

fn section(text: &mut String, probe: &Probe) {
    let _ = writeln!(text, "\n## {}\n\n{}", probe.name, sentence(&probe.summary));
    if let Some(when) = &probe.when {
        let _ = writeln!(text, "\n**When**: {}", sentence(when));
    }
    let _ = writeln!(text, "\n**Cost**: {}.", cost(probe));
    if let Some(measured) = &probe.measured {
        let _ = writeln!(text, "\n{}", self::measured(measured));
    }
    if !probe.needs.is_empty() {
        let needs: Vec<String> = probe.needs.iter().map(|need| format!("`{need}`")).collect();
        let _ = writeln!(text, "\n**Needs**: {}.", needs.join(", "));
    }
    if probe.metrics.is_empty() {
        return;
    }
    text.push_str(
        "\n| metric | unit | kind | worse | bad from | what it is |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for metric in &probe.metrics {
        row(text, metric);
    }
}

fn cost(probe: &Probe) -> String {
    let class = match probe.cost {
        Cost::Cheap => "cheap",
        Cost::Moderate => "moderate",
        Cost::Heavy => "heavy, by hand or when something is wrong already",
    };
    let mut parts = vec![class.to_owned()];
    parts.push(match probe.window {
        Some(window) => format!("looks for {}", duration_text(window)),
        None => "one glance".to_owned(),
    });
    parts.push(format!("ended after {}", duration_text(probe.timeout)));
    parts.push(match probe.budget {
        Some(budget) => format!("CPU budget {}", duration_text(budget)),
        None => "no CPU budget".to_owned(),
    });
    parts.push(format!("up to {} of output", probe.max_output));
    if probe.privilege == Privilege::Root {
        parts.push("runs as root".to_owned());
    }
    if probe.tracer {
        parts.push("a tracer".to_owned());
    }
    parts.join("; ")
}

fn measured(it: &Measured) -> String {
    let took = |duration: Duration| units::elapsed(duration);
    format!(
        "| measured on | CPU, idle | CPU, loaded | took | on the wire | slowdown |\n\
         | --- | --- | --- | --- | --- | --- |\n\
         | {} | {} | {} | {} | {} | {} |",
        cell(&it.on),
        took(it.cpu_idle),
        took(it.cpu_loaded),
        took(it.wall),
        units::value(it.wire.0 as f64, "bytes"),
        units::times(it.slowdown),
    )
}

fn row(text: &mut String, metric: &MetricSpec) {
    let worse = match metric.worse {
        Worse::Higher => "higher",
        Worse::Lower => "lower",
        Worse::Either => "–",
    };
    let warn = metric.warn.map_or("–".to_owned(), |warn| {
        let sign = if metric.worse == Worse::Lower { "≤" } else { "≥" };
        format!("{sign} {}", units::sample(warn, &metric.unit, metric.kind))
    });
    let mut what = cell(&metric.help);
    if let Some(why) = &metric.why {
        what = format!("{what}. *{}*", cell(why));
    }
    if metric.judged != Judging::usually(metric.worse) {
        what.push_str(match metric.judged {
            Judging::Always => ". A host may be named for a lasting difference, too",
            Judging::Changed => {
                ". A host is named for a change only: that hosts differ for good is their size"
            }
            Judging::Never => ". No host is named for it",
        });
    }
    let unit = match (metric.kind, metric.unit.as_str()) {
        (_, "") => "–".to_owned(),
        (Kind::Counter, unit) => format!("{unit} per second"),
        (_, unit) => unit.to_owned(),
    };
    let (name, kind) = (&metric.name, metric.kind.as_str());
    let _ = writeln!(text, "| `{name}` | {unit} | {kind} | {worse} | {warn} | {what} |");
}

//! `outliers`: which hosts differ from the rest, in what, since when.

use anyhow::Result;

use crate::cli::failure::Usage;
use crate::cli::findings::{self, Scope, finding, lacking};
use crate::cli::recorded::Recorded;
use crate::cli::{Context, Exit};
use crate::compare::{Lens, Outlier, Outliers as Answer};
use crate::model::Worse;
use crate::render::findings::OutliersReport;
use crate::render::json::Schema;
use crate::render::{Cell, Column, Ink, Table, counted, shell_word, sparkline_within, squeeze, units};
use crate::report;
use crate::select::fold;
use crate::survey;

/// Lines for a person; JSON has all.
const LINES: usize = 20;

/// Columns of a history.
const HISTORY: usize = 24;

/// Say which hosts differ from the rest, in which metrics, and since when
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Two lenses. changed: a host stands to its peers otherwise than in its own past, in most of the last three \
sweeps; load that all share is none. odd: it has always differed, or there are fewer than 24 sweeps yet, \
which makes it provisional. changed takes 24 sweeps and 3 peers, odd 5 peers; a host with fewer is not \
judged by that lens. docs/comparison.md has the rules.

A line is one metric, its numbers are those of its first host. PEERS is the median of the others and RATIO \
how many times that VALUE is; CHANGE is how many times what it would be if the host stood to its peers as \
ever, or what that is where it is none (`from 0/s`). `-`: of none there is no multiple, and what was always \
odd did not change.
`!` is a change for the worse or beyond what the metric warns at, `·` all else.

With --fail-on-findings the status is 10 when a line is found, whatever else is amiss. When none is, it is 3 \
where a host of the sweep did not answer, else 0: that there is not enough data yet is no finding. --json \
says under `judged` how many hosts and metrics that speaks of.

Examples:
  dropsonde outliers
  dropsonde outliers role=web --peers dc --limit 5
  dropsonde outliers --lens odd --metric 'disk_*' --json
  dropsonde outliers --fail-on-findings")]
pub struct Outliers {
    /// Only these hosts, who are each other's peers
    #[arg(value_name = "SELECTOR")]
    hosts: Option<String>,
    /// An id, the beginning of one, or `latest` [default: the newest scheduled one, or the newest large one]
    #[arg(long, value_name = "SWEEP")]
    sweep: Option<String>,
    /// Only hosts with the same value of this label are peers
    #[arg(long, value_name = "LABEL")]
    peers: Option<String>,
    /// Only what this lens finds
    #[arg(long, value_enum)]
    lens: Option<LensChoice>,
    /// Only metrics that fit; `*` and `?` are wildcards
    #[arg(long, value_name = "GLOB")]
    metric: Vec<String>,
    /// How many lines [default: 20; all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Exit with status 10 when a host differs; when none does, with 3 if a host did not answer, else 0
    #[arg(long)]
    fail_on_findings: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LensChoice {
    /// Otherwise than in its own past
    Changed,
    /// Otherwise than its peers
    Odd,
}

impl Outliers {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let recorded = Recorded::open(context)?;
        let scope = Scope {
            hosts: self.hosts.as_deref(),
            sweep: self.sweep.as_deref(),
            peers: self.peers.as_deref(),
        };
        let root = context.state_dir()?;
        let mut question = findings::question(&recorded, &root, &scope)?;
        let known = recorded.metrics()?;
        for mask in &self.metric {
            findings::known_mask(&known, mask)?;
        }
        question.metrics.clone_from(&self.metric);
        question.lens = self.lens.map(|lens| match lens {
            LensChoice::Changed => Lens::Changed,
            LensChoice::Odd => Lens::Odd,
        });
        let answer = survey::outliers(&question)?;
        if answer.metrics == 0 {
            let what = if self.metric.is_empty() { "numbers".to_owned() } else { self.metric.join(", ") };
            return Err(Usage(format!("sweep {} has no {what} of these hosts", answer.sweep)).into());
        }
        if context.global.json {
            context.print_json(&self.report(&answer))?;
        } else {
            self.print(context, &answer)?;
        }
        Ok(self.exit(&answer))
    }

    /// What is not known is no finding; but a timer must not take a host that was not seen for a healthy one.
    fn exit(&self, answer: &Answer) -> Exit {
        match (self.fail_on_findings, answer.findings.is_empty()) {
            (false, _) => Exit::Good,
            (true, false) => Exit::Findings,
            (true, true) if answer.answered < answer.planned => Exit::Partial,
            (true, true) => Exit::Good,
        }
    }

    fn report<'a>(&self, answer: &'a Answer) -> OutliersReport<'a> {
        let shown = self.limit.unwrap_or(usize::MAX);
        OutliersReport {
            schema: Schema,
            sweep: &answer.sweep,
            started: answer.started.rfc3339(),
            planned: answer.planned,
            answered: answer.answered,
            metrics: answer.metrics,
            judged: findings::judged(answer),
            sweeps: answer.sweeps.len(),
            findings: answer.findings.iter().take(shown).map(finding).collect(),
            lacking: answer.lacking.iter().map(lacking).collect(),
        }
    }

    fn print(&self, context: &Context, answer: &Answer) -> Result<()> {
        let style = context.out_style();
        let mut text = format!(
            "sweep {} {}Z · {}/{} · {}\n",
            style.paint(Ink::Bold, answer.sweep.as_str()),
            answer.started.utc().format("%Y-%m-%d %H:%M"),
            answer.answered,
            counted(answer.planned, "host"),
            counted(answer.metrics, "metric")
        );
        let shown = self.limit.unwrap_or(LINES).min(answer.findings.len());
        if shown > 0 {
            text.push_str(&table(answer, &answer.findings[..shown]).render(style));
        }
        text.push_str(&findings::shortages(&answer.lacking));
        let alone = findings::judged(answer).hosts.without_peers;
        if alone > 0 && answer.judged.hosts > 0 {
            let hosts = counted(alone, "host");
            text.push_str(&format!("Not judged, with too few peers in every metric: {hosts}.\n"));
        }
        text.push_str(&self.summary(answer));
        context.print(&text)?;
        if answer.findings.len() > shown {
            let all = answer.findings.len();
            context.remark(&format!("{}; --limit {all} shows all", counted(all - shown, "more line")));
        }
        Ok(())
    }

    fn summary(&self, answer: &Answer) -> String {
        let Some(first) = answer.findings.first() else {
            if answer.unjudged.len() == answer.metrics {
                return format!("Nobody is named for {}, as the probe says.\n", answer.unjudged.join(", "));
            }
            let sure = if answer.lacking.is_empty() { "" } else { " as far as there is enough data" };
            return format!("No host differs from its peers{sure}.\n");
        };
        let hosts: std::collections::BTreeSet<_> =
            answer.findings.iter().flat_map(|it| &it.hosts).map(|it| &it.host).collect();
        let metrics: std::collections::BTreeSet<_> =
            answer.findings.iter().map(|it| &it.subject.metric).collect();
        let mut next = format!("dropsonde explain {}", first.subject.metric);
        let options = [("-H", &self.hosts), ("--peers", &self.peers), ("--sweep", &self.sweep)];
        for (name, value) in options {
            if let Some(value) = value {
                next.push_str(&format!(" {name} {}", shell_word(value)));
            }
        }
        format!(
            "{} of {}, {}.  Next: {next}\n",
            hosts.len(),
            counted(answer.planned, "host"),
            counted(metrics.len(), "metric")
        )
    }
}

fn table(answer: &Answer, findings: &[Outlier]) -> Table {
    let mut table = Table::new([
        Column::left(""),
        Column::left("METRIC"),
        Column::left("HOSTS").elastic(),
        Column::right("VALUE"),
        Column::right("PEERS"),
        Column::right("CHANGE"),
        Column::right("RATIO"),
        Column::left("SINCE"),
        Column::left("LENS"),
        Column::left(if answer.sweeps.len() > 1 { "HISTORY" } else { "" }),
    ]);
    for it in findings {
        let first = it.first();
        let text = |value: f64| units::sample(value, &it.about.unit, it.subject.kind);
        let bad = it.warned || (it.lens == Lens::Changed && it.about.worse != Worse::Either);
        let mark = if bad { Cell::from("!").ink(Ink::Red) } else { Cell::from("·") };
        let mut value = Cell::new(text(first.value));
        if it.warned {
            value = value.ink(Ink::Red);
        }
        table.row([
            mark,
            Cell::new(findings::subject_text(&it.subject)),
            Cell::new(fold(it.hosts.iter().map(|it| &it.host))),
            value,
            Cell::new(text(first.peers)),
            Cell::new(report::change_text(it, first)),
            Cell::new(units::times(first.ratio)),
            Cell::new(findings::since(it.since(), &answer.sweeps)),
            Cell::from(findings::lens_text(it)),
            Cell::new(spark(it, answer)),
        ]);
    }
    table
}

/// The first host's history beside zero and what its peers usually have.
fn spark(it: &Outlier, answer: &Answer) -> String {
    if answer.sweeps.len() < 2 {
        return String::new();
    }
    let history = &it.first().history;
    let values = || history.iter().chain(&it.usual).flatten().copied();
    let (least, most) = (values().fold(0.0, f64::min), values().fold(0.0, f64::max));
    sparkline_within(&squeeze(history, HISTORY), least, most)
}

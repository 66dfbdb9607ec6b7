//! `explain`: what the outliers of a metric have in common, and what else happened to them.

use anyhow::Result;

use crate::cli::failure::Usage;
use crate::cli::findings::{self, Scope, finding, lacking};
use crate::cli::recorded::{Recorded, label_masks, labels_text};
use crate::cli::{Context, Exit};
use crate::collect::{Archived, Caps};
use crate::compare::{Companion, Explanation, KernelLine, Outlier, SharedLabel, Standing, Subject};
use crate::model::{CollectorTime, ProbeName};
use crate::render::findings::{CompanionReport, ExplainReport, KernelLineReport, SharedReport};
use crate::render::json::Schema;
use crate::render::{Cell, Column, Ink, Lines, Table, counted, escape, shell_word, units};
use crate::report;
use crate::select::{fold, matches_mask};
use crate::store::StateDir;
use crate::store::index::ReadingRow;
use crate::survey;

/// Other metrics that are listed, the strongest.
const COMPANIONS: usize = 8;

/// What takes the profile of a host's CPUs.
const PROFILE: &str = "cpu_profile";

/// Say what the outliers of a metric have in common, and what else moved with it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Labels are those at the time of the sweep. A label is shown where Fisher's exact test says that chance does \
not explain it, after Holm's correction for all labels that were tested: with twenty of them one fits by luck. \
What the outliers share is where to look first; it is no proof.

Examples:
  dropsonde explain node_load1
  dropsonde explain disk_r_await_seconds --label device=sda
  dropsonde explain node_load1 -H role=web --sweep 20261122T23 --json")]
pub struct Explain {
    /// Its outliers are explained
    #[arg(value_name = "METRIC")]
    metric: String,
    /// Only these hosts, who are each other's peers
    #[arg(short = 'H', long, value_name = "SELECTOR")]
    hosts: Option<String>,
    /// An id, the beginning of one, or `latest` [default: the newest scheduled one, or the newest large one]
    #[arg(long, value_name = "SWEEP")]
    sweep: Option<String>,
    /// Of the metric's lines, the one with this label; `*` and `?` are wildcards
    #[arg(long, value_name = "LABEL=VALUE")]
    label: Vec<String>,
    /// Only hosts with the same value of this label are peers
    #[arg(long, value_name = "LABEL")]
    peers: Option<String>,
}

impl Explain {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let recorded = Recorded::open(context)?;
        let metric = recorded.metrics()?.find(&self.metric)?.clone();
        let scope = Scope {
            hosts: self.hosts.as_deref(),
            sweep: self.sweep.as_deref(),
            peers: self.peers.as_deref(),
        };
        let root = context.state_dir()?;
        let question = findings::question(&recorded, &root, &scope)?;
        let state = StateDir::at(&root);
        // A reading that is not in the archive any more says nothing; it is no reason to say nothing else.
        let output = |row: &ReadingRow| Archived::open(&state, row).ok()?.output(Caps::default()).ok();
        let labels = label_masks(&self.label)?;
        let wanted = |subject: &Subject| {
            let has = |(label, mask): &(&str, &str)| {
                subject.labels.get(*label).is_some_and(|value| matches_mask(mask, value))
            };
            labels.iter().all(has)
        };
        let found = survey::explain(&question, (&metric.name, &wanted), &output)?;
        if found.hosts.is_empty() && !found.outliers.is_empty() {
            let known: Vec<String> = found.outliers.iter().map(|it| label_options(&it.subject)).collect();
            return Err(Usage(format!(
                "no host differs in {} with --label {}; some do with{}",
                metric.name,
                self.label.join(" --label "),
                known.join(" or")
            ))
            .into());
        }
        if context.global.json {
            context.print_json(&report(&found))?;
        } else {
            self.print(context, &recorded, &found)?;
        }
        Ok(Exit::Good)
    }

    fn print(&self, context: &Context, recorded: &Recorded<'_>, found: &Explanation) -> Result<()> {
        let style = context.out_style();
        let name = escape(&found.metric, Lines::Single).into_owned();
        let mut text = format!("{} · sweep {}\n", style.paint(Ink::Bold, &name), found.sweep);
        text.push_str(&findings::shortages(&found.lacking));
        let Some(first) = found.outliers.first() else {
            text.push_str(&why_nothing(&name, found));
            return context.print(&text);
        };
        text.push_str(&headline(first, found));
        text.push('\n');
        text.push_str(&shared(found, context));
        if !found.companions.is_empty() {
            text.push_str("\nMoved with it:\n");
            text.push_str(&companions(found).render(style));
            let more = found.companions.len().saturating_sub(COMPANIONS);
            if more > 0 {
                text.push_str(&format!("… and {}; --json has all\n", counted(more, "more metric")));
            }
        }
        if !found.kernel.is_empty() {
            text.push_str("\nTheir kernels said:\n");
            text.push_str(&kernel(&found.kernel).render(style));
        }
        text.push_str(&self.next(recorded, first, found)?);
        context.print(&text)
    }

    /// Where to look further.
    fn next(&self, recorded: &Recorded<'_>, first: &Outlier, found: &Explanation) -> Result<String> {
        let host = &first.first().host;
        let profile = ProbeName::new(PROFILE).ok();
        let taken = profile.map(|probe| recorded.reader.latest(host, &probe)).transpose()?.flatten();
        let others = self.hosts.as_deref().map_or("'*'".to_owned(), shell_word);
        let mut text = "\n".to_owned();
        text.push_str(&match taken {
            Some(_) => format!("Stacks:  dropsonde flame {host} --vs {others} -o {host}.svg\n"),
            None => format!(
                "Stacks:  dropsonde run {PROFILE} -H {others}, then dropsonde flame {host} --vs {others}\n"
            ),
        });
        let (probe, sweep) = (&first.subject.probe, &found.sweep);
        text.push_str(&format!("Bytes:   dropsonde show {host} {probe} --sweep {sweep} --raw\n"));
        let hosts = shell_word(&fold(&found.hosts));
        let labels = label_options(&first.subject);
        text.push_str(&format!(
            "History: dropsonde history {} -H {hosts}{labels}\n",
            shell_word(&found.metric)
        ));
        Ok(text)
    }
}

/// Why a metric has no line.
fn why_nothing(name: &str, found: &Explanation) -> String {
    match &found.standing {
        Standing::Judged => {
            let far = if found.lacking.is_empty() { "" } else { ", as far as there is enough data" };
            format!("No host differs{far}: nothing to explain. `dropsonde top {name}` ranks them.\n")
        }
        Standing::Unjudged => format!(
            "No host is named for it, as its probe says (judged = \"never\"). `dropsonde top {name}` ranks them.\n"
        ),
        Standing::Unread { last: None } => {
            "It was not read in this sweep, of none of these hosts.\n".to_owned()
        }
        Standing::Unread { last: Some(last) } => format!(
            "It was not read in this sweep, last at {}Z: `dropsonde explain {name} --sweep {}`\n",
            last.started.utc().format("%Y-%m-%d %H:%M"),
            last.sweep
        ),
    }
}

/// What tells a line from the metric's other ones.
fn label_options(subject: &Subject) -> String {
    let option =
        |(label, value): (&String, &String)| format!(" --label {}", shell_word(&format!("{label}={value}")));
    subject.labels.iter().map(option).collect()
}

fn headline(first: &Outlier, found: &Explanation) -> String {
    let host = first.first();
    let multiples = report::multiples(first, host).map(|(lead, rest)| format!(" ({lead}{rest})"));
    let mut text = format!(
        "{}: {} since {}; {} has {}{}\n",
        fold(&found.hosts),
        findings::lens_text(first),
        findings::since(found.since, &found.sweeps),
        host.host,
        report::amounts(first, host).all(),
        multiples.unwrap_or_default()
    );
    let labels = labels_text(&first.subject.labels);
    if !labels.is_empty() {
        text.push_str(&format!("Of {}.\n", escape(&labels, Lines::Single)));
    }
    for other in found.outliers.iter().skip(1) {
        let hosts = fold(other.hosts.iter().map(|it| &it.host));
        let what = findings::subject_text(&other.subject);
        text.push_str(&format!(
            "Apart from it: {hosts} ({}), {}; `dropsonde explain {}{}` explains these.\n",
            findings::lens_text(other),
            escape(&what, Lines::Single),
            escape(&shell_word(&found.metric), Lines::Single),
            escape(&label_options(&other.subject), Lines::Single)
        ));
    }
    text
}

fn shared(found: &Explanation, context: &Context) -> String {
    let (bad, all) = (found.hosts.len(), found.looked_at);
    if found.shared.labels.is_empty() {
        let plural = format!("{} {}", counted(bad, "host"), if bad == 1 { "differs" } else { "differ" });
        return match found.shared.tested {
            0 => format!("{plural}: too few to share a label that says anything.\n"),
            tested => format!(
                "{plural} and {} no label beyond chance ({} of {} tested).\n",
                if bad == 1 { "shares" } else { "share" },
                counted(tested, "split"),
                counted(all, "host")
            ),
        };
    }
    let title = if bad == 1 { "1 host has:".to_owned() } else { format!("{bad} hosts share:") };
    let mut table = Table::new([
        Column::left(&title).elastic(),
        Column::right("OUTLIERS"),
        Column::right("REST"),
        Column::right("P(HOLM)"),
        Column::left(""),
    ]);
    for (nth, it) in found.shared.labels.iter().enumerate() {
        table.row([
            Cell::new(format!("{} {}", it.label, it.value)),
            Cell::new(format!("{}/{}", it.outliers[0], it.outliers[1])),
            Cell::new(format!("{}/{}", it.rest[0], it.rest[1])),
            Cell::new(chance(it.p_holm)),
            Cell::new(remark(nth, it, &found.shared.labels)),
        ]);
    }
    table.render(context.out_style())
}

fn remark(nth: usize, it: &SharedLabel, all: &[SharedLabel]) -> String {
    let calm = match it.without_trouble.as_slice() {
        [] => String::new(),
        few if few.len() <= 3 => {
            format!("{} {} it, too", fold(few), if few.len() == 1 { "has" } else { "have" })
        }
        many => format!("{} others have it", many.len()),
    };
    let strongest = nth == 0 && all.get(1).is_none_or(|next| next.p > it.p);
    if strongest { format!("← strongest  {calm}").trim_end().to_owned() } else { calm }
}

fn chance(p: f64) -> String {
    if p < 0.01 { format!("{p:.0e}") } else { format!("{p:.2}") }
}

fn companions(found: &Explanation) -> Table {
    let mut table = Table::new([
        Column::left("METRIC"),
        Column::left("HOSTS").elastic(),
        Column::right("VALUE"),
        Column::right("PEERS"),
        Column::right("RATIO"),
        Column::left("SINCE"),
    ]);
    for it in found.companions.iter().take(COMPANIONS) {
        table.row([
            Cell::new(findings::subject_text(&it.subject)),
            Cell::new(fold(&it.hosts)),
            Cell::new(units::sample(it.value, &it.unit, it.subject.kind)),
            Cell::new(units::sample(it.peers, &it.unit, it.subject.kind)),
            Cell::new(units::times(it.ratio)),
            Cell::new(findings::since(it.since, &found.sweeps)),
        ]);
    }
    table
}

fn kernel(lines: &[KernelLine]) -> Table {
    let mut table =
        Table::new([Column::left("ABOUT"), Column::left("HOST"), Column::left("MESSAGE").elastic()]);
    for it in lines {
        let text = Cell::new(it.text.as_str());
        table.row([
            Cell::new(it.at.utc().format("%m-%d %H:%M").to_string()),
            Cell::from(it.host.as_str()),
            if it.event.is_some() { text.ink(Ink::Yellow) } else { text },
        ]);
    }
    table
}

fn report(found: &Explanation) -> ExplainReport<'_> {
    ExplainReport {
        schema: Schema,
        metric: &found.metric,
        hosts: found.hosts.iter().collect(),
        shared: found.shared.labels.iter().map(shared_report).collect(),
        sweep: &found.sweep,
        since: found.since.map(CollectorTime::rfc3339),
        looked_at: found.looked_at,
        tested: found.shared.tested,
        findings: found.outliers.iter().map(finding).collect(),
        moved_with: found.companions.iter().map(companion_report).collect(),
        kernel_log: found.kernel.iter().map(kernel_report).collect(),
        lacking: found.lacking.iter().map(lacking).collect(),
        standing: match found.standing {
            Standing::Judged => "judged",
            Standing::Unjudged => "unjudged",
            Standing::Unread { .. } => "unread",
        },
        last_read: match &found.standing {
            Standing::Unread { last } => last.as_ref().map(|last| &last.sweep),
            Standing::Judged | Standing::Unjudged => None,
        },
    }
}

fn shared_report(it: &SharedLabel) -> SharedReport<'_> {
    SharedReport {
        label: &it.label,
        value: &it.value,
        outliers: it.outliers,
        rest: it.rest,
        p: it.p,
        p_holm: it.p_holm,
        without_trouble: &it.without_trouble,
    }
}

fn companion_report(it: &Companion) -> CompanionReport<'_> {
    CompanionReport {
        metric: &it.subject.metric,
        labels: &it.subject.labels,
        statistic: it.subject.statistic,
        hosts: &it.hosts,
        value: it.value,
        peers: it.peers,
        ratio: it.ratio,
        since: it.since.map(CollectorTime::rfc3339),
    }
}

fn kernel_report(it: &KernelLine) -> KernelLineReport<'_> {
    KernelLineReport {
        host: &it.host,
        sweep: &it.sweep,
        at: it.at.rfc3339(),
        event: it.event,
        text: &it.text,
    }
}

//! Why some hosts differ in a metric: what they share, what else moved with it, and what their kernels said
//! when it began. It gives what goes together, and leaves the word cause to whoever reads it.

use std::collections::{BTreeMap, BTreeSet};

use super::outliers::{Question, labels_at, outliers};
use super::series::{course, subjects_of};
use super::sweeps::gap_of;
use crate::compare::{
    Companion, Explanation, KernelLine, Moment, Outlier, Outliers, Shared, Shortage, Standing, Subject,
    shared, since,
};
use crate::model::{CollectorTime, HostName, Labels, ProbeName};
use crate::parse::kernel_messages;
use crate::store::StoreError;
use crate::store::index::{Reader, ReadingRow};

/// Hosts whose kernels are asked, and messages of each.
const ASKED: usize = 4;
const MESSAGES: usize = 3;

/// What only a reading of the kernel's log has.
const KERNEL_METRIC: &str = "kernel_log_lines_total";

/// Gives the output of a reading out of the archive; `None` when it is not there.
pub type Output<'a> = &'a dyn Fn(&ReadingRow) -> Option<Vec<u8>>;

/// Explains the most important line of a metric that has these labels. Its other lines, of other hosts,
/// are neither outliers nor the rest when labels are counted.
pub fn explain(
    question: &Question<'_>,
    (metric, wanted): (&str, &dyn Fn(&Subject) -> bool),
    output: Output<'_>,
) -> Result<Explanation, StoreError> {
    let all = Question { metrics: Vec::new(), lens: None, ..question.clone() };
    let found = outliers(&all)?;
    let line = found.findings.iter().find(|it| it.subject.metric == metric && wanted(&it.subject));
    if let Some(line) = line {
        return explain_found(question, line, &found, output);
    }
    let standing = standing(question, metric, &found)?;
    Ok(Explanation { standing, ..nothing(metric, &found) })
}

/// The same of outliers that were looked for already, in all metrics; `line` is one of them.
pub fn explain_found(
    question: &Question<'_>,
    line: &Outlier,
    found: &Outliers,
    output: Output<'_>,
) -> Result<Explanation, StoreError> {
    let mut explanation = nothing(&line.subject.metric, found);
    // Its own line first.
    explanation.outliers.sort_by_key(|it| it != line);
    let reader = Reader::open(question.root)?;
    explanation.hosts = line.hosts.iter().map(|it| it.host.clone()).collect();
    explanation.since = line.since();
    let hosts: BTreeSet<HostName> = explanation.hosts.iter().cloned().collect();
    let elsewhere = explanation.outliers.iter().skip(1).flat_map(|it| &it.hosts).map(|it| &it.host);
    let labels = labels(&reader, question, (line, found), &elsewhere.collect())?;
    explanation.looked_at = labels.len();
    explanation.shared = shared(&hosts, &labels);
    let others: Vec<&Outlier> =
        found.findings.iter().filter(|it| it.subject.metric != line.subject.metric).collect();
    explanation.companions = companions(line, &hosts, &others, found);
    let began = explanation.companions.iter().map(|it| it.since).chain([line.since()]).flatten().min();
    explanation.kernel = match began {
        Some(began) => kernel(&reader, (line, began), found, output)?,
        // Nobody knows when it was that they said something.
        None => Vec::new(),
    };
    Ok(explanation)
}

/// A metric's lines, of which none is explained.
fn nothing(metric: &str, found: &Outliers) -> Explanation {
    let own = found.findings.iter().filter(|it| it.subject.metric == metric);
    let mine = |it: &&Shortage| it.metrics.is_empty() || it.metrics.iter().any(|name| name == metric);
    Explanation {
        metric: metric.to_owned(),
        sweep: found.sweep.clone(),
        started: found.started,
        standing: Standing::Judged,
        outliers: own.cloned().collect(),
        hosts: Vec::new(),
        since: None,
        shared: Shared::default(),
        companions: Vec::new(),
        kernel: Vec::new(),
        looked_at: found.planned,
        sweeps: found.sweeps.clone(),
        lacking: found.lacking.iter().filter(mine).cloned().collect(),
    }
}

/// Why a metric has no line: nobody differs, nobody is named for it, or nobody has it.
fn standing(question: &Question<'_>, metric: &str, found: &Outliers) -> Result<Standing, StoreError> {
    if found.unjudged.iter().any(|name| name == metric) {
        return Ok(Standing::Unjudged);
    }
    let reader = Reader::open(question.root)?;
    let hosts = match &question.hosts {
        Some(hosts) => hosts.clone(),
        None => reader.hosts()?,
    };
    let frame = reader.frame(&hosts, std::slice::from_ref(&found.sweep))?;
    if !subjects_of(&reader, &frame, metric)?.is_empty() {
        return Ok(Standing::Judged);
    }
    let last = reader.latest_sweep(Some(metric))?.filter(|it| it.sweep != found.sweep);
    Ok(Standing::Unread { last: last.map(|it| Moment { sweep: it.sweep, started: it.started }) })
}

/// Of the hosts that have the metric, at the time of the sweep.
fn labels(
    reader: &Reader,
    question: &Question<'_>,
    (first, found): (&Outlier, &Outliers),
    elsewhere: &BTreeSet<&HostName>,
) -> Result<BTreeMap<HostName, Labels>, StoreError> {
    let asked = match &question.hosts {
        Some(hosts) => hosts.clone(),
        None => reader.hosts()?,
    };
    let frame = reader.frame(&asked, std::slice::from_ref(&found.sweep))?;
    let mut labels = labels_at(reader, &question.sweep)?;
    let mut having = BTreeSet::new();
    if let Some(course) = course(reader, &frame, &first.subject)? {
        let rows = (0..course.hosts.len()).filter(|row| course.at(0, *row).is_some());
        having.extend(rows.map(|row| course.hosts[row].clone()));
    }
    having.extend(first.hosts.iter().map(|it| it.host.clone()));
    having.retain(|host| !elsewhere.contains(host));
    Ok(having.into_iter().map(|host| (host.clone(), labels.remove(&host).unwrap_or_default())).collect())
}

/// What moved with it: most of the same hosts, and at most a sweep earlier or later.
fn companions(
    first: &Outlier,
    hosts: &BTreeSet<HostName>,
    others: &[&Outlier],
    found: &Outliers,
) -> Vec<Companion> {
    let mut best: BTreeMap<&str, &Outlier> = BTreeMap::new();
    for it in others {
        let both = it.hosts.iter().filter(|it| hosts.contains(&it.host)).count();
        let same = both * 2 >= hosts.len() && both * 2 >= it.hosts.len();
        let shared = it.hosts.iter().filter(|it| hosts.contains(&it.host));
        if same && together(first.since(), since(shared), gap_of(&found.sweeps)) {
            // The findings are in their order: the first of a metric is its strongest.
            best.entry(&it.subject.metric).or_insert(it);
        }
    }
    let companion = |it: &Outlier| Companion {
        subject: it.subject.clone(),
        unit: it.about.unit.clone(),
        lens: it.lens,
        hosts: it.hosts.iter().map(|it| it.host.clone()).filter(|host| hosts.contains(host)).collect(),
        value: it.first().value,
        peers: it.first().peers,
        ratio: it.first().ratio,
        since: since(it.hosts.iter().filter(|it| hosts.contains(&it.host))),
        score: it.score,
    };
    let mut companions: Vec<Companion> = best.into_values().map(companion).collect();
    companions.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.subject.cmp(&b.subject)));
    companions
}

fn together(a: Option<CollectorTime>, b: Option<CollectorTime>, gap_ns: i64) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.unix_ns().abs_diff(b.unix_ns()) <= gap_ns.unsigned_abs() * 3 / 2,
        (None, None) => true,
        _ => false,
    }
}

/// What the strongest hosts' kernels said from the sweep before the first sign of it to the one after its
/// onset: where a host booted, its counters have no rate in the sweep that found it so. Of each host what is
/// known to mean trouble, and all where nothing is.
fn kernel(
    reader: &Reader,
    (first, began): (&Outlier, CollectorTime),
    found: &Outliers,
    output: Output<'_>,
) -> Result<Vec<KernelLine>, StoreError> {
    let probes: BTreeSet<ProbeName> = reader
        .described()?
        .iter()
        .filter(|it| it.series.metric == KERNEL_METRIC)
        .map(|it| it.series.probe.clone())
        .collect();
    let last = found.sweeps.len().saturating_sub(1);
    let nth = |at: CollectorTime| found.sweeps.iter().position(|it| it.started == at).unwrap_or(last);
    let (began, onset) = (nth(began), first.since().map_or(last, nth));
    let around = &found.sweeps[began.saturating_sub(1)..=last.min(onset.max(began) + 1)];
    let Some(from) = around.first().map(|it| it.started) else { return Ok(Vec::new()) };
    let mut lines = Vec::new();
    for host in first.hosts.iter().take(ASKED).map(|it| &it.host) {
        let mut said: Vec<(bool, KernelLine)> = Vec::new();
        for (sweep, probe) in around.iter().flat_map(|it| probes.iter().map(move |probe| (&it.sweep, probe)))
        {
            let Some(row) = reader.reading(sweep, host, probe)? else { continue };
            let Some(raw) = output(&row) else { continue };
            for message in kernel_messages(&raw) {
                let at_ns = row.started.unix_ns().saturating_sub((message.before_s * 1e9) as i64);
                let at = CollectorTime::from_unix_ns(at_ns);
                let known = said.iter().any(|(_, it)| alike(&it.text, &message.text));
                if at >= from && !known {
                    let line = KernelLine {
                        host: host.clone(),
                        probe: probe.clone(),
                        sweep: sweep.clone(),
                        at,
                        event: message.event,
                        text: message.text,
                    };
                    said.push((message.event.is_some(), line));
                }
            }
        }
        // Beside an I/O error nobody wants to know when a journal was flushed.
        if said.iter().any(|(telling, _)| *telling) {
            said.retain(|(telling, _)| *telling);
        }
        said.sort_by_key(|(_, line)| line.at);
        said.truncate(MESSAGES);
        lines.extend(said.into_iter().map(|(_, line)| line));
    }
    Ok(lines)
}

/// The same message with another sector, address or count is no news.
fn alike(a: &str, b: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let letters = |word: &str| word.chars().filter(|c| !c.is_ascii_hexdigit()).collect();
        text.split_whitespace().map(letters).collect()
    };
    words(a) == words(b)
}

//! All metrics of all hosts, judged one metric at a time by as many threads as there are CPUs. Memory is
//! that of one metric for each of them, whatever the fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::members::Member;
use super::series::{load, moments, subjects};
use super::sweeps::{WEEK, after, history, looks_back};
use crate::compare::{
    Course, Finding, Found, Grid, Lacking, Lens, Moment, Outlier, OutlierHost, Outliers, Shortage, Single,
    Tally, find, gather, most_important_first, ratio,
};
use crate::model::{CollectorTime, HostName, Judging, Labels, ProbeName, Span};
use crate::select::matches_mask;
use crate::store::StoreError;
use crate::store::index::{Described, Frame, Reader, SweepRow};

/// Hosts of one finding whose histories are kept: a metric may be wild on thousands.
const HISTORIES: usize = 100;

/// More threads wait for the file and not for each other's work.
const MOST_THREADS: usize = 8;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The state directory.
    pub root: &'a Path,
    /// The sweep that is judged, by those before it.
    pub sweep: SweepRow,
    /// Only these hosts, who are each other's peers; `None` for all of the sweep.
    pub hosts: Option<Vec<HostName>>,
    /// Only hosts with the same value of this label are peers.
    pub peers_by: Option<String>,
    /// Only metrics that one of these fits; all where there are none.
    pub metrics: Vec<String>,
    pub lens: Option<Lens>,
}

/// Hosts that are compared with each other.
struct Group {
    name: Option<String>,
    rows: Vec<usize>,
}

/// What the threads share.
struct Survey<'a> {
    question: &'a Question<'a>,
    frame: Frame,
    /// How far back the rates of each probe's counters look.
    looks_back: BTreeMap<ProbeName, Duration>,
    groups: Vec<Group>,
    /// The series of one metric each.
    metrics: Vec<Vec<Described>>,
    /// By the frame's rows: who was judged in some metric.
    judged: Vec<AtomicBool>,
    next: AtomicUsize,
    answers: Mutex<Vec<Result<Answer, StoreError>>>,
}

/// What came out of one metric.
#[derive(Default)]
struct Answer {
    at: usize,
    /// Whether any host has it.
    present: bool,
    /// Whether some of its hosts were judged; and by their past.
    judged: bool,
    by_past: bool,
    /// Whether its probe lets somebody be named for it.
    nameable: bool,
    findings: Vec<Outlier>,
    lacking: Vec<(Option<String>, Lacking)>,
}

/// Judges every metric.
pub fn outliers(question: &Question<'_>) -> Result<Outliers, StoreError> {
    let reader = Reader::open(question.root)?;
    let mut asked = reader.answered(&question.sweep.sweep)?;
    if let Some(hosts) = &question.hosts {
        asked.retain(|(host, _)| hosts.contains(host));
    }
    let planned: Vec<HostName> = asked.iter().map(|(host, _)| host.clone()).collect();
    let sweeps = history(&reader, &question.sweep, WEEK)?;
    let ids: Vec<_> = sweeps.iter().map(|row| row.sweep.clone()).collect();
    let frame = reader.frame(&planned, &ids)?;
    let survey = Survey {
        question,
        groups: groups(&reader, question, &frame)?,
        metrics: metrics(&reader, question)?,
        looks_back: looks_back_all(&reader, &frame)?,
        judged: frame.hosts().iter().map(|_| AtomicBool::new(false)).collect(),
        frame,
        next: AtomicUsize::new(0),
        answers: Mutex::new(Vec::new()),
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    thread::scope(|scope| {
        for _ in 1..threads.min(survey.metrics.len()) {
            scope.spawn(|| survey.work(Reader::open(question.root)));
        }
        survey.work(Ok(reader));
    });
    let names: Vec<String> = survey.metrics.iter().map(|series| series[0].series.metric.clone()).collect();
    let answers = survey.answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut answers = answers.into_iter().collect::<Result<Vec<Answer>, StoreError>>()?;
    answers.sort_by_key(|answer| answer.at);
    let lacking = shortages(&names, &answers, &moments(&survey.frame));
    let metrics = answers.iter().filter(|answer| answer.present).count();
    let judged = Tally {
        hosts: survey.judged.iter().filter(|judged| judged.load(Ordering::Relaxed)).count(),
        metrics: answers.iter().filter(|answer| answer.by_past).count(),
        provisional: answers.iter().filter(|answer| answer.judged && !answer.by_past).count(),
    };
    let unjudged = answers.iter().filter(|answer| answer.present && !answer.nameable);
    let unjudged = unjudged.map(|answer| names[answer.at].clone()).collect();
    let mut findings: Vec<Outlier> = answers.into_iter().flat_map(|answer| answer.findings).collect();
    most_important_first(&mut findings);
    Ok(Outliers {
        sweep: question.sweep.sweep.clone(),
        started: question.sweep.started,
        planned: planned.len(),
        answered: asked.iter().filter(|(_, answered)| *answered).count(),
        metrics,
        judged,
        unjudged,
        peers_by: question.peers_by.clone(),
        sweeps: moments(&survey.frame),
        findings,
        lacking,
    })
}

fn looks_back_all(reader: &Reader, frame: &Frame) -> Result<BTreeMap<ProbeName, Duration>, StoreError> {
    let all = reader.described()?;
    let between = all.iter().filter(|it| it.series.span == Span::Between).map(|it| &it.series.probe);
    let probes: BTreeSet<&ProbeName> = between.collect();
    probes.into_iter().map(|probe| Ok((probe.clone(), looks_back(reader, frame, probe)?))).collect()
}

fn metrics(reader: &Reader, question: &Question<'_>) -> Result<Vec<Vec<Described>>, StoreError> {
    let mut metrics: Vec<Vec<Described>> = Vec::new();
    for described in reader.described()? {
        let name = &described.series.metric;
        if !question.metrics.is_empty() && !question.metrics.iter().any(|mask| matches_mask(mask, name)) {
            continue;
        }
        match metrics.last_mut() {
            Some(same) if same[0].series.metric == *name => same.push(described),
            _ => metrics.push(vec![described]),
        }
    }
    Ok(metrics)
}

/// By the labels as they were at that sweep.
fn groups(reader: &Reader, question: &Question<'_>, frame: &Frame) -> Result<Vec<Group>, StoreError> {
    let Some(label) = &question.peers_by else {
        return Ok(vec![Group { name: None, rows: (0..frame.hosts().len()).collect() }]);
    };
    let labels = labels_at(reader, &question.sweep)?;
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (row, host) in frame.hosts().iter().enumerate() {
        let value = labels.get(host).and_then(|labels| labels.get(label));
        groups.entry(value.cloned().unwrap_or_default()).or_default().push(row);
    }
    Ok(groups.into_iter().map(|(name, rows)| Group { name: Some(name), rows }).collect())
}

/// The hosts' labels as a sweep left them: it may have been the first to say them.
pub(super) fn labels_at(reader: &Reader, sweep: &SweepRow) -> Result<BTreeMap<HostName, Labels>, StoreError> {
    let end = sweep.ended.unwrap_or(CollectorTime::from_unix_ns(i64::MAX));
    reader.labels(end)
}

impl Survey<'_> {
    fn work(&self, reader: Result<Reader, StoreError>) {
        let put =
            |answer| self.answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(answer);
        let reader = match reader {
            Ok(reader) => reader,
            Err(error) => return put(Err(error)),
        };
        let mut scratch = Vec::new();
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(series) = self.metrics.get(at) else { return };
            put(self.metric(&reader, at, series, &mut scratch));
        }
    }

    fn metric(
        &self,
        reader: &Reader,
        at: usize,
        series: &[Described],
        scratch: &mut Vec<f64>,
    ) -> Result<Answer, StoreError> {
        let members = subjects(reader, &self.frame, series)?;
        let nameable = members.iter().any(|it| it.judged != Judging::Never);
        let mut answer = Answer { at, present: !members.is_empty(), nameable, ..Answer::default() };
        let mut singles = Vec::new();
        for member in members.iter().filter(|it| it.judged != Judging::Never) {
            let course = load(reader, &self.frame, member, std::mem::take(scratch))?;
            let lacking = self.judge((member, &course), &mut answer, &mut singles);
            answer.lacking =
                if answer.lacking.is_empty() { lacking } else { least(answer.lacking, &lacking) };
            *scratch = course.into_values();
        }
        answer.findings = gather(singles);
        Ok(answer)
    }

    fn judge(
        &self,
        (member, course): (&Member, &Course),
        answer: &mut Answer,
        singles: &mut Vec<Single>,
    ) -> Vec<(Option<String>, Lacking)> {
        let columns = course.telling();
        let values = course.by_host(&columns);
        let grid = Grid::new(&values, columns.len());
        let measure =
            member.measure(grid, self.looks_back.get(&member.subject.probe).copied().unwrap_or_default());
        let last = course.sweeps.len() - 1;
        let mut lacking = Vec::new();
        for group in &self.groups {
            // Hosts that the probe does not run on are nobody's peers.
            let has = |row: &&usize| columns.iter().rev().take(3).any(|at| course.at(*at, **row).is_some());
            let rows: Vec<usize> = group.rows.iter().filter(has).copied().collect();
            if !rows.iter().any(|row| course.at(last, *row).is_some()) {
                continue;
            }
            let Found { mut findings, lacking: lacks } = find(grid, &rows, measure);
            // Without peers more sweeps would not help.
            let alone = lacks.iter().any(|it| matches!(it, Lacking::Peers { .. }));
            let by_past = !lacks.iter().any(|it| matches!(it, Lacking::Sweeps { .. }));
            let by_peers = !alone && !lacks.iter().any(|it| matches!(it, Lacking::OddPeers { .. }));
            if by_past || by_peers {
                (answer.judged, answer.by_past) = (true, answer.by_past || by_past);
                let there = rows.iter().filter(|row| course.at(last, **row).is_some());
                there.for_each(|row| self.judged[*row].store(true, Ordering::Relaxed));
            }
            let told = lacks.into_iter().filter(|it| !alone || matches!(it, Lacking::Peers { .. }));
            lacking.extend(told.map(|it| (group.name.clone(), it)));
            findings.retain(|it| self.question.lens.is_none_or(|lens| it.lens == lens));
            // A size that is another one for good is no finding.
            findings.retain(|it| it.lens == Lens::Changed || member.judged == Judging::Always);
            if findings.is_empty() {
                continue;
            }
            let usual: Arc<[Option<f64>]> = course.median_of(&rows).into();
            let single = |(nth, finding): (usize, &Finding)| Single {
                subject: member.subject.clone(),
                about: member.about.clone(),
                lens: finding.lens,
                provisional: finding.provisional,
                higher: finding.value > finding.expected,
                host: host(course, &columns, finding, nth < HISTORIES),
                usual: Arc::clone(&usual),
            };
            singles.extend(findings.iter().enumerate().map(single));
        }
        lacking
    }
}

fn host(course: &Course, columns: &[usize], finding: &Finding, with_history: bool) -> OutlierHost {
    let since = finding.since.map(|at| course.sweeps[columns[at]].started);
    OutlierHost {
        host: course.hosts[finding.host].clone(),
        value: finding.value,
        peers: finding.peers,
        expected: finding.expected,
        ratio: ratio(finding.peers, finding.value),
        change: ratio(finding.expected, finding.value),
        since,
        z: finding.z,
        limit: finding.limit,
        n: finding.n,
        score: finding.score,
        history: if with_history { course.history(finding.host) } else { Vec::new() },
    }
}

/// A metric is judged as soon as one of its series is.
fn least(
    a: Vec<(Option<String>, Lacking)>,
    b: &[(Option<String>, Lacking)],
) -> Vec<(Option<String>, Lacking)> {
    a.into_iter().filter(|it| b.contains(it)).collect()
}

/// The same shortage of many metrics is told once.
fn shortages(names: &[String], answers: &[Answer], sweeps: &[Moment]) -> Vec<Shortage> {
    let mut found: Vec<Shortage> = Vec::new();
    for answer in answers {
        for (group, lacking) in &answer.lacking {
            let name = names[answer.at].clone();
            match found.iter_mut().find(|it| it.lacking == *lacking && it.group == *group) {
                Some(same) => same.metrics.push(name),
                None => found.push(Shortage {
                    lacking: *lacking,
                    metrics: vec![name],
                    group: group.clone(),
                    enough_at: match lacking {
                        Lacking::Sweeps { have, need } => after(sweeps, need - have),
                        Lacking::Peers { .. } | Lacking::OddPeers { .. } => None,
                    },
                }),
            }
        }
    }
    let present = answers.iter().filter(|answer| answer.present && answer.nameable).count();
    for shortage in found.iter_mut().filter(|it| it.metrics.len() == present) {
        shortage.metrics.clear();
    }
    found
}

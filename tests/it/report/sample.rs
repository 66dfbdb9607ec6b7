//! Findings of fleets that never were: any number of hosts, names of any kind. The same numbers each time.

use dropsonde::compare::{
    About, Companion, Course, Explanation, KernelLine, Lacking, Lens, Moment, Outlier, OutlierHost, Outliers,
    Shared, SharedLabel, Shortage, Standing, Subject, Tally,
};
use dropsonde::model::{CollectorTime, HostName, Kind, Labels, Outcome, ProbeName, Span, SweepId, Worse};
use dropsonde::report::{Coverage, Page, Picture, ProbeCoverage, Trouble, page};

/// 2026-11-22 23:00 UTC.
const END_S: i64 = 1_795_388_400;

/// Everything that a page is made from.
pub struct Sample {
    pub outliers: Outliers,
    pub pictures: Vec<Option<Picture>>,
    pub explanations: Vec<Explanation>,
    pub coverage: Coverage,
}

/// A number that is about 1, the same for the same arguments.
fn noise(a: usize, b: usize) -> f64 {
    let mut x =
        (a as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (b as u64).wrapping_mul(0xd1b5_4a32_d192_ed03);
    x ^= x >> 29;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 32;
    0.8 + 0.4 * (x % 10_000) as f64 / 10_000.0
}

/// One metric in which some hosts differ.
struct Incident<'a> {
    metric: &'a str,
    unit: &'a str,
    kind: Kind,
    usual: f64,
    times: f64,
    bad: Vec<usize>,
    /// How many sweeps ago it began.
    ago: Option<usize>,
}

impl Sample {
    /// `name` names each host; a tenth of them, at least one, differ in each of `metrics` metrics.
    pub fn fleet(hosts: usize, sweeps: usize, metrics: usize, name: impl Fn(usize) -> String) -> Self {
        let names: Vec<HostName> = (0..hosts).map(|n| HostName::new(&name(n)).expect("a name")).collect();
        let moments: Vec<Moment> = (0..sweeps).map(|n| moment(sweeps - 1 - n)).collect();
        let mut sample = Self::calm(&names, &moments);
        for nth in 0..metrics {
            let (metric, unit, kind) = METRICS[nth % METRICS.len()];
            let bad: Vec<usize> =
                (0..hosts.div_ceil(12)).map(|n| (n * 12 + 5 + nth / 2 * 3) % hosts).collect();
            let times = [3.4, 9.5, 41.0, 1.8, 0.3][nth % 5];
            let usual = [0.001, 3e6, 0.002, 40.0][nth % 4];
            let ago = (!nth.is_multiple_of(4)).then_some(sweeps / 3 + nth);
            let metric = if nth < METRICS.len() { metric.to_owned() } else { format!("{metric}_{nth}") };
            sample.add(&names, &moments, Incident { metric: &metric, unit, kind, usual, times, bad, ago });
        }
        sample.explain(&names);
        sample
    }

    /// A fleet in which nothing differs.
    pub fn calm(names: &[HostName], moments: &[Moment]) -> Self {
        let last = moments.last().expect("a sweep").clone();
        let probe = |name: &str, outcomes: &[(Outcome, u64)]| ProbeCoverage {
            probe: ProbeName::new(name).expect("a name"),
            outcomes: outcomes.iter().copied().collect(),
            bytes_wire: 2_048 * names.len() as u64,
            samples: 480 * names.len() as u64,
        };
        let all = names.len() as u64;
        Self {
            outliers: Outliers {
                sweep: last.sweep.clone(),
                started: last.started,
                planned: names.len(),
                answered: names.len(),
                metrics: 480,
                judged: Tally { hosts: names.len(), metrics: 480, provisional: 0 },
                unjudged: Vec::new(),
                peers_by: None,
                sweeps: moments.to_vec(),
                findings: Vec::new(),
                lacking: Vec::new(),
            },
            pictures: Vec::new(),
            explanations: Vec::new(),
            coverage: Coverage {
                trigger: "scheduled: hourly".to_owned(),
                ended: Some(last.started),
                interrupted: false,
                probes: vec![
                    probe("proc", &[(Outcome::Ok, all)]),
                    probe("kernel_log", &[(Outcome::Ok, all.saturating_sub(1)), (Outcome::TimedOut, 1)]),
                ],
                troubles: vec![Trouble {
                    probe: ProbeName::new("kernel_log").expect("a name"),
                    outcome: Outcome::TimedOut,
                    detail: "no byte for 15s: the host took the script and said nothing".to_owned(),
                    hosts: names.last().map(ToString::to_string).unwrap_or_default(),
                    count: 1,
                }],
            },
        }
    }

    fn add(&mut self, names: &[HostName], moments: &[Moment], it: Incident<'_>) {
        let sweeps = moments.len();
        let salt = self.pictures.len() * 7_919;
        let from = it.ago.map_or(0, |ago| sweeps.saturating_sub(ago + 1));
        let value = |column: usize, row: usize| {
            let day = 1.0 + 0.2 * (column as f64 / 24.0 * std::f64::consts::TAU).sin();
            let times = if it.bad.contains(&row) && column >= from { it.times } else { 1.0 };
            it.usual * day * times * noise(row + salt, column)
        };
        let all = (0..sweeps).flat_map(|column| (0..names.len()).map(move |row| (column, row)));
        let values: Vec<f64> = all.map(|(column, row)| value(column, row)).collect();
        let subject = Subject {
            metric: it.metric.to_owned(),
            labels: Labels::from([("device".to_owned(), "nvme0n1".to_owned())]),
            kind: it.kind,
            span: Span::Window,
            probe: ProbeName::new("proc").expect("a name"),
            statistic: None,
            worst_of: false,
        };
        let about = About {
            unit: it.unit.to_owned(),
            help: "how long a request waited for its turn".to_owned(),
            worse: Worse::Higher,
            warn: None,
        };
        let course = Course::new((subject.clone(), about.clone()), moments.to_vec(), names.to_vec(), values);
        let host = |row: &usize| OutlierHost {
            host: names[*row].clone(),
            value: value(sweeps - 1, *row),
            peers: it.usual,
            expected: it.usual * 1.1,
            ratio: Some(value(sweeps - 1, *row) / it.usual),
            change: Some(it.times),
            since: it.ago.map(|_| moments[from].started),
            z: 18.2,
            limit: 3.5,
            n: sweeps,
            score: 2.0,
            history: course.history(*row),
        };
        let rows: Vec<usize> = (0..names.len()).collect();
        let outlier = Outlier {
            subject,
            about,
            lens: if it.ago.is_some() { Lens::Changed } else { Lens::Odd },
            provisional: false,
            higher: it.times > 1.0,
            hosts: it.bad.iter().map(host).collect(),
            warned: false,
            usual: course.median_of(&rows),
            score: 2.0,
        };
        self.pictures.push(Picture::of(&outlier, &course));
        self.outliers.findings.push(outlier);
    }

    fn explain(&mut self, names: &[HostName]) {
        for it in self.outliers.findings.iter().take(2) {
            let bad = it.hosts.len() as u64;
            let label = |label: &str, value: &str, rest: u64| SharedLabel {
                label: label.to_owned(),
                value: value.to_owned(),
                outliers: [bad, bad],
                rest: [rest, names.len() as u64 - bad],
                p: 1e-6,
                p_holm: 1e-4,
                without_trouble: names.iter().take(rest as usize).cloned().collect(),
            };
            self.explanations.push(Explanation {
                standing: Standing::Judged,
                metric: it.subject.metric.clone(),
                sweep: self.outliers.sweep.clone(),
                started: self.outliers.started,
                looked_at: names.len(),
                sweeps: self.outliers.sweeps.clone(),
                lacking: Vec::new(),
                outliers: vec![it.clone()],
                hosts: it.hosts.iter().map(|it| it.host.clone()).collect(),
                since: it.since(),
                shared: Shared {
                    labels: vec![label("nic_driver", "ena 2.13", 0), label("kernel", "6.8.0-52-generic", 1)],
                    tested: 14,
                },
                companions: vec![Companion {
                    subject: Subject { metric: "softirq_time_ratio".to_owned(), ..it.subject.clone() },
                    unit: "ratio".to_owned(),
                    lens: Lens::Changed,
                    hosts: it.hosts.iter().map(|it| it.host.clone()).collect(),
                    value: 0.34,
                    peers: 0.1,
                    ratio: Some(3.4),
                    since: it.since(),
                    score: 1.0,
                }],
                kernel: vec![KernelLine {
                    host: it.first().host.clone(),
                    probe: ProbeName::new("kernel_log").expect("a name"),
                    sweep: self.outliers.sweep.clone(),
                    at: self.outliers.started,
                    event: None,
                    text: "nvme nvme0: I/O 12 QID 3 timeout, aborting".to_owned(),
                }],
            });
        }
    }

    /// What lacks in a fleet that is new and small.
    pub fn lack(mut self) -> Self {
        let shortage = |lacking, metrics: &[&str]| Shortage {
            lacking,
            metrics: metrics.iter().map(|it| (*it).to_owned()).collect(),
            group: None,
            enough_at: Some(CollectorTime::from_unix_s(END_S + 80_000)),
        };
        self.outliers.lacking = vec![
            shortage(Lacking::Peers { have: 0, need: 3 }, &[]),
            shortage(Lacking::Sweeps { have: 1, need: 24 }, &["disk_await_seconds"]),
        ];
        self
    }

    /// Puts a text wherever a host or a person may have put one.
    pub fn hostile(mut self, text: &str) -> Self {
        let labels = Labels::from([(text.to_owned(), text.to_owned())]);
        self.outliers.peers_by = Some(text.to_owned());
        for it in &mut self.outliers.findings {
            it.subject.metric = text.to_owned();
            it.subject.labels.clone_from(&labels);
            it.about.unit = text.to_owned();
            it.about.help = text.to_owned();
        }
        for it in &mut self.explanations {
            it.metric = text.to_owned();
            it.shared.labels.iter_mut().for_each(|label| {
                label.label = text.to_owned();
                label.value = text.to_owned();
            });
            it.companions.iter_mut().for_each(|it| it.subject.metric = text.to_owned());
            it.kernel.iter_mut().for_each(|line| line.text = text.to_owned());
        }
        self.coverage.trigger = text.to_owned();
        self.coverage.troubles.iter_mut().for_each(|it| {
            it.detail = text.to_owned();
            it.hosts = text.to_owned();
        });
        self.outliers.lacking = vec![Shortage {
            lacking: Lacking::Peers { have: 1, need: 3 },
            metrics: vec![text.to_owned()],
            group: Some(text.to_owned()),
            enough_at: None,
        }];
        self
    }

    pub fn page(&self) -> String {
        page(&Page {
            outliers: &self.outliers,
            pictures: &self.pictures,
            explanations: &self.explanations,
            coverage: &self.coverage,
            hosts: self.outliers.peers_by.as_deref(),
            version: "0.0.0",
        })
    }
}

/// A sweep of an hourly schedule.
pub fn moment(ago: usize) -> Moment {
    let started = CollectorTime::from_unix_s(END_S - 3_600 * ago as i64);
    Moment { sweep: SweepId::at(started, 7), started }
}

const METRICS: [(&str, &str, Kind); 6] = [
    ("runq_latency_seconds", "seconds", Kind::Gauge),
    ("disk_read_bytes_total", "bytes", Kind::Counter),
    ("steal_time_ratio", "ratio", Kind::Gauge),
    ("tcp_retransmitted_segments_total", "segments", Kind::Counter),
    ("memory_available_bytes", "bytes", Kind::Gauge),
    ("blocked_tasks", "tasks", Kind::Gauge),
];

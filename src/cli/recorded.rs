//! What was recorded, asked for in a person's words: a sweep by the beginning of its id, hosts by a
//! selector, a metric by its name. It never asks the inventory which hosts there are: a host that was taken
//! out of it keeps its history.

use std::collections::BTreeMap;

use anyhow::Result;

use super::Context;
use super::failure::{BadSelector, Usage};
use crate::model::{CollectorTime, Host, HostName, Kind, Labels, ProbeName, Span, SweepId, parse_duration};
use crate::render::units;
use crate::select::{Catalog, SelectError, Selector, fold, nearest};
use crate::store::index::{MetricRow, Reader, SweepRow};

/// Sweeps that are offered where one was not understood.
const OFFERED: usize = 3;

/// The index and what a question to it needs.
pub struct Recorded<'a> {
    context: &'a Context,
    pub reader: Reader,
}

impl<'a> Recorded<'a> {
    pub fn open(context: &'a Context) -> Result<Self> {
        Ok(Self { context, reader: context.reader()? })
    }

    /// Where the archive is.
    pub fn state_dir(&self) -> Result<std::path::PathBuf> {
        self.context.state_dir()
    }

    /// The sweep that `text` means: an id, the beginning of exactly one, or `latest`.
    pub fn sweep(&self, text: &str) -> Result<SweepRow> {
        if text == "latest" {
            let latest = self.reader.latest_sweep(None)?;
            return latest.ok_or_else(|| Usage("no sweep was recorded yet".to_owned()).into());
        }
        let like = self.reader.sweeps_like(text, OFFERED + 1)?;
        match like.as_slice() {
            [] => Err(self.unknown_sweep(text)?.into()),
            [only] => Ok(self.reader.sweep(only)?.ok_or_else(|| Usage(format!("no sweep {only}")))?),
            many => {
                let shown: Vec<&str> = many.iter().take(OFFERED).map(SweepId::as_str).collect();
                let more = if many.len() > OFFERED { ", …" } else { "" };
                let all = shown.join(", ");
                Err(Usage(format!("{text} begins the ids of several sweeps: {all}{more}")).into())
            }
        }
    }

    /// A moment in a person's words: a time (UTC), how long ago, or when a sweep started.
    pub fn moment(&self, text: &str) -> Result<CollectorTime> {
        if let Some(at) = time(text, now()) {
            return Ok(at);
        }
        match self.sweep(text) {
            Ok(sweep) => Ok(sweep.started),
            Err(several) if !self.reader.sweeps_like(text, 1)?.is_empty() => Err(several),
            Err(_) => {
                let expected =
                    "expected a time (2026-11-22T15:00Z, 2026-11-22), how long ago (90m, 2d), or a sweep";
                Err(Usage(format!("{text} is no moment: {expected}")).into())
            }
        }
    }

    fn unknown_sweep(&self, text: &str) -> Result<Usage> {
        let known = self.reader.sweeps(1_000)?;
        let near = nearest(text, known.iter().map(|row| row.sweep.as_str()));
        Ok(Usage(format!("no sweep {text} (`dropsonde sweeps` lists them){}", did_you_mean(&near))))
    }

    /// At most `limit` sweeps up to this one, the oldest first.
    pub fn sweeps_until(&self, last: &SweepRow, limit: usize) -> Result<Vec<SweepId>> {
        Ok(self.reader.sweeps_until(&last.sweep, limit)?)
    }

    /// The hosts that `selector` means, of all that were ever recorded, with their labels as they were at
    /// the end of `sweep`. Groups are those of the configuration, which is only read when one is named.
    pub fn hosts(&self, selector: &str, sweep: Option<&SweepRow>) -> Result<Vec<HostName>> {
        let bad = |error| BadSelector { text: selector.to_owned(), error };
        let parsed = Selector::parse(selector).map_err(bad)?;
        let names = self.reader.hosts()?;
        let mut labels = BTreeMap::new();
        if selector.contains('=') {
            let end = sweep.and_then(|sweep| sweep.ended).unwrap_or(CollectorTime::from_unix_ns(i64::MAX));
            labels = self.reader.labels(end)?;
        }
        let hosts: Vec<Host> =
            names.iter().map(|name| host(name, labels.remove(name).unwrap_or_default())).collect();
        let mut groups = BTreeMap::new();
        if selector.contains('@') {
            groups.clone_from(&self.context.settings()?.fleet.groups);
            // A member that was never swept has nothing to show.
            let known: std::collections::HashSet<&HostName> = names.iter().collect();
            groups.values_mut().for_each(|members| members.retain(|member| known.contains(member)));
        }
        let catalog = Catalog { hosts: &hosts, groups: &groups };
        let chosen = match parsed.select(&catalog) {
            Ok(chosen) => chosen,
            Err(SelectError::UnknownHost { names, nearest, .. }) => {
                let who = format!("nothing was recorded of {}", fold(names));
                return Err(Usage(format!("{who}{}", did_you_mean(&nearest))).into());
            }
            Err(error) => return Err(bad(error).into()),
        };
        if chosen.is_empty() {
            let idle = parsed.idle_terms(&catalog).map_err(bad)?;
            let near: Vec<String> = idle.into_iter().flat_map(|term| term.nearest).collect();
            let what = format!("the selector {selector} names no host that was recorded");
            return Err(Usage(format!("{what}{}", did_you_mean(&near))).into());
        }
        Ok(chosen.into_iter().map(|index| names[index].clone()).collect())
    }

    /// One host of all that were ever recorded.
    pub fn host(&self, name: &str) -> Result<HostName> {
        match self.hosts(name, None)?.as_slice() {
            [only] => Ok(only.clone()),
            many => Err(Usage(format!("{name} is {} hosts; expected one", many.len())).into()),
        }
    }

    pub fn probe(&self, name: &str) -> Result<ProbeName> {
        let known = self.reader.probes()?;
        if let Some(probe) = known.iter().find(|probe| probe.as_str() == name) {
            return Ok(probe.clone());
        }
        let near = nearest(name, known.iter().map(ProbeName::as_str));
        let all = known.iter().map(ProbeName::as_str).collect::<Vec<_>>().join(", ");
        let hint = if near.is_empty() { format!("; recorded are {all}") } else { did_you_mean(&near) };
        Err(Usage(format!("no reading of a probe {name}{hint}")).into())
    }

    pub fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics(self.reader.metrics(None)?))
    }
}

/// The moment of the question.
fn now() -> CollectorTime {
    CollectorTime::from_unix_ns(chrono::Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX))
}

/// What a text says of the time, in UTC where it names no zone.
fn time(text: &str, now: CollectorTime) -> Option<CollectorTime> {
    use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
    let text = text.trim_end_matches(" ago");
    if let Ok(ago) = parse_duration(text) {
        let ago_ns = i64::try_from(ago.as_nanos()).ok()?;
        return Some(CollectorTime::from_unix_ns(now.unix_ns().checked_sub(ago_ns)?));
    }
    let zoned = DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
    let plain = || {
        let text = text.trim_end_matches(['Z', 'z']);
        let forms = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"];
        let times = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
        let day = || Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN));
        times.or_else(day).map(|at| at.and_utc())
    };
    zoned.or_else(plain)?.timestamp_nanos_opt().map(CollectorTime::from_unix_ns)
}

/// A host that is only a name and its labels: nothing here connects to it.
fn host(name: &HostName, labels: Labels) -> Host {
    Host { labels, ..Host::new(name.clone(), "") }
}

/// Everything that is known about metrics.
pub struct Metrics(pub Vec<MetricRow>);

impl Metrics {
    /// The metric of this name and kind; the latest when its unit changed.
    pub fn of(&self, name: &str, kind: Kind) -> Option<&MetricRow> {
        self.0.iter().rev().find(|row| row.name == name && row.kind == kind)
    }

    /// The metric of this name, or what to say about it.
    pub fn find(&self, name: &str) -> Result<&MetricRow, Usage> {
        let rows = || self.0.iter().rev().filter(|row| row.name == name);
        if let Some(row) = rows().find(|row| row.kind != Kind::Histogram).or_else(|| rows().next()) {
            return Ok(row);
        }
        // A part of a long name is what people remember.
        let mut near: Vec<String> = nearest(name, self.0.iter().map(|row| row.name.as_str()));
        let words = |known: &&String| name.split('_').all(|word| known.contains(word));
        let parts = self.0.iter().map(|row| &row.name).filter(words);
        near.extend(parts.take(OFFERED).cloned());
        near.dedup();
        near.truncate(OFFERED);
        Err(Usage(format!("no metric {name} (`dropsonde top` lists them){}", did_you_mean(&near))))
    }

    pub fn unit(&self, name: &str, kind: Kind) -> &str {
        self.of(name, kind).map_or("", |row| row.unit.as_str())
    }

    /// A value in its metric's unit.
    pub fn text(&self, name: &str, kind: Kind, value: impl Into<Option<f64>>) -> String {
        units::sample(value, self.unit(name, kind), kind)
    }
}

/// The span to show of a metric that has several: the probe's own window says what is now, and where it
/// has none the time between two sweeps does.
pub fn usual_span(spans: impl IntoIterator<Item = Span>) -> Option<Span> {
    let order = |span: &Span| match span {
        Span::Window => 0,
        Span::Between => 1,
        Span::Instant => 2,
    };
    spans.into_iter().min_by_key(order)
}

/// `--span`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SpanChoice {
    /// Within the probe's own seconds
    Window,
    /// Since the sweep before
    Between,
}

impl From<SpanChoice> for Span {
    fn from(choice: SpanChoice) -> Self {
        match choice {
            SpanChoice::Window => Self::Window,
            SpanChoice::Between => Self::Between,
        }
    }
}

/// `--label device=sda`, as often as it was given.
pub fn label_masks(given: &[String]) -> Result<Vec<(&str, &str)>, Usage> {
    let pair = |text| str::split_once(text, '=').ok_or(text);
    let pairs: Result<Vec<(&str, &str)>, &str> = given.iter().map(String::as_str).map(pair).collect();
    pairs.map_err(|text| Usage(format!("--label {text}: expected LABEL=VALUE, as in --label device=sda")))
}

/// `cpu=0,mode=user`.
pub fn labels_text(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
    pairs.join(",")
}

pub fn did_you_mean(near: &[String]) -> String {
    match near {
        [] => String::new(),
        [only] => format!("; did you mean {only}?"),
        [most @ .., last] => format!("; did you mean {} or {last}?", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_in_a_persons_words() {
        let now = CollectorTime::from_unix_s(1_795_392_000);
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(time(text, now).map(CollectorTime::rfc3339).as_deref(), expected, "{text}");
        };
        check("2026-11-22T15:00Z", Some("2026-11-22T15:00:00Z"));
        check("2026-11-22 15:00", Some("2026-11-22T15:00:00Z"));
        check("2026-11-22T15:00:01+01:00", Some("2026-11-22T14:00:01Z"));
        check("2026-11-22", Some("2026-11-22T00:00:00Z"));
        check("2h", Some("2026-11-22T22:00:00Z"));
        check("1d ago", Some("2026-11-22T00:00:00Z"));
        for none in ["", "yesterday", "20261122T15", "2026-13-01", "-2h", "99999999d"] {
            check(none, None);
        }
    }

    #[test]
    fn the_window_is_shown_before_the_time_between_sweeps() {
        assert_eq!(usual_span([Span::Between, Span::Window]), Some(Span::Window));
        assert_eq!(usual_span([Span::Between]), Some(Span::Between));
        assert_eq!(usual_span([Span::Instant]), Some(Span::Instant));
        assert_eq!(usual_span([]), None);
    }
}

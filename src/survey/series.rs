//! The values of one subject, read from the index.

use super::members::{Member, members};
use crate::compare::{Course, Distribution, Interval, Moment, Statistic, Subject, worst};
use crate::model::Kind;
use crate::store::StoreError;
use crate::store::index::{Described, Frame, Reader};

/// The columns of a frame.
pub(super) fn moments(frame: &Frame) -> Vec<Moment> {
    frame.sweeps().iter().map(|row| Moment { sweep: row.sweep.clone(), started: row.started }).collect()
}

/// What of a metric is compared in the last sweep of the frame; `series` are the metric's.
pub(super) fn subjects(
    reader: &Reader,
    frame: &Frame,
    series: &[Described],
) -> Result<Vec<Member>, StoreError> {
    let mut found = Vec::with_capacity(series.len());
    for described in series {
        found.push((described.clone(), reader.present(frame, described)?));
    }
    Ok(members(found))
}

/// Reads a member's values; `scratch` is memory to be used again.
pub(super) fn load(
    reader: &Reader,
    frame: &Frame,
    member: &Member,
    mut scratch: Vec<f64>,
) -> Result<Course, StoreError> {
    let mut first = true;
    let mut other = Vec::new();
    for described in &member.series {
        let values = if first { &mut scratch } else { &mut other };
        fill(reader, frame, (described, member.subject.statistic), values)?;
        if !first {
            for (value, other) in scratch.iter_mut().zip(&other) {
                *value = worst([*value, *other], member.about.worse).unwrap_or(f64::NAN);
            }
        }
        first = false;
    }
    let known = (member.subject.clone(), member.about.clone());
    Ok(Course::new(known, moments(frame), frame.hosts().to_vec(), scratch))
}

fn fill(
    reader: &Reader,
    frame: &Frame,
    (described, statistic): (&Described, Option<&'static str>),
    values: &mut Vec<f64>,
) -> Result<(), StoreError> {
    let Some(statistic) =
        statistic.and_then(Statistic::parse).filter(|_| described.series.kind == Kind::Histogram)
    else {
        return reader.panel(frame, described, values);
    };
    let hosts = frame.hosts().len();
    values.clear();
    values.resize(hosts * frame.sweeps().len(), f64::NAN);
    reader.histogram_panel(frame, described, &mut |column, row, histogram| {
        let distribution = Distribution::try_from(&histogram).ok();
        let number = distribution.and_then(|it| statistic.of(&it)).map(Interval::bound);
        values[column * hosts + row] = number.unwrap_or(f64::NAN);
    })
}

/// What of a metric is compared in the last sweep of the frame.
pub fn subjects_of(reader: &Reader, frame: &Frame, metric: &str) -> Result<Vec<Subject>, StoreError> {
    let series = of_metric(reader, metric)?;
    Ok(subjects(reader, frame, &series)?.into_iter().map(|it| it.subject).collect())
}

/// Every host's values of one subject; `None` when no host of the frame has it in the last sweep.
pub fn course(reader: &Reader, frame: &Frame, subject: &Subject) -> Result<Option<Course>, StoreError> {
    let series = of_metric(reader, &subject.metric)?;
    let found = subjects(reader, frame, &series)?.into_iter().find(|it| it.subject == *subject);
    found.map(|member| load(reader, frame, &member, Vec::new())).transpose()
}

/// Every host's values of a whole metric: of the subjects that are wanted each host's worst, and one itself
/// where it is the only one. Those that nobody has any more count, too.
pub fn whole(
    reader: &Reader,
    frame: &Frame,
    metric: &str,
    wanted: &dyn Fn(&Subject) -> bool,
) -> Result<Option<Course>, StoreError> {
    let mut series = of_metric(reader, metric)?;
    series.retain(|described| wanted(&plain(described)));
    // A unit that changed is another metric: the latest is meant.
    let latest = series.iter().map(|it| it.metric.unit.clone()).next_back();
    series.retain(|it| Some(&it.metric.unit) == latest.as_ref());
    let everybody = |described: Described| (described, usize::MAX / 4);
    let members = members(series.into_iter().map(everybody).collect());
    let statistic = members.first().and_then(|it| it.subject.statistic);
    let mut members = members.into_iter().filter(|it| it.subject.statistic == statistic);
    let Some(first) = members.next() else { return Ok(None) };
    let all = members.fold(first, |mut all, it| {
        all.subject.labels.clear();
        all.subject.worst_of = true;
        all.series.extend(it.series);
        all
    });
    load(reader, frame, &all, Vec::new()).map(Some)
}

fn plain(described: &Described) -> Subject {
    let series = &described.series;
    Subject {
        metric: series.metric.clone(),
        labels: series.labels.clone(),
        kind: series.kind,
        span: series.span,
        probe: series.probe.clone(),
        statistic: None,
        worst_of: false,
    }
}

fn of_metric(reader: &Reader, metric: &str) -> Result<Vec<Described>, StoreError> {
    let mut series = reader.described()?;
    series.retain(|it| it.series.metric == metric);
    Ok(series)
}

//! Questions about histograms: of one sweep over all hosts, and of some hosts over many sweeps.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::columns::{SERIES, SqlResult, find_series, labels, list, name, one, series_row, unsigned};
use super::{HostHistogram, Reader, Series, histogram};
use crate::model::{Histogram, HostName, LabelPairs, SweepId};
use crate::store::StoreError;

impl Reader {
    /// Every histogram of a sweep, series by series and then by host; `take` is called once for each.
    pub fn each_histogram(
        &self,
        sweep: &SweepId,
        take: &mut dyn FnMut(HostHistogram),
    ) -> Result<(), StoreError> {
        self.ask(|conn| {
            let series = list(conn, &format!("{SERIES} ORDER BY s.id"), [], series_row)?;
            series.iter().try_for_each(|series| of_series(conn, sweep, series, take))
        })
    }

    /// One metric's histograms of every host in a sweep, by series and then host.
    pub fn histograms_at(&self, sweep: &SweepId, metric: &str) -> Result<Vec<HostHistogram>, StoreError> {
        let mut found = Vec::new();
        self.ask(|conn| {
            let series = find_series(conn, metric)?;
            series.iter().try_for_each(|series| of_series(conn, sweep, series, &mut |it| found.push(it)))
        })?;
        Ok(found)
    }

    /// Those of some series on one host, sweep by sweep.
    pub fn histograms_over(
        &self,
        host: &HostName,
        series: &[Arc<Series>],
        sweeps: &[SweepId],
    ) -> Result<Vec<Vec<Histogram>>, StoreError> {
        let Some(metric) = series.first().map(|series| &series.metric) else {
            return Ok(vec![Vec::new(); sweeps.len()]);
        };
        let sql = "SELECT count, sum, max, buckets FROM histogram WHERE series = ?1
                   AND sweep = (SELECT id FROM sweep WHERE name = ?2)
                   AND host = (SELECT id FROM host WHERE name = ?3)";
        self.ask(|conn| {
            let mut known = find_series(conn, metric)?;
            known.retain(|(_, known)| series.contains(known));
            let in_sweep = |sweep: &SweepId| {
                let mut found = Vec::new();
                for (id, series) in &known {
                    let place = params![id, sweep.as_str(), host.as_str()];
                    let row = |row: &Row<'_>| columns(row, 0, series.metric.clone(), Vec::new());
                    found.extend(one(conn, sql, place, row)?);
                }
                Ok(found)
            };
            sweeps.iter().map(in_sweep).collect()
        })
    }
}

fn of_series(
    conn: &Connection,
    sweep: &SweepId,
    (id, series): &(i64, Arc<Series>),
    take: &mut dyn FnMut(HostHistogram),
) -> SqlResult<()> {
    let sql = "SELECT h.name, x.count, x.sum, x.max, x.buckets FROM histogram x
               JOIN host h ON h.id = x.host
               WHERE x.series = ?1 AND x.sweep = (SELECT id FROM sweep WHERE name = ?2) ORDER BY x.host";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![id, sweep.as_str()])?;
    while let Some(row) = rows.next()? {
        let host: HostName = name(row, 0)?;
        let labels = series.labels.iter().map(|(label, value)| (label.clone().into(), value.clone()));
        let histogram = columns(row, 1, series.metric.clone(), labels.collect())?;
        take(HostHistogram { host, series: Arc::clone(series), histogram });
    }
    Ok(())
}

/// `count, sum, max, buckets` from column `at` on.
fn columns(row: &Row<'_>, at: usize, metric: String, labels: LabelPairs) -> SqlResult<Histogram> {
    Ok(Histogram {
        metric: metric.into(),
        labels,
        count: unsigned(row, at)?,
        sum: row.get(at + 1)?,
        max: row.get(at + 2)?,
        buckets: histogram::decode(row.get_ref(at + 3)?.as_blob()?).unwrap_or_default(),
    })
}

/// One reading's histograms, in the order in which their series were first seen.
pub(super) fn of_reading(conn: &Connection, [sweep, host, probe]: [i64; 3]) -> SqlResult<Vec<Histogram>> {
    let sql = "SELECT m.name, s.labels, x.count, x.sum, x.max, x.buckets FROM histogram x
               JOIN series s ON s.id = x.series JOIN metric m ON m.id = s.metric
               WHERE x.sweep = ?1 AND x.host = ?2 AND s.probe = ?3 ORDER BY x.series";
    list(conn, sql, [sweep, host, probe], |row| {
        let labels = labels(row, 1)?.into_iter().map(|(label, value)| (label.into(), value)).collect();
        columns(row, 2, row.get(0)?, labels)
    })
}

/// The newest sweep with a histogram of this series.
pub(super) fn latest(conn: &Connection, series: i64) -> SqlResult<Option<i64>> {
    let sql = "SELECT max(sweep) FROM histogram WHERE series = ?1";
    Ok(one(conn, sql, [series], |row| row.get(0))?.flatten())
}

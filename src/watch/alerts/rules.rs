//! What a sweep says of the configuration's alerts.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::book::{Book, Observation};
use super::notice::Worst;
use crate::config::{Alert, Settings};
use crate::model::HostName;
use crate::render::units;
use crate::select::Selector;
use crate::store::StoreError;
use crate::watch::sight::{Met, Sight};

/// One observation for each metric that a rule is met in, or was met in by an incident that is still open.
pub(super) fn observations(
    settings: &Settings,
    sight: &Sight,
    book: &Book,
) -> Result<Vec<Observation>, StoreError> {
    let mut observations = Vec::new();
    for alert in &settings.alerts {
        let meant = hosts(settings, alert);
        let mut met = sight.met(&alert.when)?;
        met.values_mut().for_each(|met| met.retain(|it| meant.contains(&it.host)));
        met.retain(|_, met| !met.is_empty());
        let open: BTreeSet<String> =
            book.incidents.iter().filter(|it| it.rule == alert.name).map(|it| it.subject.clone()).collect();
        let metrics: BTreeSet<String> = met.keys().cloned().chain(open.iter().cloned()).collect();
        for metric in metrics {
            // Who is fine only matters to an incident.
            let fine = match open.contains(&metric) {
                true => sight.with_a_value(&alert.when, &metric)?,
                false => BTreeSet::new(),
            };
            observations.push(observation((alert, &metric), &mut met, fine, sight));
        }
    }
    Ok(observations)
}

fn hosts<'a>(settings: &'a Settings, alert: &Alert) -> HashSet<&'a HostName> {
    let fleet = &settings.fleet;
    // It was checked when it was read, against the same inventory.
    let chosen = alert.hosts.as_ref().map(|selector| {
        Selector::parse(selector).and_then(|it| it.select(&fleet.catalog())).unwrap_or_default()
    });
    match chosen {
        Some(chosen) => chosen.into_iter().map(|index| &fleet.hosts[index].name).collect(),
        None => fleet.hosts.iter().map(|host| &host.name).collect(),
    }
}

fn observation(
    (alert, metric): (&Alert, &str),
    met: &mut BTreeMap<String, Vec<Met>>,
    fine: BTreeSet<HostName>,
    sight: &Sight,
) -> Observation {
    let met = met.remove(metric).unwrap_or_default();
    let worst = met.first().map(|met| Worst {
        host: met.host.clone(),
        value: Some(met.value).filter(|value| value.is_finite()),
        text: units::sample(met.value, &met.unit, met.kind),
        usual: met.expected.map(|expected| units::sample(expected, &met.unit, met.kind)),
    });
    Observation {
        rule: alert.name.clone(),
        subject: metric.to_owned(),
        severity: alert.severity,
        metric: Some(metric.to_owned()),
        condition: alert.when.to_string(),
        detail: None,
        amiss: !met.is_empty(),
        met: met.into_iter().map(|met| met.host).collect(),
        worst,
        fine,
        sweep: Some(sight.sweep.sweep.clone()),
    }
}

//! What happens to real fleets: hosts come and go, reboot, fall silent, and differ for good.

use super::*;
use crate::compare::Shape;
use crate::model::Worse;

const SWEEPS: usize = 60;

const SECONDS: Measure = Measure { shape: Shape::Amount, worse: Worse::Higher, resolution: 1e-5 };
const EVENTS: Measure = Measure { shape: Shape::Events, worse: Worse::Higher, resolution: 1.0 };

/// Hosts of a millisecond that agree to some 3 %, and follow the day together.
fn fleet(hosts: usize) -> Vec<f64> {
    let value = |at: usize| {
        let (host, sweep) = (at / SWEEPS, at % SWEEPS);
        let noise = ((host * 7 + sweep * 13 + host * sweep) % 17) as f64 / 17.0 - 0.5;
        1e-3 * (1.0 + 0.06 * noise) * (sweep as f64 / 4.0).sin().exp()
    };
    (0..hosts * SWEEPS).map(value).collect()
}

fn found(values: &[f64], sweeps: usize, measure: Measure) -> Vec<Finding> {
    let group: Vec<usize> = (0..values.len() / sweeps).collect();
    find(Grid::new(values, sweeps), &group, measure).findings
}

fn names(values: &[f64], measure: Measure) -> Vec<(usize, Lens)> {
    found(values, SWEEPS, measure).iter().map(|it| (it.host, it.lens)).collect()
}

#[test]
fn a_host_that_changed_is_found_with_its_onset() {
    let mut values = fleet(12);
    assert_eq!(names(&values, SECONDS), []);
    values[3 * SWEEPS + 50..4 * SWEEPS].iter_mut().for_each(|value| *value *= 3.0);
    // An incident may pause for an hour.
    values[3 * SWEEPS + 55] /= 3.0;
    let findings = found(&values, SWEEPS, SECONDS);
    assert_eq!(findings.len(), 1, "{findings:?}");
    let it = findings[0];
    assert_eq!((it.host, it.lens, it.since, it.provisional), (3, Lens::Changed, Some(50), false));
    assert!((it.value / it.expected - 3.0).abs() < 0.2 && (it.value / it.peers - 3.0).abs() < 0.2, "{it:?}");
    assert!(it.z >= it.limit);
}

#[test]
fn one_wild_value_is_an_accident() {
    let mut values = fleet(12);
    values[4 * SWEEPS - 1] *= 100.0;
    assert_eq!(names(&values, SECONDS), []);
}

#[test]
fn only_the_bad_side_counts() {
    let mut values = fleet(12);
    values[3 * SWEEPS + 50..4 * SWEEPS].iter_mut().for_each(|value| *value /= 3.0);
    assert_eq!(names(&values, SECONDS), []);
    for worse in [Worse::Lower, Worse::Either] {
        assert_eq!(names(&values, Measure { worse, ..SECONDS }), [(3, Lens::Changed)]);
    }
}

#[test]
fn what_all_do_is_no_hosts_difference() {
    let mut values = fleet(12);
    values.chunks_mut(SWEEPS).for_each(|host| host[50..].iter_mut().for_each(|value| *value *= 5.0));
    assert_eq!(names(&values, SECONDS), []);
}

#[test]
fn a_host_that_was_always_odd_did_not_change() {
    let mut values = fleet(48);
    values[3 * SWEEPS..4 * SWEEPS].iter_mut().for_each(|value| *value *= 5.0);
    let findings = found(&values, SWEEPS, SECONDS);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((findings[0].lens, findings[0].since, findings[0].provisional), (Lens::Odd, None, false));
    // Worse than ever, it is found as changed, measured by its own past.
    values[3 * SWEEPS + 58..4 * SWEEPS].iter_mut().for_each(|value| *value *= 2.0);
    let it = found(&values, SWEEPS, SECONDS)[0];
    assert_eq!((it.lens, it.since), (Lens::Changed, Some(58)));
    assert!((it.value / it.expected - 2.0).abs() < 0.2, "{it:?}");
}

#[test]
fn constant_huge_and_tiny_metrics_are_calm() {
    for measure in [SECONDS, EVENTS] {
        for constant in [0.0, 7.0] {
            assert_eq!(names(&vec![constant; 12 * SWEEPS], measure), []);
        }
    }
    let huge: Vec<f64> = (0..12 * SWEEPS).map(|at| if at % 5 == 0 { f64::MAX } else { 1.0 }).collect();
    assert_eq!(names(&huge, SECONDS), []);
    let noise: Vec<f64> = (0..48 * SWEEPS).map(|at| (at * at % 11 / 9) as f64).collect();
    assert_eq!(names(&noise, EVENTS), []);
    let tiny: Vec<f64> = (0..48 * SWEEPS).map(|at| (at * at % 11) as f64 * 1e-6).collect();
    assert_eq!(names(&tiny, SECONDS), []);
}

#[test]
fn something_where_others_have_nothing_is_found() {
    let mut values = vec![0.0; 12 * SWEEPS];
    values[3 * SWEEPS..4 * SWEEPS].fill(5.0);
    assert_eq!(names(&values, EVENTS), [(3, Lens::Odd)]);
    values[3 * SWEEPS..4 * SWEEPS - 2].fill(0.0);
    assert_eq!(names(&values, EVENTS), [(3, Lens::Changed)]);
}

#[test]
fn absent_values_are_nobodys() {
    let mut values = fleet(12);
    // Infinities are faults of a reading.
    values.iter_mut().step_by(19).for_each(|value| *value = f64::NAN);
    values.iter_mut().step_by(23).for_each(|value| *value = f64::INFINITY);
    // A host that joined late, one that fell silent while it was sick, a sweep that nobody answered.
    values[5 * SWEEPS..5 * SWEEPS + 50].fill(f64::NAN);
    values[6 * SWEEPS + 40..6 * SWEEPS + 55].fill(9.0);
    values[6 * SWEEPS + 55..7 * SWEEPS].fill(f64::NAN);
    values.iter_mut().skip(57).step_by(SWEEPS).for_each(|value| *value = f64::NAN);
    assert_eq!(names(&values, SECONDS), []);
    for at in [52, 54, 55, 56, 58, 59] {
        values[3 * SWEEPS + at] = 1e-2;
    }
    assert_eq!(names(&values, SECONDS), [(3, Lens::Changed)]);
    assert_eq!(names(&vec![f64::NAN; 12 * SWEEPS], SECONDS), []);
}

#[test]
fn without_a_history_a_finding_is_provisional() {
    let mut values: Vec<f64> = fleet(48).chunks(SWEEPS).map(|host| host[0]).collect();
    values[3] *= 10.0;
    let group: Vec<usize> = (0..48).collect();
    let all = find(Grid::new(&values, 1), &group, SECONDS);
    assert_eq!(all.findings.len(), 1, "{all:?}");
    assert_eq!((all.findings[0].host, all.findings[0].provisional), (3, true));
    assert_eq!(all.lacking, [Lacking::Sweeps { have: 1, need: LEAST_SWEEPS }]);
}

#[test]
fn what_is_missing_is_said() {
    let check = |hosts: usize, expected: &[Lacking]| {
        let values = fleet(hosts);
        let group: Vec<usize> = (0..hosts).collect();
        let found = find(Grid::new(&values, SWEEPS), &group, SECONDS);
        assert_eq!((found.findings, found.lacking.as_slice()), (Vec::new(), expected), "{hosts}");
    };
    let peers = |have| Lacking::Peers { have, need: 3 };
    let sweeps = Lacking::Sweeps { have: 0, need: LEAST_SWEEPS };
    check(0, &[peers(0), sweeps]);
    check(1, &[peers(0), sweeps]);
    check(3, &[peers(2), sweeps]);
    check(4, &[Lacking::OddPeers { have: 3, need: LEAST_PEERS }]);
    check(6, &[]);
    assert_eq!(find(Grid::new(&[], 0), &[], SECONDS).findings, []);
}

#[test]
fn three_peers_show_a_change_and_nothing_lasting() {
    let mut values = fleet(4);
    values[SWEEPS - 4..SWEEPS].iter_mut().for_each(|value| *value *= 9.0);
    values[SWEEPS..2 * SWEEPS].iter_mut().for_each(|value| *value *= 50.0);
    assert_eq!(names(&values, SECONDS), [(0, Lens::Changed)]);
}

#[test]
fn a_group_has_its_own_peers() {
    let mut values = fleet(20);
    values[10 * SWEEPS..].iter_mut().for_each(|value| *value *= 8.0);
    values[12 * SWEEPS + 50..13 * SWEEPS].iter_mut().for_each(|value| *value *= 3.0);
    let group: Vec<usize> = (10..20).collect();
    let findings = find(Grid::new(&values, SWEEPS), &group, SECONDS).findings;
    assert_eq!(findings.iter().map(|it| it.host).collect::<Vec<_>>(), [12]);
}

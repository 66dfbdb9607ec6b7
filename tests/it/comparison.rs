//! The rules keep their promises: a small version of `cargo bench --bench comparison`.

#[path = "../../benches/comparison/fleets.rs"]
mod fleets;
#[path = "../../benches/comparison/rules.rs"]
mod rules;

use dropsonde::compare::{Grid, Lens, find};
use fleets::{Fleet, Metric, Random, SWEEPS};
use rules::{Rule, Score, judge};

const TWICE: Fleet = Fleet {
    metric: Metric::LogNormal { noise: 0.1 },
    hosts: 48,
    shift: 2.0,
    shifted_sweeps: 2,
    missing: 0.0,
};

/// Who is named, by either lens.
fn named(fleet: Fleet, fleets: u64) -> Score {
    judge(&fleet, &[Rule::Either], 0..fleets)[0]
}

#[test]
fn twice_as_much_is_found_by_the_second_sweep_and_nobody_else_is_named() {
    let score = named(TWICE, 400);
    assert!(score.false_share() <= 0.01 && score.found_share() >= 0.95, "{score:?}");
    let few = named(Fleet { hosts: 6, ..TWICE }, 1_000);
    assert!(few.false_share() <= 0.07 && few.found_share() >= 0.95, "{few:?}");
}

#[test]
fn wild_metrics_name_few_healthy_hosts() {
    for metric in [
        Metric::Diurnal { noise: 0.3 },
        Metric::HeavyTailed { noise: 0.1 },
        Metric::Sluggish { noise: 0.1 },
        Metric::ZeroInflated { noise: 0.3 },
        Metric::Bursts { noise: 0.1 },
        Metric::Events { mean: 0.3 },
        Metric::Events { mean: 3.0 },
        Metric::Ticks { mean: 0.3 },
        Metric::Ticks { mean: 3.0 },
    ] {
        let score = named(Fleet { metric, missing: 0.02, ..TWICE }, 100);
        assert!(score.false_share() <= 0.05, "{metric:?}: {score:?}");
    }
}

/// Of two hundred hosts there is always one that had two ticks in a row.
#[test]
fn a_tick_more_is_no_difference_in_a_large_fleet() {
    for mean in [0.3, 3.0] {
        let fleet = Fleet { metric: Metric::Ticks { mean }, hosts: 200, shift: 1.0, ..TWICE };
        for score in judge(&fleet, &[Rule::Changed, Rule::Odd { sweeps: 168 }], 0..10) {
            assert_eq!(score.falsely + score.found, 0, "{mean}: {score:?}");
        }
        let sick = judge(&Fleet { shift: 20.0, ..fleet }, &[Rule::Changed], 0..10)[0];
        assert!(sick.found_share() >= 0.7, "{mean}: {sick:?}");
    }
}

/// How many sweeps after the first shifted one a finding begins, of fleets in which it is found.
fn late(fleet: &Fleet, lens: Lens, fleets: u64) -> Vec<i64> {
    let begun = (SWEEPS - fleet.shifted_sweeps) as i64;
    let late = |seed: u64| {
        let values = fleet.values(&mut Random(seed.wrapping_mul(0xd134_2543_de82_ef95)));
        let group: Vec<usize> = (0..fleet.hosts).collect();
        let found = find(Grid::new(&values, SWEEPS), &group, fleet.measure(&values)).findings;
        let sick = found.iter().find(|it| it.host == 0 && it.lens == lens)?;
        Some(sick.since? as i64 - begun)
    };
    (0..fleets).filter_map(late).collect()
}

#[test]
fn an_onset_is_when_it_began() {
    let check = |fleet: Fleet, lens: Lens, exact: f64| {
        let late = late(&fleet, lens, 60);
        let share = |of: &dyn Fn(i64) -> bool| {
            late.iter().filter(|late| of(**late)).count() as f64 / late.len() as f64
        };
        assert!(late.len() >= 50 && share(&|it| it == 0) >= exact, "{fleet:?}: {late:?}");
        assert!(share(&|it| it.abs() <= 1) >= 0.95, "{fleet:?}: {late:?}");
    };
    for shifted_sweeps in [2, 3, 8, 30] {
        let fleet = Fleet { hosts: 12, shifted_sweeps, ..TWICE };
        check(fleet, Lens::Changed, 0.98);
        check(Fleet { metric: Metric::LogNormal { noise: 0.3 }, shift: 8.0, ..fleet }, Lens::Changed, 0.95);
        check(Fleet { metric: Metric::HeavyTailed { noise: 0.1 }, shift: 3.0, ..fleet }, Lens::Changed, 0.95);
        let missing = Fleet { missing: 0.1, shift: 3.0, ..fleet };
        assert!(late(&missing, Lens::Changed, 60).iter().all(|late| (0..=2).contains(late)), "{fleet:?}");
    }
    // What is odd for good began before it was looked at.
    let always = Fleet { shift: 3.0, shifted_sweeps: SWEEPS, ..TWICE };
    assert!(late(&always, Lens::Odd, 60).is_empty());
    // Half of what is known: long enough to be usual for the host, and to be odd.
    let long = Fleet { shift: 4.0, shifted_sweeps: 90, ..TWICE };
    check(long, Lens::Odd, 0.98);
}

/// The simulation can tell a bad rule from a good one.
#[test]
fn the_textbook_rule_names_healthy_hosts() {
    let scores = judge(&TWICE, &[Rule::RawZ, Rule::LogZ, Rule::OwnPast, Rule::Odd { sweeps: 168 }], 0..60);
    assert!(scores[0].false_share() > 0.05 && scores[1].found_share() < 0.5, "{scores:?}");
    assert!(scores[2].found_share() > 0.9 && scores[3].false_share() <= 0.05, "{scores:?}");
}

//! The rules keep their promises: a small version of `cargo bench --bench comparison`.

#[path = "../../benches/comparison/fleets.rs"]
mod fleets;
#[path = "../../benches/comparison/rules.rs"]
mod rules;

use fleets::{Fleet, Metric};
use rules::{Rule, Score, judge};

const TWICE: Fleet = Fleet {
    metric: Metric::LogNormal { noise: 0.1 },
    hosts: 48,
    shift: 2.0,
    shifted_sweeps: 2,
    missing: 0.0,
};

fn changed(fleet: Fleet, fleets: u64) -> Score {
    judge(&fleet, &[Rule::Changed], 0..fleets)[0]
}

#[test]
fn twice_as_much_is_found_by_the_second_sweep_and_nobody_else_is_named() {
    let score = changed(TWICE, 400);
    assert!(score.false_share() <= 0.01 && score.found_share() >= 0.95, "{score:?}");
    let few = changed(Fleet { hosts: 6, ..TWICE }, 1_000);
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
        let score = changed(Fleet { metric, missing: 0.02, ..TWICE }, 100);
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

/// The simulation can tell a bad rule from a good one.
#[test]
fn the_textbook_rule_names_healthy_hosts() {
    let scores = judge(&TWICE, &[Rule::RawZ, Rule::LogZ, Rule::OwnPast, Rule::Odd { sweeps: 168 }], 0..60);
    assert!(scores[0].false_share() > 0.05 && scores[1].found_share() < 0.5, "{scores:?}");
    assert!(scores[2].found_share() > 0.9 && scores[3].false_share() <= 0.05, "{scores:?}");
}

//! How often the rules of `compare` name a healthy host, and how often the sick one:
//! `cargo bench --bench comparison`, and `-- N` for N fleets a cell in place of 300, `-- N HOSTS...` for fleets
//! of these sizes only. Its tables stand in docs/comparison.md.
#![expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

mod fleets;
mod rules;

use std::hint::black_box;
use std::time::Instant;

use dropsonde::compare::{Grid, find};
use fleets::{Fleet, Metric, Random, SWEEPS};
use rules::{Rule, Score, judge};

const FLEETS: u64 = 300;

const SIZES: [u64; 6] = [4, 6, 12, 48, 200, 500];

const SHIFTS: [f64; 5] = [1.3, 1.5, 2.0, 3.0, 10.0];

/// The name, the metric and the share of values that is missing.
const METRICS: [(&str, Metric, f64); 14] = [
    ("10 % noise", Metric::LogNormal { noise: 0.1 }, 0.0),
    ("10 % noise, 5 % missing", Metric::LogNormal { noise: 0.1 }, 0.05),
    ("30 % noise", Metric::LogNormal { noise: 0.3 }, 0.0),
    ("diurnal, 10 % noise", Metric::Diurnal { noise: 0.1 }, 0.0),
    ("diurnal, 30 % noise", Metric::Diurnal { noise: 0.3 }, 0.0),
    ("heavy tails, 10 %", Metric::HeavyTailed { noise: 0.1 }, 0.0),
    ("sluggish, 10 %", Metric::Sluggish { noise: 0.1 }, 0.0),
    ("7 of 10 are zero", Metric::ZeroInflated { noise: 0.3 }, 0.0),
    ("1 of 20 is tenfold", Metric::Bursts { noise: 0.1 }, 0.0),
    ("0.3 events", Metric::Events { mean: 0.3 }, 0.0),
    ("3 events", Metric::Events { mean: 3.0 }, 0.0),
    ("100 events", Metric::Events { mean: 100.0 }, 0.0),
    ("0.3 of 200 ticks", Metric::Ticks { mean: 0.3 }, 0.0),
    ("3 of 200 ticks", Metric::Ticks { mean: 3.0 }, 0.0),
];

fn main() {
    let mut numbers = std::env::args().filter_map(|word| word.parse::<u64>().ok());
    let fleets = numbers.next().unwrap_or(FLEETS);
    let asked: Vec<u64> = numbers.collect();
    for hosts in if asked.is_empty() { &SIZES[..] } else { &asked } {
        // Of large fleets a tenth: a fleet of 500 takes as long as ten of 48.
        table(*hosts as usize, if *hosts > 100 { fleets / 10 } else { fleets });
    }
    if asked.is_empty() {
        speed();
    }
}

fn table(hosts: usize, fleets: u64) {
    println!("\n{hosts} hosts, {fleets} fleets a cell:\n");
    println!(
        "| metric | raw z, 2× | log z, 2× | own past, 2× | `changed` falsely | either lens | 1.3× | 1.5× | 2× | 3× | 10× | `odd`, 3×, 1 sweep | 6 sweeps | 7 days |"
    );
    println!("| --- |{}", " --- |".repeat(13));
    for (name, metric, missing) in METRICS {
        let fleet = Fleet { metric, hosts, shift: 2.0, shifted_sweeps: 2, missing };
        let both = |score: &Score| format!("{:.2} / {:.2}", score.false_share(), score.found_share());
        let textbook = judge(&fleet, &[Rule::RawZ, Rule::LogZ, Rule::OwnPast], 0..fleets);
        let mut cells: Vec<String> = textbook.iter().map(both).collect();
        let rules = [Rule::Changed, Rule::Either];
        let ours = SHIFTS.map(|shift| judge(&Fleet { shift, ..fleet }, &rules, 0..fleets));
        for rule in 0..rules.len() {
            let falsely: f64 = ours.iter().map(|scores| scores[rule].false_share()).sum();
            cells.push(format!("{:.3}", falsely / SHIFTS.len() as f64));
        }
        cells.extend(ours.iter().map(|scores| format!("{:.2}", scores[0].found_share())));
        let lasting = Fleet { shift: 3.0, shifted_sweeps: SWEEPS, ..fleet };
        let odd = [1, 6, SWEEPS].map(|sweeps| Rule::Odd { sweeps });
        cells.extend(judge(&lasting, &odd, 0..fleets).iter().map(both));
        println!("| {name} | {} |", cells.join(" | "));
    }
}

fn speed() {
    let metric = Metric::Diurnal { noise: 0.1 };
    let fleet = Fleet { metric, hosts: 10_000, shift: 2.0, shifted_sweeps: 2, missing: 0.02 };
    let values = fleet.values(&mut Random(1));
    let (group, measure): (Vec<usize>, _) = ((0..fleet.hosts).collect(), fleet.measure(&values));
    let times = [(); 9].map(|()| {
        let started = Instant::now();
        black_box(find(Grid::new(black_box(&values), SWEEPS), &group, measure));
        started.elapsed().as_secs_f64()
    });
    let best = times.into_iter().fold(f64::INFINITY, f64::min);
    println!(
        "\n10,000 hosts, {SWEEPS} sweeps: {:.0} ms a metric, {:.1} ns a value",
        best * 1e3,
        best * 1e9 / values.len() as f64
    );
}

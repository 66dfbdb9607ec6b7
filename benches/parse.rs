//! How long the parser of `proc` takes for a snapshot pair: `cargo bench --bench parse`. The goal is
//! under 0.4 ms for the 60 KB of a host with 220 threads.
#![expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use dropsonde::config::Library;
use dropsonde::parse::{Context, parse};

const ROUNDS: usize = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let library = Library::built_in().map_err(|faults| faults.to_string())?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for case in
        ["proc/vm_6_18", "proc/vm_6_18_per_task", "host_context/vm_debian_12", "kernel_log/first_sight"]
    {
        let name = case.split('/').next().unwrap_or_default();
        let probe = library.get(name).ok_or("the shipped probe is missing")?;
        let raw = std::fs::read(root.join(case).join("output"))?;
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let started = Instant::now();
                black_box(parse(probe, black_box(&raw), &Context::default()));
                started.elapsed()
            })
            .collect();
        times.sort();
        let median_us = times[ROUNDS / 2].as_secs_f64() * 1e6;
        let parsed = parse(probe, &raw, &Context::default());
        let series = parsed.samples.len() + parsed.totals.len() + parsed.facts.len();
        println!("{case}: {} bytes, {series} series, median {median_us:.0} µs", raw.len());
    }
    Ok(())
}

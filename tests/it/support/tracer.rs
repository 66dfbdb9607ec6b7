//! Tests that trace this machine, one at a time: the supervisor lets no two tracers run on a host, and
//! each would measure the other.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dropsonde::config::Library;
use dropsonde::model::Probe;

use super::program::{Program, Ran};

static TRACER: Mutex<()> = Mutex::new(());

/// Until the guard is dropped, no other test of this crate that asks for it traces.
pub fn alone() -> MutexGuard<'static, ()> {
    TRACER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a tracing probe on `localhost` until nobody else traces this machine.
pub fn run(program: &Program, probe: &str) -> Ran {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let ran = program.run(&["run", probe, "--local", "--json"]);
        let busy = ran.reading("localhost", probe)["outcome"] == "skipped";
        if !busy || Instant::now() > until {
            return ran;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// A shipped tracer whose window takes `seconds`, and which does not mind another one.
pub fn looking_for(name: &str, seconds: u64) -> Probe {
    let library = Library::built_in().unwrap_or_else(|faults| panic!("{faults}"));
    let mut probe = Probe::clone(library.get(name).expect("a shipped probe"));
    let window = probe.window.expect("a window").as_secs();
    // In the shell, as perf's command, in bpftrace's own words and in cyclictest's.
    let places = [("\nsleep ", "\n"), ("-- sleep ", " 2>"), ("interval:s:", " "), (" -D", " -h")];
    let old = places.map(|(before, after)| format!("{before}{window}{after}"));
    let place = old.iter().position(|text| probe.script.contains(text));
    let (before, after) = places[place.unwrap_or_else(|| panic!("{name}: its window is not found"))];
    let new = format!("{before}{seconds}{after}");
    probe.script = old.iter().fold(probe.script, |script, text| script.replace(text, &new));
    probe.tracer = false;
    probe
}

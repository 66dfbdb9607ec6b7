//! Tests that trace this machine, one at a time: the supervisor lets no two tracers run on a host, and
//! each would measure the other.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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

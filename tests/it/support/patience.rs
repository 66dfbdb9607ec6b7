//! How long a test waits, and what it takes a thread to do something, on a machine that may be slow or
//! busy with other tests.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How long a test waits for what must happen: only a failure takes that long.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Looks again and again until it is so; says whether it came to be.
pub fn wait_for(mut ready: impl FnMut() -> bool) -> bool {
    let limit = Instant::now() + PATIENCE;
    while Instant::now() < limit {
        if ready() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// The same, of what has to be.
pub fn wait_until(what: &str, ready: impl FnMut() -> bool) {
    assert!(wait_for(ready), "waited in vain until {what}");
}

/// What `work` takes of a CPU, which does not depend on who else wants it.
pub fn cpu_time_of(work: impl FnOnce()) -> Duration {
    let used = || {
        let used = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
    };
    let before = used();
    work();
    used() - before
}

//! Named moments at which a test may end this process as a power cut would: between two steps that must
//! both survive it. It decides nothing, and a release build has none of it.

/// What the tests set: `name`, or `name:n` for the n-th time that a process comes there.
#[cfg(debug_assertions)]
const WHERE: &str = "DROPSONDE_CRASH_AT";

/// Ends the process here, without a word and without a destructor, if it was started with that wish.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    // The environment is the same for the whole process, and so is what was counted.
    static WISH: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    let wish = WISH.get_or_init(|| {
        let text = std::env::var(WHERE).ok()?;
        let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), AtomicU32::new(count.parse().ok()?)))
    });
    if let Some((wished, left)) = wish
        && wished == name
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        let _ = kill_process(getpid(), Signal::KILL);
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
#[inline]
pub const fn point(_: &str) {}

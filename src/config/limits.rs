//! `[limits]`: every deadline and cap. None can be zero or endless: a host may stall or flood in any
//! phase, and nothing that it does may hold up or fill the collector.

use std::time::Duration;

use super::fault::{Fault, Faults};
use super::knob::{Layered, between, knobs};
use crate::model::{ByteSize, duration_text};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn kib(kib: u64) -> ByteSize {
    ByteSize(kib << 10)
}

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = secs(3_600);

knobs! {
    /// Deadlines and caps of a sweep, a visit and a reading.
    pub struct Limits = ["limits"], "DROPSONDE_" {
        /// Visits in flight.
        concurrency: u32 = 256, between(1, 10_000);
        /// Connections being opened at once, of those: a fleet behind one switch or jump host
        /// drops what arrives in one burst.
        opening: u32 = 64, between(1, 10_000);
        /// Probes at a time on one connection; sshd's MaxSessions is 10.
        channels_per_host: u32 = 4, between(1, 64);

        /// Resolving the host's name; then the same again for TCP.
        connect_timeout: Duration = secs(10), between(MS, HOUR);
        /// The server's first words; then the same again for the key exchange.
        key_exchange_timeout: Duration = secs(10), between(MS, HOUR);
        /// All keys tried.
        auth_timeout: Duration = secs(10), between(MS, HOUR);
        /// The server's answer to the request for a channel.
        channel_timeout: Duration = secs(10), between(MS, HOUR);
        /// From a probe's start to its first byte. The supervisor announces itself at once, whatever the
        /// probe takes; but an overloaded host is just what one wants to hear from.
        first_byte_timeout: Duration = secs(30), between(MS, HOUR);
        /// Silence in the middle of a probe's output, beyond the probe's own timeout.
        idle_timeout: Duration = secs(15), between(MS, HOUR);
        /// A host's whole visit; what is not there by then is `timed_out`.
        visit_timeout: Duration = secs(60), between(Duration::from_millis(100), secs(24 * 3_600));
        /// Saying goodbye.
        close_timeout: Duration = secs(3), between(MS, HOUR);

        /// How often a running probe is told that we are still here. Whole seconds: what watches on
        /// the host has no finer clock everywhere.
        heartbeat_interval: Duration = secs(3), whole_seconds(1, 600);
        /// Without a heartbeat for so long a probe ends itself.
        heartbeat_limit: Duration = secs(12), whole_seconds(2, 3_600);
        /// From TERM to KILL on the host.
        kill_grace: Duration = secs(1), whole_seconds(1, 60);
        /// What is in flight when the first signal comes may finish for so long.
        signal_grace: Duration = secs(10), between(MS, HOUR);

        /// Bytes of one reading on the wire.
        max_wire: ByteSize = kib(8 << 10), between(kib(1), kib(1 << 20));
        /// Decompressed bytes per byte on the wire; text stays below 30, a gzip bomb is at 1,000.
        max_ratio: u32 = 200, between(2, 1_032);
        /// What is kept of a probe's stderr.
        max_stderr: ByteSize = kib(16), between(ByteSize(256), kib(1 << 10));

        /// All output that is in memory at once, of all sweeps.
        max_memory: ByteSize = kib(1 << 20), between(kib(1 << 10), kib(1 << 30));

        /// Hosts that all escalations together go to in any hour, whatever else their rules allow.
        escalations_per_hour: u32 = 30, between(1, 100_000);
    }
}

fn whole_seconds(least: u64, greatest: u64) -> impl Fn(&Duration) -> Result<(), String> {
    move |value| {
        let fits = value.subsec_nanos() == 0 && (least..=greatest).contains(&value.as_secs());
        if fits { Ok(()) } else { Err(format!("whole seconds, from \"{least}s\" to \"{greatest}s\"")) }
    }
}

/// A deadline that cannot outlast the visit: its key, its value, how to set it.
type Phase = (&'static str, fn(&mut Limits) -> &mut Duration);

const PHASES: [Phase; 7] = [
    ("connect_timeout", |limits| &mut limits.connect_timeout),
    ("key_exchange_timeout", |limits| &mut limits.key_exchange_timeout),
    ("auth_timeout", |limits| &mut limits.auth_timeout),
    ("channel_timeout", |limits| &mut limits.channel_timeout),
    ("first_byte_timeout", |limits| &mut limits.first_byte_timeout),
    ("idle_timeout", |limits| &mut limits.idle_timeout),
    ("close_timeout", |limits| &mut limits.close_timeout),
];

/// Checks the limits against each other. A default gives way to a value that was given: whoever asks
/// for visits of five seconds need not also shorten each phase.
pub(crate) fn reconcile(layered: &mut Layered<Limits>, faults: &mut Faults) {
    let visit = layered.value.visit_timeout;
    for (key, phase) in PHASES {
        let value = *phase(&mut layered.value);
        if value > visit {
            let beyond = format!("longer than a whole visit ({})", duration_text(visit));
            if conflict(layered, (key, &duration_text(value)), ("visit_timeout", &beyond), faults) {
                *phase(&mut layered.value) = visit;
            }
        }
    }
    let Limits { opening, concurrency, heartbeat_interval, heartbeat_limit, .. } = layered.value;
    if opening > concurrency {
        let beyond = format!("more than all visits in flight ({concurrency})");
        if conflict(layered, ("opening", &opening.to_string()), ("concurrency", &beyond), faults) {
            layered.value.opening = concurrency;
        }
    }
    if heartbeat_limit <= heartbeat_interval {
        let (limit, interval) = (duration_text(heartbeat_limit), duration_text(heartbeat_interval));
        let beyond = format!("not longer than the interval ({interval}): every probe would end itself");
        if conflict(layered, ("heartbeat_limit", &limit), ("heartbeat_interval", &beyond), faults) {
            layered.value.heartbeat_limit = heartbeat_interval * 4;
        }
    }
}

/// `true` when `key` has its default and can give way; else a fault that shows both places.
fn conflict(
    layered: &Layered<Limits>,
    (key, value): (&str, &str),
    (other, beyond): (&str, &str),
    faults: &mut Faults,
) -> bool {
    let Some(place) = layered.place(key) else { return true };
    let title = format!("`limits.{key}` ({value}) is {beyond}");
    let fault = Fault::new(place.clone(), title);
    faults.push(match layered.place(other) {
        Some(place) => fault.also(place.clone(), format!("`limits.{other}` is set here")),
        None => fault.help(format!("`limits.{other}` has its default; set it, too")),
    });
    false
}

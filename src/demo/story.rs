//! What happens in a synthetic fleet: three incidents, and what only looks like one. Who plays which part is
//! drawn; nothing here says how it shows.

use super::drive::Seeded;
use super::host::FleetShape;
use super::platform::{PLATFORMS, SICK};

/// Onsets are told from the beginning of a quarter of a day, so that a demo that is started again within it
/// goes on where it was.
const QUARTER_DAY_S: f64 = 6.0 * HOUR_S;
const HOUR_S: f64 = 3_600.0;
const MINUTE_S: f64 = 60.0;

/// The hosts that get the slow kernel, where the fleet has so many of that platform to spare.
const SLOW: usize = 4;

/// The hosts on the hypervisor with the noisy neighbour: so many that it is no chance what they share, where
/// the fleet can spare them.
const VICTIMS: usize = 4;
const HOSTS_PER_VICTIM: usize = 6;

/// Below this a host's peers would be too few for a disk and a neighbour beside the kernel.
const LEAST_FOR_THREE: usize = 6;

/// Below this every host has its part in an incident or is needed as a peer.
const LEAST_FOR_EXTRAS: usize = 12;

/// What is wrong with a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incident {
    /// Booted into a new kernel, and since then tasks wait long for a CPU.
    SlowKernel,
    /// Requests are tried again and again, and the kernel's log says so.
    DyingDisk,
    /// Another guest of the same hypervisor takes a third of the CPU time.
    NoisyNeighbour,
}

/// A host's part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    pub incident: Option<Incident>,
    /// Of the incident; 1 at its worst.
    pub severity: f64,
    /// Seconds since 1970; infinite without an incident.
    pub onset_s: f64,
    /// When it was booted again.
    pub reboot_s: Option<f64>,
    /// What it has to do at all times that its peers have not: odd, and healthy.
    pub burden: f64,
}

const ORDINARY: Part =
    Part { incident: None, severity: 0.0, onset_s: f64::INFINITY, reboot_s: None, burden: 0.0 };

/// The platform of the host at `index`.
pub(super) fn platform_of(index: usize, shape: FleetShape) -> usize {
    // The slow kernel is a kernel of this platform, and a fleet of one host has it, too.
    if shape.hosts == 1 { SICK } else { index % PLATFORMS.len() }
}

/// Everybody's part. The first incident of a fleet is the slow kernel; its first host is the worst off.
pub(super) fn cast(shape: FleetShape) -> Vec<Part> {
    let now_s = shape.now.unix_ns() as f64 / 1e9;
    let quarter_s = (now_s / QUARTER_DAY_S).floor() * QUARTER_DAY_S;
    let mut seeded = Seeded::new(shape.seed, u64::MAX);
    let mut parts = vec![ORDINARY; shape.hosts];
    let mut drawn = shuffled(&mut seeded, shape.hosts);

    let candidates = drawn.iter().filter(|index| platform_of(**index, shape) == SICK).count();
    // Others of the platform keep the old kernel: what these share is the kernel, not the machine.
    let slow = (candidates / 2).clamp(1, SLOW);
    for nth in 0..slow {
        let Some(at) = drawn.iter().position(|index| platform_of(*index, shape) == SICK) else { break };
        // One after the other, all between two sweeps on the hour.
        let onset_s = quarter_s - 9.0 * HOUR_S + (12.0 + 9.0 * nth as f64) * MINUTE_S;
        let severity = if nth == 0 { 1.0 } else { seeded.between(0.5, 0.65) };
        let incident = Some(Incident::SlowKernel);
        parts[drawn.remove(at)] = Part { incident, severity, onset_s, reboot_s: Some(onset_s), ..ORDINARY };
    }
    let mut next = |part: Part| {
        if let Some(index) = drawn.pop() {
            parts[index] = part;
        }
    };
    if shape.hosts >= LEAST_FOR_THREE {
        let ill = |incident, onset_s| Part { incident: Some(incident), severity: 1.0, onset_s, ..ORDINARY };
        for _ in 0..(shape.hosts / HOSTS_PER_VICTIM).clamp(1, VICTIMS) {
            next(ill(Incident::NoisyNeighbour, quarter_s - 6.0 * HOUR_S - 20.0 * MINUTE_S));
        }
        next(ill(Incident::DyingDisk, quarter_s - 4.0 * HOUR_S - 35.0 * MINUTE_S));
    }
    if shape.hosts >= LEAST_FOR_EXTRAS {
        next(Part { reboot_s: Some(quarter_s - 26.0 * HOUR_S - 41.0 * MINUTE_S), ..ORDINARY });
        next(Part { burden: 1.0, ..ORDINARY });
    }
    parts
}

fn shuffled(seeded: &mut Seeded, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, seeded.below(last + 1));
    }
    order
}

//! The kernel's log, as `dmesg` prints it. A line that was told never changes: whoever goes on where they
//! stopped misses none.

use crate::demo::Incident;
use crate::demo::drive::Seeded;
use crate::demo::host::Moment;

use super::Lines;

/// A kernel's ring forgets; this one keeps two days.
const KEPT_S: f64 = 48.0 * 3_600.0;

/// Now and then a kernel says something that means nothing.
const CHATTER_EVERY_S: f64 = 2.0 * 3_600.0;

/// How often a dying disk is complained about.
const ERRORS_EVERY_S: f64 = 400.0;

pub(super) fn text(moment: &Moment<'_>) -> String {
    let mut messages = booting(moment);
    messages.extend(chatter(moment));
    messages.extend(trouble(moment));
    messages.retain(|(at_s, _)| *at_s <= moment.uptime_s && *at_s >= moment.uptime_s - KEPT_S);
    messages.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut lines = Lines::default();
    for (at_s, message) in messages {
        lines.line(format_args!("[{at_s:>12.6}] {message}"));
    }
    lines.0
}

fn booting(moment: &Moment<'_>) -> Vec<(f64, String)> {
    let platform = moment.host.platform;
    vec![
        (0.0, format!("Linux version {} (synthetic) #1 SMP PREEMPT_DYNAMIC", moment.boot.kernel)),
        (0.912, format!("clocksource: Switched to clocksource {}", platform.clocksource)),
        (2.604, format!("{} eth0: Link is up", platform.nic_driver)),
    ]
}

/// At moments that are the host's own, so that not every sweep finds a line on every host.
fn chatter(moment: &Moment<'_>) -> impl Iterator<Item = (f64, String)> {
    let chatter = moment.host.chatter;
    let first = ((moment.uptime_s - KEPT_S) / CHATTER_EVERY_S).floor().max(1.0) as u64;
    let last = (moment.uptime_s / CHATTER_EVERY_S) as u64;
    (first..=last).map(move |nth| {
        let at_s = (nth as f64 + Seeded::new(chatter, nth).between(0.0, 1.0)) * CHATTER_EVERY_S;
        (at_s, "systemd-journald[312]: Time spent on flushing to /var/log/journal is 41.207ms".to_owned())
    })
}

fn trouble(moment: &Moment<'_>) -> Vec<(f64, String)> {
    let began_s = moment.onset_s() - moment.boot.at_s;
    let past_s = moment.uptime_s - began_s;
    match moment.host.incident {
        Some(Incident::DyingDisk) if past_s > 0.0 => {
            (0..=(past_s / ERRORS_EVERY_S) as u64).flat_map(|nth| disk_error(moment, nth, began_s)).collect()
        }
        // The kernel says this once in a boot, when it finds out that it was not running.
        Some(Incident::NoisyNeighbour) if past_s > 0.0 => {
            vec![(began_s + 7.031_244, "hrtimer: interrupt took 31207714 ns".to_owned())]
        }
        Some(Incident::SlowKernel) if moment.slow_s > 0.0 => {
            vec![(194.370_118, "workqueue: vmstat_shepherd hogged CPU for >10000us 4 times".to_owned())]
        }
        _ => Vec::new(),
    }
}

fn disk_error(moment: &Moment<'_>, nth: u64, began_s: f64) -> [(f64, String); 2] {
    let disk = moment.host.platform.disk;
    let mut seeded = Seeded::new(moment.host.chatter, u64::MAX - nth);
    let at_s = began_s + (nth as f64 + seeded.between(0.0, 0.9)) * ERRORS_EVERY_S;
    let sector = 8_388_608 + seeded.below(4_096) * 8;
    [
        (at_s, format!("critical medium error, dev {disk}, sector {sector} op 0x0:(READ) flags 0x80700")),
        (
            at_s + 0.000_41,
            format!("Buffer I/O error on dev {disk}, logical block {}, async page read", sector / 8),
        ),
    ]
}

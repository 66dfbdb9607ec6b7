//! Family 13, cgroup_throttle: groups that ran out of their CPU quota.
//!
//! The script ships only groups that have a quota. The sum over all of them stands under
//! `cgroup="/"`, because a container's own name is new at each start and no two hosts share it.

use std::collections::BTreeMap;

use crate::parse::text::{fields, integer, lossy};

use super::snapshot::Snapshot;
use super::window::{Step, Window, label};

/// Groups beyond these, the most throttled since they were made, are only in the sum.
const MAX_GROUPS: usize = 8;

/// In microseconds or, from cgroup v1, nanoseconds.
#[derive(Debug, Default, Clone, Copy)]
struct Quota {
    periods: Option<u64>,
    throttled_periods: Option<u64>,
    throttled_ns: Option<u64>,
}

pub(super) fn parse(before: Option<&Snapshot>, after: &Snapshot, window: &mut Window) {
    let new = quotas(after);
    let old = before.map(quotas).unwrap_or_default();
    let limited = new.iter().filter(|(_, quota)| quota.periods.is_some_and(|periods| periods > 0));
    let mut groups: Vec<_> = limited.map(|(name, quota)| (*name, old.get(name).copied(), *quota)).collect();
    if groups.is_empty() {
        return;
    }
    let mut whole = (Quota::default(), Quota::default());
    for (_, old, new) in &groups {
        // A group that appeared within the window has no difference and is left out of the rate: its
        // own total stands on both sides of the sum.
        whole.0 = add(whole.0, old.unwrap_or(*new));
        whole.1 = add(whole.1, *new);
    }
    let earlier = before.map(|_| whole.0);
    emit("/", earlier, whole.1, window);
    groups.sort_by(|a, b| b.2.throttled_ns.cmp(&a.2.throttled_ns).then_with(|| a.0.cmp(b.0)));
    for (name, old, new) in groups.into_iter().take(MAX_GROUPS) {
        emit(&lossy(below_root(name)), old, new, window);
    }
}

fn quotas<'a>(snapshot: &Snapshot<'a>) -> BTreeMap<&'a [u8], Quota> {
    let mut groups: BTreeMap<&[u8], Quota> = BTreeMap::new();
    for (name, line) in &snapshot.cgroups {
        let mut parts = fields(line);
        let (key, value) = (parts.next().unwrap_or_default(), parts.next().and_then(integer));
        let quota = groups.entry(name).or_default();
        match key {
            b"nr_periods" => quota.periods = value,
            b"nr_throttled" => quota.throttled_periods = value,
            b"throttled_usec" => quota.throttled_ns = value.and_then(|us| us.checked_mul(1_000)),
            b"throttled_time" => quota.throttled_ns = value,
            _ => {}
        }
    }
    groups
}

fn add(a: Quota, b: Quota) -> Quota {
    let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    };
    Quota {
        periods: sum(a.periods, b.periods),
        throttled_periods: sum(a.throttled_periods, b.throttled_periods),
        throttled_ns: sum(a.throttled_ns, b.throttled_ns),
    }
}

fn emit(name: &str, old: Option<Quota>, new: Quota, window: &mut Window) {
    for (metric, column, step) in [
        ("cgroup_cpu_periods_total", (|quota: Quota| quota.periods) as fn(Quota) -> Option<u64>, Step::One),
        ("cgroup_cpu_throttled_periods_total", |quota| quota.throttled_periods, Step::One),
        ("cgroup_cpu_throttled_seconds_total", |quota| quota.throttled_ns, Step::Nanosecond),
    ] {
        if let Some(after) = column(new) {
            // A group may be deleted and made again within the window.
            window.quiet_counter(metric, label("cgroup", name), (old.and_then(column), after), step);
        }
    }
    let delta = |column: fn(Quota) -> Option<u64>| column(new)?.checked_sub(column(old?)?);
    if let (Some(throttled), Some(periods)) =
        (delta(|quota| quota.throttled_periods), delta(|quota| quota.periods))
    {
        window.ratio("cgroup_cpu_throttled_ratio", label("cgroup", name), throttled, periods);
    }
}

/// The part behind the hierarchy's mount point: `/sys/fs/cgroup/` or, in version 1,
/// `/sys/fs/cgroup/cpu/`, wherever the host's /sys is seen.
fn below_root(path: &[u8]) -> &[u8] {
    const MOUNT: &[u8] = b"/fs/cgroup/";
    let Some(at) = path.windows(MOUNT.len()).position(|window| window == MOUNT) else { return path };
    let below = &path[at + MOUNT.len()..];
    below.strip_prefix(b"cpu/").unwrap_or(below)
}

//! Family 14, conntrack, and the network settings that decide when packets are dropped.

use crate::model::Total;
use crate::parse::text::{fields, hexadecimal};

use super::snapshot::{File, Line, Snapshot};
use super::window::{Step, Window, delta32};

const SYSCTLS: [(File, &str); 5] = [
    (File::NetdevBudget, "node_sysctl_net_core_netdev_budget"),
    (File::NetdevBudgetUsecs, "node_sysctl_net_core_netdev_budget_usecs"),
    (File::NetdevMaxBacklog, "node_sysctl_net_core_netdev_max_backlog"),
    (File::Somaxconn, "node_sysctl_net_core_somaxconn"),
    (File::TcpMaxSynBacklog, "node_sysctl_net_ipv4_tcp_max_syn_backlog"),
];

/// (column, metric) of /proc/net/stat/nf_conntrack.
const CONNTRACK: [(&[u8], &str); 4] = [
    (b"insert_failed", "node_nf_conntrack_stat_insert_failed"),
    (b"drop", "node_nf_conntrack_stat_drop"),
    (b"early_drop", "node_nf_conntrack_stat_early_drop"),
    (b"invalid", "node_nf_conntrack_stat_invalid"),
];

pub(super) fn parse(before: Option<&Snapshot>, after: &Snapshot, window: &mut Window) {
    for (file, metric) in SYSCTLS {
        if let Some(value) = after.scalar(file, window.sink) {
            window.gauge(metric, vec![], value as f64);
        }
    }
    let entries = after.scalar(File::ConntrackCount, window.sink);
    let limit = after.scalar(File::ConntrackMax, window.sink);
    if let Some(entries) = entries {
        window.gauge("node_nf_conntrack_entries", vec![], entries as f64);
    }
    if let Some(limit) = limit {
        window.gauge("node_nf_conntrack_entries_limit", vec![], limit as f64);
    }
    if let (Some(entries), Some(limit)) = (entries, limit) {
        window.ratio("nf_conntrack_used_ratio", vec![], entries, limit);
    }
    conntrack(before, after, window);
}

/// One line a CPU below a header of names, 32 bits of hexadecimal each.
fn conntrack(before: Option<&Snapshot>, after: &Snapshot, window: &mut Window) {
    let Some(header) = after.lines(File::Conntrack).next() else { return };
    let rows = |snapshot: &Snapshot| snapshot.lines(File::Conntrack).skip(1).map(values).collect::<Vec<_>>();
    let new = rows(after);
    for (line, row) in after.lines(File::Conntrack).skip(1).zip(&new) {
        if row.is_none() {
            line.fault(window.sink, "hexadecimal numbers");
        }
    }
    // Another header or another number of CPUs in the earlier snapshot would shift the numbers.
    let same =
        before.filter(|old| old.lines(File::Conntrack).next().map(|line| line.text) == Some(header.text));
    let old = same.map(rows).filter(|old| old.len() == new.len());
    for (name, metric) in CONNTRACK {
        let Some(column) = fields(header.text).position(|field| field == name) else { continue };
        let column_of = |row: &Option<Vec<u64>>| row.as_ref().and_then(|row| row.get(column)).copied();
        let Some(total) = new.iter().map(column_of).try_fold(0u64, |sum, value| sum.checked_add(value?))
        else {
            continue;
        };
        let delta = old.as_ref().and_then(|old| {
            let pairs = old.iter().map(column_of).zip(new.iter().map(column_of));
            pairs.into_iter().try_fold(0u64, |sum, (a, b)| sum.checked_add(delta32(a?, b?)?))
        });
        if let Some(delta) = delta {
            window.rate(metric, vec![], delta, Step::One);
        }
        window.sink.total(Total { metric: metric.into(), labels: vec![], value: total as f64 });
    }
}

fn values(line: Line) -> Option<Vec<u64>> {
    fields(line.text).map(hexadecimal).collect()
}

//! Interfaces, TCP, connection tracking.

use crate::demo::host::Moment;

use super::{Lines, TreeFile, spaced, whole};

pub(super) fn files(moment: &Moment<'_>, files: &mut Vec<TreeFile>) {
    files.push(TreeFile::new("proc/net/dev", dev(moment)));
    files.push(TreeFile::new("proc/net/snmp", snmp(moment)));
    files.push(TreeFile::new("proc/net/netstat", netstat(moment)));
    if moment.host.platform.conntrack {
        files.push(TreeFile::new(
            "proc/sys/net/netfilter/nf_conntrack_count",
            format!("{}\n", tracked(moment)),
        ));
        files.push(TreeFile::new("proc/net/stat/nf_conntrack", conntrack(moment)));
    }
}

fn received(moment: &Moment<'_>) -> f64 {
    moment.host.packets_per_s * moment.traffic_s
}

fn sent(moment: &Moment<'_>) -> f64 {
    received(moment) * 0.86
}

fn dev(moment: &Moment<'_>) -> String {
    let mut lines = Lines::default();
    lines.line(format_args!("Inter-|   Receive                                                |  Transmit"));
    lines.line(format_args!(
        " face |bytes    packets errs drop fifo frame compressed multicast|\
         bytes    packets errs drop fifo colls carrier compressed"
    ));
    let local = whole(40.0 * moment.work_s);
    for (name, (rx_bytes, rx), (tx_bytes, tx)) in [
        ("lo", (local * 310, local), (local * 310, local)),
        (
            "eth0",
            (whole(received(moment) * 640.0), whole(received(moment))),
            (whole(sent(moment) * 1_150.0), whole(sent(moment))),
        ),
    ] {
        lines.line(format_args!(
            "{name:>6}: {rx_bytes:>7} {rx:>7}    0    0    0     0          0         0 \
             {tx_bytes:>8} {tx:>7}    0    0    0     0       0          0"
        ));
    }
    lines.0
}

fn snmp(moment: &Moment<'_>) -> String {
    let (rx, tx) = (received(moment), sent(moment));
    let mut lines = Lines::default();
    lines.table(
        "Ip",
        &[
            ("Forwarding", 2),
            ("DefaultTTL", 64),
            ("InReceives", whole(rx)),
            ("InHdrErrors", 0),
            ("InAddrErrors", 0),
            ("InDiscards", 0),
            ("InDelivers", whole(rx)),
            ("OutRequests", whole(tx)),
            ("OutDiscards", 0),
        ],
    );
    tcp(moment, &mut lines);
    lines.table(
        "Udp",
        &[
            ("InDatagrams", whole(rx * 0.02)),
            ("NoPorts", 3),
            ("InErrors", 0),
            ("OutDatagrams", whole(tx * 0.02)),
            ("RcvbufErrors", 0),
            ("SndbufErrors", 0),
        ],
    );
    lines.0
}

fn tcp(moment: &Moment<'_>, lines: &mut Lines) {
    let (rx, tx) = (received(moment), sent(moment));
    let opened = rx * 0.004;
    // A guest that is not running acknowledges late, and its peers and it send again.
    let again = tx * 0.000_25 + 12.0 * moment.stolen_s;
    lines.table(
        "Tcp",
        &[
            ("RtoAlgorithm", 1),
            ("RtoMin", 200),
            ("RtoMax", 120_000),
            ("MaxConn", 0),
            ("ActiveOpens", whole(opened * 0.3)),
            ("PassiveOpens", whole(opened * 0.7)),
            ("AttemptFails", whole(opened * 0.001)),
            ("EstabResets", whole(opened * 0.002)),
            ("CurrEstab", 60 + whole(40.0 * moment.work_level())),
            ("InSegs", whole(rx * 0.97)),
            ("OutSegs", whole(tx * 0.97)),
            ("RetransSegs", whole(again)),
            ("InErrs", 0),
            ("OutRsts", whole(opened * 0.003)),
            ("InCsumErrors", 0),
        ],
    );
}

fn netstat(moment: &Moment<'_>) -> String {
    let tx = sent(moment);
    let mut lines = Lines::default();
    lines.table(
        "TcpExt",
        &[
            ("SyncookiesSent", 0),
            ("SyncookiesRecv", 0),
            ("SyncookiesFailed", 0),
            ("TW", whole(received(moment) * 0.002)),
            ("DelayedACKs", whole(received(moment) * 0.03)),
            ("ListenOverflows", 0),
            ("ListenDrops", 0),
            ("TCPLostRetransmit", whole(tx * 0.000_01)),
            ("TCPFastRetrans", whole(tx * 0.000_1)),
            ("TCPTimeouts", whole(tx * 0.000_02 + 0.8 * moment.stolen_s)),
            ("TCPAbortOnMemory", 0),
            ("TCPBacklogDrop", 0),
            ("TCPReqQFullDrop", 0),
            ("TCPRcvQDrop", 0),
            ("TCPSynRetrans", whole(received(moment) * 0.000_004)),
            ("TCPOrigDataSent", whole(tx * 0.8)),
        ],
    );
    lines.table(
        "IpExt",
        &[
            ("InNoRoutes", 0),
            ("InOctets", whole(received(moment) * 626.0)),
            ("OutOctets", whole(tx * 1_136.0)),
        ],
    );
    lines.0
}

fn tracked(moment: &Moment<'_>) -> u64 {
    let level = moment.work_level();
    whole(moment.host.packets_per_s * 0.3 * level)
}

/// A line of hexadecimal counts for each CPU.
fn conntrack(moment: &Moment<'_>) -> String {
    let columns = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop \
                   early_drop icmp_error  expect_new expect_create expect_delete search_restart";
    let mut lines = Lines::default();
    lines.line(format_args!("{columns}"));
    for weight in &moment.host.cpu_weight {
        let invalid = whole(weight * 0.02 * moment.traffic_s);
        let mut cells = [0_u64; 17];
        (cells[0], cells[4]) = (tracked(moment), invalid);
        let text: Vec<String> = cells.iter().map(|cell| format!("{cell:08x}")).collect();
        lines.line(format_args!("{}", text.join(" ")));
    }
    lines.0
}

/// The limit of tracked connections, which is set once.
pub(super) fn conntrack_limit() -> String {
    format!("{}\n", spaced([262_144]))
}

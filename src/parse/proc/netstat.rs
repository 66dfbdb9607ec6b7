//! Family 9, tcp: /proc/net/snmp and netstat, by the names in their header lines.

use crate::model::Kind;
use crate::parse::text::{fields, integer};

use super::snapshot::{File, Line, Snapshot};
use super::window::{Step, Window};

macro_rules! fields_of {
    ($($protocol:literal: $($field:literal)*;)*) => {
        /// The metric of a field, if it has one: node_exporter's choice, and what points at a
        /// socket that cannot keep up.
        fn metric(protocol: &[u8], field: &[u8]) -> Option<&'static str> {
            $(if protocol == $protocol.as_bytes() {
                $(if field == $field.as_bytes() {
                    return Some(concat!("node_netstat_", $protocol, "_", $field));
                })*
            })*
            None
        }
    };
}

fields_of! {
    "Ip": "InReceives" "InDiscards" "OutDiscards" "OutNoRoutes" "ReasmFails" "FragFails";
    "Icmp": "InMsgs" "InErrors" "OutMsgs";
    "Tcp": "ActiveOpens" "PassiveOpens" "AttemptFails" "EstabResets" "CurrEstab" "InSegs" "OutSegs" "RetransSegs"
        "InErrs" "OutRsts";
    "Udp": "InDatagrams" "OutDatagrams" "NoPorts" "InErrors" "RcvbufErrors" "SndbufErrors";
    "TcpExt": "ListenOverflows" "ListenDrops" "SyncookiesSent" "SyncookiesRecv" "SyncookiesFailed" "TCPSynRetrans"
        "TCPTimeouts" "TCPLostRetransmit" "TCPFastRetrans" "TCPSlowStartRetrans" "TCPOFOQueue" "TCPRcvQDrop"
        "TCPBacklogDrop" "TCPAbortOnTimeout" "TCPAbortOnMemory" "TCPMemoryPressures" "TCPReqQFullDrop"
        "TCPReqQFullDoCookies" "TCPZeroWindowDrop" "PruneCalled" "TW";
    "IpExt": "InOctets" "OutOctets";
}

/// Fields of these files that go up and down.
const GAUGES: [&str; 1] = ["node_netstat_Tcp_CurrEstab"];

pub(super) fn parse(before: Option<&Snapshot>, after: &Snapshot, window: &mut Window) {
    let mut retransmitted = (None, None);
    for file in [File::Snmp, File::Netstat] {
        let earlier = before.map(|snapshot| wanted(snapshot, file, |_| {}));
        for (metric, value) in wanted(after, file, |line| {
            line.fault(window.sink, "a line of names and a line of as many numbers, both of one protocol");
        }) {
            // Both snapshots list the same fields in the same order, and there are under 50 of them.
            let old = earlier.iter().flatten().find(|(name, _)| *name == metric).map(|(_, value)| *value);
            if kind(metric) == Kind::Gauge {
                window.gauge(metric, vec![], value as f64);
                continue;
            }
            window.counter(metric, vec![], (old, value), Step::One);
            let delta = old.and_then(|old| value.checked_sub(old));
            match metric {
                "node_netstat_Tcp_RetransSegs" => retransmitted.0 = delta,
                "node_netstat_Tcp_OutSegs" => retransmitted.1 = delta,
                _ => {}
            }
        }
    }
    if let (Some(again), Some(sent)) = retransmitted {
        window.ratio("tcp_retransmit_ratio", vec![], again, sent);
    }
}

fn kind(metric: &str) -> Kind {
    if GAUGES.contains(&metric) { Kind::Gauge } else { Kind::Counter }
}

/// The fields with a metric, and their values. A field that a kernel lacks is not in its header.
fn wanted(snapshot: &Snapshot, file: File, mut fault: impl FnMut(Line)) -> Vec<(&'static str, u64)> {
    let mut found: Vec<(&'static str, u64)> = Vec::new();
    let mut lines = snapshot.lines(file);
    while let Some(names) = lines.next() {
        let Some(values) = lines.next() else {
            fault(names);
            break;
        };
        let (mut name_fields, mut value_fields) = (fields(names.text), fields(values.text));
        let protocol = name_fields.next().and_then(|name| name.strip_suffix(b":"));
        let same = value_fields.next().and_then(|name| name.strip_suffix(b":")) == protocol;
        let Some(protocol) = protocol.filter(|_| same) else {
            fault(names);
            continue;
        };
        for name in name_fields {
            let Some(value) = value_fields.next() else {
                fault(values);
                break;
            };
            let Some(metric) = metric(protocol, name) else { continue };
            match integer(value) {
                // A name that comes twice would be two samples of one series.
                Some(value) if !found.iter().any(|(known, _)| *known == metric) => {
                    found.push((metric, value))
                }
                Some(_) => {}
                None => fault(values),
            }
        }
    }
    found
}

//! Family 10, netdev: /proc/net/dev.

use crate::parse::text::{fields, integer, lossy};

use super::snapshot::{File, Line, Snapshot};
use super::table::Table;
use super::window::{Step, Window, label};

/// Devices beyond these, the busiest since boot, have no series.
const MAX_DEVICES: usize = 8;
/// The host's ends of containers' and guests' links: their names are made up at each start, so no
/// two sweeps and no two hosts could be compared by them.
const PER_GUEST: [&[u8]; 7] = [b"veth", b"cali", b"lxc", b"tap", b"vnet", b"fwbr", b"fwln"];

const RX_BYTES: usize = 0;
const RX_PACKETS: usize = 1;
const RX_ERRORS: usize = 2;
const TX_BYTES: usize = 8;
const TX_PACKETS: usize = 9;
const TX_ERRORS: usize = 10;
const COLUMNS: usize = 16;

const COUNTERS: [(usize, &str); 13] = [
    (RX_BYTES, "node_network_receive_bytes_total"),
    (RX_PACKETS, "node_network_receive_packets_total"),
    (RX_ERRORS, "node_network_receive_errs_total"),
    (3, "node_network_receive_drop_total"),
    (4, "node_network_receive_fifo_total"),
    (5, "node_network_receive_frame_total"),
    (TX_BYTES, "node_network_transmit_bytes_total"),
    (TX_PACKETS, "node_network_transmit_packets_total"),
    (TX_ERRORS, "node_network_transmit_errs_total"),
    (11, "node_network_transmit_drop_total"),
    (12, "node_network_transmit_fifo_total"),
    (13, "node_network_transmit_colls_total"),
    (14, "node_network_transmit_carrier_total"),
];

type Columns = [u64; COLUMNS];

pub(super) fn parse(before: Option<&Snapshot>, after: &Snapshot, window: &mut Window) {
    let mut earlier = before.map(|snapshot| Table::new(snapshot.lines(File::Netdev).filter_map(row)));
    let mut devices: Vec<(&[u8], Columns)> = Vec::new();
    // Two lines of headings, told by the bars in them.
    for line in after.lines(File::Netdev).filter(|line| !line.text.contains(&b'|')) {
        let Some((name, columns)) = row(line) else {
            line.fault(window.sink, "a device, a colon and 16 whole numbers");
            continue;
        };
        let used = columns[RX_PACKETS] > 0
            || columns[TX_PACKETS] > 0
            || columns[RX_ERRORS] > 0
            || columns[TX_ERRORS] > 0;
        if used && !PER_GUEST.iter().any(|prefix| name.starts_with(prefix)) {
            devices.push((name, columns));
        }
    }
    let bytes = |columns: &Columns| columns[RX_BYTES].saturating_add(columns[TX_BYTES]);
    devices.sort_by(|a, b| bytes(&b.1).cmp(&bytes(&a.1)).then_with(|| a.0.cmp(b.0)));
    for (name, columns) in devices.into_iter().take(MAX_DEVICES) {
        let old = earlier.as_mut().and_then(|table| table.find(name)).copied();
        let name = lossy(name);
        for (column, metric) in COUNTERS {
            let pair = (old.map(|old| old[column]), columns[column]);
            window.counter(metric, label("device", name.as_str()), pair, Step::One);
        }
        let delta = |column: usize| old.and_then(|old| columns[column].checked_sub(old[column]));
        let sum = |a: usize, b: usize| delta(a)?.checked_add(delta(b)?);
        if let (Some(errors), Some(packets)) = (sum(RX_ERRORS, TX_ERRORS), sum(RX_PACKETS, TX_PACKETS)) {
            let tried = packets.saturating_add(errors);
            window.ratio("network_error_ratio", label("device", name.as_str()), errors, tried);
        }
    }
}

/// The device's name may stand right against its first number, and may hold a colon (`eth0:1`).
fn row<'a>(line: Line<'a>) -> Option<(&'a [u8], Columns)> {
    let colon = line.text.iter().rposition(|byte| *byte == b':')?;
    let name = line.text[..colon].trim_ascii();
    let mut columns = [0; COLUMNS];
    let mut values = fields(&line.text[colon + 1..]);
    for slot in &mut columns {
        *slot = integer(values.next()?)?;
    }
    (!name.is_empty()).then_some((name, columns))
}

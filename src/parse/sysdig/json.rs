//! `sysdig -j -c topscalls_time`: rows of a key and a number, and below them what they are. Times are
//! nanoseconds.

use serde::Deserialize;

/// One print of a chisel. What else it says is of no use here, so other members are no fault.
#[derive(Debug, Deserialize)]
pub(super) struct Table {
    data: Vec<Row>,
    #[serde(default)]
    info: Vec<Option<Column>>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
    is_key: bool,
}

/// A syscall and its number.
pub(super) type Row = (String, f64);

/// The metric, and its number for each syscall.
pub(super) fn rows(table: Table) -> Result<(&'static str, Vec<Row>), &'static str> {
    const EXPECTED: &str = "syscalls by time or number";
    let mut columns = table.info.iter().flatten();
    // Without its description the table can only be what the probe asks for.
    let key = columns.clone().find(|column| column.is_key).map_or("evt.type", |column| &column.name);
    let value = columns.find(|column| !column.is_key).map_or("evt.latency", |column| &column.name);
    match (key, value) {
        ("evt.type" | "syscall.type", "evt.latency") => {
            let rows = table.data.into_iter().map(|(name, ns)| (name, ns / 1e9));
            Ok(("syscall_time_seconds", rows.collect()))
        }
        ("evt.type" | "syscall.type", "evt.count") => Ok(("syscall_calls", table.data)),
        _ => Err(EXPECTED),
    }
}

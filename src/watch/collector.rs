//! The collector about itself, as Prometheus reads it: whether sweeps run, how they end, what waits, and how
//! much room there is. It says nothing of a host.

use std::collections::BTreeMap;
use std::fs;

use super::alerts;
use crate::config::Settings;
use crate::model::{CollectorTime, Outcome, Severity};
use crate::render::Exposition;
use crate::store::index::Reader;
use crate::store::{Space, StoreError};

/// Everything that is known of the collector at this moment. What cannot be read is left out, and
/// `dropsonde_state_readable` is 0. Blocks: it reads the index.
pub fn collector_metrics(settings: &Settings, started: CollectorTime) -> String {
    let mut text = Exposition::default();
    text.family("dropsonde_build_info", "gauge", "the version that runs; always 1");
    text.line("", [("version", env!("CARGO_PKG_VERSION"))], 1.0);
    let start_s = started.unix_ns() as f64 / 1e9;
    text.single("dropsonde_start_time_seconds", ("gauge", "when the collector started"), start_s);
    text.single("dropsonde_hosts", ("gauge", "hosts of the inventory"), settings.fleet.hosts.len() as f64);
    inventories(&mut text, settings);
    process(&mut text);
    let read = [sweeps(&mut text, settings), incidents(&mut text, settings), space(&mut text, settings)];
    for error in read.iter().filter_map(|read| read.as_ref().err()) {
        tracing::warn!("metrics lack something: {error}");
    }
    let readable = if read.iter().all(Result::is_ok) { 1.0 } else { 0.0 };
    let help = "whether all of the state directory could be read for these metrics";
    text.single("dropsonde_state_readable", ("gauge", help), readable);
    text.into_text()
}

fn inventories(text: &mut Exposition, settings: &Settings) {
    if settings.inventories.is_empty() {
        return;
    }
    text.family("dropsonde_inventory_hosts", "gauge", "hosts of another program's list that are wanted");
    for inventory in &settings.inventories {
        text.line("", [("inventory", &*inventory.name)], inventory.wanted.hosts.len() as f64);
    }
    let help = "whether the last good list stands in for one that cannot be read";
    text.family("dropsonde_inventory_stale", "gauge", help);
    for inventory in &settings.inventories {
        let stale = if inventory.answer.failed.is_some() { 1.0 } else { 0.0 };
        text.line("", [("inventory", &*inventory.name)], stale);
    }
}

fn process(text: &mut Exposition) {
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        text.single("process_open_fds", ("gauge", "open file descriptors"), entries.count() as f64);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    if let Some(kib) = resident.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<f64>().ok())
    {
        text.single("process_resident_memory_bytes", ("gauge", "resident memory"), kib * 1024.0);
    }
}

fn sweeps(text: &mut Exposition, settings: &Settings) -> Result<(), StoreError> {
    // Before the first sweep there is no index, and that is no fault.
    if !settings.state_dir.join("index.sqlite").exists() {
        return Ok(());
    }
    let reader = Reader::open(&settings.state_dir)?;
    text.family("dropsonde_sweeps", "gauge", "sweeps in the index, by what made them run");
    for (trigger, count) in reader.sweeps_by_trigger()? {
        text.line("", [("trigger", trigger.as_str())], count as f64);
    }
    let latest = reader.latest_of_schedules()?;
    let name = |row: &crate::store::index::SweepRow| row.schedule.clone().unwrap_or_default();
    text.family(
        "dropsonde_last_sweep_start_time_seconds",
        "gauge",
        "when a schedule's last sweep that ended began",
    );
    for row in &latest {
        text.line("", [("schedule", name(row).as_str())], row.started.unix_ns() as f64 / 1e9);
    }
    text.family("dropsonde_last_sweep_duration_seconds", "gauge", "how long it took");
    for row in &latest {
        let seconds = row.elapsed.map_or(f64::NAN, |elapsed| elapsed.as_secs_f64());
        text.line("", [("schedule", name(row).as_str())], seconds);
    }
    text.family("dropsonde_last_sweep_readings", "gauge", "its readings, by how they ended");
    for row in &latest {
        let counts = reader.outcome_counts(&row.sweep)?;
        for outcome in Outcome::ALL {
            let count = counts.get(&outcome).copied().unwrap_or(0);
            text.line("", [("schedule", name(row).as_str()), ("outcome", outcome.as_str())], count as f64);
        }
    }
    Ok(())
}

fn incidents(text: &mut Exposition, settings: &Settings) -> Result<(), StoreError> {
    let book = alerts::book(&settings.state_dir)?;
    text.family("dropsonde_open_incidents", "gauge", "incidents that are open");
    for (word, severity) in Severity::ALL {
        let open = book.incidents.iter().filter(|incident| incident.severity == severity).count();
        text.line("", [("severity", word)], open as f64);
    }
    let mut waiting: BTreeMap<&str, usize> =
        settings.receivers.iter().map(|receiver| (receiver.name.as_str(), 0)).collect();
    for queued in &book.queue {
        *waiting.entry(&queued.receiver).or_default() += 1;
    }
    text.family("dropsonde_waiting_alerts", "gauge", "messages that a receiver did not take yet");
    for (receiver, count) in waiting {
        text.line("", [("receiver", receiver)], count as f64);
    }
    let of_all = |what: &str| format!("messages that were {what}, by all collectors of this state directory");
    let delivered = of_all("delivered");
    text.single("dropsonde_delivered_alerts_total", ("counter", &delivered), book.delivered as f64);
    let dropped = of_all("given up");
    text.single("dropsonde_dropped_alerts_total", ("counter", &dropped), book.dropped as f64);
    Ok(())
}

fn space(text: &mut Exposition, settings: &Settings) -> Result<(), StoreError> {
    if !settings.state_dir.exists() {
        return Ok(());
    }
    let space = Space::of(&settings.state_dir)?;
    let free = "room that is left on the state directory's file system";
    text.single("dropsonde_state_free_bytes", ("gauge", free), space.free_bytes as f64);
    text.single("dropsonde_state_size_bytes", ("gauge", "how large that is"), space.total_bytes as f64);
    Ok(())
}

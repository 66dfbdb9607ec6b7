//! The part of `check` that says how the state directory is.

use std::path::Path;

use crate::cli::Context;
use crate::collect::clock;
use crate::collect::keep::{self, Health, Steps, Stock};
use crate::model::{CollectorTime, Kept};
use crate::render::reports::{DiskAnswer, DueAnswer, HealthAnswer, IndexAnswer, ScheduleAnswer, StockAnswer};
use crate::render::{Ink, Lines, Style, escape, units};
use crate::store::index::SweepRow;

/// `None` where there is no index to ask: `check` has said why.
pub(super) fn look(context: &Context, state: &Path) -> Option<Health> {
    // A configuration that is broken is for `config check` to tell; what was recorded is looked at all
    // the same.
    let retention = context.settings().ok().map(|settings| &settings.retention);
    match keep::health(state, retention, clock::now()) {
        Ok(health) => Some(health),
        Err(error) => {
            tracing::debug!(%error, "no health report");
            None
        }
    }
}

pub(super) fn answer(health: &Health) -> HealthAnswer {
    let rfc3339 = CollectorTime::rfc3339;
    let stock = |stock: &Stock| StockAnswer {
        sweeps: stock.sweeps,
        bytes: stock.bytes,
        oldest: stock.oldest.map(rfc3339),
    };
    let schedule = |row: &SweepRow| ScheduleAnswer {
        schedule: row.schedule.clone().unwrap_or_default(),
        sweep: row.sweep.clone(),
        started: row.started.rfc3339(),
        ended: row.ended.map(rfc3339),
        interrupted: row.interrupted,
        planned: row.planned,
        ok: row.ok,
    };
    HealthAnswer {
        warnings: health.warnings(),
        disk: DiskAnswer {
            free_bytes: health.space.free_bytes,
            total_bytes: health.space.total_bytes,
            low: health.low,
            reserve: health.reserve,
        },
        archive: Kept::ALL
            .into_iter()
            .map(|kept| (kept, stock(&health.stocks.get(&kept).copied().unwrap_or_default())))
            .collect(),
        index: IndexAnswer { used_bytes: health.index_used_bytes, file_bytes: health.index_file_bytes },
        due: health.due.as_ref().map(|due| DueAnswer {
            drop: due.drop.len() as u64,
            thin: due.thin.len() as u64,
            merge: shared(due),
        }),
        schedules: health.schedules.iter().map(schedule).collect(),
        quarantined: health.quarantined,
    }
}

fn shared(due: &Steps) -> u64 {
    due.merge.iter().map(|group| group.len() as u64).sum()
}

fn bytes(bytes: u64) -> String {
    units::value(bytes as f64, "bytes")
}

pub(super) fn text(health: &Health, style: &Style) -> String {
    let mut text = String::new();
    for warning in health.warnings() {
        text.push_str(&format!("{}: {warning}\n", style.paint(Ink::Yellow, "warning")));
    }
    let mut line = |head: &str, rest: String| text.push_str(&format!("{head:<9} {rest}\n"));
    let stocks: Vec<String> = health.stocks.iter().map(|(kept, stock)| stock_text(*kept, stock)).collect();
    line("archive", if stocks.is_empty() { "empty".to_owned() } else { stocks.join("; ") });
    let (used, file) = (bytes(health.index_used_bytes), bytes(health.index_file_bytes));
    line("index", format!("{used} in use of {file}"));
    let reserve = match health.reserve {
        None => "no reserve wanted",
        Some(true) => "the reserve is there",
        Some(false) => "no reserve yet",
    };
    let (free, total) = (bytes(health.space.free_bytes), bytes(health.space.total_bytes));
    line("disk", format!("{free} of {total} free; {reserve}"));
    line("due", health.due.as_ref().map_or("unknown: the configuration cannot be read".to_owned(), due_text));
    for row in &health.schedules {
        line("schedule", schedule_text(row));
    }
    text
}

fn stock_text(kept: Kept, stock: &Stock) -> String {
    let what = match kept {
        Kept::Raw => "with their bytes",
        Kept::Numbers => "with their numbers",
        Kept::Merged => "that share numbers",
    };
    let since = stock.oldest.map(|oldest| format!(" since {}", oldest.rfc3339())).unwrap_or_default();
    format!("{} sweeps {what}, {}{since}", stock.sweeps, bytes(stock.bytes))
}

fn due_text(due: &Steps) -> String {
    if due.is_empty() {
        return "nothing".to_owned();
    }
    let parts = [
        (due.drop.len() as u64, "sweeps to drop"),
        (due.thin.len() as u64, "to lose their bytes"),
        (shared(due), "to share numbers"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    format!("{}: `dropsonde prune`", parts.join(", "))
}

fn schedule_text(row: &SweepRow) -> String {
    let name = escape(row.schedule.as_deref().unwrap_or_default(), Lines::Single).into_owned();
    let went = match (row.ended, row.interrupted) {
        (None, _) => "is running",
        (Some(_), true) => "was interrupted",
        (Some(_), false) => "ended",
    };
    format!(
        "{name}: the last one, {}, {went}; {} of {} readings ok",
        row.started.rfc3339(),
        row.ok,
        row.planned
    )
}

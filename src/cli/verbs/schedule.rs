//! `schedule`: what runs by itself, in words, and when it will.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use super::sweep::find_schedule;
use crate::cli::ticks::Ticks;
use crate::cli::{Context, Exit};
use crate::collect::clock;
use crate::config;
use crate::model::{CollectorTime, ProbeName, SweepId, Tick, duration_text};
use crate::render::json::Schema;
use crate::render::reports::NotRun;
use crate::render::units;

/// Say what runs by itself, where, and at which times it will next
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  dropsonde schedule
  dropsonde schedule hourly --json")]
pub struct Schedule {
    /// Only this schedule
    #[arg(value_name = "SCHEDULE")]
    schedule: Option<String>,
    /// How many of the next times
    #[arg(long, value_name = "N", default_value_t = 5)]
    next: usize,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: Schema,
    schedules: Vec<Line<'a>>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    name: &'a str,
    cron: &'a str,
    timezone: &'a str,
    words: String,
    /// A selector, and how many hosts it names now.
    selector: &'a str,
    hosts: u64,
    probes: &'a [ProbeName],
    splay_s: f64,
    deadline_s: Option<f64>,
    min_success: Option<f64>,
    /// RFC 3339, in UTC.
    next: Vec<String>,
    /// The last tick whose sweep was started.
    last: Option<Last<'a>>,
    /// The newest that were not run, the newest first.
    not_run: Vec<NotRun<'a>>,
}

#[derive(Debug, Serialize)]
struct Last<'a> {
    due: String,
    sweep: &'a SweepId,
    /// Null where it was on time.
    late_s: Option<f64>,
}

/// How many of what was not run are told.
const NOT_RUN: usize = 5;

impl Schedule {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let settings = context.settings()?;
        let chosen: Vec<&config::Schedule> = match &self.schedule {
            Some(name) => vec![find_schedule(settings, name)?],
            None => settings.schedules.iter().collect(),
        };
        let now = clock::now();
        let ticks = Ticks::read(context)?;
        if context.global.json {
            let lines = chosen
                .iter()
                .map(|schedule| self.line(context, schedule, (now, &ticks)))
                .collect::<Result<_>>()?;
            context.print_json(&Report { schema: Schema, schedules: lines })?;
            return Ok(Exit::Good);
        }
        if chosen.is_empty() {
            context.remark("the configuration has no schedule: add [[schedule]]; see config.example.toml");
        }
        let blocks = chosen.iter().map(|schedule| self.block(context, schedule, (now, &ticks)));
        context.print(&blocks.collect::<Result<Vec<_>>>()?.join("\n"))?;
        Ok(Exit::Good)
    }

    fn next(&self, schedule: &config::Schedule, now: CollectorTime) -> Vec<CollectorTime> {
        let ticks =
            std::iter::successors(schedule.timetable.after(now), |tick| schedule.timetable.after(*tick));
        ticks.take(self.next).collect()
    }

    fn line<'a>(
        &self,
        context: &Context,
        schedule: &'a config::Schedule,
        (now, ticks): (CollectorTime, &'a Ticks),
    ) -> Result<Line<'a>> {
        let last = |(tick, sweep): (&Tick, &'a SweepId)| Last {
            due: tick.due.rfc3339(),
            sweep,
            late_s: tick.lateness_s(),
        };
        let mut not_run = ticks.not_run(Some(&schedule.name), None);
        not_run.truncate(NOT_RUN);
        Ok(Line {
            name: &schedule.name,
            cron: &schedule.cron,
            timezone: &schedule.timezone,
            words: schedule.timetable.words(),
            selector: &schedule.hosts,
            hosts: context.select(&schedule.hosts)?.len() as u64,
            probes: &schedule.probes,
            splay_s: schedule.splay.as_secs_f64(),
            deadline_s: schedule.deadline.map(|deadline| deadline.as_secs_f64()),
            min_success: schedule.min_success,
            next: self.next(schedule, now).into_iter().map(CollectorTime::rfc3339).collect(),
            last: ticks.last(&schedule.name).map(last),
            not_run,
        })
    }

    fn block(
        &self,
        context: &Context,
        schedule: &config::Schedule,
        (now, ticks): (CollectorTime, &Ticks),
    ) -> Result<String> {
        let hosts = context.select(&schedule.hosts)?.len();
        let probes: Vec<&str> = schedule.probes.iter().map(ProbeName::as_str).collect();
        let mut text = format!("{}: {}\n", schedule.name, schedule.timetable.words());
        let _ = writeln!(text, "  hosts   {} ({hosts})", schedule.hosts);
        let _ = writeln!(text, "  probes  {}", probes.join(", "));
        let mut terms = Vec::new();
        if !schedule.splay.is_zero() {
            terms.push(format!("visits spread over {}", duration_text(schedule.splay)));
        }
        terms.extend(schedule.deadline.map(|deadline| format!("ends within {}", duration_text(deadline))));
        terms.extend(
            schedule.min_success.map(|share| format!("{} must succeed", units::value(share, "ratio"))),
        );
        if !terms.is_empty() {
            let _ = writeln!(text, "  terms   {}", terms.join(", "));
        }
        for (number, tick) in self.next(schedule, now).into_iter().enumerate() {
            let label = if number == 0 { "next" } else { "" };
            let _ = writeln!(text, "  {label:<7} {}", schedule.timetable.local(tick));
        }
        if let Some((tick, sweep)) = ticks.last(&schedule.name) {
            let late =
                tick.lateness_s().map(|late_s| format!(", late by {}", units::value(late_s, "seconds")));
            let at = schedule.timetable.local(tick.due);
            let _ = writeln!(text, "  last    {at}: {sweep}{}", late.unwrap_or_default());
        }
        for it in ticks.not_run(Some(&schedule.name), None).iter().take(NOT_RUN) {
            let more = if it.count > 1 {
                format!(" and {} more until {}", it.count - 1, it.until)
            } else {
                String::new()
            };
            let _ = writeln!(text, "  missed  {}{more}: {}", it.due, it.why);
        }
        Ok(text)
    }
}

//! The progress of a long sweep on a terminal: hosts done, outcomes so far, what is slow. Off a
//! terminal it draws nothing at all.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::collect::Event;
use crate::model::{HostName, Outcome};
use crate::render::units;

/// A visit that takes longer than this is named.
const SLOW: Duration = Duration::from_secs(3);

/// How many slow hosts are named.
const NAMED: usize = 3;

pub struct Progress {
    bar: ProgressBar,
    outcomes: BTreeMap<Outcome, u64>,
    under_way: HashMap<HostName, Instant>,
}

impl Progress {
    pub fn new(shown: bool, hosts: usize) -> Self {
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(hosts as u64), target);
        // The template is a constant; with a broken one the bar keeps indicatif's own.
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} hosts  {elapsed}  {msg}") {
            bar.set_style(style.progress_chars("━━─"));
        }
        Self { bar, outcomes: BTreeMap::new(), under_way: HashMap::new() }
    }

    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Visiting(host) => {
                self.under_way.insert(host.clone(), Instant::now());
            }
            Event::Recorded(kept) => *self.outcomes.entry(kept.reading.outcome).or_default() += 1,
            Event::Left { host, .. } => {
                self.under_way.remove(host);
                self.bar.inc(1);
            }
        }
    }

    /// Draws what changed; called about once a second.
    pub fn tick(&self) {
        let outcomes = self.outcomes.iter().map(|(outcome, count)| format!("{outcome} {count}"));
        let mut parts: Vec<String> = outcomes.collect();
        let mut slow: Vec<_> = self.under_way.iter().filter(|(_, since)| since.elapsed() > SLOW).collect();
        slow.sort_by_key(|(_, since)| **since);
        if !slow.is_empty() {
            let named = slow.iter().take(NAMED);
            let named = named.map(|(host, since)| format!("{host} {}", units::elapsed(since.elapsed())));
            let more = if slow.len() > NAMED { format!(" +{}", slow.len() - NAMED) } else { String::new() };
            parts.push(format!("slow: {}{more}", named.collect::<Vec<_>>().join(", ")));
        }
        self.bar.set_message(parts.join("  "));
    }

    /// Runs `print` with the bar out of the way.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

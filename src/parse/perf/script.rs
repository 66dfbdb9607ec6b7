//! perf script: what the CPUs were found doing, as shares of the samples. The stacks stay in the
//! archive, for flame graphs. It refuses to count an idle CPU as work: shares are of the samples that
//! were not idle, so that a busy and a quiet host can be compared.

use std::collections::HashMap;

use super::stacks::{Sampled, each_sample};
use super::tally::{OTHERS, worst};
use crate::parse::sink::Sink;

const TASKS: Shares = Shares { metric: "profile_task_ratio", label: "task", keep: 32 };
const FUNCTIONS: Shares = Shares { metric: "profile_function_ratio", label: "function", keep: 48 };

pub(in crate::parse) fn parse(raw: &[u8], sink: &mut Sink) {
    let mut profile = Profile::default();
    each_sample(raw, sink, |sample| profile.add(sample));
    profile.give(sink);
}

#[derive(Debug, Default)]
struct Profile {
    samples: u64,
    idle: u64,
    in_kernel: u64,
    unnamed: u64,
    tasks: HashMap<String, u64>,
    functions: HashMap<String, u64>,
}

impl Profile {
    fn add(&mut self, sample: &Sampled) {
        self.samples += 1;
        if sample.is_idle() {
            self.idle += 1;
            return;
        }
        *self.tasks.entry(sample.comm.clone()).or_default() += 1;
        let Some(leaf) = sample.frames.first() else { return };
        self.in_kernel += u64::from(leaf.in_kernel);
        self.unnamed += u64::from(leaf.name.starts_with('['));
        *self.functions.entry(leaf.name.clone()).or_default() += 1;
    }

    fn give(self, sink: &mut Sink) {
        // An idle host has some: where there are none, perf did not look.
        if self.samples == 0 {
            return sink.fault(|| "expected the samples of perf script, found none".to_owned());
        }
        sink.gauge("profile_samples", vec![], self.samples as f64);
        sink.gauge("profile_idle_ratio", vec![], self.idle as f64 / self.samples as f64);
        let busy = (self.samples - self.idle) as f64;
        if busy == 0.0 {
            return;
        }
        sink.gauge("profile_kernel_ratio", vec![], self.in_kernel as f64 / busy);
        sink.gauge("profile_unnamed_ratio", vec![], self.unnamed as f64 / busy);
        TASKS.give(self.tasks, busy, sink);
        FUNCTIONS.give(self.functions, busy, sink);
    }
}

/// The most frequent names of one kind, as shares of `busy`.
struct Shares {
    metric: &'static str,
    label: &'static str,
    keep: usize,
}

impl Shares {
    fn give(&self, counts: HashMap<String, u64>, busy: f64, sink: &mut Sink) {
        let (kept, rest) = worst(counts, self.keep, |count| *count as f64);
        for (name, count) in kept {
            sink.gauge(self.metric, vec![(self.label.into(), name)], count as f64 / busy);
        }
        if !rest.is_empty() {
            let count: u64 = rest.iter().map(|(_, count)| count).sum();
            sink.gauge(self.metric, vec![(self.label.into(), OTHERS.to_owned())], count as f64 / busy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::series;

    #[test]
    fn shares_are_of_what_was_not_idle() {
        let raw = "swapper 0 [0] 1.0: e: \n\tf1 default_idle ([kernel.kallsyms])\n\n\
                   swapper 0 [0] 1.0: e: \n\tf1 net_rx_action ([kernel.kallsyms])\n\tf2 default_idle ([kernel.kallsyms])\n\n\
                   app 1 [1] 1.0: e: \n\t1 work (/bin/app)\n\n\
                   app 1 [1] 1.0: e: \n\t1 [unknown] (/bin/app)\n\n\
                   app 1 [1] 1.0: e: \n\tf3 net_rx_action ([kernel.kallsyms])\n";
        let mut sink = Sink::default();
        parse(raw.as_bytes(), &mut sink);
        let parsed = sink.finish();
        assert_eq!(parsed.faults, []);
        assert_eq!(
            series(&parsed),
            [
                "profile_samples 5",
                "profile_idle_ratio 0.2",
                "profile_kernel_ratio 0.5",
                "profile_unnamed_ratio 0.25",
                "profile_task_ratio{task=app} 0.75",
                "profile_task_ratio{task=swapper} 0.25",
                "profile_function_ratio{function=[app]} 0.25",
                "profile_function_ratio{function=net_rx_action} 0.5",
                "profile_function_ratio{function=work} 0.25",
            ]
        );
    }

    #[test]
    fn no_samples_are_no_shares() {
        let mut sink = Sink::default();
        parse(b"", &mut sink);
        let parsed = sink.finish();
        assert_eq!((parsed.samples.len(), parsed.faults.len()), (0, 1));
    }
}

//! The synthetic files hold what a kernel of that age and size would write.

use super::*;
use crate::demo::{FleetShape, Incident, fleet};
use crate::model::CollectorTime;
use std::collections::BTreeMap;

const NOW_S: i64 = 1_795_381_601;

fn made(hosts: usize, seed: u64) -> Vec<HostModel> {
    fleet(FleetShape { hosts, seed, now: CollectorTime::from_unix_s(NOW_S) }).unwrap()
}

fn at(host: &HostModel, ms: i64) -> BTreeMap<String, String> {
    let time = CollectorTime::from_unix_ns(NOW_S * 1_000_000_000 + ms * 1_000_000);
    host.moving_files(time).into_iter().map(|file| (file.path, file.text)).collect()
}

/// The whole numbers of a line, after its first word.
fn numbers(line: &str) -> Vec<u64> {
    line.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect()
}

fn row(files: &BTreeMap<String, String>, path: &str, start: &str) -> Vec<u64> {
    let line = files[path].lines().find(|line| line.trim_start().starts_with(start));
    numbers(line.unwrap_or_else(|| panic!("{path} has no {start}")))
}

#[test]
fn the_same_seed_and_moment_give_the_same_bytes() {
    let (a, b) = (made(12, 3), made(12, 3));
    assert_eq!(at(&a[5], 1_234), at(&b[5], 1_234));
    let now = CollectorTime::from_unix_s(NOW_S);
    assert_eq!(a[5].fixed_files(now), b[5].fixed_files(now));
    assert_ne!(at(&a[5], 1_234), at(&made(12, 4)[5], 1_234));
    assert_eq!(a.iter().filter(|host| host.sick).count(), 1);
    assert_ne!(a[0].boot_id(now), a[1].boot_id(now));
}

#[test]
fn a_fleet_that_is_made_again_goes_on_where_it_was() {
    let again = |s: i64| {
        let now = CollectorTime::from_unix_s(NOW_S + s);
        fleet(FleetShape { hosts: 12, seed: 3, now }).unwrap()
    };
    let now = CollectorTime::from_unix_s(NOW_S);
    for (before, after) in made(12, 3).iter().zip(&again(600)) {
        assert_eq!(before.boot_id(now), after.boot_id(now));
        assert_eq!(at(before, 900_000), at(after, 900_000));
    }
    // Another week, another boot.
    assert_ne!(made(12, 3)[0].boot_id(now), again(8 * 86_400)[0].boot_id(now));
}

/// Counters by a key: everything but what is a gauge by nature.
fn counters(files: &BTreeMap<String, String>) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let gauges = ["loadavg", "meminfo", "buddyinfo", "conntrack_count"];
    for (path, text) in files.iter().filter(|(path, _)| !gauges.iter().any(|gauge| path.ends_with(gauge))) {
        for (i, line) in text.lines().enumerate() {
            let gauge_line = ["nr_free", "nr_anon", "procs_", "Tcp: 1"];
            if gauge_line.iter().any(|start| line.starts_with(start)) || path.ends_with("stat/nf_conntrack") {
                continue;
            }
            for (j, word) in line.split_whitespace().enumerate() {
                let word = word.strip_prefix("total=").unwrap_or(word);
                let value =
                    if path.ends_with("softnet_stat") { u64::from_str_radix(word, 16) } else { word.parse() };
                if let Ok(value) = value {
                    found.insert(format!("{path}:{i}:{j}"), value);
                }
            }
        }
    }
    found
}

#[test]
fn counters_never_run_backwards() {
    for host in made(12, 9) {
        let mut before = counters(&at(&host, -3_600_000));
        // An hour, then steps as small as two reads of one file.
        for ms in [0, 1, 2, 3, 10, 100, 1_000, 5_000, 60_000, 86_400_000] {
            let after = counters(&at(&host, ms));
            for (key, value) in &before {
                assert!(after[key] >= *value, "{} {key} {value} -> {} at {ms} ms", host.name, after[key]);
            }
            assert!(after.len() > 300, "{}", after.len());
            before = after;
        }
    }
}

#[test]
fn cpu_time_adds_up_to_the_uptime_of_every_cpu() {
    for host in made(40, 1) {
        for ms in [-30 * 3_600_000, 0, 3 * 3_600_000, 12 * 3_600_000] {
            let files = at(&host, ms);
            let uptime_s: f64 = files["proc/uptime"].split(' ').next().unwrap().parse().unwrap();
            let mut sum = vec![0; 10];
            for cpu in 0..host.cpus {
                let ticks = row(&files, "proc/stat", &format!("cpu{cpu} "));
                let total: u64 = ticks.iter().sum();
                let expected = uptime_s * cpu::TICKS_PER_S;
                assert!((total as f64 - expected).abs() <= 9.0, "{} cpu{cpu} {total} {expected}", host.name);
                sum.iter_mut().zip(&ticks).for_each(|(sum, ticks)| *sum += ticks);
            }
            assert_eq!(row(&files, "proc/stat", "cpu "), sum);
        }
    }
}

#[test]
fn no_cpu_is_busier_than_it_can_be() {
    for host in made(60, 2) {
        for hour in 0..24 {
            let (before, after) = (at(&host, hour * 3_600_000), at(&host, hour * 3_600_000 + 10_000));
            for cpu in 0..host.cpus {
                let line = format!("cpu{cpu} ");
                let idle = |files: &_| row(files, "proc/stat", &line)[3];
                assert!(idle(&after) > idle(&before), "{} cpu{cpu} at hour {hour}", host.name);
            }
        }
    }
}

#[test]
fn the_parts_agree_with_their_sums() {
    for host in made(12, 5) {
        let files = at(&host, 0);
        let sum_of = |path: &str| -> u64 {
            files[path]
                .lines()
                .skip(1)
                .filter(|line| !line.starts_with("ERR") && !line.starts_with("MIS"))
                .map(|line| numbers(line).iter().take(host.cpus).sum::<u64>())
                .sum()
        };
        assert_eq!(row(&files, "proc/stat", "intr")[0], sum_of("proc/interrupts"));
        assert_eq!(row(&files, "proc/stat", "softirq")[0], sum_of("proc/softirqs"));

        let tasks: Vec<Vec<u64>> = files
            .iter()
            .filter(|(path, _)| path.ends_with("/schedstat") && path.contains("/task/"))
            .map(|(_, text)| text.split_whitespace().map(|word| word.parse().unwrap()).collect())
            .collect();
        assert_eq!(files.contains_key("proc/schedstat"), host.platform.schedstat_version.is_some());
        let with_schedstat = if files.contains_key("proc/schedstat") { host.cpus } else { 0 };
        let cpus: Vec<Vec<u64>> = (0..with_schedstat)
            .map(|cpu| row(&files, "proc/schedstat", &format!("cpu{cpu} "))[6..].to_vec())
            .collect();
        for column in (0..3).filter(|_| with_schedstat > 0) {
            let sum = |rows: &[Vec<u64>]| rows.iter().map(|row| row[column]).sum::<u64>() as f64;
            assert!((sum(&tasks) / sum(&cpus) - 1.0).abs() < 1e-6, "{} column {column}", host.name);
        }
        // Tasks run in user, nice and system time.
        let stat = row(&files, "proc/stat", "cpu ");
        let run_s = tasks.iter().map(|task| task[0]).sum::<u64>() as f64 / 1e9;
        assert!(((stat[0] + stat[1] + stat[2]) as f64 / cpu::TICKS_PER_S / run_s - 1.0).abs() < 1e-3);

        let free_kib = row(&files, "proc/meminfo", "MemFree")[0];
        assert_eq!(row(&files, "proc/vmstat", "nr_free_pages")[0] * 4, free_kib);
        let buddies: u64 = files["proc/buddyinfo"]
            .lines()
            .flat_map(|line| line.split_whitespace().skip(4).enumerate())
            .map(|(order, count)| count.parse::<u64>().unwrap() << order)
            .sum();
        assert_eq!(buddies * 4, free_kib);
    }
}

#[test]
fn nothing_takes_longer_than_there_was_time() {
    for host in made(12, 6) {
        let (before, after) = (at(&host, 0), at(&host, 60_000));
        let stalled_us = |files: &BTreeMap<String, String>, path: &str, word: &str| -> u64 {
            let line = files[path].lines().find(|line| line.starts_with(word)).unwrap();
            line.rsplit_once('=').unwrap().1.parse().unwrap()
        };
        for path in ["proc/pressure/cpu", "proc/pressure/io", "proc/pressure/memory"] {
            let some = stalled_us(&after, path, "some") - stalled_us(&before, path, "some");
            let full = stalled_us(&after, path, "full") - stalled_us(&before, path, "full");
            assert!(full <= some && some < 60_000_000, "{path} {some} {full}");
        }
        let disk = |files: &BTreeMap<String, String>| -> Vec<u64> {
            numbers(files["proc/diskstats"].lines().next().unwrap().split_once(host.platform.disk).unwrap().1)
        };
        let (before, after) = (disk(&before), disk(&after));
        // `numbers` leaves out the first, the reads: io_ticks is then the ninth.
        assert_eq!(after.len(), 16);
        assert!(after[8] - before[8] < 60_000);
        assert!(after[9] - before[9] >= after[8] - before[8]);
    }
}

/// What an incident shows in, over five seconds from `ms` on.
fn symptom(host: &HostModel, incident: Incident, ms: i64) -> f64 {
    let (before, after) = (at(host, ms), at(host, ms + 5_000));
    let rise = |value: &dyn Fn(&BTreeMap<String, String>) -> u64| (value(&after) - value(&before)) as f64;
    match incident {
        Incident::SlowKernel => {
            let tasks = |files: &BTreeMap<String, String>, column: usize| -> u64 {
                let all =
                    files.iter().filter(|(path, _)| path.contains("/task/") && path.ends_with("schedstat"));
                all.map(|(_, text)| numbers(&format!("x {text}"))[column]).sum()
            };
            rise(&|files| tasks(files, 1)) / rise(&|files| tasks(files, 2)) / 1e9
        }
        Incident::DyingDisk => {
            let reads = |files: &BTreeMap<String, String>, column: usize| {
                let line = files["proc/diskstats"].lines().next().unwrap();
                line.split_whitespace().nth(column).unwrap().parse().unwrap()
            };
            rise(&|files| reads(files, 6)) / rise(&|files| reads(files, 3)) / 1e3
        }
        Incident::NoisyNeighbour => {
            rise(&|files| row(files, "proc/stat", "cpu ")[7]) / 500.0 / host.cpus as f64
        }
    }
}

#[test]
fn an_incident_shows_on_its_hosts_alone_and_only_since_it_began() {
    for seed in 0..20 {
        let hosts = made(24, seed);
        for (incident, count) in
            [(Incident::SlowKernel, 4), (Incident::DyingDisk, 1), (Incident::NoisyNeighbour, 4)]
        {
            let (ill, others): (Vec<&HostModel>, Vec<&HostModel>) =
                hosts.iter().partition(|host| host.incident == Some(incident));
            assert_eq!(ill.len(), count, "seed {seed} {incident:?}");
            let usual = others.iter().map(|host| symptom(host, incident, 0)).fold(0.0, f64::max);
            for host in ill {
                let (now, yesterday) = (symptom(host, incident, 0), symptom(host, incident, -24 * 3_600_000));
                assert!(now >= 2.5 * usual, "seed {seed} {} {incident:?}: {now} {usual}", host.name);
                assert!(yesterday <= 1.5 * usual, "seed {seed} {} {incident:?}: {yesterday}", host.name);
            }
        }
    }
}

#[test]
fn those_of_the_slow_kernel_share_it_and_nothing_else() {
    for seed in 0..20 {
        let hosts = made(24, seed);
        let now = CollectorTime::from_unix_s(NOW_S);
        let kernel = |host: &HostModel, time| host.at(time).boot.kernel;
        let sick = hosts.iter().find(|host| host.sick).unwrap();
        let slow = |host: &&HostModel| host.incident == Some(Incident::SlowKernel);
        for host in &hosts {
            assert_eq!(kernel(host, now) == kernel(sick, now), slow(&host), "seed {seed} {}", host.name);
            let yesterday = CollectorTime::from_unix_s(NOW_S - 86_400);
            assert_eq!(kernel(host, yesterday) == kernel(host, now), !slow(&host));
        }
        let platform = |host: &&&HostModel| std::ptr::eq(host.platform, sick.platform);
        assert_eq!(hosts.iter().collect::<Vec<_>>().iter().filter(platform).count(), 8);
        // The worst off is the one to look at.
        let worst = hosts.iter().max_by(|a, b| {
            let wait = |host| symptom(host, Incident::SlowKernel, 0);
            wait(a).total_cmp(&wait(b))
        });
        assert_eq!(worst.unwrap().name, sick.name, "seed {seed}");
    }
}

#[test]
fn a_reboot_means_nothing() {
    for seed in 0..20 {
        let hosts = made(24, seed);
        let (yesterday, before) = (-20 * 3_600, -40 * 3_600);
        let boot = |host: &HostModel, s| host.boot_id(CollectorTime::from_unix_s(NOW_S + s)).to_owned();
        let booted = |host: &&HostModel| boot(host, before) != boot(host, yesterday);
        let booted: Vec<&HostModel> = hosts.iter().filter(booted).collect();
        assert_eq!(booted.len(), 1);
        assert!(booted[0].incident.is_none() && !booted[0].is_odd());
        assert_eq!(hosts.iter().filter(|host| host.is_odd() && host.incident.is_none()).count(), 1);
    }
}

#[test]
fn a_fleet_of_any_size_has_a_sick_host() {
    for hosts in 1..40 {
        let made = made(hosts, 7);
        assert_eq!(made.iter().filter(|host| host.sick).count(), 1, "{hosts}");
        let in_trouble = made.iter().filter(|host| host.incident.is_some()).count();
        // Somebody must be left to compare with.
        assert!(in_trouble * 2 <= hosts + 1, "{in_trouble} of {hosts}");
    }
}

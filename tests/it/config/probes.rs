//! Probe files: which one wins, and what can be wrong in one.

use std::time::Duration;

use dropsonde::config::{ProbeSource, parse_probe, read_probe};
use dropsonde::model::ByteSize;

use super::machine::Machine;

const PROBE: &str = "name = \"mine\"\nsummary = \"s\"\nscript = \"true\"\nformat = \"text\"\n";

#[test]
fn a_probes_file_wins_whole_over_those_behind_it() {
    let uptime = PROBE.replace("mine", "uptime");
    let machine = Machine::new()
        .file("share/probes.d/mine.toml", PROBE.replace("\"s\"", "\"vendor\""))
        .file("share/probes.d/other.toml", PROBE.replace("mine", "other"))
        .file("share/probes.d/README.md", "no probe")
        .file("etc/probes.d/mine.toml", PROBE.replace("\"s\"", "\"etc\""))
        .file("home/.config/dropsonde/probes.d/uptime.toml", &uptime);
    let probes = machine.load().probes;
    let source = |name: &str| probes.probes[name].source.clone();
    assert_eq!(probes.get("mine").expect("mine").summary, "etc");
    assert_eq!(source("mine"), ProbeSource::File(machine.path("etc/probes.d/mine.toml")));
    assert_eq!(source("other"), ProbeSource::File(machine.path("share/probes.d/other.toml")));
    assert_eq!(
        source("uptime"),
        ProbeSource::File(machine.path("home/.config/dropsonde/probes.d/uptime.toml"))
    );
    assert_eq!(Machine::new().load().probes.probes["uptime"].source, ProbeSource::BuiltIn);
    // A broken one in front does not silently give way to a whole one behind it.
    let machine = machine.file("etc/probes.d/mine.toml", "");
    assert!(
        machine.faults().starts_with("etc/probes.d/mine.toml: `name` is missing"),
        "{}",
        machine.faults()
    );
}

#[track_caller]
fn check_probe(toml: &str, expected: &[&str]) {
    let faults = parse_probe("mine", "p", toml).expect_err("nothing is wrong").to_string();
    assert_eq!(faults.lines().collect::<Vec<_>>(), expected, "\n{toml}");
}

#[test]
fn faults_of_a_probe() {
    check_probe(
        "name = \"yours\"\nsummary = \"\"\nscript = \"  \"\nformat = \"opnmetrics\"\ntimout = \"1s\"\n",
        &[
            "p:1:8: the probe \"yours\" stands in a file called \"mine\"; expected \"mine\"; or call the file yours.toml",
            "p:2:11: `summary` cannot be \"\"; expected one line that says what the probe looks at, up to 200 bytes",
            "p:3:10: the script is empty; expected a script for /bin/sh",
            "p:4:10: `format` cannot be \"opnmetrics\"; expected one of openmetrics, keyvalue, json, csv, text, proc_snapshot, host_context, kernel_log, ftrace, perf_sched_latency, perf_trace, perf_stat, perf_kwork, perf_script, bpf_histogram, timer_latency, sysdig, storage_health; did you mean `openmetrics`?",
            "p:5:1: unknown key `timout`; did you mean `timeout`?",
        ],
    );
    check_probe(
        &format!("{PROBE}timeout = \"20m\"\nmax_output = \"1GiB\"\ncost = \"free\"\nprivilege = \"roto\"\n"),
        &[
            "p:5:11: `timeout` cannot be \"20m\"; expected a value from \"100ms\" to \"10m\"",
            "p:6:14: `max_output` cannot be \"1GiB\"; expected a value from \"1KiB\" to \"64MiB\"",
            "p:7:8: `cost` cannot be \"free\"; expected one of cheap, moderate, heavy",
            "p:8:13: `privilege` cannot be \"roto\"; expected one of none, root; did you mean `root`?",
        ],
    );
    check_probe(
        &format!("{PROBE}needs = [\"file:spool\", \"tool:/bin/x\", \"perf\", \"tool:a\", \"tool:a\", 3]\n"),
        &[
            "p:5:10: `needs` cannot hold \"file:spool\"; expected file: and an absolute path, or one below $PROC or $SYS; | before another one that would do",
            "p:5:24: `needs` cannot hold \"tool:/bin/x\"; expected tool: and a command's name, without a path; | before another one that would do",
            "p:5:39: `needs` cannot hold \"perf\"; expected \"file:/path\", \"tool:name\", \"version:perf>=6.12\", \"event:sched:sched_switch\", \"tracefs:instances\", \"paranoid<=2\", \"cap:bpf\" or \"kernel-log\"",
            "p:5:57: \"tool:a\" stands here twice",
            "p:5:67: `needs` cannot be 3; expected a string",
        ],
    );
    let long = "x".repeat(96 * 1024 + 1);
    check_probe(
        &PROBE.replace("true", &long),
        &["p:3:10: the script has 98305 bytes; expected at most 96KiB"],
    );
    check_probe(
        &PROBE.replace("true", "a\\u0000b"),
        &["p:3:10: the script holds a NUL byte; expected text that a shell can read"],
    );
}

#[test]
fn faults_of_a_metric() {
    let check = |metric: &str, expected: &[&str]| {
        check_probe(&format!("{}[[metric]]\n{metric}", PROBE.replace("text", "openmetrics")), expected);
    };
    const NAME: &str = "a metric's name: A-Z a-z 0-9 _ :, the first no digit, at most one *";
    check(
        "name = \"1x\"\nkind = \"gague\"\n",
        &[
            &format!("p:6:8: `metric.name` cannot be \"1x\"; expected {NAME}"),
            "p:7:8: `metric.kind` cannot be \"gague\"; expected one of counter, gauge, histogram; did you mean `gauge`?",
        ],
    );
    check(
        "name = \"a_*_*\"\nkind = \"gauge\"\n",
        &[&format!("p:6:8: `metric.name` cannot be \"a_*_*\"; expected {NAME}")],
    );
    check(
        "name = \"jobs\"\nkind = \"counter\"\n",
        &["p:6:8: the counter jobs does not end in _total; expected \"jobs_total\"; or is it a gauge?"],
    );
    check(
        "name = \"a\"\nkind = \"gauge\"\nwarn = nan\nunit = \"per second\"\nworse = \"up\"\n",
        &[
            "p:8:8: `metric.warn` cannot be nan; expected a finite number",
            "p:9:8: `metric.unit` cannot be \"per second\"; expected a unit such as \"seconds\", \"bytes\", \"ratio\" or \"jobs\"",
            "p:10:9: `metric.worse` cannot be \"up\"; expected one of higher, lower, either",
        ],
    );
    check(
        "name = \"a\"\nkind = \"gauge\"\nresolution = 0\njudged = \"no\"\n",
        &[
            "p:8:14: `metric.resolution` cannot be 0; expected the least step between two values, above 0",
            "p:9:10: `metric.judged` cannot be \"no\"; expected one of always, changed, never",
        ],
    );
    check(
        "name = \"a_*\"\nkind = \"gauge\"\nsource = \"/x\"\n",
        &[
            "p:8:10: `metric.source` cannot be \"/x\"; expected no `source` beside a name with *: one place cannot be many metrics",
        ],
    );
    check(
        "name = \"a\"\nkind = \"gauge\"\n[[metric]]\nname = \"a\"\nkind = \"gauge\"\n",
        &["p:9:8: the metric a is described twice; first here (p:6:8)"],
    );
    check(
        "unit = \"s\"\n",
        &[
            &format!("p:5:1: `metric.name` is missing; expected {NAME}"),
            "p:5:1: `metric.kind` is missing; expected one of counter, gauge, histogram",
        ],
    );
}

#[test]
fn a_probe_is_read_with_its_defaults_and_its_source() {
    let probe = parse_probe("mine", "p", PROBE).expect("a probe");
    assert_eq!((probe.timeout, probe.max_output), (Duration::from_secs(10), ByteSize(256 << 10)));
    assert_eq!(&*probe.source, PROBE);
    assert_eq!(probe.hash.0, *blake3::hash(PROBE.as_bytes()).as_bytes());
    let windows =
        "name = \"mine\"\r\nsummary = \"s\"\r\nscript = '''\r\na\r\nb\r\n'''\r\nformat = \"text\"\r\n";
    assert_eq!(parse_probe("mine", "p", windows).expect("a probe").script, "a\nb\n");
    let machine = Machine::new().file("mine.toml", PROBE);
    assert_eq!(read_probe(&machine.path("mine.toml")).expect("a probe").name.as_str(), "mine");
}

//! What is wrong in a file, and what is said about it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use dropsonde::config::load;

use super::machine::{CONFIG, Machine};

#[track_caller]
fn check(toml: &str, expected: &[&str]) {
    let faults = Machine::new().file(CONFIG, toml).faults();
    let faults: Vec<&str> = faults.lines().map(|line| line.trim_start_matches("etc/config.toml:")).collect();
    assert_eq!(faults, expected, "\n{toml}");
}

const DURATION: &str = "a duration such as \"500ms\", \"5s\", \"2m\", \"1h\", \"7d\" or \"1h30m\"";

#[test]
fn every_fault_is_told_at_once_with_its_place() {
    check(
        "[defaults]\nprot = 22\nport = 70000\n[limits]\nconcurrency = 0\nvisit_timeout = \"5 parsecs\"\n[[hosts]]\nnames = 3\n",
        &[
            "2:1: unknown key `prot` in [defaults]; did you mean `port`?",
            "3:8: `defaults.port` cannot be 70000; expected a whole number from 0 to 65535",
            "5:15: `limits.concurrency` cannot be 0; expected a value from 1 to 10000",
            &format!("6:17: `limits.visit_timeout` cannot be \"5 parsecs\"; expected {DURATION}"),
            "8:9: `hosts.names` cannot be 3; expected a string",
        ],
    );
}

#[test]
fn values_of_the_wrong_kind() {
    check(
        "[limits]\nconcurrency = \"8\"\n",
        &["2:15: `limits.concurrency` cannot be \"8\"; expected a whole number"],
    );
    check(
        "[limits]\nmax_wire = 5\n",
        &[
            "2:12: `limits.max_wire` cannot be 5; expected a size such as \"512B\", \"256KiB\", \"1MiB\" or \"2GiB\"",
        ],
    );
    check("limits = 3\n", &["1:10: `limits` cannot be 3; expected a table, as in [limits]"]);
    check(
        "[hosts]\nnames = \"a\"\n",
        &["1:1: `hosts` cannot be a table; expected tables, each under its own [[hosts]]"],
    );
    check("hosts = [1]\n", &["1:10: `hosts` cannot be 1; expected tables, each under its own [[hosts]]"]);
    check(
        "[defaults]\nidentity_files = [\"a\", 7]\n",
        &["2:24: `defaults.identity_files` cannot be 7; expected a path in a string"],
    );
    check(
        "[defaults]\nknown_hosts = [\"~bob/x\"]\n",
        &[
            "2:16: `defaults.known_hosts` cannot be \"~bob/x\"; expected a path; of homes only your own can be named, with ~/",
        ],
    );
    check(
        "[defaults]\nagent = \"yes\"\n",
        &["2:9: `defaults.agent` cannot be \"yes\"; expected true or false"],
    );
    check(
        "[defaults]\nuser = \"-oProxy\"\n",
        &["2:8: `defaults.user` cannot be \"-oProxy\"; expected a login name"],
    );
    check(
        "[defaults]\nproc_root = \"/p/../..\"\n",
        &[
            "2:13: `defaults.proc_root` cannot be \"/p/../..\"; expected an absolute path of A-Z a-z 0-9 / . _ - + : @, without ..",
        ],
    );
    check(
        "[limits]\nheartbeat_interval = \"1500ms\"\n",
        &[
            "2:22: `limits.heartbeat_interval` cannot be \"1500ms\"; expected whole seconds, from \"1s\" to \"600s\"",
        ],
    );
    check(
        "[limits]\nconcurrency = 99999999999999999999\n",
        &[
            "2:15: `limits.concurrency` cannot be 99999999999999999999; expected a whole number from 0 to 4294967295",
        ],
    );
    check(
        "[[hosts]]\nnames = \"a\"\nlabels = { rack = 12, \"a b\" = \"x\" }\n",
        &[
            "3:19: `hosts.labels.rack` cannot be 12; expected a string",
            "3:23: \"a b\" cannot be a label; expected 1 to 64 of A-Z a-z 0-9 _ . - /, the first a letter or _",
        ],
    );
    check(
        "[[hosts]]\nnames = \"a\"\nreach = \"shh\"\n",
        &["3:9: `hosts.reach` cannot be \"shh\"; expected one of ssh, local; did you mean `ssh`?"],
    );
}

#[test]
fn unknown_sections_and_keys() {
    check("[limit]\nx = 1\n", &["1:2: unknown key `limit`; did you mean `limits`?"]);
    check(
        "[zebra]\n",
        &[
            "1:2: unknown key `zebra`; expected one of state, defaults, limits, retention, hosts, access, inventory, groups, schedule, escalate, alerts, alert, receiver, metrics",
        ],
    );
    check(
        "[[hosts]]\nnames = \"a\"\nadress = \"b\"\n",
        &["3:1: unknown key `adress` in [hosts]; did you mean `address`?"],
    );
}

#[test]
fn several_syntax_errors_are_told_and_nothing_that_only_follows_from_them() {
    check(
        "[limits]\nvisit_timeout = 5s\nconcurrency = \nopening = 0\n[[hosts]]\nnames = \"a\n",
        &[
            "2:17: string values must be quoted; expected \"5s\"",
            "3:15: the value is missing",
            "4:11: `limits.opening` cannot be 0; expected a value from 1 to 10000",
            "6:11: invalid basic string; expected `\"`",
        ],
    );
    // The keys after a broken header belong to no one knows which section.
    check("[limits\nconcurrency = 0\n", &["1:8: unclosed table; expected `]`"]);
    check(
        "a = 1\na = 2\n",
        &[
            "1:1: unknown key `a`; expected one of state, defaults, limits, retention, hosts, access, inventory, groups, schedule, escalate, alerts, alert, receiver, metrics",
            "2:1: the key `a` is here a second time",
        ],
    );
}

#[test]
fn limits_that_contradict_each_other() {
    check(
        "[limits]\nvisit_timeout = \"5s\"\nconnect_timeout = \"8s\"\n",
        &[
            "3:19: `limits.connect_timeout` (8s) is longer than a whole visit (5s); `limits.visit_timeout` is set here (etc/config.toml:2:17)",
        ],
    );
    check(
        "[limits]\nidle_timeout = \"2m\"\n",
        &[
            "2:16: `limits.idle_timeout` (2m) is longer than a whole visit (1m); `limits.visit_timeout` has its default; set it, too",
        ],
    );
    check(
        "[limits]\nheartbeat_interval = \"8s\"\nheartbeat_limit = \"8s\"\n",
        &[
            "3:19: `limits.heartbeat_limit` (8s) is not longer than the interval (8s): every probe would end itself; `limits.heartbeat_interval` is set here (etc/config.toml:2:22)",
        ],
    );
    check(
        "[limits]\nopening = 300\n",
        &[
            "2:11: `limits.opening` (300) is more than all visits in flight (256); `limits.concurrency` has its default; set it, too",
        ],
    );
}

#[test]
fn hosts_and_groups() {
    check(
        "[[hosts]]\nnames = \"web[1-3]\"\n[[hosts]]\nnames = \"web[2-5]\"\n",
        &[
            "4:9: web[2-3] are here a second time; expected each host in one [[hosts]] only; first here (etc/config.toml:2:9)",
        ],
    );
    check(
        "[[hosts]]\nnames = \"a,b\"\naddress = \"10.0.0.1\"\n",
        &[
            "3:11: one address for 2 hosts; expected an address with {name} in it, as in \"{name}.example.net\"; or give each host its own [[hosts]]",
        ],
    );
    check(
        "[[hosts]]\nnames = \"a\"\naddress = \"a:22\"\n",
        &[
            "3:11: \"a:22\" cannot be the address of a; expected a host name or an IP address; the port has its own key",
        ],
    );
    check(
        "[[hosts]]\nnames = \"a\"\nreach = \"local\"\naddress = \"b\"\n",
        &["4:11: a host with `reach = \"local\"` has no address; it is this machine; leave `address` out"],
    );
    check("[[hosts]]\nport = 22\n", &["1:1: `hosts.names` is missing; expected a string"]);
    check(
        "[groups]\na = \"@b\"\nb = \"@c\"\nc = \"@a\"\n",
        &[
            "2:5: groups need each other: @a → @b → @c → @a; @b is set here (etc/config.toml:3:5); @c is set here (etc/config.toml:4:5)",
        ],
    );
    check("[groups]\nme = \"@me\"\n", &["2:6: the group @me needs itself"]);
    check(
        "[groups]\n\"a b\" = \"*\"\n",
        &[
            "2:1: \"a b\" cannot be a group's name; expected 1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit",
        ],
    );
}

#[test]
fn a_selectors_error_points_into_its_string() {
    let at = |toml: &str, place: &str| {
        let faults = Machine::new().file(CONFIG, toml).faults();
        assert!(faults.starts_with(&format!("etc/config.toml:{place}: ")), "{toml}\n{faults}");
        assert_eq!(faults.lines().count(), 1, "{faults}");
    };
    at("[[hosts]]\nnames = \"web[1-3\"\n", "2:13");
    at("[[hosts]]\nnames = 'web1'\n[groups]\ng = '''web1,@edgy'''\n", "4:13");
    at("[[hosts]]\nnames = 'web1'\n[groups]\ng = \"web1,web2\"\n", "4:11");
    // With an escape in it, the whole string is pointed at.
    at("[[hosts]]\nnames = 'web1'\n[groups]\ng = \"web1,\\u0077eb2\"\n", "4:5");
}

#[test]
fn schedules_name_what_is_there() {
    let hosts = "[[hosts]]\nnames = \"web[1-2]\"\nlabels = { role = \"web\" }\n";
    let check =
        |schedule: &str, expected: &[&str]| check(&format!("{hosts}[[schedule]]\n{schedule}"), expected);
    check(
        "name = \"h\"\ncron = \"0 * * * *\"\nprobes = [\"uptme\"]\n",
        &[
            "7:11: no such probe: \"uptme\"; expected the name of a file in probes.d/, without .toml; did you mean \"uptime\"?",
        ],
    );
    check(
        "name = \"h\"\ncron = \"0 25 * * *\"\nprobes = []\ntimezone = \"CEST!\"\n",
        &[
            "6:11: \"25\" is not a time in `schedule.cron`; expected hours from 0 to 23; *, ranges a-b and steps /n",
            "7:10: a schedule without probes; expected at least one probe's name",
            "8:12: `schedule.timezone` cannot be \"CEST!\"; expected a time zone such as \"UTC\" or \"Europe/Berlin\", perhaps \"CET\"",
        ],
    );
    check(
        "cron = \"0 * * * *\"\n",
        &[
            "4:1: `schedule.name` is missing; expected a name of 1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit",
            "4:1: `schedule.probes` is missing; expected an array of probes' names",
        ],
    );
    check(
        "name = \"h\"\ncron = \"@hourly\"\nprobes = [\"uptime\", \"uptime\"]\nhosts = \"role=db\"\n",
        &[
            "8:9: \"role=db\" selects no host; expected a selector of at least one host",
            "7:21: the probe uptime stands here twice",
        ],
    );
    check(
        "name = \"h\"\ncron = \"@hourly\"\nprobes = [\"uptime\"]\n[[schedule]]\nname = \"h\"\ncron = \"@daily\"\nprobes = [\"uptime\"]\n",
        &["9:8: the schedule h is here a second time; first here (etc/config.toml:5:8)"],
    );
    check(
        "name = \"h\"\ncron = \"0 0 31 2 *\"\nprobes = [\"uptime\"]\ntimezone = \"Europe/Berlyn\"\n",
        &[
            "8:12: `schedule.timezone` cannot be \"Europe/Berlyn\"; expected a time zone such as \"UTC\" or \"Europe/Berlin\", perhaps \"Europe/Berlin\"",
        ],
    );
    check(
        "name = \"h\"\ncron = \"0 0 31 2 *\"\nprobes = [\"uptime\"]\nmin_success = 1.5\n",
        &[
            "6:8: the cron expression \"0 0 31 2 *\" names a day that never comes",
            "8:15: `schedule.min_success` cannot be 1.5; expected a share above 0 and up to 1, as in 0.9",
        ],
    );
    check(
        "name = \"h\"\ncron = \"@hourly\"\nprobes = [\"uptime\"]\nsplay = \"5m\"\ndeadline = \"5m\"\n",
        &[
            "9:12: the deadline is over before the last visit of the splay begins; `schedule.splay` (etc/config.toml:8:9)",
        ],
    );
    check(
        "name = \"h\"\ncron = \"@hourly\"\nprobes = [\"uptime\"]\n[limits]\nvisit_timeout = \"1s\"\n",
        &["7:11: the probe uptime may take 5s, but a visit ends after 1s; raise `limits.visit_timeout`"],
    );
}

#[test]
fn broken_hosts_do_not_make_every_schedule_that_means_them_a_fault() {
    check(
        "[[hosts]]\nnames = \"web[1-\"\n[groups]\ng = \"web1\"\n[[schedule]]\nname = \"h\"\ncron = \"@hourly\"\nhosts = \"@g\"\nprobes = [\"uptime\"]\n",
        &["2:13: `hosts.names` cannot be read: found the end; expected a `]` that ends the range"],
    );
    check(
        "[[hosts]]\nnames = \"a\"\nlabels = { rack = 1 }\n[groups]\ng = \"rack=1\"\nh = \"@nowhere\"\n",
        &["3:19: `hosts.labels.rack` cannot be 1; expected a string"],
    );
}

#[test]
fn a_syntax_error_hides_no_other_fault() {
    // The group that is not known may stand in the line that cannot be read.
    check(
        "[[hosts]]\nnames = \"a,b\"\nport = 22x\n[[hosts]]\nnames = \"b\"\n[groups]\nx = \"@y\"\nz = \"@z\"\n",
        &[
            "3:8: string values must be quoted; expected \"22x\"",
            "5:9: b is here a second time; expected each host in one [[hosts]] only; first here (etc/config.toml:2:9)",
            "8:5: the group @z needs itself",
        ],
    );
}

#[test]
fn texts_that_are_no_plain_toml_file() {
    let ok = |text: &[u8]| Machine::new().file(CONFIG, text).load();
    assert_eq!(ok(b"").limits.concurrency, 256);
    assert_eq!(ok("\u{feff}[limits]\nconcurrency = 8\n".as_bytes()).limits.concurrency, 8);
    assert_eq!(ok(b"[limits]\r\nconcurrency = 8\r\n").limits.concurrency, 8);
    check(
        "\u{feff}[limits]\r\nconcurrency = 0\r\n",
        &["2:15: `limits.concurrency` cannot be 0; expected a value from 1 to 10000"],
    );
    let bad = |text: &[u8], expected: &str| {
        assert_eq!(Machine::new().file(CONFIG, text).faults(), expected);
    };
    bad(
        b"# ok\n# caf\xe9\n",
        "etc/config.toml:2:6: the byte 0xe9 is not UTF-8; expected text in UTF-8; save the file as UTF-8",
    );
    let large = "#".repeat(1 << 20) + "\n";
    assert!(
        Machine::new()
            .file(CONFIG, large)
            .faults()
            .starts_with("etc/config.toml: the file is larger than 1MiB")
    );
    let just = "#".repeat((1 << 20) - 1) + "\n";
    assert_eq!(ok(just.as_bytes()).limits.concurrency, 256);
}

#[test]
fn files_that_cannot_be_read() {
    let machine = Machine::new().config("nowhere.toml");
    assert_eq!(machine.faults(), "nowhere.toml: there is no such file");
    let machine = Machine::new().file("dir.toml/x", "").config("dir.toml");
    assert_eq!(machine.faults(), "dir.toml: this is a directory, not a file");
    let machine = Machine::new().file(CONFIG, "");
    fs::set_permissions(machine.path(CONFIG), fs::Permissions::from_mode(0o666)).expect("chmod");
    assert!(
        machine.faults().contains("anyone on this machine can write to the file"),
        "{}",
        machine.faults()
    );
    let machine = Machine::new().file(CONFIG, "").file("etc/conf.d/a.toml", "");
    fs::set_permissions(machine.path("etc/conf.d"), fs::Permissions::from_mode(0o777)).expect("chmod");
    assert!(
        machine.faults().contains("anyone on this machine can write to this folder"),
        "{}",
        machine.faults()
    );
    // Nobody writes to it: whoever waited for that would wait for ever.
    for path in [CONFIG, "etc/conf.d/a.toml", "etc/probes.d/a.toml"] {
        let machine =
            Machine::new().file("etc/config.toml", "").file("etc/conf.d/x", "").file("etc/probes.d/x", "");
        let _ = fs::remove_file(machine.path(path));
        let made = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(machine.path(path)).status();
        assert!(made.unwrap().success());
        assert_eq!(machine.faults(), format!("{path}: this is a pipe, not a file"));
    }
    let machine = Machine::new().file(CONFIG, "").file("etc/probes.d", "");
    assert_eq!(machine.faults(), "etc/probes.d: this is not a folder; expected a folder of .toml files");
}

#[test]
fn any_cut_of_a_configuration_gives_faults_or_settings_and_no_panic() {
    let example = include_str!("../../../config.example.toml").replace("\n#", "\n");
    // Nobody outside is asked for hosts.
    let example = example.replace("https://inventory.example.net", "http://127.0.0.1:1");
    for end in (0..example.len()).filter(|end| example.is_char_boundary(*end)).step_by(7) {
        let machine = Machine::new().file(CONFIG, &example[..end]);
        if let Err(faults) = load(&machine.sources()) {
            assert!(faults.iter().all(|fault| !fault.title.is_empty() && !fault.to_string().is_empty()));
        }
    }
}

#[test]
fn escalations_that_cannot_be() {
    let hosts = "[[hosts]]\nnames = \"web01\"\n";
    let good = "when = \"node_load1 > 20\"\nrun = [\"proc\"]\n";
    let check = |rule: &str, expected: &[&str]| check(&format!("{hosts}[[escalate]]\n{rule}"), expected);
    check(
        "",
        &[
            "3:1: `escalate.when` is missing; expected a string",
            "3:1: `escalate.run` is missing; expected an array of probes' names",
        ],
    );
    check(
        "when = \"node_laod1 => 20\"\nrun = [\"proc\"]\n",
        &["4:20: \"=>\" is no comparison; expected one of >, >=, <, <=, ==, !="],
    );
    check(
        "when = \"node_laod1 > 20\"\nrun = [\"porc\"]\ncooldwon = \"1h\"\n",
        &[
            "6:1: unknown key `cooldwon` in [escalate]; did you mean `cooldown`?",
            "4:9: no probe has a metric node_laod1; expected a metric of a probe; `dropsonde probes show NAME` lists them; did you mean node_load1?",
            "5:8: no such probe: \"porc\"; expected the name of a file in probes.d/, without .toml; did you mean \"proc\"?",
        ],
    );
    check(
        "when = \"outliers.changed(nodes_*)\"\nrun = []\nper_hour = 0\nhosts = \"web02\"\n",
        &[
            "5:7: an escalation without probes; expected at least one probe's name",
            "6:12: `escalate.per_hour` cannot be 0; expected a value from 1 to 10000",
            "4:26: no probe has a metric nodes_*; expected a metric of a probe; `dropsonde probes show NAME` lists them",
            "7:10: no such host: web02; expected hosts of the inventory; did you mean web01?",
        ],
    );
    check(
        "when = \"scheduler_runqueue_latency_seconds > 1\"\nrun = [\"proc\"]\n",
        &[
            "4:9: scheduler_runqueue_latency_seconds is a distribution, which has no single number; expected a counter or a gauge; `outliers.changed(scheduler_runqueue_latency_seconds)` compares distributions",
        ],
    );
    check(
        &format!("{good}[[escalate]]\n{good}"),
        &[
            "7:8: the escalation node_load1 > 20 is here a second time; first here (etc/config.toml:4:8); give each its own `name`",
        ],
    );
}

#[test]
fn alerts_and_receivers_that_cannot_be() {
    let hosts = "[[hosts]]\nnames = \"web01\"\n";
    let check = |rules: &str, expected: &[&str]| check(&format!("{hosts}{rules}"), expected);
    check(
        "[[alert]]\nwhen = \"node_load1 >> 2\"\nseverity = \"criticl\"\nhosts = \"web09\"\n",
        &[
            "5:12: `alert.severity` cannot be \"criticl\"; expected one of info, warning, critical; did you mean `critical`?",
            "6:10: no such host: web09; expected hosts of the inventory; did you mean web01?",
            "4:20: \">>\" is no comparison; expected one of >, >=, <, <=, ==, !=",
        ],
    );
    let receiver = |rest: &str| format!("[[receiver]]\nname = \"r\"\nkind = \"webhook\"\n{rest}");
    check(
        "[[receiver]]\n",
        &[
            "3:1: `receiver.name` is missing; expected a name",
            "3:1: `receiver.kind` is missing; expected one of alertmanager, slack, webhook",
            "3:1: a receiver without an address; expected either `url` or `url_file`",
        ],
    );
    // What may be a secret is not in the fault.
    check(
        &receiver("url = \"https://bob:s3cret@example.net/\"\n"),
        &[
            "6: `receiver.url` cannot be used, and is not shown; expected an address without user and password; `token_file` is for those",
        ],
    );
    check(
        &receiver(
            "url = \"http://10.0.0.1/\"\ntoken_file = \"t\"\nclient_cert = \"c\"\nonly = [\"collector_low_spac\"]\n",
        ),
        &[
            "3:1: the token would travel where anybody can read it; expected `url` with https://, or with an address of this machine",
            "3:1: a certificate and its key belong together; expected both `client_cert` and `client_key`, or none of them",
            "9:9: no such alert: \"collector_low_spac\"; expected the name of an [[alert]] or of one of the collector's own; did you mean `collector_low_space`?",
        ],
    );
    check(
        &receiver("url = \"https://a\"\nurl_file = \"b\"\ntemplate = \"{{summry}}\"\n"),
        &[
            "3:1: a receiver with two addresses; expected either `url` or `url_file`",
            "8:12: `receiver.template`: no such place: {{summry}}; expected places out of id, incident, state, rule, severity, metric, condition, hosts, count, worst, value, summary, sweep, at; did you mean `summary`?",
        ],
    );
    check(
        &receiver("url_file = \"credential:../x\"\ntemplate = \"{{summary}} {{hosts}}\"\n"),
        &[
            "6:12: `receiver.url_file` cannot be \"credential:../x\"; expected a credential's name of A-Z a-z 0-9 . _ -",
            "7:12: the template gives no JSON once it is filled in; expected JSON, with places such as \"{{summary}}\" within its strings; {{count}} alone is a number",
        ],
    );
    for (template, good) in [
        (r#"{"a": {{summary}}}"#, false),
        (r#"{"a": {{value}}, "b": {{count}}}"#, false),
        (r#"{"a": "\{{state}}"}"#, false),
        (r#"{"a": "\u000{{rule}}"}"#, false),
        (r#"{"a": "{{summary}}", "b": {{count}}, "{{rule}}": [{{count}}]}"#, true),
    ] {
        let toml = receiver(&format!("url = \"https://a\"\ntemplate = '{template}'\n"));
        let machine = Machine::new().file(CONFIG, format!("{hosts}{toml}"));
        let faults = load(&machine.sources()).err().map(|faults| faults.to_string()).unwrap_or_default();
        assert_eq!(faults.contains("gives no JSON once"), !good, "{template}: {faults}");
        assert_eq!(faults.is_empty(), good, "{template}: {faults}");
    }
}

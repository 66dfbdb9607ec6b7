//! Configuration as a user meets it: files in, faults with their places out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dropsonde::config::{
    Flag, Origin, ProbeSource, Settings, Sources, System, load, parse_probe, read_probe,
};
use dropsonde::model::{ByteSize, Reach};

/// A folder that stands for the whole machine: home, /etc and /usr/share.
struct Machine {
    root: tempfile::TempDir,
    environment: BTreeMap<String, String>,
    flags: Vec<Flag>,
    config: Option<PathBuf>,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let home = root.path().join("home").display().to_string();
        let environment = [("HOME", home.as_str()), ("USER", "ann")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { root, environment, flags: Vec::new(), config: None }
    }

    fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn flag(mut self, name: &str, key: &str, value: &str) -> Self {
        let [name, key, value] = [name, key, value].map(str::to_owned);
        self.flags.push(Flag { name, key, value });
        self
    }

    fn config(mut self, path: &str) -> Self {
        self.config = Some(self.path(path));
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn sources(&self) -> Sources {
        Sources {
            config: self.config.clone(),
            state: None,
            flags: self.flags.clone(),
            environment: self.environment.clone(),
            system: System { etc: self.path("etc"), vendor: self.path("share") },
        }
    }

    fn load(&self) -> Settings {
        load(&self.sources()).unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// The faults, one a line, paths below the machine's root.
    fn faults(&self) -> String {
        let faults = load(&self.sources()).expect_err("nothing is wrong");
        faults.to_string().replace(&format!("{}/", self.root.path().display()), "")
    }
}

const CONFIG: &str = "etc/config.toml";

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
        &["1:2: unknown key `zebra`; expected one of state, defaults, limits, hosts, groups, schedule"],
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
            "1:1: unknown key `a`; expected one of state, defaults, limits, hosts, groups, schedule",
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
fn a_default_gives_way_to_what_is_set() {
    let toml = "[limits]\nvisit_timeout = \"5s\"\nconcurrency = 8\nheartbeat_interval = \"20s\"\n";
    let limits = Machine::new().file(CONFIG, toml).load().limits;
    assert_eq!(limits.connect_timeout, Duration::from_secs(5));
    assert_eq!(limits.close_timeout, Duration::from_secs(3));
    assert_eq!(limits.opening, 8);
    assert_eq!(limits.heartbeat_limit, Duration::from_secs(80));
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
            "8:12: `schedule.timezone` cannot be \"CEST!\"; expected a time zone such as \"UTC\" or \"Europe/Berlin\"",
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
    let machine = Machine::new().file(CONFIG, "").file("etc/probes.d", "");
    assert_eq!(machine.faults(), "etc/probes.d: this is not a folder; expected a folder of .toml files");
}

#[test]
fn the_layers_win_in_their_order() {
    let machine = Machine::new()
        .file(CONFIG, "[limits]\nconcurrency = 1\nopening = 1\nmax_ratio = 9\nmax_line = \"1KiB\"\n")
        .file("etc/conf.d/10.toml", "[limits]\nopening = 2\nmax_ratio = 8\n")
        .file("etc/conf.d/20.toml", "\n[limits]\nmax_ratio = 7\n")
        .file("etc/conf.d/30.toml.bak", "nonsense")
        .file("etc/conf.d/.40.toml", "nonsense")
        .variable("DROPSONDE_CONCURRENCY", "5")
        .variable("DROPSONDE_MAX_LINE", "2KiB")
        .variable("DROPSONDE_MAX_STDERR", "")
        .flag("--concurrency", "limits.concurrency", "6");
    let settings = machine.load();
    assert_eq!(settings.limits.max_line, ByteSize(2048));
    let entries = settings.entries();
    let shown = |key: &str| {
        let entry = entries.iter().find(|entry| entry.key == key).expect(key);
        let origin = entry.origin.to_string().replace(&format!("{}/", machine.root.path().display()), "");
        format!("{} ({origin})", entry.value_text())
    };
    assert_eq!(shown("limits.concurrency"), "6 (flag --concurrency)");
    assert_eq!(shown("limits.max_line"), "\"2KiB\" (environment variable DROPSONDE_MAX_LINE)");
    assert_eq!(shown("limits.max_ratio"), "7 (etc/conf.d/20.toml:3)");
    assert_eq!(shown("limits.opening"), "2 (etc/conf.d/10.toml:2)");
    assert_eq!(shown("limits.max_stderr"), "\"16KiB\" (default)");
    assert_eq!(shown("defaults.user"), "\"ann\" (environment variable USER)");
    let json = settings.entries_json();
    let origin = json.as_array().into_iter().flatten().find(|entry| entry["key"] == "limits.max_ratio");
    assert_eq!(origin.expect("an entry")["origin"]["line"], 3);
}

#[test]
fn faults_of_flags_and_variables_look_like_those_of_files() {
    let machine = Machine::new()
        .variable("DROPSONDE_CONCURRENCY", "many")
        .variable("DROPSONDE_CONCURENCY", "5")
        .variable("DROPSONDE_SERVICE_HOST", "10.0.0.1")
        .variable("DROPSONDE_PORT", "tcp://10.0.0.1:80")
        .flag("--set", "limits.visit_timout", "5s")
        .flag("--connect-timeout", "limits.connect_timeout", "5h");
    let expected = [
        "environment variable DROPSONDE_CONCURENCY:1:1: unknown environment variable DROPSONDE_CONCURENCY; did you mean DROPSONDE_CONCURRENCY?",
        "flag --set: unknown setting `limits.visit_timout`; did you mean `limits.visit_timeout`?",
        "environment variable DROPSONDE_CONCURRENCY:1:1: `limits.concurrency` cannot be \"many\"; expected a whole number from 0 to 4294967295",
        "flag --connect-timeout:1:1: `limits.connect_timeout` cannot be \"5h\"; expected a value from \"1ms\" to \"1h\"",
    ];
    assert_eq!(machine.faults().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_configuration_file_is_found() {
    let concurrency = |machine: &Machine| machine.load().limits.concurrency;
    let text = |n: u32| format!("[limits]\nconcurrency = {n}\n");
    let machine = Machine::new();
    assert_eq!(machine.load().config_file, None);
    let machine = machine.file(CONFIG, text(1));
    assert_eq!(concurrency(&machine), 1);
    let machine = machine.file("home/.config/dropsonde/config.toml", text(2));
    assert_eq!(concurrency(&machine), 2);
    let xdg = machine.path("xdg").display().to_string();
    let machine = machine.file("xdg/dropsonde/config.toml", text(3)).variable("XDG_CONFIG_HOME", &xdg);
    assert_eq!(concurrency(&machine), 3);
    let named = machine.path("named.toml").display().to_string();
    let machine = machine.file("named.toml", text(4)).variable("DROPSONDE_CONFIG", &named);
    assert_eq!(concurrency(&machine), 4);
    let machine = machine.file("flag.toml", text(5)).config("flag.toml");
    assert_eq!(concurrency(&machine), 5);
}

#[test]
fn the_state_directory_is_found() {
    let state = |machine: &Machine| {
        let settings = machine.load();
        let path = settings.state_dir.strip_prefix(machine.root.path()).unwrap_or(&settings.state_dir);
        (path.to_path_buf(), settings.state_origin)
    };
    let env = |name: &str| Origin::Env(name.to_owned());
    let machine = Machine::new();
    assert_eq!(state(&machine), ("home/.local/state/dropsonde".into(), Origin::Default));
    let xdg = machine.path("xs").display().to_string();
    let machine = machine.variable("XDG_STATE_HOME", &xdg);
    assert_eq!(state(&machine), ("xs/dropsonde".into(), env("XDG_STATE_HOME")));
    let machine = machine.variable("STATE_DIRECTORY", "/var/lib/dropsonde:/var/lib/other");
    assert_eq!(state(&machine), ("/var/lib/dropsonde".into(), env("STATE_DIRECTORY")));
    let machine = machine.file(CONFIG, "\nstate = \"mine\"\n");
    let (path, origin) = state(&machine);
    assert_eq!(path, Path::new("etc/mine"));
    assert!(matches!(origin, Origin::File { line: 2, .. }), "{origin}");
    let machine = machine.variable("DROPSONDE_STATE", "/s");
    assert_eq!(state(&machine), ("/s".into(), env("DROPSONDE_STATE")));
    let sources = Sources { state: Some("/flag".into()), ..machine.sources() };
    assert_eq!(load(&sources).expect("settings").state_dir, Path::new("/flag"));
    let mut homeless = Machine::new();
    homeless.environment.clear();
    assert!(
        homeless
            .faults()
            .starts_with("environment: there is no place for the state directory; expected --state")
    );
}

#[test]
fn a_hosts_own_values_win_over_the_defaults() {
    let toml = "[defaults]\nuser = \"probe\"\nidentity_files = [\"keys/fleet\", \"~/k\"]\nproc_root = \"/host/proc\"\n\
        [[hosts]]\nnames = \"web[01-02]\"\naddress = \"{name}.eu\"\nlabels = { dc = \"eu\" }\n\
        [[hosts]]\nnames = \"db1\"\nport = 2222\nuser = \"dba\"\nproc_root = \"/proc\"\n\
        [[hosts]]\nnames = \"me\"\nreach = \"local\"\n";
    let machine = Machine::new().file(CONFIG, toml);
    let fleet = machine.load().fleet;
    let host = |name: &str| fleet.host(name).expect(name);
    assert_eq!(host("web02").address, "web02.eu");
    assert_eq!((host("web02").port, host("web02").user.as_str()), (22, "probe"));
    assert_eq!(host("web02").labels["dc"], "eu");
    assert_eq!(host("web02").identity_files, [machine.path("etc/keys/fleet"), machine.path("home/k")]);
    assert_eq!(host("web02").proc_root.as_deref(), Some("/host/proc"));
    assert_eq!((host("db1").port, host("db1").user.as_str()), (2222, "dba"));
    assert_eq!(host("db1").proc_root, None);
    assert_eq!((host("me").reach, host("web01").reach), (Reach::Local, Reach::Ssh));
}

#[test]
fn default_keys_are_those_that_exist() {
    let toml = "[[hosts]]\nnames = \"a\"\n";
    let machine = Machine::new().file(CONFIG, toml).file("home/.ssh/id_rsa", "");
    let settings = machine.load();
    assert_eq!(settings.fleet.hosts[0].identity_files, [machine.path("home/.ssh/id_rsa")]);
    assert_eq!(settings.fleet.hosts[0].known_hosts[0], machine.path("home/.ssh/known_hosts"));
}

#[test]
fn nobody_to_log_in_as_is_one_fault() {
    let mut machine = Machine::new().file(CONFIG, "[[hosts]]\nnames = \"a\"\n[[hosts]]\nnames = \"b\"\n");
    machine.environment.remove("USER");
    assert_eq!(
        machine.faults(),
        "etc/config.toml:2:9: no user to log in as; set `defaults.user`; neither USER nor LOGNAME is set"
    );
}

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
            "p:4:10: `format` cannot be \"opnmetrics\"; expected one of openmetrics, keyvalue, json, csv, text, proc_snapshot, host_context, kernel_log; did you mean `openmetrics`?",
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
            "p:5:10: `needs` cannot hold \"file:spool\"; expected file: and an absolute path, or one below $PROC or $SYS",
            "p:5:24: `needs` cannot hold \"tool:/bin/x\"; expected tool: and a command's name, without a path",
            "p:5:39: `needs` cannot hold \"perf\"; expected \"file:/path\" or \"tool:name\"",
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

#[test]
fn any_cut_of_a_configuration_gives_faults_or_settings_and_no_panic() {
    let example = include_str!("../../config.example.toml").replace("\n#", "\n");
    for end in (0..example.len()).filter(|end| example.is_char_boundary(*end)).step_by(7) {
        let machine = Machine::new().file(CONFIG, &example[..end]);
        if let Err(faults) = load(&machine.sources()) {
            assert!(faults.iter().all(|fault| !fault.title.is_empty() && !fault.to_string().is_empty()));
        }
    }
}

#[test]
fn ten_thousand_hosts_load_at_once() {
    // 40 ms without optimisation; the bound is for a machine that does much else.
    let mut toml = String::new();
    for rack in 0..1_000 {
        let labels = format!("{{ rack = \"r{rack}\", role = \"web\" }}");
        let _ = write!(toml, "[[hosts]]\nnames = \"web{rack:04}-[0-9]\"\nlabels = {labels}\n");
    }
    toml.push_str("[groups]\nfirst = \"rack=r0\"\nothers = \"*!@first\"\n");
    let machine = Machine::new().file(CONFIG, toml);
    let start = Instant::now();
    let settings = machine.load();
    let elapsed = start.elapsed();
    assert_eq!(settings.fleet.hosts.len(), 10_000);
    assert_eq!(settings.fleet.groups["others"].len(), 9_990);
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    assert!(settings.entries().len() > 2_000);
}

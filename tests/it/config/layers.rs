//! Where values come from, and which wins.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use dropsonde::config::{Origin, Sources, load};
use dropsonde::model::{ByteSize, Reach};

use super::machine::{CONFIG, Machine};
use crate::support::patience::cpu_time_of;

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
fn the_layers_win_in_their_order() {
    let machine = Machine::new()
        .file(CONFIG, "[limits]\nconcurrency = 1\nopening = 1\nmax_ratio = 9\nmax_wire = \"1KiB\"\n")
        .file("etc/conf.d/10.toml", "[limits]\nopening = 2\nmax_ratio = 8\n")
        .file("etc/conf.d/20.toml", "\n[limits]\nmax_ratio = 7\n")
        .file("etc/conf.d/30.toml.bak", "nonsense")
        .file("etc/conf.d/.40.toml", "nonsense")
        .variable("DROPSONDE_CONCURRENCY", "5")
        .variable("DROPSONDE_MAX_WIRE", "2KiB")
        .variable("DROPSONDE_MAX_STDERR", "")
        .flag("--concurrency", "limits.concurrency", "6");
    let settings = machine.load();
    assert_eq!(settings.limits.max_wire, ByteSize(2048));
    let entries = settings.entries();
    let shown = |key: &str| {
        let entry = entries.iter().find(|entry| entry.key == key).expect(key);
        let origin = entry.origin.to_string().replace(&format!("{}/", machine.root.path().display()), "");
        format!("{} ({origin})", entry.value_text())
    };
    assert_eq!(shown("limits.concurrency"), "6 (flag --concurrency)");
    assert_eq!(shown("limits.max_wire"), "\"2KiB\" (environment variable DROPSONDE_MAX_WIRE)");
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
    let mut loaded = None;
    let took = cpu_time_of(|| loaded = Some(machine.load()));
    let settings = loaded.unwrap();
    assert_eq!(settings.fleet.hosts.len(), 10_000);
    assert_eq!(settings.fleet.groups["others"].len(), 9_990);
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(settings.entries().len() > 2_000);
}

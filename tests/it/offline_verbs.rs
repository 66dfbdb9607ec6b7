//! The verbs that need no host: `config`, `probes`, `completions` and `man`, as a person or a script
//! sees them.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/proc/vm_6_18/output");

/// The program in a home of its own, with nothing of this machine's settings.
fn dropsonde(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dropsonde"));
    command.args(args).env_clear().env("HOME", home).env("USER", "somebody").stdin(Stdio::null());
    command
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn run(home: &Path, args: &[&str]) -> (i32, String, String) {
    said(&dropsonde(home, args).output().unwrap())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_value_is_shown_with_its_origin() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    fs::write(&file, "[limits]\nconcurrency = 64\n[[hosts]]\nnames = \"a[1-3]\"\n").unwrap();
    let args = ["--config", file.to_str().unwrap(), "--set", "limits.opening=8", "config", "show"];
    let output = dropsonde(home.path(), &args).env("DROPSONDE_VISIT_TIMEOUT", "30s").output().unwrap();
    let (exit, text, error) = said(&output);
    assert_eq!((exit, error.as_str()), (0, ""));
    let line = |key: &str| {
        let found = text.lines().find(|line| line.split(' ').next() == Some(key));
        found.unwrap_or_else(|| panic!("{key}: {text}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("limits.concurrency"), format!("limits.concurrency = 64 # {}:2", file.display()));
    assert_eq!(line("limits.opening"), "limits.opening = 8 # flag --set");
    assert_eq!(
        line("limits.visit_timeout"),
        "limits.visit_timeout = \"30s\" # environment variable DROPSONDE_VISIT_TIMEOUT"
    );
    assert_eq!(line("limits.max_ratio"), "limits.max_ratio = 200 # default");
    // Each line is TOML, to be copied into a file.
    let _: toml::Table = text.parse().unwrap();
    let shown = json(&run(home.path(), &["config", "show", "--json"]).1);
    assert_eq!(shown["schema"], 1);
    assert!(shown["values"].as_array().unwrap().iter().any(|value| value["key"] == "limits.max_ratio"));
}

#[test]
fn a_check_reports_every_fault_or_what_there_is() {
    let home = tempfile::tempdir().unwrap();
    let (exit, text, _) = run(home.path(), &["config", "check"]);
    assert_eq!(exit, 0);
    assert!(text.starts_with("ok: 0 hosts, ") && text.ends_with(" 0 schedules\n"), "{text}");
    let file = home.path().join("config.toml");
    fs::write(&file, "[limits]\nconcurency = 64\nvisit_timeout = \"0s\"\n").unwrap();
    let (exit, text, error) = run(home.path(), &["--config", file.to_str().unwrap(), "config", "check"]);
    assert_eq!((exit, text.as_str()), (2, ""));
    for part in ["config.toml:2:1", "config.toml:3:17", "did you mean", "2 faults"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let args = ["--config", file.to_str().unwrap(), "--json", "config", "check"];
    let (exit, text, _) = run(home.path(), &args);
    let faults = json(&text);
    assert_eq!((exit, &faults["ok"], faults["faults"].as_array().unwrap().len()), (2, &false.into(), 2));
    assert_eq!(faults["faults"][0]["line"], 2);
}

#[test]
fn a_check_asks_the_ssh_config_files() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    let ssh = home.path().join("ssh");
    let text = format!("[defaults]\nuser = \"a\"\nssh_config = [{ssh:?}]\n[[hosts]]\nnames = \"web[1-2]\"\n");
    fs::write(&file, text).unwrap();
    let check = |why: &str| {
        let arguments = ["--config", file.to_str().unwrap(), "config", "check"];
        let (exit, text, error) = run(home.path(), &arguments);
        assert_eq!(exit, 0, "no fault of the configuration's: the hosts stay in every sweep");
        assert!(text.starts_with("ok: 2 hosts"), "{text}");
        assert!(
            error.contains(&format!("web[1-2] cannot be connected to: {}{why}", ssh.display())),
            "{error}"
        );
        let (_, text, _) = run(home.path(), &[&["--json"][..], &arguments].concat());
        assert!(json(&text)["remarks"][0].as_str().unwrap().contains(why), "{text}");
    };
    check(": is not there; `ssh_config` names it");
    fs::write(&ssh, "Host *\n  Frobnicate yes\n").unwrap();
    check(":2: unknown directive frobnicate");
    fs::remove_file(&ssh).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&ssh).status().unwrap().success());
    check(": it is a pipe, not a file");
}

#[test]
fn a_probe_is_listed_and_shown_with_where_it_comes_from() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".config/dropsonde/probes.d");
    fs::create_dir_all(&folder).unwrap();
    let own = "name = \"mine\"\nsummary = \"mine\"\nscript = \"\"\"\nif :; then\n\tprintf 'x 1\\\\n'\nfi\n\"\"\"\nformat = \"keyvalue\"\n";
    fs::write(folder.join("mine.toml"), own).unwrap();
    let (_, table, _) = run(home.path(), &["probes"]);
    let line = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("mine").ends_with("mine.toml") && line("proc").ends_with("built in"), "{table}");
    let listed = json(&run(home.path(), &["probes", "list", "--json"]).1);
    assert!(listed["probes"].as_array().unwrap().iter().any(|probe| probe["name"] == "kernel_log"));
    let (_, text, _) = run(home.path(), &["probes", "show", "mine"]);
    assert_eq!(text, format!("# {}\n{own}", folder.join("mine.toml").display()));
    let (_, script, _) = run(home.path(), &["probes", "show", "mine", "--script"]);
    assert_eq!(script, "if :; then\n\tprintf 'x 1\\n'\nfi\n");
    let (exit, _, error) = run(home.path(), &["probes", "show", "prco"]);
    assert_eq!(exit, 2);
    assert!(error.contains("did you mean proc?"), "{error}");
}

#[test]
fn a_saved_output_is_read_whatever_way_it_was_saved() {
    let home = tempfile::tempdir().unwrap();
    let parse = |file: &str| {
        let (exit, text, error) = run(home.path(), &["probes", "parse", "proc", file, "--json"]);
        assert_eq!((exit, error.as_str()), (0, ""));
        json(&text)
    };
    let plain = parse(CAPTURE);
    assert_eq!((&plain["outcome"], &plain["probe"]), (&"ok".into(), &"proc".into()));
    assert!(plain["samples"].as_array().unwrap().len() > 100);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&fs::read(CAPTURE).unwrap()).unwrap();
    let packed = encoder.finish().unwrap();
    let file = home.path().join("saved.gz");
    fs::write(&file, &packed).unwrap();
    assert_eq!(parse(file.to_str().unwrap()), plain);

    let mut child = dropsonde(home.path(), &["probes", "parse", "proc", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&packed).unwrap();
    let (exit, table, _) = said(&child.wait_with_output().unwrap());
    assert_eq!(exit, 0);
    assert!(table.lines().any(|line| line.starts_with("node_load1 ")), "{table}");

    fs::write(&file, &packed[..packed.len() / 2]).unwrap();
    let (exit, text, _) = run(home.path(), &["probes", "parse", "proc", file.to_str().unwrap(), "--json"]);
    let torn = json(&text);
    assert_eq!((exit, &torn["outcome"]), (3, &"incomplete".into()));
    assert!(torn["faults"].to_string().contains("torn off"), "{}", torn["faults"]);
    let (exit, _, error) = run(home.path(), &["probes", "parse", "proc", "/nonexistent"]);
    assert_eq!(exit, 2);
    assert!(error.contains("/nonexistent"), "{error}");
}

#[test]
fn shells_and_man_get_all_verbs() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (exit, script, _) = run(home.path(), &["completions", shell]);
        assert!(exit == 0 && script.contains("sweep") && script.contains("trust"), "{shell}");
    }
    let folder = home.path().join("man");
    fs::create_dir(&folder).unwrap();
    assert_eq!(run(home.path(), &["man", "--out", folder.to_str().unwrap()]).0, 0);
    let page = fs::read_to_string(folder.join("dropsonde-hosts-trust.1")).unwrap();
    assert!(page.contains("fingerprint"), "{page}");
}

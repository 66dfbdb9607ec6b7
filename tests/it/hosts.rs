//! `hosts check` and `hosts trust` with a real sshd: who is reached, and which keys end up where.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd};

/// A fleet of hosts behind one sshd, and a configuration that names them.
struct Bench {
    sshd: Sshd,
    dir: TempDir,
}

impl Bench {
    /// web1 to web4 answer; dead1 and dead2 have nothing that listens.
    fn new(known_hosts: &str) -> Self {
        let sshd = Sshd::start(Setup { fleet: true, ..Setup::default() });
        let dir = tempfile::tempdir().unwrap();
        let mut config = format!(
            "[defaults]\nuser = \"root\"\nagent = false\nidentity_files = [{:?}]\nknown_hosts = [{:?}]\n",
            sshd.identity(),
            dir.path().join("known_hosts"),
        );
        let hosts = [
            ("web1", 2, 22),
            ("web2", 3, 22),
            ("web3", 4, 22),
            ("web4", 5, 22),
            ("dead1", 6, 1),
            ("dead2", 7, 1),
        ];
        for (name, address, port) in hosts {
            config +=
                &format!("[[hosts]]\nnames = {name:?}\naddress = \"127.0.0.{address}\"\nport = {port}\n");
        }
        config += "[[hosts]]\nnames = \"here\"\nreach = \"local\"\n";
        fs::write(dir.path().join("config.toml"), config).unwrap();
        let bench = Self { sshd, dir };
        if !known_hosts.is_empty() {
            fs::write(bench.known_hosts(), known_hosts.replace("KEY", &bench.sshd.host_key())).unwrap();
        }
        bench
    }

    fn known_hosts(&self) -> PathBuf {
        self.dir.path().join("known_hosts")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.sshd.command(env!("CARGO_BIN_EXE_dropsonde"));
        command.arg("--config").arg(self.dir.path().join("config.toml")).arg("hosts").args(args);
        command.env("HOME", self.dir.path()).env("TERM", "dumb").stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        said(&self.command(args).output().unwrap())
    }

    fn fingerprint(&self) -> String {
        let keygen = Command::new("ssh-keygen").arg("-lf").arg(self.sshd.dir().join("host_key.pub")).output();
        let text = String::from_utf8(keygen.unwrap().stdout).unwrap();
        text.split(' ').nth(1).unwrap().to_owned()
    }
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

fn lines(file: &Path) -> usize {
    fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

#[test]
fn the_list_is_a_table_json_or_a_folded_set() {
    let bench = Bench::new("");
    let (exit, table, _) = bench.run(&["list", "web*,here"]);
    assert_eq!((exit, table.lines().count()), (0, 6), "{table}");
    has(&table, &["127.0.0.2", "this machine"]);
    assert_eq!(bench.run(&["--fold"]).1, "dead[1-2],here,web[1-4]\n");
    let json: Value = serde_json::from_str(&bench.run(&["list", "web2", "--json"]).1).unwrap();
    let host = serde_json::json!({
        "name": "web2", "address": "127.0.0.3", "port": 22, "user": "root", "reach": "ssh", "labels": {},
        "from": json["hosts"][0]["from"],
    });
    assert_eq!(json, serde_json::json!({ "schema": 1, "hosts": [host], "inventories": [] }));
    let from = &json["hosts"][0]["from"][0];
    assert!(
        from["file"].as_str().unwrap().ends_with("/config.toml") && from["line"].as_u64() > Some(1),
        "{from}"
    );
    assert_eq!(from["inventory"], Value::Null);
    let (exit, _, error) = bench.run(&["list", "web9"]);
    assert_eq!(exit, 2);
    has(&error, &["web9"]);
}

#[test]
fn a_check_folds_hosts_that_fail_alike_and_its_status_says_how_many_do() {
    let bench = Bench::new("127.0.0.* KEY\n");
    let (exit, table, error) = bench.run(&["check"]);
    assert_eq!(exit, 3, "{table}{error}");
    has(&table, &["web[1-4]", "dead[1-2]", "connecting to HOST: connection refused"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    assert_eq!(bench.run(&["check", "web*,here"]).0, 0);
    let (exit, json, _) = bench.run(&["check", "dead*", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((exit, &json["outcomes"]["unreachable"]), (4, &Value::from(2)));
    has(json["hosts"][0]["detail"].as_str().unwrap(), &["127.0.0.6:1"]);
}

#[test]
fn keys_are_believed_by_their_fingerprint_and_then_known() {
    let bench = Bench::new("");
    let print = bench.fingerprint();
    let wrong = format!("SHA256:{}", "A".repeat(43));
    let (exit, table, _) = bench.run(&["trust", "web1", "--fingerprint", &wrong]);
    assert_eq!((exit, lines(&bench.known_hosts())), (4, 0), "{table}");
    has(&table, &["declined", &print]);
    let (exit, table, error) = bench.run(&["trust", "web*,here", "--fingerprint", &print]);
    assert_eq!((exit, lines(&bench.known_hosts())), (0, 4), "{table}{error}");
    has(&table, &["added", "web[1-4]", "this machine"]);
    let (exit, table, _) = bench.run(&["trust", "web*"]);
    assert_eq!((exit, lines(&bench.known_hosts())), (0, 4), "{table}");
    has(&table, &["already in", "known_hosts:1"]);
    assert_eq!(bench.run(&["check", "web*"]).0, 0);
}

#[test]
fn nobody_to_ask_means_no() {
    let bench = Bench::new("");
    let (exit, _, error) = bench.run(&["trust", "web*"]);
    assert_eq!((exit, lines(&bench.known_hosts())), (2, 0));
    has(&error, &[&bench.fingerprint(), "web[1-4]", "--fingerprint"]);
    let (exit, table, _) = bench.run(&["trust", "web1,dead1", "--yes"]);
    assert_eq!((exit, lines(&bench.known_hosts())), (3, 1), "{table}");
    has(&table, &["unreachable", "connection refused"]);
}

#[test]
fn a_person_at_a_terminal_is_asked() {
    let bench = Bench::new("");
    for (answer, exit, count) in [("n\n", 4, 0), ("\n", 4, 0), ("y\n", 0, 4)] {
        let inner = bench.command(&["trust", "web*"]);
        let words: Vec<String> = std::iter::once(inner.get_program())
            .chain(inner.get_args())
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        // script(1) gives it a terminal.
        let mut script = Command::new("script")
            .args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"])
            .env("HOME", bench.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = script.stdin.take().unwrap();
        stdin.write_all(answer.as_bytes()).unwrap();
        let output = script.wait_with_output().unwrap();
        drop(stdin);
        let (code, text, _) = said(&output);
        assert_eq!((code, lines(&bench.known_hosts())), (exit, count), "{answer:?}: {text}");
        has(&text, &[&bench.fingerprint(), "[y/N]"]);
    }
}

#[test]
fn a_changed_key_is_refused_with_its_place_and_the_remedy() {
    let bench = Bench::new("");
    let other = bench.dir.path().join("other");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&other).status();
    assert!(made.unwrap().success());
    let key = fs::read_to_string(other.with_extension("pub")).unwrap();
    fs::write(bench.known_hosts(), format!("# a comment\n127.0.0.2 {key}")).unwrap();
    let before = fs::read(bench.known_hosts()).unwrap();
    for verb in [&["trust", "web1", "--yes"][..], &["check", "web1"]] {
        let (exit, table, _) = bench.run(verb);
        assert_eq!(exit, 4, "{table}");
        has(&table, &["host_key_changed", "known_hosts:2", "ssh-keygen -R 127.0.0.2"]);
    }
    assert_eq!(fs::read(bench.known_hosts()).unwrap(), before);
}

/// Each host has its own answer: one that cannot be written to keeps nobody else from being learned.
#[test]
fn a_file_that_cannot_be_written_to_is_its_hosts_own_trouble() {
    let bench = Bench::new("");
    let file = bench.dir.path().join("config.toml");
    let elsewhere = bench.dir.path().join("elsewhere");
    let link = bench.dir.path().join("link");
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    let mut config = fs::read_to_string(&file).unwrap();
    for (name, known_hosts) in [("web2", link.to_str().unwrap()), ("web3", "/dev/null")] {
        let names = format!("names = \"{name}\"\n");
        config = config.replace(&names, &format!("{names}known_hosts = [{known_hosts:?}]\n"));
    }
    fs::write(&file, config).unwrap();
    let print = bench.fingerprint();
    let (exit, out, err) = bench.run(&["trust", "web*", "--fingerprint", &print, "--json"]);
    assert_eq!(exit, 3, "{out}{err}");
    let json: Value = serde_json::from_str(&out).unwrap();
    let said: Vec<String> = json["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| format!("{} {} {}", host["name"], host["state"], host["detail"]).replace('"', ""))
        .collect();
    has(&said[0], &["web1 added"]);
    has(&said[1], &["web2 unwritten", "it is a symbolic link to", "name that file instead"]);
    has(&said[2], &["web3 unwritten", "add to /dev/null: it is not a regular file; name one"]);
    has(&said[3], &["web4 added"]);
    assert_eq!((lines(&bench.known_hosts()), elsewhere.exists()), (2, false));
    let wrong = format!("SHA256:{}", "A".repeat(43));
    let (_, table, _) = bench.run(&["trust", "web2", "--fingerprint", &wrong]);
    has(&table, &[&format!("it showed {print} (ssh-ed25519), and given was {wrong}")]);
}

#[test]
fn what_is_everybodys_is_not_written_to() {
    let bench = Bench::new("");
    let (file, ssh_config) = (bench.dir.path().join("config.toml"), bench.dir.path().join("ssh_config"));
    let global = bench.dir.path().join("global");
    let none = format!("UserKnownHostsFile none\nGlobalKnownHostsFile {}\n", global.display());
    fs::write(&ssh_config, none).unwrap();
    let config = fs::read_to_string(&file).unwrap();
    let known = format!("known_hosts = [{:?}]", bench.known_hosts());
    let asked = format!("ssh_config = [{ssh_config:?}]");
    fs::write(&file, config.replace(&known, &asked)).unwrap();
    let print = bench.fingerprint();
    let (exit, table, err) = bench.run(&["trust", "web1", "--fingerprint", &print]);
    assert_eq!((exit, global.exists()), (4, false), "{table}{err}");
    has(&table, &["unwritten", "UserKnownHostsFile none"]);
    // Where the configuration names it, it is meant.
    fs::write(&file, config.replace(&known, &format!("{asked}\nknown_hosts = [{global:?}]"))).unwrap();
    let (exit, table, err) = bench.run(&["trust", "web1", "--fingerprint", &print]);
    assert_eq!((exit, lines(&global)), (0, 1), "{table}{err}");
}

#[test]
fn trust_learns_jump_hosts_on_the_way() {
    let bench = Bench::new("");
    let file = bench.dir.path().join("config.toml");
    let jumps = "jump = [\"127.0.0.9\", \"root@127.0.0.10:22\"]";
    let inner = format!("[[hosts]]\nnames = \"inner\"\naddress = \"127.0.0.8\"\n{jumps}\n");
    fs::write(&file, fs::read_to_string(&file).unwrap() + &inner).unwrap();
    let (code, out, _) = bench.run(&["check", "inner"]);
    has(&out, &["unreachable via 127.0.0.9", "dropsonde hosts trust HOST, with a HOST behind it"]);
    assert_eq!(code, 4, "{out}");
    let (code, out, err) = bench.run(&["trust", "inner", "--fingerprint", &bench.fingerprint()]);
    assert_eq!(code, 0, "{out}{err}");
    let known = fs::read_to_string(bench.known_hosts()).unwrap();
    let names: Vec<&str> = known.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["127.0.0.9", "127.0.0.10", "127.0.0.8"]);
    let (code, out, err) = bench.run(&["check", "inner"]);
    assert_eq!(code, 0, "{out}{err}");
}

/// A cron job and a container may have neither USER nor LOGNAME.
#[test]
fn who_runs_it_is_known_without_an_environment() {
    let mut program = Program::new();
    program.configure("[[hosts]]\nnames = \"web1\"\nssh_config = []\n");
    let out = program.command(&["hosts", "--json"]).env_remove("USER").output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let hosts: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(hosts["hosts"][0]["user"], "root", "{hosts}");
}

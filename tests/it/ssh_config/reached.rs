//! Hosts that only an ssh_config knows how to reach, with real servers.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd};

/// The program with a `~/.ssh/config`, and a server.
struct Scene {
    program: Program,
    sshd: Sshd,
}

impl Scene {
    fn new(ssh_config: &str, configuration: &str) -> Self {
        let mut scene = Self { program: Program::new(), sshd: Sshd::start(Setup::default()) };
        fs::create_dir(scene.program.dir().join("home/.ssh")).unwrap();
        scene.ssh_config(ssh_config);
        scene.program.configure(configuration);
        scene
    }

    fn config_file(&self) -> PathBuf {
        self.program.dir().join("home/.ssh/config")
    }

    /// `PORT`, `KEY` and `KNOWN` are the server's.
    fn ssh_config(&self, text: &str) {
        let text = text
            .replace("PORT", &self.sshd.port().to_string())
            .replace("KEY", &self.sshd.identity().display().to_string())
            .replace("KNOWN", &self.sshd.known_hosts().display().to_string());
        fs::write(self.config_file(), text).unwrap();
    }

    fn check(&self, host: &str) -> (Option<i32>, String, String) {
        let ran = self.program.run(&["hosts", "check", host, "--json"]);
        let found = ran.json()["hosts"][0].clone();
        let word = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        (ran.code, word("outcome"), word("detail"))
    }

    /// It cannot be reached as `outcome`, and its detail has all of `parts`; `CONFIG` is the file.
    fn refuses(&self, host: &str, outcome: &str, parts: &[&str]) {
        let (code, found, detail) = self.check(host);
        assert_eq!((code, found.as_str()), (Some(4), outcome), "{detail}");
        for part in parts {
            let part = part.replace("CONFIG", &self.config_file().display().to_string());
            assert!(detail.contains(&part), "{part:?} is not in {detail}");
        }
    }

    fn list(&self) -> Vec<(String, String, u64, String)> {
        let listed = self.program.run(&["hosts", "list", "--json"]).json();
        let text = |host: &Value, key: &str| host[key].as_str().unwrap().to_owned();
        let hosts = listed["hosts"].as_array().unwrap().iter();
        hosts
            .map(|host| {
                (
                    text(host, "name"),
                    text(host, "address"),
                    host["port"].as_u64().unwrap(),
                    text(host, "user"),
                )
            })
            .collect()
    }
}

const WAY: &str = "HostName 127.0.0.1\nPort PORT\nUser root\nIdentityFile KEY\nUserKnownHostsFile KNOWN\n";

#[test]
fn an_ssh_config_says_all_that_a_connection_needs() {
    let scene = Scene::new(&format!("Host web1\n{WAY}"), "[[hosts]]\nnames = \"web1\"\n");
    let ran = scene.program.run(&["run", "hello", "-H", "web1", "--json"]);
    ran.expect(0, &[]).ended(("web1", "hello"), "ok", &[]);
    let dry = scene.program.run(&["sweep", "--dry-run", "--probe", "hello"]);
    let way = format!("web1: root@127.0.0.1 port {}", scene.sshd.port());
    assert!(dry.out.contains(&way), "{}", dry.out);
    // The next sweep reads the file anew.
    scene.ssh_config(&format!("Host web1\n{WAY}").replace("PORT", "1"));
    scene.refuses("web1", "unreachable", &["127.0.0.1:1"]);
}

#[test]
fn what_is_refused_keeps_its_own_host_only() {
    let text = format!("Host web2\nProxyUseFdpass yes\nHost web*\n{WAY}");
    let scene = Scene::new(&text, "[[hosts]]\nnames = \"web[1-2]\"\n");
    let ran = scene.program.run(&["sweep", "--probe", "hello", "--json"]);
    ran.expect(3, &[]).ended(("web1", "hello"), "ok", &[]);
    let line = format!("{}:2: ProxyUseFdpass yes", scene.config_file().display());
    ran.ended(("web2", "hello"), "unreachable", &["not connected to", &line]);
    let listed = scene.program.run(&["hosts", "list"]);
    listed.expect(0, &[&format!("web2 cannot be connected to: {line}")]);
    // What asks for nothing is no reason.
    scene.ssh_config(&text.replace("yes", "no"));
    assert_eq!(scene.check("web2").1, "ok");
}

#[test]
fn a_line_that_cannot_be_read_keeps_all_hosts_of_its_file() {
    let scene = Scene::new("Host db1\nPort ten\n", "[[hosts]]\nnames = \"web1\"\n");
    scene.refuses(
        "web1",
        "unreachable",
        &["CONFIG:2: Port cannot be \"ten\": expected a port from 1 to 65535"],
    );
    scene.ssh_config("Host db1\nProxyJmp a\n");
    scene.refuses("web1", "unreachable", &["CONFIG:2: unknown directive proxyjmp: did you mean ProxyJump?"]);
    scene.ssh_config("RefuseConnection \"moved to web9\"\n");
    scene.refuses("web1", "unreachable", &["CONFIG:1: RefuseConnection: moved to web9"]);
}

#[test]
fn the_configuration_wins_over_an_ssh_config() {
    let text = "Host *\nHostName %h.example.net\nPort 2200\nUser ann\n";
    let hosts = "[[hosts]]\nnames = \"a\"\n[[hosts]]\nnames = \"b\"\naddress = \"192.0.2.7\"\nport = 22\nuser = \"bob\"\n\
                 [[hosts]]\nnames = \"c\"\nssh_config = []\n";
    let mut scene = Scene::new(text, hosts);
    let row = |name: &str, address: &str, port: u64, user: &str| {
        (name.to_owned(), address.to_owned(), port, user.to_owned())
    };
    let given = row("b", "192.0.2.7", 22, "bob");
    let found = [row("a", "a.example.net", 2200, "ann"), given.clone(), row("c", "c", 22, "root")];
    assert_eq!(scene.list(), found);
    scene.program.configure("[defaults]\nport = 2022\n");
    let found = [row("a", "a.example.net", 2022, "ann"), given.clone(), row("c", "c", 2022, "root")];
    assert_eq!(scene.list(), found);
    let other = scene.program.dir().join("other");
    fs::write(&other, "User carl\n").unwrap();
    scene.program.configure(&format!("ssh_config = [{other:?}]\n"));
    let found = [row("a", "a", 2022, "carl"), given, row("c", "c", 2022, "root")];
    assert_eq!(scene.list(), found);
    fs::remove_file(&other).unwrap();
    let listed = scene.program.run(&["hosts", "list"]);
    listed.expect(0, &[&format!("{}: is not there", other.display())]);
}

#[test]
fn every_value_is_shown_with_its_place() {
    let text = format!("Host web1\n{WAY}ForwardAgent yes\nStrictHostKeyChecking no\n");
    let scene = Scene::new(&text, "[[hosts]]\nnames = \"web1\"\nport = 9\n");
    let shown = scene.program.run(&["hosts", "show", "web1", "--json", "--ask-ssh"]).json();
    let host = &shown["hosts"][0];
    let value = |key: &str| -> Value {
        let mut values = host["values"].as_array().unwrap().iter();
        values.find(|value| value["key"] == key).unwrap_or_else(|| panic!("no {key} in {shown}")).clone()
    };
    let place =
        |line: u32| serde_json::json!({ "layer": "ssh_config", "path": scene.config_file(), "line": line });
    assert_eq!((&value("address")["value"], &value("address")["origin"]), (&"127.0.0.1".into(), &place(2)));
    assert_eq!(value("port")["origin"], serde_json::json!({ "layer": "configuration", "by": "[[hosts]]" }));
    assert_eq!(value("port")["value"], "9");
    assert_eq!(value("identity_files")["origin"], place(5));
    assert_eq!(value("ForwardAgent")["standing"], "harmless");
    assert_eq!(value("StrictHostKeyChecking")["standing"], "stricter");
    assert_eq!(host["ssh_differs"], serde_json::json!([]), "{shown}");
    let text = scene.program.run(&["hosts", "show", "web1"]);
    let line = format!("# {}:2\n", scene.config_file().display());
    assert!(text.out.contains(&line) && text.code == Some(0), "{text:?}");
}

#[test]
fn host_keys_are_looked_up_under_their_alias_and_never_believed_unseen() {
    let known = "UserKnownHostsFile ~/.ssh/own\nGlobalKnownHostsFile none\n";
    let way = WAY.replace("UserKnownHostsFile KNOWN\n", known);
    let text = format!("Host web1\n{way}HostKeyAlias The-Web\nStrictHostKeyChecking accept-new\n");
    let scene = Scene::new(&text, "[[hosts]]\nnames = \"web1\"\n");
    let own = scene.program.dir().join("home/.ssh/own");
    scene.refuses(
        "web1",
        "host_key_unknown",
        &["the-web shows the key", "CONFIG:9 would have it accepted unseen"],
    );
    assert!(!own.exists());
    scene.program.run(&["hosts", "trust", "web1", "--yes"]).expect(0, &[]);
    assert!(fs::read_to_string(&own).unwrap().starts_with("the-web ssh-ed25519 "));
    assert_eq!(scene.check("web1").1, "ok");
}

/// An ssh-agent with one key in it.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn with(key: &PathBuf) -> Self {
        let socket = key.with_extension("socket");
        let mut command = Command::new("ssh-agent");
        command.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).stderr(Stdio::null());
        let agent = Self { child: command.spawn().expect("ssh-agent"), socket };
        let add = || Command::new("ssh-add").env("SSH_AUTH_SOCK", &agent.socket).arg("-q").arg(key).status();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !add().expect("ssh-add").success() {
            assert!(std::time::Instant::now() < until, "the agent takes no key");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_agent_is_the_one_that_an_ssh_config_names() {
    let scene = Scene::new("", "[[hosts]]\nnames = \"web1\"\n");
    let agent = Agent::with(&scene.sshd.identity());
    // A file that is no key by itself: only the agent can use what its public half names.
    let stub = scene.program.dir().join("stub");
    let way = |rest: &str| {
        let way = WAY.replace("KEY", &stub.display().to_string());
        scene.ssh_config(&format!("Host web1\n{way}{rest}\n"));
    };
    let socket = format!("IdentityAgent {}", agent.socket.display());
    way("");
    scene.refuses("web1", "auth_failed", &["no key to offer"]);
    way(&socket);
    assert_eq!(scene.check("web1").1, "ok");
    way("IdentityAgent none");
    scene.refuses("web1", "auth_failed", &["no key to offer"]);
    way(&format!("{socket}\nIdentitiesOnly yes"));
    scene.refuses("web1", "auth_failed", &["no key to offer"]);
    fs::copy(scene.sshd.identity().with_extension("pub"), stub.with_extension("pub")).unwrap();
    assert_eq!(scene.check("web1").1, "ok");
}

#[test]
fn what_leaves_nothing_to_use_is_refused_where_it_stands() {
    let scene = Scene::new("", "[[hosts]]\nnames = \"web1\"\n");
    for list in [
        "Ciphers aes128-cbc,3des-cbc",
        "Ciphers -*",
        "KexAlgorithms diffie-hellman-group14-sha1",
        "HostKeyAlgorithms ssh-rsa",
        "PubkeyAcceptedAlgorithms ssh-rsa,ssh-dss",
    ] {
        scene.ssh_config(&format!("Host web1\n{WAY}{list}\n"));
        scene.refuses("web1", "unreachable", &[&format!("CONFIG:7: {list}: it leaves nothing to use")]);
        let shown = scene.program.run(&["hosts", "show", "web1"]);
        assert!(shown.code == Some(3) && shown.out.contains("it leaves nothing to use"), "{shown:?}");
        // ssh would connect, and that is no "says the same".
        let shown = scene.program.run(&["hosts", "show", "web1", "--ask-ssh"]);
        assert!(
            !shown.out.contains("ssh says the same") && shown.out.contains("ssh differs on"),
            "{shown:?}"
        );
    }
    // Neither of our ciphers has a use for a MAC.
    scene.ssh_config(&format!("Host web1\n{WAY}MACs hmac-sha1\nCiphers +aes128-cbc\n"));
    assert_eq!(scene.check("web1").1, "ok");
    for (line, part) in [
        ("BindAddress 192.0.2.1", "BindAddress 192.0.2.1 is not one of this machine's"),
        ("BindAddress ::1", "BindAddress ::1 is of another address family"),
        ("BindInterface nosuch0", "BindInterface nosuch0"),
        ("AddressFamily inet6", "AddressFamily asks for one"),
    ] {
        scene.ssh_config(&format!("Host web1\n{WAY}{line}\n"));
        scene.refuses("web1", "unreachable", &[&format!("CONFIG:7: {part}")]);
    }
}

#[test]
fn a_key_that_the_second_known_hosts_file_revokes_is_refused() {
    let way = WAY.replace("UserKnownHostsFile KNOWN\n", "");
    let scene = Scene::new(&format!("Host web1\n{way}"), "[[hosts]]\nnames = \"web1\"\n");
    let ssh = scene.program.dir().join("home/.ssh");
    fs::copy(scene.sshd.known_hosts(), ssh.join("known_hosts")).unwrap();
    assert_eq!(scene.check("web1").1, "ok");
    let known = fs::read_to_string(scene.sshd.known_hosts()).unwrap();
    let (_, key) = known.lines().next().unwrap().split_once(' ').unwrap();
    fs::write(ssh.join("known_hosts2"), format!("@revoked * {key}\n")).unwrap();
    let place = format!("{}:1", ssh.join("known_hosts2").display());
    scene.refuses("web1", "host_key_changed", &["@revoked", &place]);
}

#[test]
fn the_systems_known_hosts_files_are_taken_as_they_are_written() {
    let text = "Host web1\nUserKnownHostsFile /a/%h\nGlobalKnownHostsFile /b/%h ~/c /d/${PATH}\n";
    let scene = Scene::new(text, "[[hosts]]\nnames = \"web1\"\n");
    let shown = scene.program.run(&["hosts", "show", "web1", "--json"]).json();
    let mut values = shown["hosts"][0]["values"].as_array().unwrap().iter();
    let files = values.find(|value| value["key"] == "known_hosts").unwrap();
    assert_eq!(files["value"], "/a/web1 /b/%h ~/c /d/${PATH}", "{shown}");
    assert_eq!(shown["hosts"][0]["refused"], serde_json::json!([]));
}

#[test]
fn a_dry_run_sends_nothing_to_a_host_that_is_not_connected_to() {
    let text = format!("Host web2\nCheckHostIP yes\nHost *\n{WAY}");
    let scene = Scene::new(&text, "[[hosts]]\nnames = \"web[1-2]\"\n");
    let dry = scene.program.run(&["sweep", "--dry-run", "--probe", "hello"]);
    let why =
        format!("hello on web2 would be unreachable: not connected to: {}:2", scene.config_file().display());
    dry.expect(0, &[&why, "CheckHostIP yes"]);
    assert!(dry.out.contains("web1: root@") && !dry.out.contains("web2"), "{dry:?}");
    let dry = scene.program.run(&["sweep", "--dry-run", "--probe", "hello", "--json"]).json();
    assert_eq!((&dry["planned"], &dry["held"][0]["outcome"]), (&2.into(), &"unreachable".into()), "{dry}");
}

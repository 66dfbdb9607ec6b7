//! Lists of hosts as a user meets them: what stays when a list fails, where hosts came from, and `init`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::served::Served;
use crate::support::patience::wait_until;
use crate::support::program::{Program, Ran};
use crate::support::sshd::{Setup, Sshd};
use crate::unattended::process::{Daemon, book, ran};

const THREE: &str =
    r#"[{"targets": ["web1:9100", "web2:9100"], "labels": {"dc": "eu"}}, {"targets": ["db1:9100"]}]"#;

/// A program that asks a server for hosts, and this machine, which can be visited without them.
fn served(answer: &str, keys: &str) -> (Served, Program) {
    let served = Served::start(answer);
    let mut program = Program::new();
    program.configure("[[hosts]]\nnames = \"localhost\"\nreach = \"local\"\n");
    program.configure(&section(&served, keys));
    (served, program)
}

fn section(served: &Served, keys: &str) -> String {
    format!("[[inventory]]\nname = \"sd\"\nkind = \"http_sd\"\nurl = \"{}\"\n{keys}\n", served.url())
}

fn hosts(ran: &Ran) -> Vec<String> {
    let report = ran.json();
    let hosts = report["hosts"].as_array().expect("hosts");
    hosts.iter().map(|host| host["name"].as_str().expect("a name").to_owned()).collect()
}

fn list(program: &Program) -> Vec<String> {
    let ran = program.run(&["hosts", "--json"]);
    ran.expect(0, &[]);
    hosts(&ran)
}

const ALL: [&str; 4] = ["localhost", "web1", "web2", "db1"];

#[test]
fn a_list_that_fails_leaves_its_last_good_one_in_force() {
    let (served, program) = served(THREE, "refresh = \"0s\"\nbelieve_empty_after = 2");
    // Nothing was kept yet: a server that is down is a fault, and nothing runs.
    served.answers(("503 Service Unavailable", "text/plain", "come back later".to_owned()));
    let down = program.run(&["run", "hello", "-H", "localhost"]);
    down.expect(2, &["/…", "it answered 503 Service Unavailable: come back later"]);
    assert!(!down.err.contains("s3cret"), "{}", down.err);
    served.says(THREE);
    program.run(&["run", "hello", "-H", "localhost"]).expect(0, &[]);
    assert!(program.state().join("inventory/sd.json").exists());

    for (status, kind, body, why) in [
        ("500 Internal Server Error", "text/plain", "oops", "it answered 500"),
        ("200 OK", "text/html", "<p>Log in</p>", "it answered with \"text/html\" as its type"),
        ("200 OK", "application/json", "[{", "this is no YAML"),
        ("200 OK", "application/json", "{\"targets\": []}", "targets cannot be a mapping"),
        ("302 Found", "application/json", "", "it answered 302 Found (redirects are not followed"),
    ] {
        served.answers((status, kind, body.to_owned()));
        let ran = program.run(&["hosts", "--json"]);
        ran.expect(0, &["inventory sd: ", why, "with 3 hosts stays in force"]);
        assert_eq!(hosts(&ran), ALL, "{why}");
        assert!(ran.json()["inventories"][0]["trouble"].as_str().unwrap().contains(why));
        program.run(&["config", "check"]).expect(2, &[why, "1 fault in the configuration"]);
    }

    // An answer without anybody is believed when it comes again, and only those count that were written down.
    served.says("[]");
    assert_eq!(list(&program), ALL);
    assert_eq!(list(&program), ALL);
    let first = program.run(&["run", "hello", "-H", "localhost"]);
    first.expect(0, &["it names no host, where there were 3: time 1 of 2 before it is believed"]);
    program.run(&["run", "hello", "-H", "localhost"]).expect(0, &[]);
    assert_eq!(list(&program), ["localhost"]);
    served.says(THREE);
    assert_eq!(list(&program), ALL);
}

/// Nobody is left to be visited, and no sweep is recorded: the answer counts all the same.
#[test]
fn an_empty_list_that_was_believed_outlives_the_next_failure() {
    for verb in [&["run", "hello", "-H", "a"][..], &["sweep"]] {
        let mut program = Program::new();
        let inventory = "name = \"list\"\nkind = \"command\"\ncommand = [\"cat\", \"list.json\"]";
        program
            .configure(&format!("[[inventory]]\n{inventory}\nrefresh = \"0s\"\nbelieve_empty_after = 1\n"));
        let file = program.dir().join("list.json");
        fs::write(&file, r#"[{"name": "a", "reach": "local"}]"#).unwrap();
        program.run(&["run", "hello", "-H", "a"]).expect(0, &[]);
        fs::write(&file, "[]").unwrap();
        program.run(verb).expect(2, &[]);
        fs::remove_file(&file).unwrap();
        program.run(&["hosts"]).expect(2, &["with 0 hosts stays in force", "names no host"]);
    }
}

#[test]
fn a_young_answer_is_taken_again_and_one_to_another_question_is_not() {
    let (served, mut program) = served(THREE, "refresh = \"1h\"\nmax_size = \"1KiB\"");
    program.run(&["run", "hello", "-H", "localhost"]).expect(0, &[]);
    let asked = served.asked();
    assert_eq!(list(&program), ALL);
    assert_eq!(served.asked(), asked, "the answer is younger than an hour");
    served.says(&format!("[{{\"targets\": [\"{}\"]}}]", "x".repeat(2_000)));
    program.run(&["config", "check"]).expect(2, &["the answer is longer than 1024 bytes"]);
    assert!(served.asked() > asked, "a check asks anew");
    let other = Served::start("[]");
    let text = fs::read_to_string(program.dir().join("config.toml")).unwrap();
    fs::write(program.dir().join("config.toml"), text.replace(&served.url(), &other.url())).unwrap();
    program.run(&["hosts"]).expect(2, &["it names no host", "--> inventory sd\n"]);
    program.configure("");
}

#[test]
fn hosts_say_where_they_came_from() {
    let (_served, program) = served(THREE, "hosts = \"web*\"");
    fs::write(program.dir().join("hosts.ini"), "[edge]\nweb1 role=front\nedge1\n").unwrap();
    let mut program = program;
    program.configure("[[inventory]]\nname = \"ansible\"\nkind = \"ansible\"\npaths = \"hosts.ini\"\n");
    let text = program.run(&["hosts", "@edge,web2"]);
    text.expect(0, &[]);
    let row =
        |name: &str| text.out.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(row("web1").contains("sd ansible") && row("web1").contains("role=front"), "{}", text.out);
    assert!(row("edge1").contains("ansible") && row("web2").contains("dc=eu"), "{}", text.out);
    let json = program.run(&["hosts", "--json"]).json();
    let edge = json["hosts"].as_array().unwrap().iter().find(|host| host["name"] == "edge1").unwrap().clone();
    assert_eq!((&edge["from"][0]["inventory"], &edge["from"][0]["line"]), (&"ansible".into(), &3.into()));
    assert_eq!(json["inventories"].as_array().unwrap().len(), 2);
    program.run(&["config", "check"]).expect(0, &[]);
    program.run(&["explain", "nothing", "--json"]);
}

#[test]
fn hosts_of_an_ansible_inventory_are_visited_and_a_template_is_a_reading() {
    let sshd = Sshd::start(Setup::default());
    let mut program = Program::new();
    let hosts = format!(
        "[web]\nweb1 ansible_host=127.0.0.1\nweb2 ansible_host='{{{{ ip }}}}'\n[web:vars]\nansible_port={}\nansible_user={}\n\
         ansible_ssh_private_key_file={}\nrole=web\n",
        sshd.port(),
        sshd.user(),
        sshd.identity().display()
    );
    fs::write(program.dir().join("hosts"), hosts).unwrap();
    program.configure(&format!("[defaults]\nknown_hosts = [{:?}]\n", sshd.known_hosts()));
    program.configure("[[inventory]]\nname = \"ansible\"\nkind = \"ansible\"\npaths = \"hosts\"\n");
    let ran = program.run(&["run", "hello", "-H", "role=web", "--json"]);
    assert_eq!(ran.adds_up(), 2);
    ran.ended(("web1", "hello"), "ok", &[]);
    let shown = program.run(&["hosts", "show", "web1"]);
    let address = shown.out.lines().find(|line| line.contains("address ")).unwrap_or_default();
    assert!(address.contains("127.0.0.1") && address.ends_with("# inventory ansible"), "{}", shown.out);
    let refused = ran.reading("web2", "hello");
    let detail = refused["detail"].as_str().unwrap();
    assert_ne!(refused["outcome"], "ok");
    assert!(detail.contains("hosts:3") && detail.contains("templates are not supported"), "{detail}");
}

#[test]
fn the_daemon_reads_lists_again_and_loses_nobody() {
    let (served, program) = served(THREE, "refresh = \"1s\"");
    let daemon = Daemon::start(&program, &[]);
    wait_until("the list is kept", || program.state().join("inventory/sd.json").exists());
    served.says(r#"[{"targets": ["web1:9100", "web3:9100"]}]"#);
    daemon.wait_for_log("inventory sd: 3 → 2 hosts; new: web3; gone: db1,web2");
    served.answers(("502 Bad Gateway", "text/plain", String::new()));
    daemon.wait_for_log("it answered 502 Bad Gateway; its list from ");
    let asked = served.asked();
    wait_until("it was asked again", || served.asked() > asked + 2);
    served.says(r#"[{"targets": ["web1:9100", "web3:9100"]}]"#);
    daemon.wait_for_log("inventory sd: it can be read again");
    served.says("[]");
    daemon.wait_for_log("where there were 2: time 1 of 3");
    served.says(THREE);
    daemon.wait_for_log("inventory sd: 2 → 3 hosts; new: db1,web2; gone: web3");
    let log = daemon.stop();
    assert_eq!(log.matches("it answered 502").count(), 1, "said once: {log}");
    assert!(!log.contains("s3cret"), "{log}");
}

#[test]
fn a_list_that_takes_long_holds_up_no_tick() {
    let mut program = Program::new();
    // Once it has answered, it waits until it is let go.
    let list = "#!/bin/sh\nif [ -e first ]; then touch asked; while [ ! -e go ]; do sleep 0.1; done; fi\n\
        touch first; echo web1; [ ! -e go ] || echo web2\n";
    fs::write(program.dir().join("list.sh"), list).unwrap();
    fs::set_permissions(program.dir().join("list.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    program.configure("[[hosts]]\nnames = \"localhost\"\nreach = \"local\"\n");
    program.configure(
        "[[inventory]]\nname = \"slow\"\nkind = \"command\"\ncommand = [\"./list.sh\"]\nrefresh = \"1s\"\ntimeout = \"10m\"\n",
    );
    program.configure(
        "[[schedule]]\nname = \"often\"\ncron = \"* * * * * *\"\nhosts = \"localhost\"\nprobes = [\"hello\"]\n",
    );
    let daemon = Daemon::start(&program, &[]);
    wait_until("the list is asked for again", || program.dir().join("asked").exists());
    let before = ran(&book(&program)).len();
    wait_until("two ticks ran meanwhile", || ran(&book(&program)).len() >= before + 2);
    fs::write(program.dir().join("go"), "").unwrap();
    daemon.wait_for_log("inventory slow: 1 → 2 hosts; new: web2; gone: none");
    daemon.stop();
}

#[test]
fn init_writes_what_a_check_accepts_and_overwrites_nothing() {
    let served = Served::start(THREE);
    let program = Program::new();
    let home = program.dir().join("home");
    fs::create_dir_all(home.join(".ssh")).unwrap();
    fs::write(home.join(".ssh/config"), "Host one two\n  Port 2022\n").unwrap();
    let inventory = program.dir().join("inventory");
    fs::create_dir(&inventory).unwrap();
    fs::write(inventory.join("hosts"), "[web]\nweb[1:4] role=web lane=a\n[db]\ndb[1:4] lane=b ssh_key=c\n")
        .unwrap();
    let inventory = inventory.display().to_string();
    let config = program.dir().join("config.toml");
    let check = |arguments: &[&str], hosts: &str| {
        let _ = fs::remove_file(&config);
        let dry = program.run(&[&["init", "--dry-run"], arguments].concat());
        dry.expect(0, &["would be written", hosts]);
        assert!(!config.exists());
        let written = program.run(&[&["init"], arguments].concat());
        written.expect(0, &["hosts trust"]);
        // What is printed is about the file that was written.
        assert!(written.err.contains(&format!("--config {}", config.display())), "{}", written.err);
        assert_eq!(fs::read_to_string(&config).unwrap(), dry.out);
        let checked = program.run(&["config", "check"]);
        checked.expect(0, &[]);
        assert!(checked.out.starts_with(&format!("ok: {hosts}, ")), "{}", checked.out);
        let again = program.run(&[&["init"], arguments].concat());
        again.expect(2, &["config.toml is there already, and is not overwritten"]);
        dry.out
    };
    check(&[], "0 hosts");
    let text = check(&["--from-ansible", &inventory], "8 hosts");
    assert!(text.contains("\n#labels = [\"lane\"]\n"), "{text}");
    check(&["--from-ssh-config"], "2 hosts");
    check(&["--from-ssh-config", &home.join(".ssh/config").display().to_string()], "2 hosts");
    check(&["--from-http-sd", &served.url()], "3 hosts");
    let mode = || fs::metadata(&config).unwrap().permissions().mode() & 0o777;
    let secret = served.url().contains('?');
    assert_eq!(mode(), if secret { 0o600 } else { 0o644 });
    check(&["--from-http-sd", &format!("{}?key=s3cret", served.url())], "3 hosts");
    assert_eq!(mode(), 0o600);
    let all = ["--from-http-sd", &served.url(), "--from-ssh-config", "--from-ansible", &inventory];
    // web1, web2 and db1 are in two of them.
    check(&all, "10 hosts");
    fs::remove_file(&config).unwrap();
    served.answers(("404 Not Found", "text/plain", String::new()));
    program.run(&["init", "--from-http-sd", &served.url()]).expect(2, &["it answered 404"]);
    program
        .run(&["init", "--from-http-sd", "ftp://inventory.example/x"])
        .expect(2, &["`inventory.url` cannot be used", "--> --from-http-sd\n"]);
    program
        .run(&["init", "--from-ansible", "/no/such"])
        .expect(2, &["no inventory: No such file", "/no/such"]);
    assert!(!config.exists());
}

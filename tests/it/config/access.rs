//! Whom to log in as and how to become root: who says it, and who has the last word.

use dropsonde::config::Settings;
use dropsonde::model::{Host, RootBy};

use super::machine::{CONFIG, Machine};

fn host<'a>(settings: &'a Settings, name: &str) -> &'a Host {
    settings.fleet.host(name).unwrap_or_else(|| panic!("no {name}"))
}

/// `user sudo`, `user doas`, or `user file:line: directive: reason`.
fn becoming(settings: &Settings, name: &str) -> String {
    let host = host(settings, name);
    let by = match &host.root_by {
        RootBy::Sudo => "sudo".to_owned(),
        RootBy::Doas => "doas".to_owned(),
        RootBy::Refused(refusal) => refusal.to_string(),
    };
    format!("{} {by}", host.user)
}

#[test]
fn a_hosts_own_block_comes_before_rules_and_rules_before_defaults_and_lists() {
    let machine = Machine::new()
        .file(
            CONFIG,
            "[defaults]\nbecome = \"sudo\"\n\
             [[hosts]]\nnames = \"web[1-3]\"\nlabels = { role = \"web\" }\n\
             [[hosts]]\nnames = \"db1\"\nuser = \"dba\"\n\
             [[hosts]]\nnames = \"db2\"\nbecome = \"none\"\n\
             [[access]]\nhosts = \"*\"\nuser = \"probe\"\n\
             [[access]]\nhosts = \"@edge,db[1-2],listed\"\nbecome = \"doas\"\n\
             [groups]\nedge = \"web1\"\n\
             [[inventory]]\nname = \"a\"\nkind = \"ansible\"\npaths = \"hosts\"\n",
        )
        .file("etc/conf.d/later.toml", "[[access]]\nhosts = \"web1\"\nuser = \"edge\"\n")
        .file(
            "etc/hosts",
            "listed ansible_user=other ansible_become_method=su\nfree ansible_become_method=doas\n",
        );
    let settings = machine.load();
    for (name, expected) in [
        ("web1", "edge doas"),
        ("web2", "probe sudo"),
        ("db1", "dba doas"),
        ("listed", "probe doas"),
        // `[defaults]` says sudo outright, and a list may not say otherwise.
        ("free", "probe sudo"),
    ] {
        assert_eq!(becoming(&settings, name), expected, "{name}");
    }
    let db2 = becoming(&settings, "db2");
    assert!(db2.ends_with("config.toml:11: become = \"none\": nothing runs as root on this host"), "{db2}");
    // An ssh_config cannot change the user that a rule names.
    let consult = host(&settings, "web2").consult.clone().unwrap();
    assert_eq!(consult.said.user.as_deref(), Some("[[access]]"));
    let shared = host(&settings, "web3").consult.clone().unwrap();
    assert!(std::sync::Arc::ptr_eq(&consult, &shared));
}

#[test]
fn a_rule_that_names_the_user_is_enough() {
    let list = "one ansible_user='{{ me }}'\ntwo ansible_user='{{ me }}' ansible_port='{{ port }}'\nthree\n";
    let config =
        |rule: &str| format!("[[inventory]]\nname = \"a\"\nkind = \"ansible\"\npaths = \"hosts\"\n{rule}");
    let machine = |rule: &str| Machine::new().file(CONFIG, config(rule)).file("etc/hosts", list);
    let rule = "[[access]]\nhosts = \"*\"\nuser = \"probe\"\n";
    let refusals = |settings: &Settings, name: &str| {
        let refused = host(settings, name).ssh.refused.iter().map(ToString::to_string);
        refused.collect::<Vec<_>>()
    };
    let without = machine("").load();
    assert_eq!((refusals(&without, "one").len(), refusals(&without, "two").len()), (1, 2));
    let with = machine(rule).load();
    assert_eq!(refusals(&with, "one"), [""; 0]);
    let [port] = &refusals(&with, "two")[..] else { panic!("what it says of the user is no matter") };
    assert!(port.contains("ansible_port"), "{port}");
    // Where nothing else says who we are, as in a container.
    let with = machine(rule).variable("USER", "").load();
    assert_eq!(host(&with, "three").user, "probe");
    let faults = machine("[[access]]\nhosts = \"one,two\"\nuser = \"probe\"\n").variable("USER", "").faults();
    assert!(faults.to_string().contains("hosts:3:1: no user to log in as"), "{faults}");
}

#[test]
fn a_rule_that_cannot_be_is_a_fault_with_its_place() {
    let faults = |text: &str| {
        let machine = Machine::new().file(CONFIG, format!("[[hosts]]\nnames = \"web1\"\n{text}"));
        machine.faults().to_string()
    };
    let check = |text: &str, parts: &[&str]| {
        let found = faults(text);
        assert!(parts.iter().all(|part| found.contains(part)), "{text}: {found}");
    };
    check("[[access]]\nhosts = \"web2\"\nuser = \"a\"\n", &["no such host: web2", "config.toml:4"]);
    check("[[access]]\nhosts = \"web1\"\n", &["says nothing of its hosts"]);
    check("[[access]]\nuser = \"a\"\n", &["hosts"]);
    check("[[access]]\nhosts = \"web1\"\nbecome = \"su\"\n", &["su wants root's password"]);
    check("[defaults]\nbecome = \"root\"\n", &["\"sudo\", \"doas\" or \"none\""]);
    check("[[access]]\nhosts = \"web1\"\nuser = \"-x\"\n", &["a login name"]);
}

#[test]
fn what_ansible_says_of_root_is_obeyed_or_refused_with_its_place() {
    let hosts = "\
plain
sudo ansible_become=yes ansible_become_method=sudo ansible_become_user=root ansible_become_flags='-H -S -n'
doas ansible_become_method=community.general.doas ansible_doas_user=root
su ansible_become_method=su
user ansible_become_user=postgres
never ansible_become=false
template ansible_become_method='{{ how }}'
exe ansible_become_exe=/opt/sudo
flags ansible_become_flags='-i'
other ansible_become_method=sudo ansible_doas_user=nobody
here ansible_connection=local ansible_become_method=su
password ansible_become_password=hunter2
";
    let list = "[[inventory]]\nname = \"a\"\nkind = \"ansible\"\npaths = \"hosts\"\n";
    let machine = Machine::new().file(CONFIG, list).file("etc/hosts", hosts);
    let settings = machine.load();
    let check = |name: &str, parts: &[&str]| {
        let found = becoming(&settings, name);
        assert!(parts.iter().all(|part| found.contains(part)), "{name}: {found}");
    };
    for name in ["plain", "sudo", "other", "password"] {
        check(name, &["ann sudo"]);
    }
    check("doas", &["ann doas"]);
    check("su", &["hosts:4: ansible_become_method = su: ", "only sudo and doas"]);
    check("user", &["hosts:5: ansible_become_user = postgres: ", "root or as who logged in"]);
    check("never", &["hosts:6: ansible_become = ", "nothing runs as root"]);
    check("template", &["hosts:7: ", "templates are not supported"]);
    check("exe", &["hosts:8: ansible_become_exe = /opt/sudo: "]);
    check("flags", &["hosts:9: ansible_become_flags = -i: "]);
    check("here", &["hosts:11: "]);
    let remarks = settings.inventories[0].wanted.remarks.iter().map(ToString::to_string);
    let remarks: String = remarks.collect();
    assert!(remarks.contains("`ansible_become_password` is not obeyed"), "{remarks}");
    assert!(!remarks.contains("hunter2"), "{remarks}");
}

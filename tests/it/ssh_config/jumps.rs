//! Ways through jump hosts: what ssh would go, we go, and what leads nowhere is refused.

use std::path::PathBuf;
use std::sync::Arc;

use dropsonde::model::{Consult, Host, HostName, Proxy};
use dropsonde::openssh::Asked;
use dropsonde::sshconfig::Query;

use super::{Bench, machine};

/// `name` as that text has it.
fn settled(bench: &Bench, text: &str, name: &str, consult: Consult) -> Host {
    let files: Vec<PathBuf> = vec![bench.file("config", text)];
    let consult = Arc::new(Consult { files: Some(files), ..consult });
    let host = HostName::new(name).unwrap();
    machine().settle(&Host { consult: Some(consult), ..Host::new(host, "root") }).host
}

fn way(host: &Host) -> Vec<String> {
    let Proxy::Jump(chain) = &host.ssh.proxy else { return vec![format!("{:?}", host.ssh.proxy)] };
    chain.iter().map(|jump| format!("{}@{}:{}", jump.user, jump.address, jump.port)).collect()
}

fn goes(text: &str, name: &str, expected: &[&str]) {
    let bench = Bench::new();
    let host = settled(&bench, text, name, Consult::default());
    assert_eq!(host.ssh.refused, [], "{text}");
    assert_eq!(way(&host), expected, "{text}");
    // It is nothing that ssh would not do.
    let file = [bench.dir.path().join("config")];
    let query = Query { destination: name, hostname: None, port: None, user: None };
    bench.oracle.ask(&machine(), &Asked { query, files: Some(&file) }).unwrap();
}

fn refuses(text: &str, name: &str, part: &str) {
    let host = settled(&Bench::new(), text, name, Consult::default());
    let refused: Vec<String> = host.ssh.refused.iter().map(ToString::to_string).collect();
    assert!(refused.iter().any(|it| it.contains(part)), "{part:?} is not in {refused:?} of:\n{text}");
}

const USER: &str = "Host *\nUser u\n";

#[test]
fn a_jump_host_behind_another_one_needs_no_proxy_of_its_own() {
    let text = format!("Host *.inner\nProxyJump j1,gate.inner\nHost gate.inner\nPort 2200\n{USER}");
    goes(&text, "x.inner", &["u@j1:22", "u@gate.inner:2200"]);
    // By itself, as the first one, it does.
    let text = format!("Host gate\nProxyJump j1\nHost x\nProxyJump gate,far\nHost far\nProxyJump x\n{USER}");
    goes(&text, "x", &["u@j1:22", "u@gate:22", "u@far:22"]);
    // Nor does a command count that it would have.
    let text = format!("Host x\nProxyJump j1,far\nHost far\nProxyCommand nc %h %p\n{USER}");
    goes(&text, "x", &["u@j1:22", "u@far:22"]);
}

#[test]
fn what_ssh_would_never_get_through_is_refused() {
    refuses("Host a\nProxyJump b\nHost b\nProxyJump a\n", "a", "it goes round in a circle: a → b → a");
    refuses("Host *\nProxyJump gate\n", "x", "cannot be reached through itself");
    refuses("Host x\nProxyJump a,a\n", "x", "cannot be reached through itself");
}

#[test]
fn another_port_of_the_same_address_is_another_host() {
    let bench = Bench::new();
    let through = |jump: &str| {
        let mut consult = Consult { jump: Some(jump.to_owned()), ..Consult::default() };
        consult.said.port = Some("[[hosts]]".into());
        let files = vec![bench.file("config", USER)];
        let consult = Some(Arc::new(Consult { files: Some(files), ..consult }));
        let name = HostName::new("127.0.0.9").unwrap();
        machine().settle(&Host { consult, port: 2202, ..Host::new(name, "root") }).host
    };
    let there = through("127.0.0.9:2201");
    assert_eq!((there.ssh.refused.as_slice(), way(&there)), (&[][..], vec!["u@127.0.0.9:2201".to_owned()]));
    for itself in ["127.0.0.9:2202", "u@127.0.0.9:2202"] {
        let refused = through(itself).ssh.refused.clone();
        assert!(refused[0].reason.contains("cannot be reached through itself"), "{refused:?}");
    }
    assert_eq!(through("other@127.0.0.9:2202").ssh.refused, []);
    // Here the jump host's own port is the file's.
    goes(
        "Host x\nHostName 127.0.0.9\nPort 2202\nProxyJump 127.0.0.9:2201\nHost *\nUser u\n",
        "x",
        &["u@127.0.0.9:2201"],
    );
}

//! Each rule by itself, against `ssh -G`, and with the value that it must come to.

use super::{Bench, asked};

const HOSTS: [&str; 5] = ["web1", "web2.eu", "db1", "DB1", "10.0.0.5"];

/// Both agree about all of [`HOSTS`], and `web1` has `expected` for `keyword`.
fn check(text: &str, keyword: &str, expected: &[&str]) {
    let bench = Bench::new();
    bench.agree(text, &HOSTS);
    assert_eq!(asked(&bench.dir.path().join("config"), "web1", keyword), expected, "{text}");
}

#[test]
fn the_first_value_wins_and_keys_add_up() {
    check("Port 1\nPort 2\nHost *\nPort 3\n", "port", &["1"]);
    check("Host db*\nPort 1\nHost *\nPort 3\n", "port", &["3"]);
    check("IdentityFile a\nHost *\nIdentityFile b\nIdentityFile a\n", "identityfile", &["a", "b"]);
    check("CertificateFile a\nHost web1\nCertificateFile b\n", "certificatefile", &["a", "b"]);
    check("UserKnownHostsFile /a /b\nHost *\nUserKnownHostsFile /c\n", "userknownhostsfile", &["/a /b"]);
}

#[test]
fn patterns_with_a_bang_take_a_block_away() {
    check("Host *\n Host !web1 *\n Port 5\nHost web?\nPort 6", "port", &["6"]);
    check("Host !db1\nPort 5\n", "port", &["22"]);
    check("Host web* !web2.eu\nPort 5\n", "port", &["5"]);
    check("Host WEB1\nPort 5\n", "port", &["22"]);
}

#[test]
fn lines_are_written_in_many_ways() {
    check("port=7", "port", &["7"]);
    check("\t PORT \t=\t 7 \r\n", "port", &["7"]);
    check("User \"ann\" # me", "user", &["ann"]);
    check("Host \"web1\" 'db1'\nUser ann", "user", &["ann"]);
    check("IdentityFile \"/a b/c\"", "identityfile", &["/a b/c"]);
    check("IdentityFile /a\\ b", "identityfile", &["/a b"]);
    check("ProxyCommand = nc \"%h\" %p # all of it", "proxycommand", &["nc \"%h\" %p # all of it"]);
    check("# Port 9\n\n   # Port 8\nPort 7", "port", &["7"]);
}

#[test]
fn match_asks_many_things() {
    check("Match host web*,db* !host web1\nPort 5\nMatch host web1\nPort 6", "port", &["6"]);
    check("HostName real\nMatch host real\nPort 5", "port", &["5"]);
    check("HostName real\nMatch originalhost web1\nPort 5", "port", &["5"]);
    check("User ann\nMatch user ann,bob\nPort 5", "port", &["5"]);
    check("Match localuser nobody-here\nPort 5", "port", &["22"]);
    check("Match exec \"test %h = web1\"\nPort 5", "port", &["5"]);
    check("Match !exec \"test %h = web1\"\nPort 5", "port", &["22"]);
    check("Match all\nPort 5", "port", &["5"]);
    check("Match host=web1 user=*\nPort 5", "port", &["5"]);
}

#[test]
fn a_final_match_has_everything_read_again() {
    check("Match final\nPort 5\nMatch all\nPort 6\n", "port", &["6"]);
    check("Host web1\nHostName real.eu\nMatch final host *.eu\nPort 5\n", "port", &["5"]);
    check("Host web1\nHostName real.eu\nHost *.eu\nUser ann\nMatch final all\n", "user", &["ann"]);
    check("Match canonical\nPort 5\n", "port", &["22"]);
}

#[test]
fn tokens_stand_for_what_ssh_says_they_do() {
    check("HostName %h.eu", "hostname", &["web1.eu"]);
    check("HostName 100%%h", "hostname", &["100%h"]);
    check(
        "Port 7\nUser ann\nHostName r\nUserKnownHostsFile /%h-%n-%p-%r-%%",
        "userknownhostsfile",
        &["/r-web1-7-ann-%"],
    );
    check("HostKeyAlias Key\nUserKnownHostsFile /%k", "userknownhostsfile", &["/key"]);
    let bench = Bench::new();
    bench.agree("UserKnownHostsFile /%C-%d-%i-%l-%L-%u ${PATH} ~/x ~root/y\n", &HOSTS);
    bench.agree("IdentityAgent ~/%u/${PATH}\n", &HOSTS);
}

#[test]
fn a_jump_and_a_command_shut_each_other_out() {
    check("ProxyJump a\nProxyCommand b", "proxyjump", &["a"]);
    check("ProxyCommand b\nProxyJump a", "proxycommand", &["b"]);
    check("ProxyJump none\nProxyCommand b", "proxycommand", &["b"]);
    check("ProxyCommand none\nProxyJump a", "proxyjump", &[]);
    check("ProxyJump u@a:1,ssh://b:2,[::1]:3", "proxyjump", &["u@a:1,ssh://b:2,[::1]:3"]);
}

#[test]
fn includes_are_read_in_place() {
    let bench = Bench::new();
    bench.file("a.conf", "User ann\nHost db1\nPort 5\n");
    bench.file("b.conf", "Port 6\n");
    bench.file(
        "deep/c.conf",
        "Include DIR/b.conf\n".replace("DIR", &bench.dir.path().display().to_string()).as_str(),
    );
    bench.agree("Include DIR/*.conf\nPort 7\n", &HOSTS);
    bench.agree("Host web1\nInclude DIR/a.conf DIR/b.conf\nHostName x\n", &HOSTS);
    bench.agree("Include DIR/none DIR/[ab].conf\n", &HOSTS);
    bench.agree("Include \"DIR/deep/c.conf\"\nPort 9\n", &HOSTS);
    bench.agree("Match host db1\nInclude DIR/?.conf\nMatch all\nUser z\n", &HOSTS);
}

#[test]
fn what_ssh_refuses_we_refuse() {
    let wrong = [
        "Port 0",
        "Port 70000",
        "Port",
        "Port 1 2",
        "Nonsense yes",
        "Host db9\nNonsense yes",
        "User \"ann",
        "IdentitiesOnly perhaps",
        "ConnectTimeout soon",
        "Match",
        "Match colour red",
        "Match host",
        "Match all host web1",
        "ProxyJump @a",
        "HostName %x",
        "UserKnownHostsFile none /a",
        "Include DIR/loop",
        "ProxyJump web1",
    ];
    let bench = Bench::new();
    bench.file("loop", &format!("Include {}/loop\n", bench.dir.path().display()));
    for text in wrong {
        let file = bench.file("config", &text.replace("DIR", &bench.dir.path().display().to_string()));
        assert!(
            matches!(bench.refused(&file, "web1"), (true, true)),
            "{text:?}: {:?}",
            bench.refused(&file, "web1")
        );
    }
    bench.agree("IgnoreUnknown non*,x\nNonsense yes\nPort 5\n", &HOSTS);
}

#[test]
fn a_file_that_others_may_write_is_refused() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    let open = bench.file("open", "Port 5\n");
    set_permissions(&open, Permissions::from_mode(0o666)).unwrap();
    let file = bench.file("config", &format!("Include {}\n", open.display()));
    assert_eq!(bench.refused(&file, "web1"), (true, true));
    // As ssh has it, a file that is named outright may be a group's; not everybody's, though.
    assert_eq!(bench.refused(&open, "web1"), (true, false));
    set_permissions(&open, Permissions::from_mode(0o664)).unwrap();
    assert_eq!(bench.refused(&open, "web1"), (false, false));
    // Debian's ssh lets a group of one's own write what is included; we are as strict as ssh without that.
    assert!(bench.refused(&file, "web1").0);
}

#[test]
fn a_file_that_is_anothers_is_told_what_mends_it_and_no_more() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt, chown};
    let bench = Bench::new();
    let included = bench.file("theirs", "Port 5\n");
    let file = bench.file("config", &format!("Include {}\n", included.display()));
    let refused = || {
        let query =
            dropsonde::sshconfig::Query { destination: "web1", hostname: None, port: None, user: None };
        let machine = super::machine();
        let sources = machine.sources(Some(std::slice::from_ref(&file)));
        dropsonde::sshconfig::evaluate(&query, &sources, (machine.here(), &machine)).unwrap_err().to_string()
    };
    let (ours, shown) = (rustix::process::getuid().as_raw(), included.display());
    chown(&included, Some(4711), None).unwrap();
    assert!(refused().ends_with(&format!("ssh refuses it: chown {ours} {shown}")), "{}", refused());
    set_permissions(&included, Permissions::from_mode(0o620)).unwrap();
    let both = format!("ssh refuses it: chown {ours} {shown} && chmod go-w {shown}");
    assert!(refused().ends_with(&both), "{}", refused());
    chown(&included, Some(ours), None).unwrap();
    assert!(refused().ends_with(&format!("ssh refuses it: chmod go-w {shown}")), "{}", refused());
}

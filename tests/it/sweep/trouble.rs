//! Hosts that hang, lie, refuse or flood among hosts that do not: each ends in its own outcome, and the
//! others do not notice.

use std::process::Command;
use std::time::Duration;

use super::*;
use crate::support::hostile::{Act, Conduct, Hostile};
use crate::support::proxy::{Break, Proxy};
use crate::support::sshd::Userland;

/// Half a megabyte that no compression makes small, and an end.
const NOISE: &str = "head -c 500000 /dev/urandom | od -An -v -tx1; echo end";

#[tokio::test]
async fn one_host_hung_in_each_phase_changes_nothing_for_fifty_others() {
    let sshd = Sshd::start(Setup::default());
    let mut program = Program::alone();
    program.hosts("good[01-50]", &sshd);
    program.probe("noise", NOISE, "format = \"text\"\nmax_output = \"4MiB\"\ntimeout = \"10s\"");
    let hung = [
        ("silent", Conduct::Silent, "timed_out", "banner"),
        ("half_banner", Conduct::HalfBanner, "timed_out", "banner"),
        ("endless_lines", Conduct::EndlessLines, "unreachable", ""),
        ("banner_only", Conduct::BannerOnly, "timed_out", "key exchange"),
        ("kexinit_only", Conduct::KexInitOnly, "timed_out", "key exchange"),
        ("no_auth", Conduct::Ssh(Act::NeverAuthenticates), "timed_out", "authentication"),
        ("no_channel", Conduct::Ssh(Act::NeverOpensAChannel), "timed_out", "open channel deadline"),
        ("no_exec", Conduct::Ssh(Act::NeverAnswersTheRequest), "timed_out", "first byte deadline"),
        ("no_byte", Conduct::Ssh(Act::SendsNoFirstByte), "timed_out", "first byte deadline"),
        ("takes_nothing", Conduct::Ssh(Act::TakesNoInput), "incomplete", ""),
        ("no_close", Conduct::Ssh(Act::NeverCloses), "incomplete", "in place of /bin/sh"),
        ("half_said", Conduct::Ssh(Act::StallsMidStream), "timed_out", "deadline"),
    ];
    let mut servers = Vec::new();
    for (name, conduct, ..) in hung {
        let server = Hostile::start(conduct).await;
        program.host(name, &server.host());
        servers.push(server);
    }
    let stalled = Proxy::start(sshd.port(), 100_000, Break::Stall).await;
    let known = through(&program, &sshd, &stalled);
    program.host_block("mid_stream", Some("127.0.0.1"), (stalled.port, "root"), (&sshd.identity(), &known));

    let limits = [
        "limits.connect_timeout=6s",
        "limits.key_exchange_timeout=6s",
        "limits.auth_timeout=4s",
        "limits.channel_timeout=6s",
        "limits.first_byte_timeout=15s",
        "limits.idle_timeout=8s",
        "limits.close_timeout=2s",
        "limits.visit_timeout=30s",
    ];
    let mut arguments = vec!["sweep", "--probe", "noise", "--json"];
    arguments.extend(limits.iter().flat_map(|limit| ["--set", limit]));
    let swept = program.run_beside(&arguments).await;
    swept.expect(3, &[]);
    assert_eq!(swept.adds_up(), 50 + 13);
    assert!(swept.took < Duration::from_secs(30 + 60), "{:?}", swept.took);
    for n in 1..=50 {
        swept.ended((&format!("good{n:02}"), "noise"), "ok", &[]);
    }
    for (name, _, outcome, detail) in hung {
        swept.ended((name, "noise"), outcome, &[detail]);
    }
    swept.ended(("mid_stream", "noise"), "timed_out", &["deadline"]);
    let half = swept.reading("mid_stream", "noise");
    assert!(half["bytes_wire"].as_u64() > Some(50_000), "what had come by then is kept: {half}");
    program.assert_clean();
}

/// known_hosts for a server behind a proxy.
fn through(program: &Program, sshd: &Sshd, proxy: &Proxy) -> std::path::PathBuf {
    let path = program.dir().join(format!("known_hosts.{}", proxy.port));
    fs::write(&path, format!("[127.0.0.1]:{} {}\n", proxy.port, sshd.host_key())).unwrap();
    path
}

#[tokio::test]
async fn every_way_to_be_let_in_or_not_has_its_outcome() {
    let (sshd, mut program) = good("good[1-3]");
    let (identity, known) = (sshd.identity(), sshd.known_hosts());
    let dir = program.dir().to_owned();
    let at = |program: &mut Program, name: &str, identity: &std::path::Path, known: &std::path::Path| {
        program.host_block(name, Some("127.0.0.1"), (sshd.port(), "root"), (identity, known));
    };
    let keygen = |name: &str, phrase: &str| {
        let path = dir.join(name);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-a", "4", "-C", "", "-N", phrase, "-f"])
            .arg(&path)
            .status();
        assert!(made.unwrap().success());
        path
    };
    let other = keygen("other", "");
    at(&mut program, "stranger", &other, &known);
    let locked = keygen("locked", "secret");
    at(&mut program, "locked", &locked, &known);
    let open = dir.join("open");
    fs::copy(&identity, &open).unwrap();
    set_mode(&open, 0o644);
    at(&mut program, "open", &open, &known);
    at(&mut program, "missing", &dir.join("no_such_key"), &known);
    let wrong = dir.join("wrong");
    let public = fs::read_to_string(other.with_extension("pub")).unwrap();
    fs::write(&wrong, format!("# mine\n[127.0.0.1]:{} {public}", sshd.port())).unwrap();
    at(&mut program, "changed", &identity, &wrong);
    let empty = dir.join("empty");
    fs::write(&empty, "").unwrap();
    at(&mut program, "unknown", &identity, &empty);
    program.host_block("refusing", Some("127.0.0.1"), (1, "root"), (&identity, &known));
    let reset = Hostile::start(Conduct::Reset).await;
    program.host("reset", &reset.host());
    let web = Hostile::start(Conduct::NotSsh).await;
    program.host("web", &web.host());

    let swept = program.run_beside(&["sweep", "--probe", "hello", "--json"]).await;
    swept.expect(3, &[]);
    assert_eq!(swept.adds_up(), 12);
    for name in ["good1", "good2", "good3"] {
        swept.ended((name, "hello"), "ok", &[]);
    }
    swept.ended(("stranger", "hello"), "auth_failed", &["refused", "other"]);
    swept.ended(("locked", "hello"), "auth_failed", &["locked", "encrypted", "ssh-add"]);
    swept.ended(("open", "hello"), "auth_failed", &["chmod 600"]);
    swept.ended(("missing", "hello"), "auth_failed", &["no_such_key"]);
    swept.ended(
        ("changed", "hello"),
        "host_key_changed",
        &[&format!("{}:2", wrong.display()), "ssh-keygen -R"],
    );
    swept.ended(("unknown", "hello"), "host_key_unknown", &["empty", "hosts trust unknown"]);
    swept.ended(("refusing", "hello"), "unreachable", &["127.0.0.1:1", "refused"]);
    swept.ended(("reset", "hello"), "unreachable", &["reset"]);
    swept.ended(("web", "hello"), "timed_out", &["not an SSH port"]);

    let nobody = program.run(&["sweep", "-H", "changed,unknown,refusing,stranger", "--probe", "hello"]);
    nobody.expect(4, &[]);
    assert!(nobody.out.contains("0/4 ok"), "{}", nobody.out);
    program.assert_clean();
}

fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn odd_hosts_answer_and_those_that_flood_are_cut() {
    let (sshd, mut program) = good("plain");
    let userland = |userland: Userland| Setup { userland: Some(userland), ..Setup::default() };
    let noise = Some("Welcome!\nYou have mail.".to_owned());
    let noisy = Sshd::start(userland(Userland { login_noise: noise, ..Userland::default() }));
    let without = vec!["gzip", "timeout", "setsid", "ionice"];
    let bare = Sshd::start(userland(Userland { without, ..Userland::default() }));
    // What packs the output sends a bomb of 1:1000 in its place.
    let bomb = "#!/bin/sh\nhead -c 200000000 /dev/zero | busybox gzip -9\n".to_owned();
    let bomber = Sshd::start(userland(Userland { scripts: vec![("gzip", bomb)], ..Userland::default() }));
    let single = Sshd::start(Setup { lines: vec!["MaxSessions 1".to_owned()], ..Setup::default() });
    for (name, sshd) in [("noisy", &noisy), ("bare", &bare), ("bomber", &bomber), ("single", &single)] {
        program.hosts(name, sshd);
    }
    let reset = Proxy::start(sshd.port(), 100_000, Break::Reset).await;
    let known = through(&program, &sshd, &reset);
    program.host_block("reset", Some("127.0.0.1"), (reset.port, "root"), (&sshd.identity(), &known));
    program.probe("endless", "yes", "format = \"text\"\nmax_output = \"64KiB\"\ntimeout = \"5s\"");
    program.probe("noise", NOISE, "format = \"text\"\nmax_output = \"4MiB\"");
    program.probe("late", "sleep 60", "format = \"text\"\ntimeout = \"1s\"");
    program.probe("lacks", HELLO_TOOL, "format = \"openmetrics\"\nneeds = [\"tool:no-such-tool\"]");

    let probes = ["hello", "endless", "noise", "late", "lacks"];
    let mut arguments = vec!["sweep", "--json", "--set", "limits.visit_timeout=2m"];
    arguments.extend(probes.iter().flat_map(|probe| ["--probe", probe]));
    let swept = program.run_beside(&arguments).await;
    swept.expect(3, &[]);
    assert_eq!(swept.adds_up(), 30);
    for host in ["plain", "noisy", "bare", "single"] {
        swept.ended((host, "hello"), "ok", &[]);
        swept.ended((host, "endless"), "truncated", &["max_output of 64KiB"]);
        swept.ended((host, "noise"), "ok", &[]);
        swept.ended((host, "late"), "timed_out", &["deadline of 1s"]);
        swept.ended((host, "lacks"), "unsupported", &["tool:no-such-tool"]);
    }
    for probe in ["hello", "noise"] {
        swept.ended(("bomber", probe), "truncated", &[]);
    }
    swept.ended(("reset", "noise"), "incomplete", &["reset the connection"]);
    program.assert_clean();
}

const HELLO_TOOL: &str = "no-such-tool";

#[test]
fn a_probe_that_needs_root_is_denied_where_sudo_refuses() {
    let files = tempfile::tempdir().unwrap();
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let (account, bolted) =
        ("probe:x:54321:54321::/:/bin/sh\n", "bolted:x:54322:54322::/:/usr/sbin/nologin\n");
    let path = files.path().join("passwd");
    fs::write(&path, passwd + account + bolted).unwrap();
    let prepare = format!("mount --bind {} /etc/passwd", path.display());
    set_mode(files.path(), 0o755);
    let start = |userland: Userland| {
        Sshd::start(Setup { userland: Some(userland), prepare: prepare.clone(), ..Setup::default() })
    };
    let refusal = "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n".to_owned();
    let asks = start(Userland { scripts: vec![("sudo", refusal)], ..Userland::default() });
    let lacks = start(Userland { without: vec!["sudo"], ..Userland::default() });
    let mut program = Program::new();
    for (name, user, sshd) in
        [("asks", "probe", &asks), ("lacks", "probe", &lacks), ("bolted", "bolted", &asks)]
    {
        let files = (&*sshd.identity(), &*sshd.known_hosts());
        program.host_block(name, Some("127.0.0.1"), (sshd.port(), user), files);
    }
    program.probe("rooted", "id -u", "format = \"text\"\nprivilege = \"root\"");
    let swept =
        program.run(&["sweep", "-H", "asks,lacks", "--probe", "hello", "--probe", "rooted", "--json"]);
    swept.expect(3, &[]);
    swept.ended(("asks", "hello"), "ok", &[]);
    swept.ended(("asks", "rooted"), "denied", &["NOPASSWD"]);
    swept.ended(("lacks", "rooted"), "denied", &["sudo is not on this host"]);
    // It let us in, and nothing came of it: that is not the same as no host reached.
    let bolted = program.run(&["sweep", "-H", "bolted", "--probe", "hello", "--json"]);
    bolted.expect(3, &[]);
    bolted.ended(("bolted", "hello"), "denied", &["not available"]);
    program.assert_clean();
}

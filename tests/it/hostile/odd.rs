//! Hosts that mean no harm and are unlike most: another SSH server, other login shells, profiles that chat,
//! logins that are not meant for commands, long ways, long names, name servers that are slow.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::UdpSocket;

use crate::support::program::{Program, ended};
use crate::support::proxy::Proxy;
use crate::support::sshd::{Setup, Sshd, Userland, children, kill};

/// Nearly a quarter of a megabyte that no compression makes small, and an end.
const NOISE: &str = "head -c 100000 /dev/urandom | od -An -v -tx1; echo end";

/// Accounts with login shells of their own, for whoever sees this list of users in place of the machine's.
struct Users {
    dir: TempDir,
    passwd: String,
    count: u32,
}

impl Users {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("dropsonde-users.").tempdir().expect("a folder");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        Self { dir, passwd: fs::read_to_string("/etc/passwd").expect("/etc/passwd"), count: 0 }
    }

    /// Adds one whose home has those files, and lets the key in.
    fn add(&mut self, name: &str, shell: &str, files: &[(&str, &str)], key: &Path) {
        self.count += 1;
        let (id, home) = (54_400 + self.count, self.dir.path().join(name));
        let public = fs::read_to_string(key.with_extension("pub")).expect("a public key");
        for (file, text) in files.iter().copied().chain([(".ssh/authorized_keys", public.as_str())]) {
            let path = home.join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("mkdir");
            fs::write(path, text).expect("write");
        }
        let run = Command::new("chown").arg("-R").arg(format!("{id}:{id}")).arg(&home).status();
        assert!(run.expect("chown").success());
        chown(&home, Some(id), Some(id)).expect("chown");
        self.passwd.push_str(&format!("{name}:x:{id}:{id}::{}:{shell}\n", home.display()));
    }

    /// What makes them users in a mount namespace.
    fn prepare(&self) -> String {
        let path = self.dir.path().join("passwd");
        fs::write(&path, &self.passwd).expect("passwd");
        format!("mount --bind '{}' /etc/passwd", path.display())
    }
}

/// What a careless profile says at every login, a few kilobytes of it.
fn chatter() -> String {
    "echo Welcome to this machine, you have no mail\n".repeat(100)
}

#[test]
fn login_shells_and_profiles_of_every_kind() {
    let keys = Sshd::start(Setup::default());
    let mut users = Users::new();
    let chatter = chatter();
    let fish = [(".config/fish/config.fish", chatter.as_str())];
    users.add("csh", "/usr/bin/csh", &[(".cshrc", &chatter)], &keys.identity());
    users.add("fish", "/usr/bin/fish", &fish, &keys.identity());
    users.add("restricted", "/usr/bin/rbash", &[], &keys.identity());
    for name in ["plain", "sftp", "passes_on", "does_other"] {
        users.add(name, "/bin/sh", &[], &keys.identity());
    }
    let banner = users.dir.path().join("banner");
    fs::write(&banner, "Authorised \u{1b}[31muse\u{1b}[0m only\n".repeat(50)).unwrap();
    let lines = [
        format!("Banner {}", banner.display()),
        "Match User sftp\nForceCommand internal-sftp".to_owned(),
        "Match User passes_on\nForceCommand exec sh -c \"$SSH_ORIGINAL_COMMAND\"".to_owned(),
        "Match User does_other\nForceCommand echo something else".to_owned(),
    ];
    // After a Match nothing is for everybody, so those lines come last: in a file of their own.
    let included = users.dir.path().join("match.conf");
    fs::write(&included, lines[1..].join("\n")).unwrap();
    let lines = vec![lines[0].clone(), format!("Include {}", included.display())];
    let userland = Some(Userland::default());
    let sshd = Sshd::start(Setup { lines, userland, prepare: users.prepare(), ..Setup::default() });
    fs::copy(keys.dir().join("authorized_keys"), sshd.dir().join("authorized_keys")).unwrap();

    let mut program = Program::new();
    for name in ["csh", "fish", "restricted", "plain", "sftp", "passes_on", "does_other"] {
        let files = (&*keys.identity(), &*sshd.known_hosts());
        program.host_block(name, Some("127.0.0.1"), (sshd.port(), name), files);
    }
    program.probe("noise", NOISE, "format = \"text\"\nmax_output = \"4MiB\"");
    let probes = ["hello", "noise", "host_context"];
    let swept = program.run(&[&["sweep", "--json"][..], &probes.map(|it| ["--probe", it]).concat()].concat());
    swept.expect(3, &[]);
    for probe in probes {
        for name in ["csh", "fish", "plain", "passes_on"] {
            swept.ended((name, probe), "ok", &[]);
        }
        swept.ended(("restricted", probe), "denied", &["restricted one"]);
        swept.ended(("sftp", probe), "denied", &["nothing but SFTP"]);
        swept.ended(("does_other", probe), "incomplete", &["ForceCommand", "something else"]);
    }
    program.assert_clean();
}

/// dropbear with a key of its own, in a mount namespace with those users.
struct Dropbear {
    child: Child,
    dir: TempDir,
    port: u16,
}

impl Dropbear {
    fn start(users: &Users) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let key = dir.path().join("host_key");
        let made = Command::new("dropbearkey").args(["-t", "ed25519", "-f"]).arg(&key).output();
        let made = made.expect("dropbear-bin is installed");
        let text = String::from_utf8(made.stdout).expect("text");
        let public = text.lines().find(|line| line.starts_with("ssh-ed25519 ")).expect("a public key");
        for _ in 0..8 {
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut command = Command::new("unshare");
            let script = format!("mount --make-rprivate /\n{}\nexec dropbear \"$@\"", users.prepare());
            command.args(["--mount", "--", "sh", "-c", &script, "sh", "-F", "-E", "-P"]);
            command
                .arg(dir.path().join("pid"))
                .arg("-r")
                .arg(&key)
                .arg("-p")
                .arg(format!("127.0.0.1:{port}"));
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(fs::File::create(dir.path().join("log")).expect("a log"));
            let mut child = command.spawn().expect("unshare");
            let known: Vec<&str> = public.split(' ').take(2).collect();
            let line = format!("[127.0.0.1]:{port} {}\n", known.join(" "));
            fs::write(dir.path().join("known_hosts"), line).expect("known_hosts");
            if listens(&mut child, port) {
                return Self { child, dir, port };
            }
        }
        panic!("dropbear found no port: {}", fs::read_to_string(dir.path().join("log")).unwrap_or_default());
    }
}

/// `false` when it has ended instead: its port was taken.
fn listens(child: &mut Child, port: u16) -> bool {
    let limit = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if child.try_wait().expect("wait").is_some() {
            return false;
        }
        assert!(Instant::now() < limit, "nobody listens on {port}");
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

impl Drop for Dropbear {
    fn drop(&mut self) {
        let sessions = children(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        sessions.into_iter().for_each(|session| kill(session, "KILL"));
    }
}

#[test]
fn dropbear_is_a_server_like_another() {
    let keys = Sshd::start(Setup::default());
    let mut users = Users::new();
    users.add("bear", "/bin/sh", &[], &keys.identity());
    users.add("bashful", "/bin/bash", &[(".bashrc", &chatter())], &keys.identity());
    let server = Dropbear::start(&users);
    let known = server.dir.path().join("known_hosts");
    let mut program = Program::new();
    for user in ["bear", "bashful"] {
        program.host_block(user, Some("127.0.0.1"), (server.port, user), (&keys.identity(), &known));
    }
    program.probe("noise", NOISE, "format = \"text\"\nmax_output = \"4MiB\"");
    program.probe("endless", "yes", "format = \"text\"\nmax_output = \"64KiB\"");
    program.probe("late", "sleep 60", "format = \"text\"\ntimeout = \"1s\"");
    let probes = ["hello", "noise", "host_context", "proc", "uptime", "endless", "late"];
    let swept = program.run(&[&["sweep", "--json"][..], &probes.map(|it| ["--probe", it]).concat()].concat());
    swept.expect(3, &[]);
    for user in ["bear", "bashful"] {
        probes[..5].iter().for_each(|probe| swept.ended((user, probe), "ok", &[]));
        swept.ended((user, "endless"), "truncated", &["max_output of 64KiB"]);
        swept.ended((user, "late"), "timed_out", &["deadline of 1s"]);
    }
    let checked = program.run(&["hosts", "check"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    program.assert_clean();
}

/// A machine with nothing but busybox, one at an IPv6 address, and one with a name that is hard to show.
#[test]
fn busybox_alone_ipv6_and_long_names() {
    let userland = Some(Userland { busybox: true, ..Userland::default() });
    let busybox = Sshd::start(Setup { userland, ..Setup::default() });
    let six = Sshd::start(Setup { addresses: vec!["::1".to_owned()], ..Setup::default() });
    let mut program = Program::new();
    program.hosts("busybox", &busybox);
    // sshd's known_hosts has the address as ssh writes it.
    program.host_block("six", Some("::1"), (six.port(), "root"), (&six.identity(), &six.known_hosts()));
    let label = "a-label-of-thirty-characters-x";
    let long = [label; 4].join(".");
    program.hosts(&long, &busybox);
    program.probe("noise", NOISE, "format = \"text\"\nmax_output = \"4MiB\"");
    let probes = ["hello", "noise", "host_context", "proc", "uptime"];
    let swept = program.run(&[&["sweep", "--json"][..], &probes.map(|it| ["--probe", it]).concat()].concat());
    swept.expect(0, &[]);
    assert_eq!(swept.adds_up(), 15);
    assert!(
        swept.reading("busybox", "proc")["samples"].as_u64() > Some(50),
        "{}",
        swept.reading("busybox", "proc")
    );
    let table = program.run(&["sweeps", "latest", "-v"]);
    assert!(table.out.contains(&long) && table.out.contains("six"), "{}", table.out);
    let shown = program.run(&["show", &long, "hello"]);
    assert!(shown.out.contains("hello_value"), "{shown:?}");
    program.assert_clean();
}

/// 300 ms there and back, and packets that are lost: with the limits that nobody has touched.
#[tokio::test]
async fn a_host_far_away_is_read_like_one_nearby() {
    let sshd = Sshd::start(Setup::default());
    let far = Proxy::far(sshd.port(), Duration::from_millis(300)).await;
    let mut program = Program::new();
    let known = program.dir().join("known_hosts");
    fs::write(&known, format!("[127.0.0.1]:{} {}\n", far.port, sshd.host_key())).unwrap();
    for n in 0..5 {
        let files = (&*sshd.identity(), &*known);
        program.host_block(&format!("far{n}"), Some("127.0.0.1"), (far.port, "root"), files);
    }
    program.probe("noise", NOISE, "format = \"text\"\nmax_output = \"4MiB\"");
    let swept = program.run_beside(&["sweep", "--probe", "hello", "--probe", "noise", "--json"]).await;
    swept.expect(0, &[]);
    assert_eq!(swept.adds_up(), 10);
    // It was far: a connection takes several round trips.
    assert!(swept.took > Duration::from_millis(1_200), "{:?}", swept.took);
    program.assert_clean();
}

/// A name server that answers for some names and is silent about others. It plays on port 53 of an address
/// of its own.
async fn name_server(socket: UdpSocket) {
    let mut query = [0; 512];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut query).await else { return };
        if let Some(answer) = answer(&query[..length]) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// 127.0.0.1 for what begins with `good`, where an IPv4 address is wanted.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let question = query.get(12..)?;
    if question.get(1..5)? != b"good" {
        return None;
    }
    let name_end = question.iter().position(|byte| *byte == 0)?;
    let question = question.get(..name_end + 5)?;
    let wants_ipv4 = question.get(name_end + 1..name_end + 3)? == [0, 1];
    let head = [query.get(..2)?, &[0x81, 0x80, 0, 1, 0, u8::from(wants_ipv4), 0, 0, 0, 0]].concat();
    let record: &[u8] =
        if wants_ipv4 { &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1] } else { &[] };
    Some([&head, question, record].concat())
}

#[tokio::test]
async fn names_that_nobody_answers_for_hold_up_no_other_and_not_the_end() {
    const SLOW: usize = 100;
    const GOOD: usize = 20;
    let sshd = Sshd::start(Setup::default());
    let process = std::process::id().to_be_bytes();
    let address = SocketAddr::from(([127, 53, process[2], process[3] | 1], 53));
    let server = tokio::spawn(name_server(UdpSocket::bind(address).await.expect("port 53, as root")));
    let mut program = Program::new();
    let known = program.dir().join("known_hosts");
    fs::write(&known, format!("[good*]:{} {}\n", sshd.port(), sshd.host_key())).unwrap();
    for names in [format!("slow[001-{SLOW}].test"), format!("good[01-{GOOD}].test")] {
        program.host_block(&names, None, (sshd.port(), "root"), (&sshd.identity(), &known));
    }
    // The C library goes on asking for five minutes; we give up after three seconds.
    let resolv = program.dir().join("resolv.conf");
    fs::write(&resolv, format!("nameserver {}\noptions timeout:30 attempts:5\n", address.ip())).unwrap();
    let arguments = ["sweep", "--probe", "hello", "--json", "--set", "limits.connect_timeout=3s"];
    let swept = run_with_resolver(&program, resolv, &arguments).await;
    server.abort();
    swept.expect(3, &[]);
    assert_eq!(swept.adds_up(), (SLOW + GOOD) as u64);
    for n in 1..=GOOD {
        swept.ended((&format!("good{n:02}.test"), "hello"), "ok", &[]);
    }
    for n in 1..=SLOW {
        let name = format!("slow{n:03}.test");
        swept.ended((&name, "hello"), "timed_out", &["resolving", &name, "3s", "the resolver"]);
    }
    assert!(swept.took < Duration::from_secs(100), "it waited for the C library: {:?}", swept.took);
    program.assert_clean();
}

async fn run_with_resolver(
    program: &Program,
    resolv: PathBuf,
    arguments: &[&str],
) -> crate::support::program::Ran {
    let plain = program.command(arguments);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "sh", "-c"]);
    command.arg("mount --make-rprivate / && mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"");
    command.arg("sh").arg(resolv).arg(plain.get_program()).args(plain.get_args());
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, value) in plain.get_envs() {
        command.env(name, value.expect("set"));
    }
    let running = move || {
        let start = Instant::now();
        ended(command.spawn().expect("unshare (util-linux) is installed"), start)
    };
    tokio::task::spawn_blocking(running).await.expect("no panic")
}

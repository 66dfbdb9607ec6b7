//! A real OpenSSH sshd with keys of its own, for as long as the value lives. It refuses to fall back
//! on anything: where sshd, root or a mount namespace is missing, the test fails and says so.
//!
//! ```ignore
//! let sshd = Sshd::start(Setup::default());                       // 127.0.0.1, a free port
//! let out = sshd.ssh("127.0.0.1").arg("true").status();           // the OpenSSH client
//! let fleet = Sshd::start(Setup { fleet: true, ..Setup::default() }); // 127.0.0.2 … are 16 million hosts
//! let run = fleet.command(env!("CARGO_BIN_EXE_dropsonde"));       // a program that can reach them
//! ```

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::patience::PATIENCE;

/// What the sessions find in /usr/bin and /usr/sbin (and /bin, /sbin, which are links to them). Made
/// of symlinks and bound over the real folders in a mount namespace of this sshd alone.
#[derive(Debug, Clone, Default)]
pub struct Userland {
    /// What `/bin/sh` is; `None` leaves it alone. `busybox` by its name in argv[0] is ash.
    pub shell: Option<PathBuf>,
    /// Tools that are not there.
    pub without: Vec<&'static str>,
    /// Nothing but busybox's applets.
    pub busybox: bool,
    /// What the login shell prints before it runs a command, as a careless profile does.
    pub login_noise: Option<String>,
    /// Scripts that stand before the real tool of that name.
    pub scripts: Vec<(&'static str, String)>,
}

/// How an sshd is set up. The default listens on 127.0.0.1 with the machine's own userland.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Further lines of sshd_config; the first mention of a keyword wins, and these come first.
    pub lines: Vec<String>,
    /// In a network namespace of its own with nothing but `lo`, on port 22 of all of 127.0.0.0/8:
    /// every address is a host of its own. Reach it through [`Sshd::command`] and [`Sshd::ssh`].
    pub fleet: bool,
    /// In the network namespace of the process of that number, on port 2222 of 127.0.0.1: a jump host
    /// beside a fleet.
    pub beside: Option<u32>,
    /// Addresses to listen on when not a fleet (at most 16); empty means 127.0.0.1.
    pub addresses: Vec<String>,
    pub userland: Option<Userland>,
    /// Commands that run as root in sshd's own mount namespace before it starts; with a userland only.
    pub prepare: String,
}

/// A running sshd. Dropping it ends it, its sessions and its files.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    dir: TempDir,
    port: u16,
    fleet: bool,
}

impl Sshd {
    pub fn start(setup: Setup) -> Self {
        let dir = tempfile::Builder::new().prefix("dropsonde-sshd.").tempdir().expect("a temporary folder");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        // sshd's privilege separation folder is compiled in; a package's unit file would make it.
        fs::create_dir_all("/run/sshd").expect("/run/sshd: these tests run as root");
        for key in ["host_key", "user_key"] {
            run(Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", key, "-f"])
                .arg(dir.path().join(key)));
        }
        fs::copy(dir.path().join("user_key.pub"), dir.path().join("authorized_keys"))
            .expect("authorized_keys");
        // A free port found by binding can be taken before sshd binds it: try again with another.
        for _ in 0..8 {
            let port = match setup.beside {
                Some(_) => 2222,
                None if setup.fleet => 22,
                None => free_port(),
            };
            let mut child = spawn(&setup, dir.path(), port);
            if is_listening(&mut child, &dir.path().join("log")) {
                let sshd = Self { child, dir, port, fleet: setup.fleet };
                sshd.write_known_hosts(&setup);
                return sshd;
            }
        }
        panic!("sshd found no free port in eight tries");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The user whose key is accepted: whoever runs the tests.
    pub fn user(&self) -> &'static str {
        "root"
    }

    /// The listening process; its children are the sessions.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The private key that is accepted, unencrypted ed25519.
    pub fn identity(&self) -> PathBuf {
        self.dir.path().join("user_key")
    }

    /// A known_hosts file with this server's key for every address it answers on.
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.path().join("known_hosts")
    }

    /// The server's public key, as `type base64`.
    pub fn host_key(&self) -> String {
        let text = fs::read_to_string(self.dir.path().join("host_key.pub")).expect("host_key.pub");
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// A folder that lives as long as the server does.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What sshd logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// `program`, able to reach this server: within its network namespace where it has one.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        if self.fleet {
            let mut command = Command::new("nsenter");
            command.arg(format!("--net=/proc/{}/ns/net", self.pid())).arg("--").arg(program.as_ref());
            command
        } else {
            Command::new(program.as_ref())
        }
    }

    /// The OpenSSH client, about to connect to `address`; the remote command is the next argument.
    pub fn ssh(&self, address: &str) -> Command {
        let mut command = self.command("ssh");
        command.args(["-F", "/dev/null", "-T", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]);
        // The client's own first choice costs ten times as much, and hundreds of these are started.
        command.args(["-o", "KexAlgorithms=curve25519-sha256", "-o"]);
        command.arg(format!("UserKnownHostsFile={}", self.known_hosts().display()));
        command.arg("-i").arg(self.identity()).arg("-p").arg(self.port().to_string());
        command.arg(format!("{}@{address}", self.user()));
        command
    }

    /// The sshd processes of the connections that are open now.
    pub fn sessions(&self) -> Vec<u32> {
        children(self.pid())
    }

    fn write_known_hosts(&self, setup: &Setup) {
        let names = if self.fleet {
            "127.*".to_owned()
        } else {
            let bracketed = |address: &String| format!("[{address}]:{}", self.port);
            addresses(setup).iter().map(bracketed).collect::<Vec<_>>().join(",")
        };
        fs::write(self.known_hosts(), format!("{names} {}\n", self.host_key())).expect("known_hosts");
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let sessions = self.sessions();
        // Failing to kill means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in sessions {
            kill(pid, "KILL");
        }
    }
}

/// Sends `signal` to one process; it may be gone already.
pub fn kill(pid: u32, signal: &str) {
    let _ = Command::new("kill").args(["-s", signal, "--", &pid.to_string()]).stderr(Stdio::null()).status();
}

/// The direct children of `parent`.
pub fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// The parent of a process that is there.
pub fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold spaces and parentheses; the fields start after the last one.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn addresses(setup: &Setup) -> Vec<String> {
    if setup.addresses.is_empty() { vec!["127.0.0.1".to_owned()] } else { setup.addresses.clone() }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn spawn(setup: &Setup, dir: &Path, port: u16) -> Child {
    let config = dir.join("sshd_config");
    fs::write(&config, config_text(setup, dir, port)).expect("sshd_config");
    fs::write(dir.join("log"), "").expect("log");
    // A copy, because sshd starts itself again for each connection by the path it was started with,
    // and /usr/sbin may be somebody else's by then.
    let program = dir.join("sshd");
    fs::copy("/usr/sbin/sshd", &program).expect("openssh-server is installed");
    let mut prepare = String::from("set -e\n");
    let mut command = Command::new("unshare");
    if setup.fleet {
        command.arg("--net");
        prepare.push_str("ip link set lo up\n");
    }
    if let Some(userland) = &setup.userland {
        command.arg("--mount");
        prepare.push_str(&bind_userland(userland, dir));
        prepare.push_str(&setup.prepare);
        prepare.push('\n');
    }
    prepare.push_str("exec \"$@\"\n");
    if let Some(pid) = setup.beside {
        // The namespace is the other's; nsenter runs the rest within it.
        command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{pid}/ns/net"));
    }
    command.args(["--", "sh", "-c", &prepare, "sh"]).arg(program);
    command.args(["-D", "-f"]).arg(config).arg("-E").arg(dir.join("log"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    // Not ours: whoever waits for the end of the tests' output would wait for every session's end too.
    command.stderr(fs::File::create(dir.join("stderr")).expect("a file"));
    command.spawn().expect("unshare (util-linux) is installed")
}

/// Waits for sshd to say that it listens; `false` when it could not bind its port.
fn is_listening(child: &mut Child, log: &Path) -> bool {
    let limit = Instant::now() + PATIENCE;
    while Instant::now() < limit {
        let text = fs::read_to_string(log).unwrap_or_default();
        if text.contains("Server listening on") {
            return true;
        }
        if let Some(status) = child.try_wait().expect("wait") {
            // A child that another test is just starting may hold our copy of the program open for writing.
            let is_busy = status.code() == Some(126);
            assert!(
                is_busy || text.contains("Cannot bind any address"),
                "sshd did not start ({status}): {text}"
            );
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("sshd is not listening after {PATIENCE:?}: {}", fs::read_to_string(log).unwrap_or_default());
}

fn config_text(setup: &Setup, dir: &Path, port: u16) -> String {
    let listen = if setup.fleet { vec!["0.0.0.0".to_owned()] } else { addresses(setup) };
    let shown =
        |address: &String| if address.contains(':') { format!("[{address}]") } else { address.clone() };
    let listen: String =
        listen.iter().map(|address| format!("ListenAddress {}:{port}\n", shown(address))).collect();
    let dir = dir.display();
    // SHLVL keeps bash from taking a login over SSH for one that wants ~/.bashrc: what stands there on the
    // machine of whoever runs the tests may take seconds, or a lock.
    format!(
        "{}\n{listen}HostKey {dir}/host_key\nAuthorizedKeysFile {dir}/authorized_keys\nPidFile none\n\
         UsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nPermitUserRC no\nPrintMotd no\nUseDNS no\n\
         MaxStartups 10000\nMaxSessions 64\nSetEnv SHLVL=1\nLoginGraceTime 30\nLogLevel INFO\n",
        setup.lines.join("\n")
    )
}

/// Lays out the farm of symlinks and returns the commands that mount it.
fn bind_userland(userland: &Userland, dir: &Path) -> String {
    let mut mounts = String::from("mount --make-rprivate /\n");
    let login_shell = login_shell();
    for folder in ["bin", "sbin"] {
        let (real, farm) = (dir.join(format!("real-{folder}")), dir.join(format!("farm-{folder}")));
        fs::create_dir(&real).expect("mkdir");
        fs::create_dir(&farm).expect("mkdir");
        let seen = fs::read_dir(format!("/usr/{folder}")).expect("/usr").flatten();
        let names: Vec<String> = match userland.busybox {
            true if folder == "bin" => applets(),
            true => Vec::new(),
            false => seen.filter_map(|entry| entry.file_name().into_string().ok()).collect(),
        };
        for name in names.iter().filter(|name| !userland.without.contains(&name.as_str())) {
            let target = if userland.busybox { dir.join("real-bin/busybox") } else { real.join(name) };
            symlink(target, farm.join(name)).expect("symlink");
        }
        if folder == "bin" {
            replace_shells(userland, &farm, &dir.join("real-bin"), &login_shell);
        }
        mounts.push_str(&format!("mount --bind /usr/{folder} '{}'\n", real.display()));
    }
    // Both real folders are kept before the first is hidden, and `mount` itself lives in one of them.
    mounts.push_str(&format!("m='{}/real-bin/mount'\n", dir.display()));
    for folder in ["sbin", "bin"] {
        mounts.push_str(&format!("\"$m\" --bind '{}/farm-{folder}' /usr/{folder}\n", dir.display()));
    }
    mounts
}

fn replace_shells(userland: &Userland, farm: &Path, real: &Path, login_shell: &str) {
    let put = |name: &str, target: &Path| {
        let _ = fs::remove_file(farm.join(name));
        symlink(target, farm.join(name)).expect("symlink");
    };
    if let Some(shell) = &userland.shell {
        put("sh", &real.join(shell.file_name().expect("a program's path")));
    }
    for (name, text) in &userland.scripts {
        write_program(&farm.join(name), text);
    }
    let noise = userland.login_noise.as_deref().unwrap_or_default();
    if userland.busybox || !noise.is_empty() {
        write_program(
            &farm.join(login_shell),
            &format!("#!/bin/sh\ncat <<'EOT'\n{noise}\nEOT\nexec /bin/sh \"$@\"\n"),
        );
    }
}

fn write_program(path: &Path, text: &str) {
    let _ = fs::remove_file(path);
    fs::write(path, text).expect("write");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
}

/// The file name of root's login shell: what sshd runs commands with.
fn login_shell() -> String {
    let passwd = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let line = passwd.lines().find(|line| line.starts_with("root:")).expect("a root account");
    line.rsplit('/').next().expect("a shell").to_owned()
}

fn applets() -> Vec<String> {
    let output = Command::new("busybox").arg("--list").output().expect("busybox is installed");
    String::from_utf8(output.stdout).expect("names").lines().map(str::to_owned).collect()
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

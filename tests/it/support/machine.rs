//! A machine of its own: systemd as PID 1 of new namespaces, over this machine's files, with our program and
//! units installed. What it writes is in memory and goes with it. It shares a fleet's network.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::sshd::{Sshd, children, kill};

pub struct Machine {
    child: Child,
    init: u32,
    dir: TempDir,
}

/// Puts the machine's first process into a cgroup of its own, which becomes the root of its own tree.
const CGROUP: &str = r#"
set -e
dir=$1
mkdir "$dir/cgroup"
mount -t cgroup2 cgroup2 "$dir/cgroup"
mkdir "$dir/cgroup/$(cat "$dir/name")"
echo $$ > "$dir/cgroup/$(cat "$dir/name")/cgroup.procs"
exec unshare --fork --kill-child --pid --mount --uts --ipc --cgroup -- sh "$dir/boot.sh" "$@"
"#;

/// Units of a machine that has devices, a bus and disks to look after: this one has none.
const MASKED: &str = "systemd-udevd.service systemd-udev-trigger.service systemd-udevd-kernel.socket
    systemd-udevd-control.socket systemd-modules-load.service systemd-timesyncd.service systemd-networkd.service
    systemd-resolved.service systemd-logind.service dbus.service dbus.socket systemd-sysctl.service
    systemd-random-seed.service systemd-update-utmp.service systemd-binfmt.service keyboard-setup.service
    console-setup.service apparmor.service networking.service systemd-remount-fs.service";

const BOOT: &str = r#"
set -e
dir=$1 program=$2 units=$3 masked=$4
mount --make-rprivate /
mkdir "$dir/layers"
mount -t tmpfs tmpfs "$dir/layers"
mkdir "$dir/layers/upper" "$dir/layers/work" "$dir/layers/root"
n=$dir/layers/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/layers/upper,workdir=$dir/layers/work" "$n"
mount -t proc proc "$n/proc"
mount -t sysfs sysfs "$n/sys"
mount -t cgroup2 cgroup2 "$n/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$n/run"
mount -t tmpfs -o mode=1777 tmpfs "$n/tmp"
mount -t tmpfs -o mode=755 tmpfs "$n/dev"
for device in null zero full random urandom tty; do
    touch "$n/dev/$device"
    mount --bind "/dev/$device" "$n/dev/$device"
done
mkdir "$n/dev/pts" "$n/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$n/dev/pts"
ln -s pts/ptmx "$n/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$n/dev/shm"
ln -s /proc/self/fd "$n/dev/fd"
rm -rf "$n/etc/systemd/system" "$n/var/lib/dropsonde" "$n/etc/dropsonde" "$n/var/log/journal"
mkdir -p "$n/etc/systemd/system"
: > "$n/etc/fstab"
: > "$n/etc/machine-id"
if [ -d "$dir/sources" ]; then
    rm -f "$n/usr/bin/dropsonde"
    cp -r "$dir/sources" "$n/root/sources"
else
    touch "$n/usr/bin/dropsonde"
    mount --bind "$program" "$n/usr/bin/dropsonde"
    mkdir "$n/etc/dropsonde"
    cp "$units"/*.service "$units"/*.timer "$n/etc/systemd/system/"
    cp "$units"/sysusers.d/*.conf "$n/usr/lib/sysusers.d/"
    cp "$units"/tmpfiles.d/*.conf "$n/usr/lib/tmpfiles.d/"
    cp -r "$dir/etc/." "$n/etc/dropsonde/"
fi
for unit in $masked; do ln -s /dev/null "$n/etc/systemd/system/$unit"; done
printf '[Unit]\nDescription=a test\nRequires=basic.target\nAfter=basic.target\n' > "$n/etc/systemd/system/trial.target"
mkdir "$n/old"
cd "$n"
pivot_root . old
umount -l /old
# systemd leaves that to whoever runs a container; without it credentials would not reach a service.
mount --make-rshared /
exec env -i container=trial PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/lib/systemd/systemd --system \
    --unit=trial.target --log-target=console --show-status=no
"#;

impl Machine {
    /// Boots, with a configuration and the key and known_hosts of `fleet` in /etc/dropsonde.
    pub fn boot(fleet: &Sshd, config: &str) -> Self {
        Self::start(fleet, |dir| {
            let etc = dir.join("etc");
            fs::create_dir(&etc).expect("mkdir");
            fs::write(etc.join("config.toml"), config).expect("config.toml");
            fs::copy(fleet.identity(), etc.join("ssh_key")).expect("the key");
            fs::copy(fleet.known_hosts(), etc.join("known_hosts")).expect("known_hosts");
            fs::set_permissions(etc.join("ssh_key"), fs::Permissions::from_mode(0o600)).expect("chmod");
        })
    }

    /// Boots with nothing installed: the sources as they are after a build are in /root/sources.
    pub fn bare(fleet: &Sshd) -> Self {
        Self::start(fleet, |dir| {
            let (here, sources) = (Path::new(env!("CARGO_MANIFEST_DIR")), dir.join("sources"));
            fs::create_dir_all(sources.join("target/release")).expect("mkdir");
            fs::copy(here.join("config.example.toml"), sources.join("config.example.toml")).expect("a copy");
            let run = |command: &mut Command| assert!(command.status().expect("a tool").success());
            run(Command::new("cp").arg("-r").arg(here.join("systemd")).arg(&sources));
            // The machine's files are in memory.
            let program = sources.join("target/release/dropsonde");
            run(Command::new("strip").arg("-o").arg(program).arg(env!("CARGO_BIN_EXE_dropsonde")));
        })
    }

    fn start(fleet: &Sshd, prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::Builder::new().prefix("dropsonde-machine.").tempdir().expect("a folder");
        prepare(dir.path());
        fs::write(dir.path().join("name"), cgroup(dir.path())).expect("a name");
        fs::write(dir.path().join("cgroup.sh"), CGROUP).expect("a script");
        fs::write(dir.path().join("boot.sh"), BOOT).expect("a script");
        let log = fs::File::create(dir.path().join("log")).expect("a log");
        let mut command = fleet.command("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh"]).arg(dir.path().join("cgroup.sh"));
        command.arg(dir.path()).arg(env!("CARGO_BIN_EXE_dropsonde"));
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd")).arg(MASKED);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let child = command.spawn().expect("unshare");
        let mut machine = Self { child, init: 0, dir };
        machine.wait_until("it has booted", |machine| {
            let Some(init) = children(machine.child.id()).first().copied() else { return false };
            machine.init = init;
            let state = machine.command(&["systemctl", "is-system-running"]).output().expect("nsenter");
            matches!(String::from_utf8_lossy(&state.stdout).trim(), "running" | "degraded")
        });
        machine
    }

    /// A command inside.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.init.to_string());
        command
            .args(["--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--wd", "--"])
            .args(words);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        command
    }

    pub fn output(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("nsenter")
    }

    /// What a command that succeeds prints.
    pub fn run(&self, words: &[&str]) -> String {
        let output = self.output(words);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{words:?}: {out}{err}\n{}", self.journal());
        out
    }

    /// One property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.run(&["systemctl", "show", "--value", "-p", name, unit]).trim().to_owned()
    }

    pub fn journal(&self) -> String {
        let output = self.output(&["journalctl", "--no-pager", "-q", "-n", "200"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A path inside, as seen from here.
    pub fn path(&self, inside: &str) -> PathBuf {
        Path::new("/proc").join(self.init.to_string()).join("root").join(inside.trim_start_matches('/'))
    }

    pub fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().expect("a folder")).expect("mkdir");
        fs::write(path, text).expect("write");
    }

    pub fn wait_until(&mut self, what: &str, mut ready: impl FnMut(&mut Self) -> bool) {
        let limit = Instant::now() + Duration::from_secs(120);
        while !ready(self) {
            if Instant::now() > limit {
                let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                panic!("waited in vain until {what}\n{log}\n{}", self.journal());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Unique on this machine: the folder's name is.
fn cgroup(dir: &Path) -> String {
    dir.file_name().expect("a name").to_string_lossy().into_owned()
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its end takes everything in it along.
        if self.init != 0 {
            kill(self.init, "KILL");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its mount is gone with it; its folders are in every mount of that tree.
        let script = "mount -t cgroup2 cgroup2 \"$1\" && cd \"$1/$2\" || exit 0
            for try in 1 2 3 4 5 6 7 8 9 10; do
                find . -depth -type d ! -name . -exec rmdir {} + 2>/dev/null
                rmdir \"$1/$2\" 2>/dev/null && exit 0
                sleep 0.1
            done";
        let name = cgroup(self.dir.path());
        let _ = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--", "sh", "-c", script, "sh"])
            .arg(self.dir.path().join("cgroup"))
            .arg(name)
            .status();
    }
}

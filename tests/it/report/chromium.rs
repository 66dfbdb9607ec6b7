//! Chromium without a window, for as long as one page takes, and nothing of it left behind.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::support::patience::PATIENCE;

/// A start takes less than a second on an idle machine.
const LIMIT: Duration = Duration::from_secs(90);

pub struct Chromium {
    dir: TempDir,
}

impl Chromium {
    pub fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("dropsonde-chromium.").tempdir().expect("a folder") }
    }

    /// A file that a page can name by its name alone.
    pub fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// Loads a page, lets its scripts finish, and gives the document as it is then.
    pub fn document(&self, page: &Path, dark: bool) -> String {
        self.run(page, dark, "--dump-dom")
    }

    /// Prints a page, and gives how many sheets it took.
    pub fn sheets(&self, page: &Path) -> usize {
        let pdf = self.dir.path().join("page.pdf");
        self.run(page, false, &format!("--print-to-pdf={}", pdf.display()));
        let pdf = fs::read(pdf).expect("a PDF");
        assert!(pdf.starts_with(b"%PDF"));
        String::from_utf8_lossy(&pdf).matches("/Type /Page\n").count()
    }

    fn run(&self, page: &Path, dark: bool, what: &str) -> String {
        let (out, err) = (self.dir.path().join("out"), self.dir.path().join("err"));
        let profile = self.dir.path().join("profile");
        let mut command = Command::new("chromium");
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-zygote"])
            .args(["--disable-breakpad", "--disable-extensions", "--no-first-run", "--no-pdf-header-footer"])
            .args(["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"])
            .args(["--window-size=1600,1200", "--virtual-time-budget=10000", what])
            .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)))
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("file://{}", page.display()))
            .env("HOME", self.dir.path())
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::null())
            .stdout(fs::File::create(&out).expect("a file"))
            .stderr(fs::File::create(&err).expect("a file"))
            .process_group(0);
        let mut child = command.spawn().expect("chromium starts");
        let ended = wait(&mut child);
        self.end(&mut child, &profile);
        let said = || String::from_utf8_lossy(&fs::read(&err).unwrap_or_default()).into_owned();
        assert!(ended, "chromium took more than {LIMIT:?}: {}", said());
        let text = fs::read_to_string(&out).expect("text");
        assert!(!what.contains("dom") || text.contains("<html"), "{}", said());
        text
    }

    /// Its helpers know the profile by name; those that outlive it are ended one by one.
    fn end(&self, child: &mut Child, profile: &Path) {
        let group = Pid::from_raw(child.id() as i32).expect("a pid");
        let _ = kill_process_group(group, Signal::KILL);
        let _ = child.wait();
        let start = Instant::now();
        while let left @ [_, ..] = running_with(profile).as_slice() {
            assert!(start.elapsed() < PATIENCE, "chromium left {left:?}");
            for pid in left {
                let _ = kill_process(*pid, Signal::KILL);
            }
            sleep(Duration::from_millis(20));
        }
    }
}

fn wait(child: &mut Child) -> bool {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if let Some(status) = child.try_wait().expect("wait") {
            return status.success();
        }
        sleep(Duration::from_millis(20));
    }
    false
}

/// Processes that have this path among their arguments.
fn running_with(profile: &Path) -> Vec<Pid> {
    let wanted = profile.display().to_string();
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = processes.filter_map(|it| it.file_name().to_str()?.parse::<i32>().ok());
    let has = |pid: &i32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(&wanted)
    };
    pids.filter(has).filter_map(Pid::from_raw).collect()
}

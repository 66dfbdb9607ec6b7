//! A daemon as a process: its log, what it tells its service manager, and its end.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dropsonde::model::{Fate, Tick};
use dropsonde::schedule::Timetable;
use dropsonde::store::ticks;

use crate::support::program::Program;
use crate::support::sshd::kill;

pub struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
    notices: Arc<Mutex<Vec<String>>>,
}

/// Generous: two cores may be busy with all the other tests.
const LIMIT: Duration = Duration::from_secs(90);

impl Daemon {
    /// Started and ready.
    pub fn start(program: &Program, arguments: &[&str]) -> Self {
        let daemon = Self::spawn(program.command(&[&["daemon"], arguments].concat()), program);
        daemon.wait_for_notice("READY=1");
        daemon
    }

    pub fn spawn(mut command: Command, program: &Program) -> Self {
        let path = program.dir().join("notify");
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let mut child = command.env("NOTIFY_SOCKET", &path).spawn().expect("the daemon");
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, kept) = (child.stderr.take().expect("stderr"), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().expect("the log").push_str(&format!("{line}\n"));
            }
        });
        let notices = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&notices);
        std::thread::spawn(move || {
            let mut message = [0; 4096];
            while let Ok(len) = socket.recv(&mut message) {
                let text = String::from_utf8_lossy(&message[..len]).into_owned();
                kept.lock().expect("the notices").push(text);
            }
        });
        Self { child, log, notices }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    pub fn notices(&self) -> Vec<String> {
        self.notices.lock().expect("the notices").clone()
    }

    pub fn has_notice(&self, part: &str) -> bool {
        self.notices().iter().any(|notice| notice.contains(part))
    }

    pub fn wait_for_notice(&self, part: &str) {
        let limit = Instant::now() + LIMIT;
        while !self.has_notice(part) {
            assert!(Instant::now() < limit, "no {part:?} in {:?}\n{}", self.notices(), self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn wait_for_log(&self, part: &str) {
        let limit = Instant::now() + LIMIT;
        while !self.log().contains(part) {
            assert!(Instant::now() < limit, "no {part:?} in\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn signal(&self, name: &str) {
        kill(self.pid(), name);
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_some()
    }

    /// Waits for its end; its exit status.
    pub fn ended(&mut self) -> Option<i32> {
        let limit = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status.code();
            }
            assert!(Instant::now() < limit, "it does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stopped in peace.
    pub fn stop(mut self) -> String {
        self.signal("TERM");
        assert_eq!(self.ended(), Some(0), "{}", self.log());
        self.log()
    }

    /// Killed, unless it has ended already; what it had logged.
    pub fn kill(mut self) -> String {
        let _ = self.child.kill();
        self.child.wait().expect("wait");
        self.log()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The book of ticks.
pub fn book(program: &Program) -> Vec<Tick> {
    ticks::read(&program.state()).expect("the book")
}

pub fn ran(ticks: &[Tick]) -> Vec<&Tick> {
    ticks.iter().filter(|tick| matches!(tick.fate, Fate::Ran { .. })).collect()
}

/// Every tick between the first and the last of the book is decided in it, once.
pub fn assert_no_gap(ticks: &[Tick], timetable: &Timetable) {
    let mut next = ticks.first().expect("a tick").due;
    for tick in ticks {
        assert_eq!(tick.due, next, "after a gap, or twice: {tick:?}\n{ticks:#?}");
        let mut count = 1;
        let mut at = tick.due;
        while at < tick.until() {
            at = timetable.after(at).expect("a tick");
            count += 1;
        }
        if let Fate::Missed { count: said, .. } = &tick.fate {
            assert_eq!(*said, count, "{tick:?}");
        }
        next = timetable.after(at).expect("a tick");
    }
}

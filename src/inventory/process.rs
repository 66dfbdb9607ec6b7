//! Runs a program that prints hosts: with a limit on its time and on what it prints, and nothing of it left
//! behind.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::model::duration_text;
use crate::render::{Lines, counted, escape_bytes};

/// How much of what a program complains of is shown.
const COMPLAINT: usize = 400;

/// Between two looks whether it has ended.
const BEAT: Duration = Duration::from_millis(10);

/// A program to run, and what it may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    pub program: &'a Path,
    pub arguments: &'a [&'a str],
    pub folder: &'a Path,
    pub timeout: Duration,
    pub most_bytes: usize,
}

/// Why a program printed nothing of use.
#[derive(Debug)]
pub(super) enum JobError {
    /// It could not be started at all.
    Start(io::Error),
    /// A sentence without its full stop.
    Failed(String),
}

/// Runs it and returns what it printed.
pub(super) fn run(job: &Job<'_>) -> Result<Vec<u8>, JobError> {
    if let Some(program) = anyones(job) {
        let shown = program.display();
        let what = format!("anyone on this machine can write to {shown}; take that away with `chmod o-w`");
        return Err(JobError::Failed(what));
    }
    let mut command = Command::new(job.program);
    command.args(job.arguments).current_dir(job.folder).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(JobError::Start)?;
    let full = Arc::new(AtomicBool::new(false));
    let out = reader(child.stdout.take(), job.most_bytes, Arc::clone(&full));
    let err = reader(child.stderr.take(), COMPLAINT, Arc::default());
    let status = wait(&mut child, job, &full);
    // Whatever it has started holds our pipes open and would be left behind.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = status.and_then(|ended| match ended {
        Some(status) => Ok(status),
        None => child
            .wait()
            .map_err(|error| error.to_string())
            .and_then(|_| Err(format!("it did not end within {}", duration_text(job.timeout)))),
    });
    let (out, err) = (joined(out), joined(err));
    if full.load(Ordering::Relaxed) {
        return Err(JobError::Failed(format!("it printed more than {}", counted(job.most_bytes, "byte"))));
    }
    match status {
        Ok(status) if status.success() => Ok(out),
        Ok(status) => {
            let said = escape_bytes(err.trim_ascii(), Lines::Single);
            let colon = if said.is_empty() { "" } else { ": " };
            Err(JobError::Failed(format!("it ended with {status}{colon}{said}")))
        }
        Err(why) => Err(JobError::Failed(why)),
    }
}

/// The program's file, or that of a script among its arguments, if anyone could have written it: what it prints
/// decides where we connect, and it runs as us.
fn anyones(job: &Job<'_>) -> Option<PathBuf> {
    let below = |path: &Path| job.folder.join(path);
    let program = match job.program.components().count() {
        // As the system looks for it: a name without a slash in PATH.
        1 if !job.program.is_absolute() => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|folder| folder.join(job.program)).find(|path| path.is_file())
        }
        _ => Some(below(job.program)),
    };
    let scripts = job.arguments.iter().filter(|argument| !argument.is_empty()).map(|it| below(Path::new(it)));
    let is_anyones = |path: &PathBuf| {
        let metadata = path.metadata();
        metadata.is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o002 != 0)
    };
    program.into_iter().chain(scripts).find(is_anyones)
}

/// `Ok(None)` if it runs still when its time is over, or printed too much.
fn wait(child: &mut Child, job: &Job<'_>, full: &AtomicBool) -> Result<Option<ExitStatus>, String> {
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(Some(status)),
            Ok(None) if began.elapsed() >= job.timeout || full.load(Ordering::Relaxed) => return Ok(None),
            Ok(None) => thread::sleep(BEAT),
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Reads to the end, keeps at most `most` bytes, and says if there were more.
fn reader(
    stream: Option<impl Read + Send + 'static>,
    most: usize,
    full: Arc<AtomicBool>,
) -> Option<JoinHandle<Vec<u8>>> {
    let mut stream = stream?;
    Some(thread::spawn(move || {
        let mut kept = Vec::new();
        let mut chunk = [0; 16 << 10];
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => return kept,
                Ok(len) => {
                    let room = most.saturating_sub(kept.len());
                    if len > room {
                        full.store(true, Ordering::Relaxed);
                    }
                    kept.extend_from_slice(&chunk[..len.min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return kept,
            }
        }
    }))
}

fn joined(reader: Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, timeout: Duration) -> Result<String, String> {
        let arguments = ["-c", script];
        let job = Job {
            program: Path::new("/bin/sh"),
            arguments: &arguments,
            folder: Path::new("/"),
            timeout,
            most_bytes: 1_000,
        };
        match run(&job) {
            Ok(out) => Ok(String::from_utf8_lossy(&out).into_owned()),
            Err(JobError::Failed(why)) => Err(why),
            Err(JobError::Start(error)) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_program_prints_or_says_why_not() {
        let long = Duration::from_secs(60);
        assert_eq!(sh("echo a; echo b >&2", long), Ok("a\n".to_owned()));
        assert_eq!(
            sh("echo x; echo 'no token' >&2; exit 3", long).unwrap_err(),
            "it ended with exit status: 3: no token"
        );
        assert_eq!(
            sh("while :; do echo xxxxxxxxxxxxxxxx; done", long).unwrap_err(),
            "it printed more than 1000 bytes"
        );
        let slow = sh("sleep 1000 & echo x; wait", Duration::from_millis(50));
        assert_eq!(slow.unwrap_err(), "it did not end within 50ms");
        // What it left in the background does not hold us up.
        assert_eq!(sh("sleep 1000 & echo x", long), Ok("x\n".to_owned()));
    }
}

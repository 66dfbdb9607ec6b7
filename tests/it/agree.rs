//! Different tracers on the same load at the same time see the same: where 10 %, 20 % … 90 % of the waits
//! end differs by one power of two at most. Each takes its own kind of record of the same tracepoints, so
//! that one whose reading is wrong stands alone.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dropsonde::model::{Histogram, Outcome};
use dropsonde::parse::{Context, parse};

use crate::support::runs::Job;
use crate::support::sshd::{Setup, Sshd, Userland};
use crate::support::tracer::{self, alone};

/// Long enough that the seconds which a tracer needs to start matter little.
const WINDOW_S: u64 = 6;
/// Fewer say little about their deciles.
const ENOUGH: u64 = 300;

/// Work in threads of this process until it is dropped.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn new() -> Self {
        Self { stop: Arc::default(), threads: Vec::new() }
    }

    /// Does `work` again and again.
    fn with(mut self, mut work: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::clone(&self.stop);
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                work();
            }
        }));
        self
    }

    /// One that never sleeps for each CPU, and twice as many that run and sleep in turns. No CPU is idle: on
    /// some virtual machines an idle CPU's own task tells perf little, and what it wakes seems never woken.
    fn on_all_cpus() -> Self {
        let cpus = std::thread::available_parallelism().expect("CPUs").get() as u64;
        let spin = |time: Duration| {
            let start = Instant::now();
            while start.elapsed() < time {
                std::hint::spin_loop();
            }
        };
        let busy = (0..cpus).fold(Self::new(), |load, _| load.with(move || spin(Duration::from_millis(10))));
        (0..2 * cpus).fold(busy, |load, index| {
            load.with(move || {
                spin(Duration::from_micros(200 + 300 * index));
                std::thread::sleep(Duration::from_micros(1_000 + 700 * index));
            })
        })
    }

    /// Packets over loopback.
    fn on_the_network(self) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("its address")).expect("connect");
        let (mut server, _) = listener.accept().expect("accept");
        for end in [&client, &server] {
            end.set_read_timeout(Some(Duration::from_secs(1))).expect("a limit");
        }
        self.with(move || {
            let mut bytes = [0; 8_000];
            // The other thread may have ended before.
            let _ = client.write_all(&bytes).and_then(|()| client.read_exact(&mut bytes[..1]));
            std::thread::sleep(Duration::from_millis(1));
        })
        .with(move || {
            let mut bytes = [0; 8_000];
            let _ = server.read_exact(&mut bytes).and_then(|()| server.write_all(&bytes[..1]));
        })
    }

    /// Writes of several sizes that wait for the disk that this crate is built on.
    fn on_the_disk(self) -> Self {
        let file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).expect("a file");
        let mut turn = 0;
        self.with(move || {
            turn += 1;
            write_through(&file, [4, 64, 256][turn % 3] << 10, (turn as u64 % 16) << 20);
            std::thread::sleep(Duration::from_millis(2));
        })
    }
}

fn write_through(file: &File, length: usize, offset: u64) {
    use std::os::unix::fs::FileExt;
    file.write_all_at(&vec![1; length], offset).expect("write");
    file.sync_data().expect("sync");
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What a probe measured, and what it says it could not: on a busy machine perf does not see every wakeup.
fn distributions(sshd: &Sshd, name: &str) -> (Vec<Histogram>, String) {
    let probe = tracer::looking_for(name, WINDOW_S);
    let decoded = Job::new(probe.clone()).over(sshd);
    assert_eq!(decoded.outcome, Outcome::Ok, "{name}: {:?} {}", decoded.detail, decoded.stderr);
    let parsed = parse(&probe, &decoded.raw, &Context { clock: None, cursor: None });
    (parsed.histograms, format!("{name}: {:?}", parsed.faults))
}

/// The place of each decile's bucket: 0 below 1 µs, then one for each power of two.
fn deciles(histogram: &Histogram) -> Vec<i32> {
    let place = |tenth: u64| {
        let mut below = 0;
        let bucket = histogram.buckets.iter().find(|bucket| {
            below += bucket.count;
            below * 10 >= histogram.count * tenth
        });
        (bucket.expect("a decile").hi * 1e6).log2().round() as i32
    };
    (1..10).map(place).collect()
}

/// Whether what both saw often enough is the same; there must be some of it.
fn compare(metric: &str, one: &[Histogram], other: &[Histogram]) -> Result<(), String> {
    let often = |histogram: &&Histogram| histogram.metric == metric && histogram.count >= ENOUGH;
    let mut compared = false;
    for a in one.iter().filter(often) {
        let Some(b) = other.iter().filter(often).find(|b| b.labels == a.labels) else { continue };
        compared = true;
        let (of_a, of_b) = (deciles(a), deciles(b));
        if of_a.iter().zip(&of_b).any(|(a, b)| a.abs_diff(*b) > 1) {
            let (labels, counts) = (&a.labels, (a.count, b.count));
            return Err(format!("{metric} {labels:?}, deciles of {counts:?} in 2^n µs: {of_a:?} {of_b:?}"));
        }
    }
    if compared { Ok(()) } else { Err(format!("{metric}: no series has {ENOUGH} in both")) }
}

/// Runs two probes at once, up to three times: what else this machine does may fall into the second in
/// which only one of them looks. What counts as agreement is the same each time.
fn agree([one, other]: [&str; 2], metrics: &[&str], load: impl Fn() -> Load) {
    let _alone = alone();
    let prepare = "mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing";
    let lines = vec!["AcceptEnv CELL".to_owned()];
    let (prepare, userland) = (prepare.to_owned(), Some(Userland::default()));
    let sshd = &Sshd::start(Setup { lines, prepare, userland, ..Setup::default() });
    let mut said = Vec::new();
    for _ in 0..3 {
        let load = load();
        let (of_one, of_other) = std::thread::scope(|scope| {
            let beside = scope.spawn(move || distributions(sshd, other));
            (distributions(sshd, one), beside.join().expect("the other's numbers"))
        });
        drop(load);
        match metrics.iter().try_for_each(|metric| compare(metric, &of_one.0, &of_other.0)) {
            Ok(()) => return,
            Err(difference) => said.push([difference, of_one.1, of_other.1]),
        }
    }
    panic!("{one} and {other}: {said:#?}");
}

#[test]
fn perf_and_bpftrace_agree_on_run_queue_latency() {
    agree(["runqueue_latency", "bpf_runq"], &["scheduler_runqueue_latency_seconds"], Load::on_all_cpus);
}

#[test]
fn tracefs_and_bpftrace_agree_on_softirqs() {
    let metrics = ["softirq_duration_seconds", "softirq_raise_latency_seconds"];
    let load = || Load::new().on_the_network();
    agree(["irq_softirq_latency", "bpf_softirq"], &metrics, load);
}

#[test]
fn tracefs_and_bpftrace_agree_on_block_requests() {
    let load = || Load::new().on_the_disk();
    agree(["block_rq_latency", "bpf_biolatency"], &["blockio_latency_seconds"], load);
}

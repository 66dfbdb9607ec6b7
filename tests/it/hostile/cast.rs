//! Hostile servers in this process, one for each host, and the built program that is sent to them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, mpsc as plain};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::plays::{Play, perform};
use crate::support::peer::{HostKey, Peer};
use crate::support::program::{Program, Ran, ended};

/// What it listens on, and who is told that it does.
type Role = ((TcpSocket, plain::Sender<()>), Play, Arc<HostKey>);

/// What a server's socket holds that it has not read: who reads nothing is in everybody's way soon.
const RECEIVED_BYTES: u32 = 16 << 10;

/// The servers that play, on a thread of their own; they go when it is dropped.
pub struct Cast {
    roles: Option<mpsc::UnboundedSender<Role>>,
    thread: Option<JoinHandle<()>>,
}

impl Cast {
    pub fn new() -> Self {
        let (roles, mut added) = mpsc::unbounded_channel::<Role>();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut servers = JoinSet::new();
                while let Some(((socket, listens), play, key)) = added.recv().await {
                    let listener = socket.listen(128).expect("a listener");
                    listens.send(()).expect("somebody waits for it");
                    servers.spawn(serve(listener, play, key));
                }
            });
        });
        Self { roles: Some(roles), thread: Some(thread) }
    }

    /// Adds a host of that name that plays so, and lets everybody in that it is to let in.
    pub fn add(&self, program: &mut Program, (name, play): (&str, Play), identity: &Path) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(RECEIVED_BYTES).expect("a socket option");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let port = socket.local_addr().expect("its address").port();
        let (says, listens) = plain::channel();
        let key = HostKey::new();
        // One file for all: hosts that are told apart by it are not behind the same jump host.
        let known = program.dir().join("known_hosts");
        let mut lines = OpenOptions::new().append(true).create(true).open(&known).expect("known_hosts");
        lines.write_all(key.line(port).as_bytes()).expect("known_hosts");
        program.host_block(name, Some("127.0.0.1"), (port, "probe"), (identity, &known));
        let roles = self.roles.as_ref().expect("it is not dropped yet");
        roles.send(((socket, says), play, Arc::new(key))).expect("the servers' thread");
        listens.recv().expect("it listens");
    }
}

impl Drop for Cast {
    fn drop(&mut self) {
        self.roles = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, play: Play, key: Arc<HostKey>) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.expect("accept");
        let key = Arc::clone(&key);
        connections.spawn(async move {
            // The client may go at any moment; that is its business.
            let _ = perform(play, &mut Peer::new(socket), &key).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Runs the program beside the servers, with so much memory and no more, and says what it took.
#[expect(clippy::print_stderr, reason = "what it took is what a person wants to know of it")]
pub fn run_with(program: &Program, max_bytes: u64, arguments: &[&str]) -> Ran {
    let mut command = program.command_with(max_bytes, arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let shown = arguments.join(" ");
    let start = Instant::now();
    let child = command.spawn().expect("prlimit (util-linux) is installed");
    let status = format!("/proc/{}/status", child.id());
    let watching = std::thread::spawn(move || watch(&status));
    let ran = ended(child, start);
    let (data, resident) = watching.join().expect("the watcher");
    eprintln!("{shown}: at most {data} KiB of memory, {resident} KiB of it resident, in {:?}", ran.took);
    ran
}

/// The most that was seen until the process was gone: of what the limit counts, and in memory.
fn watch(status: &str) -> (u64, u64) {
    let mut most = (0, 0);
    while let Ok(text) = fs::read_to_string(status) {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        };
        // A process that has ended and is not reaped yet has no memory.
        let (Some(data), Some(resident)) = (field("VmData:"), field("VmHWM:")) else { break };
        most = (most.0.max(data), most.1.max(resident));
        std::thread::sleep(Duration::from_millis(10));
    }
    most
}

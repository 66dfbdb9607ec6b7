//! The running fleet: a server and a tree for each host, and the task that keeps the trees moving while
//! a probe reads them.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::model::{BadName, CollectorTime, Host, HostName, Probe, Reach};
use crate::transport::served::{Around, Gate, KeyError, KeyPair, ServedHost, ServerSpec, serve};

use super::host::{FleetShape, fleet};
use super::{HostModel, Tree, TreeError, gate};

/// How often a tree moves while somebody reads it. A snapshot that catches a move in the middle is off by
/// at most this much.
const MOVE_EVERY: Duration = Duration::from_millis(100);
/// Moving many trees takes at most one part in so many of one CPU.
const MOVE_SHARE: u32 = 4;
const USER: &str = "probe";

/// What to start.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    pub hosts: usize,
    /// The same seed makes the same fleet, with the same sick host.
    pub seed: u64,
    /// Keys and trees go into a new folder below this one, which goes away with the demo.
    pub dir: PathBuf,
    /// The servers run these probes' scripts and nothing else.
    pub probes: Vec<Arc<Probe>>,
}

/// Why a demo could not start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("start a demo of no hosts; ask for at least 1")]
    NoHosts,
    #[error(transparent)]
    Name(#[from] BadName),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("use the demo's folder {path}: {source}")]
    Folder { path: String, source: io::Error },
    #[error("listen on 127.0.0.1 for demo host {host} (open files are limited to {descriptors}): {source}")]
    Listen { host: HostName, descriptors: u64, source: io::Error },
}

/// A running fleet. Dropping it ends it at once, [`Demo::shutdown`] in good order; either way its folder
/// is removed.
#[derive(Debug)]
pub struct Demo {
    /// What a sweep needs to reach the fleet, strict host keys included.
    pub hosts: Vec<Host>,
    pub sick: HostName,
    servers: Vec<ServedHost>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _folder: Folder,
}

impl Demo {
    pub async fn start(options: DemoOptions) -> Result<Self, DemoError> {
        if options.hosts == 0 {
            return Err(DemoError::NoHosts);
        }
        let descriptors = raise_descriptors();
        let folder = Folder::create(&options.dir)?;
        let shape = FleetShape { hosts: options.hosts, seed: options.seed, now: now() };
        let root = folder.0.clone();
        let stage = tokio::task::spawn_blocking(move || Stage::build(shape, root));
        let stage = stage.await.map_err(|error| folder.error(io::Error::other(error)))??;

        let user_key = KeyPair::generate()?;
        let identity = folder.0.join("id_ed25519");
        user_key.write_private(&identity)?;
        let known_hosts = folder.0.join("known_hosts");
        let gate = gate::bundled_only(&options.probes);

        let stop = CancellationToken::new();
        let (mut servers, mut hosts, mut known) = (Vec::new(), Vec::new(), String::new());
        for (index, actor) in stage.actors.iter().enumerate() {
            let host_key = KeyPair::generate()?;
            let listen =
                |source| DemoError::Listen { host: actor.model.name.clone(), descriptors, source };
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(listen)?;
            let spec = ServerSpec {
                host_key: host_key.clone(),
                authorized: user_key.public(),
                command: gate::COMMAND,
                gate: gate.clone(),
                around: stage.around(index),
                env: vec![("PROC", actor.proc.clone()), ("SYS", actor.sys.clone())],
            };
            let server = serve(listener, spec).map_err(listen)?;
            let port = server.address.port();
            known.push_str(&format!("[127.0.0.1]:{port} {}\n", host_key.public().to_line()?));
            hosts.push(Host {
                name: actor.model.name.clone(),
                address: Ipv4Addr::LOCALHOST.to_string(),
                port,
                user: USER.to_owned(),
                labels: actor.model.labels.clone(),
                reach: Reach::Ssh,
                identity_files: vec![identity.clone()],
                known_hosts: vec![known_hosts.clone()],
                proc_root: None,
                sys_root: None,
            });
            servers.push(server);
        }
        fs::write(&known_hosts, known).map_err(|source| folder.error(source))?;
        let sick = stage.sick()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(stage.keep_moving(stop.clone()));
        Ok(Self { hosts, sick, servers, stop, tasks, _folder: folder })
    }

    /// What somebody who looks at the results has to know.
    pub fn describe(&self) -> String {
        format!(
            "{} synthetic hosts behind SSH servers of this process on 127.0.0.1; all their data is made up. \
             {} is sick: a neighbour on its hypervisor takes a third of its CPU time.",
            self.hosts.len(),
            self.sick
        )
    }

    /// Ends every server, what runs on them, and removes the folder.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        for server in &self.servers {
            server.begin_shutdown();
        }
        for server in std::mem::take(&mut self.servers) {
            server.shutdown().await;
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

/// One host of the fleet, with its tree.
#[derive(Debug)]
struct Actor {
    model: HostModel,
    proc: PathBuf,
    sys: PathBuf,
    /// One writer at a time, and later moments after earlier ones.
    tree: Mutex<Tree>,
}

impl Actor {
    fn move_on(&self) {
        let tree = locked(&self.tree);
        if let Err(error) = tree.refresh(&self.model, now()) {
            tracing::warn!(host = %self.model.name, %error, "a synthetic host stands still");
        }
    }
}

/// All trees, and how many probes read each of them right now.
#[derive(Debug)]
struct Stage {
    actors: Vec<Actor>,
    readers: Mutex<BTreeMap<usize, usize>>,
    reader_came: Notify,
}

impl Stage {
    fn build(shape: FleetShape, root: PathBuf) -> Result<Arc<Self>, DemoError> {
        let actor = |model: HostModel| -> Result<Actor, DemoError> {
            let tree = Tree::create(root.join(model.name.as_str()), &model, shape.now)?;
            Ok(Actor { proc: tree.proc(), sys: tree.sys(), tree: Mutex::new(tree), model })
        };
        let actors = fleet(shape)?.into_iter().map(actor).collect::<Result<_, _>>()?;
        Ok(Arc::new(Self { actors, readers: Mutex::default(), reader_came: Notify::new() }))
    }

    fn sick(&self) -> Result<HostName, DemoError> {
        let sick = self.actors.iter().find(|actor| actor.model.sick);
        sick.map(|actor| actor.model.name.clone()).ok_or(DemoError::NoHosts)
    }

    /// A tree is brought to the present when a probe starts, and then moves until the probe is done.
    fn around(self: &Arc<Self>, index: usize) -> Around {
        let stage = self.clone();
        Arc::new(move || {
            stage.actors[index].move_on();
            *locked(&stage.readers).entry(index).or_default() += 1;
            stage.reader_came.notify_one();
            Box::new(Reader { stage: stage.clone(), index })
        })
    }

    async fn keep_moving(self: Arc<Self>, stop: CancellationToken) {
        let forever = async {
            loop {
                let read: Vec<usize> = locked(&self.readers).keys().copied().collect();
                if read.is_empty() {
                    self.reader_came.notified().await;
                    // The tree has just been brought to the present for that reader.
                    sleep(MOVE_EVERY).await;
                    continue;
                }
                let (stage, started) = (self.clone(), Instant::now());
                let moving = move || read.into_iter().for_each(|index| stage.actors[index].move_on());
                if let Err(error) = tokio::task::spawn_blocking(moving).await {
                    tracing::warn!(%error, "the synthetic hosts stand still");
                }
                sleep(MOVE_EVERY.max(started.elapsed() * (MOVE_SHARE - 1))).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = forever => {}
        }
    }
}

/// Somebody who reads a tree, for as long as this lives.
struct Reader {
    stage: Arc<Stage>,
    index: usize,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut readers = locked(&self.stage.readers);
        if let Some(count) = readers.get_mut(&self.index) {
            *count -= 1;
            if *count == 0 {
                readers.remove(&self.index);
            }
        }
    }
}

/// A lock whose holder panicked still guards whole values: each is changed in one step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder that is removed with the value.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    /// A new folder below `dir` for the owner alone, under a name that no other demo has.
    fn create(dir: &Path) -> Result<Self, DemoError> {
        let name = format!("fleet-{:08x}", RandomState::new().build_hasher().finish() >> 32);
        let folder = dir.join(name);
        let make = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            fs::DirBuilder::new().mode(0o700).create(&folder)?;
            // Probes start in another folder, so what they are given must not depend on ours.
            folder.canonicalize()
        };
        let error = |source| DemoError::Folder { path: folder.display().to_string(), source };
        Ok(Self(make().map_err(error)?))
    }

    fn error(&self, source: io::Error) -> DemoError {
        DemoError::Folder { path: self.0.display().to_string(), source }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder somebody else removed is as gone as one of ours.
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::debug!(folder = %self.0.display(), %error, "the demo's folder was not removed");
        }
    }
}

fn now() -> CollectorTime {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    CollectorTime::from_unix_ns(i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MAX))
}

/// A listener for each host, and for each probe that runs a connection and three pipes: the usual soft
/// limit of 1,024 descriptors is soon reached. Gives the limit as it is then.
fn raise_descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    // `None` is no limit at all.
    current.unwrap_or(u64::MAX)
}

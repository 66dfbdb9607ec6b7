//! The running fleet: a server and a tree for each host, and the task that keeps the trees moving while
//! a probe reads them.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::model::{BadName, CollectorTime, Host, HostName, Probe, Reach, RootBy};
use crate::transport::served::{Gate, KeyError, KeyPair, ServedHost, ServerSpec, serve};

use super::folder::Folder;
use super::gate;
use super::host::{FleetShape, HostModel, NOISY_HYPERVISOR, fleet};
use super::platform::SLOW_KERNEL;
use super::stage::Stage;
use super::story::Incident;

const USER: &str = "probe";
/// The supervisor needs some two seconds to end a stubborn probe and to sweep up after it, and several
/// times that on a busy machine. If it were killed before it is done, what it had not found would stay.
const GRACE: Duration = Duration::from_secs(30);

/// What to start.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    pub hosts: usize,
    /// The same seed makes the same fleet, with the same incidents.
    pub seed: u64,
    /// When the fleet was first made; its incidents began a few hours before. A demo that is started again
    /// tells the same story with the same moment.
    pub made: CollectorTime,
    /// Keys go into a new folder below this one, which goes away with the demo; the trees are in memory
    /// where the machine has a place for that.
    pub dir: PathBuf,
    /// The servers run these probes' scripts and nothing else: [`PROBES`](super::PROBES) of the library.
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
    #[error("use the demo's folder {path}: {source}")]
    Folder { path: String, source: io::Error },
    #[error("listen on 127.0.0.1 for demo host {host} (open files are limited to {descriptors}): {source}")]
    Listen { host: HostName, descriptors: u64, source: io::Error },
}

/// A running fleet. Dropping it ends it at once, [`Demo::shutdown`] in good order; either way its
/// folders are removed.
#[derive(Debug)]
pub struct Demo {
    /// What a sweep needs to reach the fleet, strict host keys included.
    pub hosts: Vec<Host>,
    /// The one to look at first.
    pub sick: HostName,
    /// One to compare it with: of its size and in no trouble, where there is one.
    pub healthy: Option<HostName>,
    /// What is wrong, and with whom: the worst off first.
    pub incidents: Vec<(Incident, Vec<HostName>)>,
    servers: Vec<ServedHost>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _folders: [Folder; 2],
}

impl Demo {
    pub async fn start(options: DemoOptions) -> Result<Self, DemoError> {
        let descriptors = raise_descriptors();
        let models = fleet(FleetShape { hosts: options.hosts, seed: options.seed, now: options.made })?;
        let sick = models.iter().find(|model| model.sick).ok_or(DemoError::NoHosts)?.name.clone();
        let incidents = incidents(&models);
        let healthy = healthy(&models);
        let folder = Folder::create(&options.dir)?;
        let trees = Folder::in_memory_or(&options.dir)?;
        let stage = Stage::new(models, trees.path());

        let lobby = Lobby::open(&folder, gate::bundled_only(&options.probes), descriptors)?;
        let (mut servers, mut hosts, mut known) = (Vec::new(), Vec::new(), String::new());
        for index in 0..stage.actors.len() {
            let served = lobby.serve(&stage, index).await?;
            known.push_str(&served.known);
            hosts.push(served.host);
            servers.push(served.server);
        }
        fs::write(&lobby.known_hosts, known).map_err(|source| folder.error(source))?;

        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(stage.keep_moving(stop.clone()));
        Ok(Self { hosts, sick, healthy, incidents, servers, stop, tasks, _folders: [folder, trees] })
    }

    /// What somebody who looks at the results has to know.
    pub fn describe(&self) -> String {
        let mut text = format!(
            "{} synthetic hosts behind SSH servers of this process on 127.0.0.1; all their data is made up.",
            self.hosts.len(),
        );
        for (incident, hosts) in &self.incidents {
            text.push_str(&told(*incident, hosts));
        }
        text
    }

    /// Ends every server, what runs on them, and removes the folders.
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

/// Who has a part in which incident, the worst off first.
fn incidents(models: &[HostModel]) -> Vec<(Incident, Vec<HostName>)> {
    let with = |incident: Incident| {
        let mut hosts: Vec<&HostModel> =
            models.iter().filter(|model| model.incident == Some(incident)).collect();
        hosts.sort_by_key(|model| !model.sick);
        let names: Vec<HostName> = hosts.iter().map(|model| model.name.clone()).collect();
        (!names.is_empty()).then_some((incident, names))
    };
    [Incident::SlowKernel, Incident::DyingDisk, Incident::NoisyNeighbour]
        .into_iter()
        .filter_map(with)
        .collect()
}

fn healthy(models: &[HostModel]) -> Option<HostName> {
    let sick_cpus = models.iter().find(|model| model.sick).map(|model| model.cpus);
    let healthy = || models.iter().filter(|model| model.incident.is_none());
    let alike = healthy().find(|model| Some(model.cpus) == sick_cpus && !model.is_odd());
    alike.or_else(|| healthy().next()).map(|model| model.name.clone())
}

fn told(incident: Incident, hosts: &[HostName]) -> String {
    let names: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
    match (incident, names.as_slice()) {
        (Incident::SlowKernel, [worst, others @ ..]) => {
            let since =
                format!("since it was booted into kernel {SLOW_KERNEL}, its tasks wait long for a CPU");
            match others {
                [] => format!(" {worst} is sick: {since}."),
                _ => format!(
                    " {worst} is sick: {since}; so do those of {}, for the same reason.",
                    others.join(", ")
                ),
            }
        }
        (Incident::DyingDisk, _) => format!(" {} has a dying disk.", names.join(", ")),
        (_, _) => format!(
            " On the hypervisor {NOISY_HYPERVISOR} a neighbour takes a third of the CPU time of {}.",
            names.join(", ")
        ),
    }
}

/// What the servers of a fleet share.
struct Lobby {
    user_key: KeyPair,
    identity: PathBuf,
    known_hosts: PathBuf,
    gate: Gate,
    descriptors: u64,
}

struct Served {
    host: Host,
    server: ServedHost,
    /// Its line of known_hosts.
    known: String,
}

impl Lobby {
    fn open(folder: &Folder, gate: Gate, descriptors: u64) -> Result<Self, DemoError> {
        let user_key = KeyPair::generate()?;
        let identity = folder.path().join("id_ed25519");
        user_key.write_private(&identity)?;
        let known_hosts = folder.path().join("known_hosts");
        Ok(Self { user_key, identity, known_hosts, gate, descriptors })
    }

    async fn serve(&self, stage: &Arc<Stage>, index: usize) -> Result<Served, DemoError> {
        let actor = &stage.actors[index];
        let model: &HostModel = &actor.model;
        let listen =
            |source| DemoError::Listen { host: model.name.clone(), descriptors: self.descriptors, source };
        let host_key = KeyPair::generate()?;
        let host_line = host_key.public().to_line()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(listen)?;
        let spec = ServerSpec {
            host_key,
            authorized: self.user_key.public(),
            command: gate::COMMAND,
            gate: self.gate.clone(),
            around: stage.around(index),
            grace: GRACE,
            env: actor.env(),
        };
        let server = serve(listener, spec).map_err(listen)?;
        let port = server.address.port();
        let host = Host {
            name: model.name.clone(),
            address: Ipv4Addr::LOCALHOST.to_string(),
            port,
            user: USER.to_owned(),
            labels: model.labels.clone(),
            reach: Reach::Ssh,
            identity_files: vec![self.identity.clone()],
            known_hosts: vec![self.known_hosts.clone()],
            ssh: Arc::default(),
            consult: None,
            root_by: RootBy::default(),
            // The server sets them: a real host's probes are not told where its /proc is either.
            proc_root: None,
            sys_root: None,
        };
        Ok(Served { host, server, known: format!("[127.0.0.1]:{port} {host_line}\n") })
    }
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

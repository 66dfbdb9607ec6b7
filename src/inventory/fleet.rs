//! Blocks of hosts → hosts.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::sync::Arc;

use super::groups::{self, GroupRule};
use super::problem::Problem;
use crate::model::{Consult, FirstLines, Host, HostName, Labels, Reach, RootBy, Said, SshOptions};
use crate::select;

/// Several hosts that are alike but for their names. What it leaves out is looked for elsewhere, and
/// in the end in [`Unsaid`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostBlock {
    /// A node set.
    pub names: String,
    /// `None`: each name is its own address. `{name}` in it stands for the host's name.
    pub address: Option<String>,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub labels: Labels,
    /// `None`: as the first source that names it has it, else over SSH.
    pub reach: Option<Reach>,
    pub identity_files: Option<Vec<PathBuf>>,
    pub known_hosts: Option<Vec<PathBuf>>,
    /// The ssh_config files to ask; `None`: the usual ones, none of them: an empty list.
    pub ssh_config: Option<Vec<PathBuf>>,
    /// The jump hosts on the way, written as for `ProxyJump`; `None`: as an ssh_config has it.
    pub jump: Option<String>,
    /// What `ssh` would be given to reach one of them, with `{name}` for its name; `None`: that name.
    pub destination: Option<String>,
    /// Who said what of the above, where it was not the configuration.
    pub said: Said,
    /// What counts before all ssh_config files.
    pub first: Option<Arc<FirstLines>>,
    /// What is refused whatever an ssh_config says.
    pub ssh: Arc<SshOptions>,
    /// How root is had; `None`: as [`Unsaid`] has it.
    pub root_by: Option<RootBy>,
    pub proc_root: Option<String>,
    pub sys_root: Option<String>,
}

/// What a host has of which nothing else says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsaid {
    pub port: u16,
    pub user: String,
    pub identity_files: Vec<PathBuf>,
    pub known_hosts: Vec<PathBuf>,
    pub root_by: RootBy,
    /// As in [`HostBlock`].
    pub ssh_config: Option<Vec<PathBuf>>,
    /// Which of these the configuration says outright: an ssh_config cannot change those.
    pub said: Said,
}

/// The hosts in the order in which they were written, and what each group's name stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fleet {
    pub hosts: Vec<Host>,
    pub groups: BTreeMap<String, Vec<HostName>>,
}

/// More than any fleet we know of; what passes it is a slip such as `web[1-9999999]`.
const MAX_HOSTS: usize = 200_000;

impl Fleet {
    /// Expands and checks `blocks` and `rules`. What a rule names and nobody knows is a problem only
    /// where all hosts and groups could be read (`whole`): else it may well stand in what could not.
    pub fn build(
        (blocks, unsaid): (&[HostBlock], &Unsaid),
        rules: &[GroupRule],
        whole: bool,
    ) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let hosts = hosts(blocks, unsaid, &mut problems);
        let certain = whole && problems.is_empty();
        let groups = groups::resolve(&hosts, rules, &mut problems);
        problems.retain(|problem| certain || !problem.is_unknown_name());
        (Self { hosts, groups }, problems)
    }

    pub fn catalog(&self) -> select::Catalog<'_> {
        select::Catalog { hosts: &self.hosts, groups: &self.groups }
    }

    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name.as_str() == name)
    }
}

fn hosts(blocks: &[HostBlock], unsaid: &Unsaid, problems: &mut Vec<Problem>) -> Vec<Host> {
    let mut hosts = Vec::new();
    let mut owner: HashMap<HostName, usize> = HashMap::new();
    for (index, block) in blocks.iter().enumerate() {
        let names = match select::expand(&block.names) {
            Ok(names) => names,
            Err(error) => {
                problems.push(Problem::Names { block: index, error });
                continue;
            }
        };
        if hosts.len() + names.len() > MAX_HOSTS {
            let hosts = hosts.len() + names.len();
            problems.push(Problem::TooMany { block: index, hosts, max: MAX_HOSTS });
            break;
        }
        let shared = block.address.as_ref().is_some_and(|address| !address.contains("{name}"));
        if shared && names.len() > 1 {
            problems.push(Problem::SharedAddress { block: index, hosts: names.len() });
        }
        add_block((index, block, unsaid), &names, (&mut hosts, &mut owner), problems);
    }
    hosts
}

fn add_block(
    (index, block, unsaid): (usize, &HostBlock, &Unsaid),
    names: &[String],
    (hosts, owner): (&mut Vec<Host>, &mut HashMap<HostName, usize>),
    problems: &mut Vec<Problem>,
) {
    // One problem for each earlier block, however many names they share.
    let mut shared: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let common = Common::of(block, unsaid);
    let mut bad_name = None;
    let mut bad_address = None;
    for name in names {
        let name = match HostName::new(name) {
            Ok(name) => name,
            Err(bad) => {
                bad_name.get_or_insert(bad);
                continue;
            }
        };
        if let Some(first) = owner.insert(name.clone(), index) {
            shared.entry(first).or_default().push(name.to_string());
            owner.insert(name, first);
            continue;
        }
        let host = host(block, &common, name);
        if !is_address(&host.address) {
            bad_address.get_or_insert_with(|| (host.name.clone(), host.address.clone()));
        }
        hosts.push(host);
    }
    problems.extend(bad_name.map(|bad| Problem::HostName { block: index, bad }));
    problems.extend(bad_address.map(|(host, address)| Problem::Address { block: index, host, address }));
    problems.extend(shared.into_iter().map(|(first, names)| Problem::Duplicate {
        names,
        first,
        second: index,
    }));
}

/// What the hosts of a block have in common, worked out once.
struct Common {
    port: u16,
    user: String,
    identity_files: Vec<PathBuf>,
    known_hosts: Vec<PathBuf>,
    root_by: RootBy,
    consult: Option<Arc<Consult>>,
}

impl Common {
    fn of(block: &HostBlock, unsaid: &Unsaid) -> Self {
        let who = |said: &Option<Arc<str>>| said.clone().unwrap_or_else(|| "[[hosts]]".into());
        let (by, usual) = (&block.said, &unsaid.said);
        let (port, port_by) = pick((&block.port, who(&by.port)), (&unsaid.port, &usual.port));
        let (user, user_by) = pick((&block.user, who(&by.user)), (&unsaid.user, &usual.user));
        let (identity_files, identity_files_by) = pick(
            (&block.identity_files, who(&by.identity_files)),
            (&unsaid.identity_files, &usual.identity_files),
        );
        let (known_hosts, known_hosts_by) =
            pick((&block.known_hosts, who(&by.known_hosts)), (&unsaid.known_hosts, &usual.known_hosts));
        // What ssh would be given to go there may be another name of an ssh_config's.
        let address = block.address.as_ref().filter(|_| block.destination.is_none());
        let said = Said {
            address: address.map(|_| who(&by.address)),
            destination: block.destination.as_ref().map(|_| who(&by.address)),
            port: port_by,
            user: user_by,
            identity_files: identity_files_by,
            known_hosts: known_hosts_by,
        };
        let files = block.ssh_config.as_ref().or(unsaid.ssh_config.as_ref()).cloned();
        let first = block.first.clone();
        let jump = block.jump.clone();
        let consult = Consult { files, destination: block.destination.clone(), jump, said, first };
        let consult = (block.reach != Some(Reach::Local)).then(|| Arc::new(consult));
        let root_by = block.root_by.as_ref().unwrap_or(&unsaid.root_by).clone();
        Self { port, user, identity_files, known_hosts, root_by, consult }
    }
}

/// A value and who said it.
fn pick<T: Clone>(
    (own, who): (&Option<T>, Arc<str>),
    (usual, usual_by): (&T, &Option<Arc<str>>),
) -> (T, Option<Arc<str>>) {
    match own {
        Some(own) => (own.clone(), Some(who)),
        None => (usual.clone(), usual_by.clone()),
    }
}

fn host(block: &HostBlock, common: &Common, name: HostName) -> Host {
    let address = match &block.address {
        Some(pattern) => pattern.replace("{name}", name.as_str()),
        None => name.to_string(),
    };
    Host {
        name,
        address,
        port: common.port,
        user: common.user.clone(),
        labels: block.labels.clone(),
        reach: block.reach.unwrap_or(Reach::Ssh),
        identity_files: common.identity_files.clone(),
        known_hosts: common.known_hosts.clone(),
        ssh: Arc::clone(&block.ssh),
        consult: common.consult.clone(),
        root_by: common.root_by.clone(),
        proc_root: block.proc_root.clone(),
        sys_root: block.sys_root.clone(),
    }
}

/// A host name or an IP address, the latter without brackets; IPv6 may name its zone.
pub(super) fn is_address(text: &str) -> bool {
    if text.contains(':') {
        let (address, zone) = text.split_once('%').unwrap_or((text, "zone"));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        return address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && zone.bytes().all(plain);
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.len() <= 253 && !text.starts_with(['-', '.']) && text.bytes().all(plain)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn block(names: &str) -> HostBlock {
        HostBlock { names: names.to_owned(), ..HostBlock::default() }
    }

    pub fn unsaid() -> Unsaid {
        Unsaid {
            port: 22,
            user: "probe".to_owned(),
            identity_files: Vec::new(),
            known_hosts: Vec::new(),
            root_by: RootBy::default(),
            ssh_config: None,
            said: Said::default(),
        }
    }

    #[test]
    fn an_address_is_a_name_or_an_ip() {
        for good in ["web1", "10.0.0.1", "web-1.eu.example", "::1", "fe80::1%eth0", "_srv.x"] {
            assert!(is_address(good), "{good}");
        }
        for bad in
            ["", "-oProxyCommand=x", "web1:22", "[::1]", "user@web1", "a b", "fe80::1%", "a/b", "{host}"]
        {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn names_become_addresses_through_the_pattern() {
        let blocks = [HostBlock { address: Some("{name}.mgmt.example".to_owned()), ..block("db[1-2]") }];
        let (fleet, problems) = Fleet::build((&blocks, &unsaid()), &[], true);
        assert_eq!(problems, []);
        let addresses: Vec<&str> = fleet.hosts.iter().map(|host| host.address.as_str()).collect();
        assert_eq!(addresses, ["db1.mgmt.example", "db2.mgmt.example"]);
    }

    #[test]
    fn hosts_in_two_blocks_are_one_problem_for_each_pair() {
        let blocks = [block("web[1-3]"), block("db1"), block("web[2-3],db1,new")];
        let (fleet, problems) = Fleet::build((&blocks, &unsaid()), &[], true);
        let expected = [
            Problem::Duplicate { names: vec!["web2".to_owned(), "web3".to_owned()], first: 0, second: 2 },
            Problem::Duplicate { names: vec!["db1".to_owned()], first: 1, second: 2 },
        ];
        assert_eq!(problems, expected);
        assert_eq!(fleet.hosts.len(), 5);
    }

    #[test]
    fn one_address_cannot_serve_two_hosts() {
        let shared = HostBlock { address: Some("10.0.0.1".to_owned()), ..block("a,b") };
        assert_eq!(
            Fleet::build((&[shared], &unsaid()), &[], true).1,
            [Problem::SharedAddress { block: 0, hosts: 2 }]
        );
    }
}

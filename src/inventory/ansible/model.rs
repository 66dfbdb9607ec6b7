//! Groups, hosts and variables as Ansible puts them together from however many files. Which variable wins is
//! decided by [`vars`](super::vars), not here.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use crate::inventory::Place;

/// A variable and where it was set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Var {
    pub value: Value,
    pub place: Place,
}

pub(super) type Vars = BTreeMap<String, Var>;

#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub name: String,
    /// Its own; those of its children are theirs.
    pub hosts: Vec<usize>,
    members: HashSet<usize>,
    pub vars: Vars,
    pub children: Vec<usize>,
    parents: Vec<usize>,
    /// `ansible_group_priority`: of groups of one depth, the greater one wins.
    pub priority: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub name: String,
    pub vars: Vars,
    /// Where it was first named.
    pub place: Place,
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub groups: Vec<Group>,
    group_numbers: HashMap<String, usize>,
    pub hosts: Vec<Member>,
    host_numbers: HashMap<String, usize>,
}

pub(super) const ALL: usize = 0;
const UNGROUPED: usize = 1;

impl Model {
    pub fn new() -> Self {
        let mut model = Self {
            groups: Vec::new(),
            group_numbers: HashMap::new(),
            hosts: Vec::new(),
            host_numbers: HashMap::new(),
        };
        model.add_group("all");
        model.add_group("ungrouped");
        model.link(ALL, UNGROUPED);
        model
    }

    pub fn group(&self, name: &str) -> Option<usize> {
        self.group_numbers.get(name).copied()
    }

    /// The group of that name, made where it is missing.
    pub fn add_group(&mut self, name: &str) -> usize {
        if let Some(number) = self.group(name) {
            return number;
        }
        let number = self.groups.len();
        self.groups.push(Group { name: name.to_owned(), priority: 1, ..Group::default() });
        self.group_numbers.insert(name.to_owned(), number);
        number
    }

    /// Puts a host into a group. A port counts only where the host is first named.
    pub fn add_host(&mut self, name: &str, group: Option<usize>, port: Option<u16>, place: &Place) {
        let number = match self.host_numbers.get(name) {
            Some(number) => *number,
            None => {
                let number = self.hosts.len();
                let mut vars = Vars::new();
                if let Some(port) = port {
                    let var = Var { value: port.into(), place: place.clone() };
                    vars.insert("ansible_port".to_owned(), var);
                }
                self.hosts.push(Member { name: name.to_owned(), vars, place: place.clone() });
                self.host_numbers.insert(name.to_owned(), number);
                number
            }
        };
        if let Some(group) = group {
            self.join(group, number);
        }
    }

    fn join(&mut self, group: usize, host: usize) {
        let group = &mut self.groups[group];
        if group.members.insert(host) {
            group.hosts.push(host);
        }
    }

    /// Sets a host's variable; a group of the same name takes it instead, as in Ansible.
    pub fn set_host_var(&mut self, host: &str, name: &str, var: Var) -> Result<(), String> {
        if let Some(group) = self.group(host) {
            return self.set_group_var(group, name, var);
        }
        if let Some(number) = self.host_numbers.get(host) {
            self.hosts[*number].vars.insert(name.to_owned(), var);
        }
        Ok(())
    }

    /// `Err` completes "expected …".
    pub fn set_group_var(&mut self, group: usize, name: &str, var: Var) -> Result<(), String> {
        if name != "ansible_group_priority" {
            self.groups[group].vars.insert(name.to_owned(), var);
            return Ok(());
        }
        let priority = match &var.value {
            Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|float| float as i64)),
            Value::String(text) => text.trim().parse().ok(),
            Value::Bool(value) => Some(i64::from(*value)),
            // Ansible passes over these.
            _ => return Ok(()),
        };
        self.groups[group].priority = priority.ok_or_else(|| "a whole number".to_owned())?;
        Ok(())
    }

    /// Makes one group the child of another. `Err` says why it cannot be.
    pub fn add_child(&mut self, parent: usize, child: usize) -> Result<(), String> {
        let (above, below) = (&self.groups[parent].name, &self.groups[child].name);
        if parent == child {
            return Err(format!("the group {above} is its own child"));
        }
        if self.ancestors(parent).contains(&child) {
            return Err(format!("the groups {above} and {below} are each below the other"));
        }
        self.link(parent, child);
        Ok(())
    }

    fn link(&mut self, parent: usize, child: usize) {
        if !self.groups[parent].children.contains(&child) {
            self.groups[parent].children.push(child);
            self.groups[child].parents.push(parent);
        }
    }

    fn ancestors(&self, group: usize) -> HashSet<usize> {
        let mut found = HashSet::new();
        let mut waiting = self.groups[group].parents.clone();
        while let Some(next) = waiting.pop() {
            if found.insert(next) {
                waiting.extend(&self.groups[next].parents);
            }
        }
        found
    }

    /// Once everything is read: every group is below `all`, and every host without another in `ungrouped`.
    pub fn settle(&mut self) {
        for group in 1..self.groups.len() {
            if self.groups[group].parents.is_empty() {
                self.link(ALL, group);
            }
        }
        let mut grouped = vec![false; self.hosts.len()];
        for (_, group) in self.groups.iter().enumerate().filter(|(number, _)| *number > UNGROUPED) {
            group.hosts.iter().for_each(|host| grouped[*host] = true);
        }
        let ungrouped = &mut self.groups[UNGROUPED];
        ungrouped.hosts.retain(|host| !grouped[*host]);
        ungrouped.members.retain(|host| !grouped[*host]);
        for host in (0..self.hosts.len()).filter(|host| !grouped[*host]) {
            self.join(UNGROUPED, host);
        }
    }

    /// The groups of each host, with those that they are in, but for `all`: those that count less first.
    pub fn memberships(&self) -> Vec<Vec<usize>> {
        let depths = self.depths();
        let ranks = self.ranks(&depths);
        let mut of_host: Vec<HashSet<usize>> = vec![HashSet::new(); self.hosts.len()];
        for (number, group) in self.groups.iter().enumerate() {
            let mut above = self.ancestors(number);
            above.insert(number);
            for host in &group.hosts {
                of_host[*host].extend(above.iter().filter(|group| **group != ALL));
            }
        }
        let sorted = |groups: HashSet<usize>| {
            let mut groups: Vec<usize> = groups.into_iter().collect();
            groups.sort_by_key(|group| ranks[*group]);
            groups
        };
        of_host.into_iter().map(sorted).collect()
    }

    fn ranks(&self, depths: &[usize]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        order.sort_by_key(|number| {
            (depths[*number], self.groups[*number].priority, &self.groups[*number].name)
        });
        let mut ranks = vec![0; order.len()];
        order.into_iter().enumerate().for_each(|(rank, number)| ranks[number] = rank);
        ranks
    }

    /// The longest way from `all` down to each group.
    fn depths(&self) -> Vec<usize> {
        let mut depths = vec![0; self.groups.len()];
        let mut left: Vec<usize> = self.groups.iter().map(|group| group.parents.len()).collect();
        let mut ready: Vec<usize> = (0..left.len()).filter(|number| left[*number] == 0).collect();
        while let Some(number) = ready.pop() {
            for child in &self.groups[number].children {
                depths[*child] = depths[*child].max(depths[number] + 1);
                left[*child] -= 1;
                if left[*child] == 0 {
                    ready.push(*child);
                }
            }
        }
        depths
    }

    /// Every host of a group and of those below it, in the order in which hosts were named.
    pub fn all_of(&self, group: usize) -> Vec<usize> {
        let mut found = HashSet::new();
        let mut seen = HashSet::new();
        let mut waiting = vec![group];
        while let Some(next) = waiting.pop() {
            if seen.insert(next) {
                found.extend(&self.groups[next].hosts);
                waiting.extend(&self.groups[next].children);
            }
        }
        let mut hosts: Vec<usize> = found.into_iter().collect();
        hosts.sort_unstable();
        hosts
    }
}

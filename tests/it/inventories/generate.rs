//! Inventories out of a seed: groups of groups, ranges, variables in every place where one can stand.

use std::fmt::Write as _;

/// A small generator of our own: a seed must mean the same inventory for ever.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }
}

const HOSTS: [&str; 16] = [
    "web1",
    "web[01:05]",
    "db-[a:c].example.org",
    "cache[1:9:3]",
    "10.1.2.3",
    "edge[1:2]-[a:b]",
    "app.eu",
    "gw",
    "node10",
    "web[03:07]",
    "x1:2222",
    "10.1.2.[8:11]",
    "store_[1:2]",
    "n[98:101]",
    "UPPER[A:C]",
    "deep.er.name",
];

const INI_VALUES: [&str; 22] = [
    "22",
    "0022",
    "yes",
    "True",
    "3.5",
    "1e3",
    "80,443",
    "[1,2]",
    "{'a': 1}",
    "plain",
    "\"two words\"",
    "'q'",
    "None",
    "0x1f",
    "a=b",
    "-7",
    "1_000",
    "10.0.0.1",
    "#no",
    "~/key",
    "(1)",
    "{{x}}",
];

/// As they stand behind a host's name, where a shell's quotes count.
const LINE_VALUES: [&str; 14] = [
    "22",
    "0022",
    "yes",
    "True",
    "3.5",
    "80,443",
    "plain",
    "\"two words\"",
    "'[1, 2]'",
    "None",
    "\"'7'\"",
    "a\\ b",
    "10.0.0.1",
    "'{\"k\": [1]}'",
];

const YAML_VALUES: [&str; 24] = [
    "22",
    "0644",
    "089",
    "yes",
    "'yes'",
    "off",
    "~",
    "3.5",
    "1e3",
    "1.5e+3",
    "22:30",
    "[a, 2]",
    "{k: v, n: {m: 1}}",
    "plain text",
    "\"q\\tq\"",
    "0x1f",
    "1_000",
    ".5",
    "2026-11-23x",
    "null",
    "'{{ j }}'",
    "-7",
    "10.0.0.1",
    "!!str 5",
];

const NAMES: [&str; 9] =
    ["role", "dc", "ansible_user", "ansible_port", "rack", "http_port", "opts", "ansible_host", "tier"];

struct Maker {
    dice: Dice,
    groups: Vec<String>,
    files: Vec<(String, String)>,
}

/// The files of an inventory, and which of them are given to Ansible.
pub fn inventory(seed: u64) -> (Vec<(String, String)>, Vec<String>) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let groups = (0..2 + dice.roll(6)).map(|number| format!("g{number}")).collect();
    let mut maker = Maker { dice, groups, files: Vec::new() };
    let paths = match maker.dice.roll(4) {
        0 => {
            let text = maker.ini();
            maker.file("hosts", text)
        }
        1 => {
            let text = maker.yaml();
            maker.file("hosts.yml", text)
        }
        2 => {
            let (first, second) = (maker.ini(), maker.yaml());
            maker.file("inv/10-static", first);
            maker.file("inv/20-more.yaml", second);
            maker.file("inv/notes.txt", "no inventory\n".to_owned());
            vec!["inv".to_owned()]
        }
        _ => {
            let (first, second) = (maker.yaml(), maker.ini());
            let mut paths = maker.file("a/hosts.yaml", first);
            paths.extend(maker.file("b/hosts.ini", second));
            paths
        }
    };
    maker.var_files();
    (maker.files, paths)
}

impl Maker {
    fn file(&mut self, name: &str, text: String) -> Vec<String> {
        self.files.push((name.to_owned(), text));
        vec![name.to_owned()]
    }

    /// Groups further down the list are never above those before them, so that there is no ring.
    fn children(&mut self, group: usize) -> Vec<String> {
        let below = self.groups[group + 1..].to_vec();
        below.into_iter().filter(|_| self.dice.chance(30)).collect()
    }

    fn ini(&mut self) -> String {
        let mut out = String::from("# an inventory\n");
        if self.dice.chance(50) {
            let _ = writeln!(out, "{}", self.host_line());
        }
        for group in 0..self.groups.len() {
            let name = self.groups[group].clone();
            let _ = writeln!(out, "\n[{name}]  # a group");
            for _ in 0..self.dice.roll(4) {
                let _ = writeln!(out, "{}", self.host_line());
            }
            let children = self.children(group);
            if !children.is_empty() {
                let _ = writeln!(out, "[{name}:children]\n{}", children.join("\n"));
            }
            if self.dice.chance(50) {
                let _ = writeln!(out, "[{name}:vars]");
                for _ in 0..1 + self.dice.roll(3) {
                    let (key, value) = (self.dice.pick(&NAMES), self.dice.pick(&INI_VALUES));
                    let _ = writeln!(out, "{key} = {value}");
                }
                if self.dice.chance(30) {
                    let _ = writeln!(out, "ansible_group_priority={}", self.dice.roll(20));
                }
            }
        }
        if self.dice.chance(40) {
            let _ = writeln!(out, "[all:vars]\n{}={}", self.dice.pick(&NAMES), self.dice.pick(&INI_VALUES));
        }
        out
    }

    fn host_line(&mut self) -> String {
        let mut line = self.dice.pick(&HOSTS).to_owned();
        for _ in 0..self.dice.roll(3) {
            let _ = write!(line, " {}={}", self.dice.pick(&NAMES), self.dice.pick(&LINE_VALUES));
        }
        if self.dice.chance(20) {
            line.push_str(" # a remark");
        }
        line
    }

    fn yaml(&mut self) -> String {
        let mut out = String::from("---\nall:\n  hosts:\n");
        let _ = writeln!(out, "    {:?}:", self.dice.pick(&HOSTS));
        if self.dice.chance(50) {
            out.push_str("  vars:\n");
            self.yaml_vars(&mut out, 4);
        }
        out.push_str("  children:\n");
        for group in 0..self.groups.len() {
            let name = self.groups[group].clone();
            let _ = writeln!(out, "    {name}:");
            let mut hosts: Vec<&str> = (0..self.dice.roll(4)).map(|_| self.dice.pick(&HOSTS)).collect();
            hosts.sort_unstable();
            hosts.dedup();
            if !hosts.is_empty() {
                out.push_str("      hosts:\n");
            }
            for host in hosts {
                let _ = writeln!(out, "        {host:?}:");
                if self.dice.chance(60) {
                    self.yaml_vars(&mut out, 10);
                }
            }
            let children = self.children(group);
            if !children.is_empty() {
                out.push_str("      children:\n");
                children.iter().for_each(|child| out.push_str(&format!("        {child}:\n")));
            }
            if self.dice.chance(50) {
                out.push_str("      vars:\n");
                self.yaml_vars(&mut out, 8);
                if self.dice.chance(30) {
                    let _ = writeln!(out, "        ansible_group_priority: {}", self.dice.roll(20));
                }
            }
        }
        out
    }

    fn yaml_vars(&mut self, out: &mut String, indent: usize) {
        for _ in 0..1 + self.dice.roll(3) {
            let (key, value) = (self.dice.pick(&NAMES), self.dice.pick(&YAML_VALUES));
            let _ = writeln!(out, "{:indent$}{key}: {value}", "");
        }
    }

    /// Files of variables beside the inventories.
    fn var_files(&mut self) {
        let bases: Vec<String> = ["", "inv/", "a/", "b/"]
            .into_iter()
            .filter(|base| {
                self.files.iter().any(|(name, _)| match base.is_empty() {
                    true => !name.contains('/'),
                    false => name.starts_with(base),
                })
            })
            .map(str::to_owned)
            .collect();
        for base in bases {
            let mut names = vec!["group_vars/all".to_owned(), "group_vars/ungrouped".to_owned()];
            names.extend(self.groups.iter().map(|group| format!("group_vars/{group}")));
            names.extend(["web1", "web03", "10.1.2.3", "app.eu"].map(|host| format!("host_vars/{host}")));
            for name in names {
                let places = ["", ".yml", ".yaml", ".json", "/main.yml", "/b"];
                let place = self.dice.pick(&places);
                if !self.dice.chance(40) {
                    continue;
                }
                let text = match place {
                    ".json" => "{\"tier\": 1e3, \"rack\": [\"r\"]}".to_owned(),
                    _ => {
                        let mut text = String::from("---\n");
                        self.yaml_vars(&mut text, 0);
                        text
                    }
                };
                self.file(&format!("{base}{name}{place}"), text);
                if place == "/b" {
                    self.file(&format!("{base}{name}/a.yml"), "tier: first\nrack: a\n".to_owned());
                    self.file(&format!("{base}{name}/sub/c.yml"), "tier: below\n".to_owned());
                    self.file(&format!("{base}{name}/c.yml~"), "tier: a backup\n".to_owned());
                    self.file(&format!("{base}{name}/d.conf"), "tier: not read\n".to_owned());
                }
            }
        }
    }
}

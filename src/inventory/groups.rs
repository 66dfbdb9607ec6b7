//! Groups: names for selectors, which may name other groups in turn.

use std::collections::BTreeMap;

use super::problem::Problem;
use crate::model::{Host, HostName};
use crate::select::{self, Catalog, Selector};

/// A group as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRule {
    pub name: String,
    /// A selector over the hosts and the other groups.
    pub expression: String,
}

/// Groups of groups of groups; nobody can follow more, and the stack need not.
const MAX_DEPTH: usize = 64;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Unseen,
    /// Being resolved; met again, it closes a cycle.
    Open,
    Done,
    /// Its problem is reported; what needs it is left out without one more.
    Broken,
}

struct Resolver<'a> {
    hosts: &'a [Host],
    rules: &'a [GroupRule],
    numbers: BTreeMap<&'a str, usize>,
    states: Vec<State>,
    path: Vec<usize>,
    groups: BTreeMap<String, Vec<HostName>>,
    problems: &'a mut Vec<Problem>,
}

/// What each group stands for.
pub(super) fn resolve(
    hosts: &[Host],
    rules: &[GroupRule],
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Vec<HostName>> {
    let numbers = rules.iter().enumerate().map(|(number, rule)| (rule.name.as_str(), number)).collect();
    let states = vec![State::Unseen; rules.len()];
    let groups = BTreeMap::new();
    let mut resolver = Resolver { hosts, rules, numbers, states, path: Vec::new(), groups, problems };
    for number in 0..rules.len() {
        resolver.visit(number);
    }
    resolver.groups
}

impl Resolver<'_> {
    /// Resolves one group after those it needs; whether it could be.
    fn visit(&mut self, number: usize) -> bool {
        match self.states[number] {
            State::Done => return true,
            State::Broken => return false,
            State::Open => {
                let start = self.path.iter().position(|open| *open == number).unwrap_or_default();
                let groups = self.path[start..].to_vec();
                self.problems.push(Problem::Cycle { groups });
                return false;
            }
            State::Unseen => {}
        }
        if self.path.len() >= MAX_DEPTH {
            self.states[number] = State::Broken;
            self.problems.push(Problem::TooDeep { group: number, max: MAX_DEPTH });
            return false;
        }
        self.states[number] = State::Open;
        self.path.push(number);
        let rule = &self.rules[number];
        // Each of them, also after a broken one: a second cycle is a second problem.
        let operands = group_operands(&rule.expression);
        let needed: Vec<usize> = operands.flat_map(|operand| meant(operand, &self.numbers)).collect();
        let mut whole = true;
        for number in needed {
            whole &= self.visit(number);
        }
        self.path.pop();
        let resolved = whole && self.resolve_one(number);
        self.states[number] = if resolved { State::Done } else { State::Broken };
        resolved
    }

    fn resolve_one(&mut self, group: usize) -> bool {
        let rule = &self.rules[group];
        if !is_group_name(&rule.name) {
            self.problems.push(Problem::GroupName { group });
            return false;
        }
        let catalog = Catalog { hosts: self.hosts, groups: &self.groups };
        let selected = Selector::parse(&rule.expression).and_then(|selector| selector.select(&catalog));
        match selected {
            Ok(indices) => {
                let names = indices.into_iter().filter_map(|index| self.hosts.get(index));
                let names = names.map(|host| host.name.clone()).collect();
                self.groups.insert(rule.name.clone(), names);
                true
            }
            Err(error) => {
                self.problems.push(Problem::Group { group, error });
                false
            }
        }
    }
}

/// Whether selectors can name it.
pub fn is_group_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    first && name.len() <= 64 && name.bytes().all(in_group_name)
}

fn in_group_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

/// The operands of `expression` that name groups, without their `@`: `edge`, `rack[1-4]`, `rack*`.
fn group_operands(expression: &str) -> impl Iterator<Item = &str> {
    expression.split('@').skip(1).map(|after| {
        let mut depth = 0_u32;
        let ends = |c: char| {
            match c {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && (",!&^".contains(c) || c.is_whitespace())
        };
        &after[..after.find(ends).unwrap_or(after.len())]
    })
}

/// The numbers of the groups that an operand means. One that means none is for the selector to
/// report, which knows the nearest names.
fn meant(operand: &str, numbers: &BTreeMap<&str, usize>) -> Vec<usize> {
    if operand.contains(['*', '?']) {
        let mask = without_ranges(operand);
        return numbers.iter().filter(|(name, _)| fits(&mask, name)).map(|(_, number)| *number).collect();
    }
    let names = select::expand(operand).unwrap_or_default();
    names.iter().filter_map(|name| numbers.get(name.as_str()).copied()).collect()
}

/// Each range of a mask as a wildcard: at worst a group waits for one that it does not need.
fn without_ranges(mask: &str) -> String {
    mask.split('[').enumerate().fold(String::new(), |mut mask, (index, part)| {
        if index > 0 {
            mask.push('*');
        }
        mask + part.split_once(']').map_or(part, |(_, after)| after)
    })
}

/// Whether `name` fits a mask of `*` and `?`. A mask is short, and so is the way back.
fn fits(mask: &str, name: &str) -> bool {
    let (mask, name) = (mask.as_bytes(), name.as_bytes());
    let (mut at, mut name_at) = (0, 0);
    let mut star = None;
    while name_at < name.len() {
        match mask.get(at) {
            Some(b'*') => {
                star = Some((at, name_at));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[name_at] => {
                at += 1;
                name_at += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                (at, name_at) = (star_at + 1, taken + 1);
            }
        }
    }
    mask[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::super::Fleet;
    use super::*;

    fn build(groups: &[(&str, &str)]) -> (Fleet, Vec<Problem>) {
        let blocks = [super::super::fleet::tests::block("web[1-4]")];
        let unsaid = super::super::fleet::tests::unsaid();
        let rule = |(name, expression): &(&str, &str)| GroupRule {
            name: (*name).to_owned(),
            expression: (*expression).to_owned(),
        };
        Fleet::build((&blocks, &unsaid), &groups.iter().map(rule).collect::<Vec<_>>(), true)
    }

    #[test]
    fn a_group_may_come_before_those_it_needs() {
        let (fleet, problems) = build(&[("all", "@edge,@rest"), ("edge", "web[1-2]"), ("rest", "*!@edge")]);
        assert_eq!(problems, []);
        let sizes: Vec<_> = fleet.groups.iter().map(|(name, hosts)| (name.as_str(), hosts.len())).collect();
        assert_eq!(sizes, [("all", 4), ("edge", 2), ("rest", 2)]);
    }

    #[test]
    fn a_cycle_is_one_problem_with_all_its_groups() {
        let (fleet, problems) =
            build(&[("a", "web1,@b"), ("b", "@c"), ("c", "@a"), ("d", "@a"), ("e", "web1")]);
        assert_eq!(problems, [Problem::Cycle { groups: vec![0, 1, 2] }]);
        assert_eq!(fleet.groups.keys().collect::<Vec<_>>(), ["e"]);
        assert_eq!(build(&[("me", "@me")]).1, [Problem::Cycle { groups: vec![0] }]);
    }

    #[test]
    fn a_group_waits_for_those_that_a_pattern_means() {
        let groups =
            [("all", "@rack[1-2]"), ("any", "@rack*!@rack2"), ("rack1", "web1"), ("rack2", "web[2-3]")];
        let (fleet, problems) = build(&groups);
        assert_eq!(problems, []);
        let sizes: Vec<_> = fleet.groups.iter().map(|(name, hosts)| (name.as_str(), hosts.len())).collect();
        assert_eq!(sizes, [("all", 3), ("any", 1), ("rack1", 1), ("rack2", 2)]);
    }

    #[test]
    fn a_long_chain_of_groups_is_refused_before_the_stack_ends() {
        let names: Vec<String> = (0..20_000).map(|n| format!("g{n:05}")).collect();
        let next: Vec<String> = (1..=20_000).map(|n| format!("@g{n:05}")).collect();
        let mut groups: Vec<(&str, &str)> =
            names.iter().zip(&next).map(|(name, next)| (name.as_str(), next.as_str())).collect();
        groups.push(("g20000", "web1"));
        let problems = build(&groups).1;
        assert_eq!(problems.first(), Some(&Problem::TooDeep { group: MAX_DEPTH, max: MAX_DEPTH }));
    }

    #[test]
    fn masks() {
        let check =
            |mask: &str, name: &str, expected| assert_eq!(fits(mask, name), expected, "{mask} {name}");
        check("rack*", "rack12", true);
        check("rack?", "rack12", false);
        check("*a*b", "xaxbxb", true);
        check("*a*b", "xaxbx", false);
        check("", "", true);
        check("a", "", false);
        assert_eq!(without_ranges("rack[1-4]-*[1,2]"), "rack*-**");
    }

    #[test]
    fn names_that_no_selector_could_say_are_refused() {
        for bad in ["", "a b", "a,b", "-a", "@a"] {
            assert_eq!(build(&[(bad, "web1")]).1, [Problem::GroupName { group: 0 }], "{bad:?}");
        }
    }
}

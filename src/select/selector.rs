//! Selectors: which of the inventory's hosts.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use super::pattern::{Alphabet, MAX_NAMES, Pattern, matches_mask};
use super::scan::{Op, operands};
use super::{SelectError, nearest};
use crate::model::{Host, HostName};

/// What a selector chooses from.
#[derive(Debug, Clone, Copy)]
pub struct Catalog<'a> {
    pub hosts: &'a [Host],
    pub groups: &'a BTreeMap<String, Vec<HostName>>,
}

/// A checked expression: node sets, `@group`, `label=value`, wildcards, `*` for every host, and
/// the operations `,` (union), `!` (difference), `&` (intersection), `^` (symmetric difference), from
/// left to right.
///
/// Brackets and wildcards work in each kind of operand (`@rack[1-4]`, `kernel=6.1.*`). A label's
/// value cannot hold an operator; a `?` stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    text: String,
    terms: Vec<Term>,
}

/// An operand that chose no host: what to tell a person whose selection came out empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleTerm {
    /// Its place in the expression.
    pub span: Range<usize>,
    /// The operand as it was written.
    pub text: String,
    /// Operands that would have chosen something, the closest first.
    pub nearest: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    op: Op,
    span: Range<usize>,
    operand: Operand,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operand {
    All,
    Hosts(Pattern),
    Group(Pattern),
    Label { name: String, value: Pattern },
}

impl Selector {
    /// Checks `text`. Whether its names exist is asked when it selects.
    pub fn parse(text: &str) -> Result<Self, SelectError> {
        let mut budget = MAX_NAMES;
        let mut terms = Vec::new();
        for part in operands(text)? {
            let operand = Operand::read(text, part.span.clone(), part.op, &mut budget)?;
            terms.push(Term { op: part.op, span: part.span, operand });
        }
        Ok(Self { text: text.to_owned(), terms })
    }

    /// The text it was read from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Indices into the catalogue's hosts, rising. No host at all is a valid answer: whether it is a
    /// fault is the caller's to say, with [`Selector::idle_terms`] for the reason.
    pub fn select(&self, catalog: &Catalog<'_>) -> Result<Vec<usize>, SelectError> {
        let lookup = Lookup::new(*catalog);
        let mut chosen = vec![false; catalog.hosts.len()];
        for term in &self.terms {
            apply(term.op, &mut chosen, &term.choose(&lookup)?);
        }
        Ok(chosen.into_iter().enumerate().filter_map(|(index, is)| is.then_some(index)).collect())
    }

    /// The operands that choose no host of the catalogue.
    pub fn idle_terms(&self, catalog: &Catalog<'_>) -> Result<Vec<IdleTerm>, SelectError> {
        let lookup = Lookup::new(*catalog);
        let mut idle = Vec::new();
        for term in &self.terms {
            if term.choose(&lookup)?.is_empty() {
                idle.push(IdleTerm {
                    span: term.span.clone(),
                    text: self.text[term.span.clone()].to_owned(),
                    nearest: term.operand.alternatives(catalog),
                });
            }
        }
        Ok(idle)
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.text)
    }
}

impl std::str::FromStr for Selector {
    type Err = SelectError;
    fn from_str(text: &str) -> Result<Self, SelectError> {
        Self::parse(text)
    }
}

impl Operand {
    fn read(text: &str, span: Range<usize>, op: Op, budget: &mut u64) -> Result<Self, SelectError> {
        let operand = &text[span.clone()];
        if operand == "*" {
            return Ok(Self::All);
        }
        if operand.starts_with('@') {
            let name = span.start + 1..span.end;
            let nameless = name.is_empty().then(|| SelectError::syntax(span, "a group's name", "nothing"));
            return match nameless {
                Some(error) => Err(error),
                None => Pattern::read(text, name, Alphabet::Glob, budget).map(Self::Group),
            };
        }
        let Some((name, value)) = operand.split_once('=') else {
            return Pattern::read(text, span, Alphabet::Glob, budget).map(Self::Hosts);
        };
        if name.is_empty() && op == Op::Difference {
            let expected = "a label before `=` (for all but those, write *!label=value)";
            return Err(SelectError::syntax(span.start..span.start + 1, expected, "`!=`"));
        }
        let name = name.trim_ascii();
        if name.is_empty() || name.contains(['[', ']', '*', '?', '@']) || name.contains(char::is_whitespace) {
            let found = format!("{name:?}");
            let end = span.start + operand.find('=').unwrap_or(0);
            return Err(SelectError::syntax(span.start..end, "a label's name before `=`", found));
        }
        let value_start = span.end - value.trim_ascii_start().len();
        if value_start == span.end {
            return Err(SelectError::syntax(
                span.end..span.end,
                "a value after `=` (`*` is any value)",
                "nothing",
            ));
        }
        let value = Pattern::read(text, value_start..span.end, Alphabet::Value, budget)?;
        Ok(Self::Label { name: name.to_owned(), value })
    }

    /// Operands like this one that would have chosen something.
    fn alternatives(&self, catalog: &Catalog<'_>) -> Vec<String> {
        let Self::Label { name, value } = self else { return Vec::new() };
        let values: BTreeSet<&str> =
            catalog.hosts.iter().filter_map(|host| host.labels.get(name)).map(String::as_str).collect();
        let wanted = value.masks();
        let close = wanted.first().map(|wanted| nearest(wanted, values)).unwrap_or_default();
        close.into_iter().map(|value| format!("{name}={value}")).collect()
    }
}

/// The catalogue with what a lookup by name needs, built once and only when asked for: the most
/// common selector, `*`, needs none of it.
struct Lookup<'a> {
    catalog: Catalog<'a>,
    by_name: OnceCell<HashMap<&'a str, usize>>,
}

impl<'a> Lookup<'a> {
    fn new(catalog: Catalog<'a>) -> Self {
        Self { catalog, by_name: OnceCell::new() }
    }

    fn index_of(&self, name: &str) -> Option<usize> {
        let build =
            || self.catalog.hosts.iter().enumerate().map(|(i, host)| (host.name.as_str(), i)).collect();
        self.by_name.get_or_init(build).get(name).copied()
    }
}

impl Term {
    /// The indices of the hosts that this operand means, each once.
    fn choose(&self, lookup: &Lookup<'_>) -> Result<Vec<usize>, SelectError> {
        let hosts = lookup.catalog.hosts;
        match &self.operand {
            Operand::All => Ok((0..hosts.len()).collect()),
            Operand::Hosts(pattern) if pattern.wildcard => {
                let masks = pattern.masks();
                Ok(positions(hosts, |host| fits(&masks, host.name.as_str())))
            }
            Operand::Hosts(pattern) => {
                let (mut chosen, mut unknown) = (Vec::new(), Vec::new());
                pattern.for_each(|name| match lookup.index_of(name) {
                    Some(index) => chosen.push(index),
                    None => unknown.push(name.to_owned()),
                });
                self.all_known(lookup, chosen, unknown)
            }
            Operand::Group(pattern) => self.choose_groups(pattern, lookup),
            Operand::Label { name, value } => self.choose_labelled(name, value, hosts),
        }
    }

    fn choose_groups(&self, pattern: &Pattern, lookup: &Lookup<'_>) -> Result<Vec<usize>, SelectError> {
        let groups = lookup.catalog.groups;
        let mut members: BTreeSet<&HostName> = BTreeSet::new();
        for mask in pattern.masks() {
            if pattern.wildcard {
                let fitting = groups.iter().filter(|(name, _)| matches_mask(&mask, name));
                members.extend(fitting.flat_map(|(_, hosts)| hosts));
            } else {
                let Some(hosts) = groups.get(&mask) else {
                    let nearest = nearest(&mask, groups.keys().map(String::as_str));
                    let nearest = nearest.into_iter().map(|name| format!("@{name}")).collect();
                    return Err(SelectError::UnknownGroup { span: self.span.clone(), name: mask, nearest });
                };
                members.extend(hosts);
            }
        }
        let (mut chosen, mut unknown) = (Vec::new(), Vec::new());
        for member in members {
            match lookup.index_of(member.as_str()) {
                Some(index) => chosen.push(index),
                None => unknown.push(member.to_string()),
            }
        }
        self.all_known(lookup, chosen, unknown)
    }

    fn choose_labelled(
        &self,
        name: &str,
        value: &Pattern,
        hosts: &[Host],
    ) -> Result<Vec<usize>, SelectError> {
        if !hosts.iter().any(|host| host.labels.contains_key(name)) {
            let known: BTreeSet<&str> =
                hosts.iter().flat_map(|host| host.labels.keys()).map(String::as_str).collect();
            let nearest = nearest(name, known);
            return Err(SelectError::UnknownLabel {
                span: self.span.clone(),
                name: name.to_owned(),
                nearest,
            });
        }
        let masks = value.masks();
        Ok(positions(hosts, |host| host.labels.get(name).is_some_and(|value| fits(&masks, value))))
    }

    fn all_known(
        &self,
        lookup: &Lookup<'_>,
        chosen: Vec<usize>,
        unknown: Vec<String>,
    ) -> Result<Vec<usize>, SelectError> {
        let Some(first) = unknown.first() else { return Ok(chosen) };
        let nearest = nearest(first, lookup.catalog.hosts.iter().map(|host| host.name.as_str()));
        Err(SelectError::UnknownHost { span: self.span.clone(), names: unknown, nearest })
    }
}

/// Every operation but `&` costs what its right side has: a selector may list thousands of hosts.
fn apply(op: Op, chosen: &mut Vec<bool>, right: &[usize]) {
    match op {
        Op::Union => right.iter().for_each(|index| chosen[*index] = true),
        Op::Difference => right.iter().for_each(|index| chosen[*index] = false),
        Op::SymmetricDifference => right.iter().for_each(|index| chosen[*index] = !chosen[*index]),
        Op::Intersection => {
            let mut both = vec![false; chosen.len()];
            right.iter().for_each(|index| both[*index] = chosen[*index]);
            *chosen = both;
        }
    }
}

fn positions(hosts: &[Host], means: impl Fn(&Host) -> bool) -> Vec<usize> {
    hosts.iter().enumerate().filter_map(|(index, host)| means(host).then_some(index)).collect()
}

fn fits(masks: &[String], text: &str) -> bool {
    masks.iter().any(|mask| matches_mask(mask, text))
}

#[cfg(test)]
#[path = "selector_tests.rs"]
mod tests;

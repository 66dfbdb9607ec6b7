//! `hosts show`: how a host is reached, value by value, and where each of them stands: the
//! configuration, an ssh_config, or nowhere.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::{Context, Exit};
use crate::model::{Host, Reach, Refusal, RootBy};
use crate::openssh::{Asked, Compared, Difference, Machine, Oracle};
use crate::render::{Ink, Lines, Style, escape};
use crate::sshconfig::{Effective, Origin, Query, Settled, Standing};

/// Print how hosts are reached, and which line of which file says so
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  dropsonde hosts show web1                 every value with its file and line
  dropsonde hosts show --ask-ssh '*'        the same, held against ssh -G")]
pub struct Show {
    /// Which hosts
    #[arg(value_name = "SELECTOR")]
    selector: String,
    /// Ask the installed ssh, too (ssh -G, once for each kind of host), and print where it differs
    #[arg(long)]
    ask_ssh: bool,
}

impl Show {
    pub fn run(&self, context: &Context) -> Result<Exit> {
        let hosts = context.select(&self.selector)?;
        let machine = context.machine()?;
        let settled: Vec<Settled> = hosts.iter().map(|host| machine.settle(host)).collect();
        let compared = if self.ask_ssh { Some(compare(&machine, &hosts)?) } else { None };
        if context.global.json {
            context.print_json(&json(&settled, compared.as_deref()))?;
        } else {
            let style = context.out_style();
            let blocks: Vec<String> = settled.iter().map(|one| text(one, style)).collect();
            context.print(&blocks.join("\n"))?;
            if let Some(compared) = &compared {
                context.print(&told(compared, &hosts, style))?;
            }
        }
        let agrees = compared.iter().flatten().all(|one| one.differences.is_empty());
        let reachable = settled.iter().all(|one| one.host.ssh.refused.is_empty());
        Ok(if agrees && reachable { Exit::Good } else { Exit::Partial })
    }
}

fn compare(machine: &Machine, hosts: &[&Host]) -> Result<Vec<Compared>> {
    let destinations: Vec<String> = hosts
        .iter()
        .map(|host| match host.consult.as_ref().and_then(|it| it.destination.as_ref()) {
            Some(pattern) => pattern.replace("{name}", host.name.as_str()),
            None => host.name.to_string(),
        })
        .collect();
    let mut places = Vec::new();
    let mut asked = Vec::new();
    for (place, (host, destination)) in hosts.iter().zip(&destinations).enumerate() {
        let Some(consult) = &host.consult else { continue };
        let said = &consult.said;
        let query = Query {
            destination,
            hostname: said.address.as_ref().map(|_| host.address.as_str()),
            port: said.port.as_ref().map(|_| host.port),
            user: said.user.as_ref().map(|_| host.user.as_str()),
        };
        places.push(place);
        asked.push(Asked { query, files: consult.files.as_deref() });
    }
    let mut compared = Oracle::default().compare(machine, &asked)?;
    for one in &mut compared {
        one.hosts.iter_mut().for_each(|place| *place = places[*place]);
    }
    compared.sort_by(|a, b| a.hosts.cmp(&b.hosts));
    Ok(compared)
}

const fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Obeyed => "obeyed",
        Standing::Refused { .. } => "refused",
        Standing::Stricter { .. } => "stricter",
        Standing::Harmless => "harmless",
    }
}

/// A refused directive that asks for nothing is obeyed, and so is one that we are stricter than.
fn standing(one: &Effective) -> Option<&'static str> {
    let asks = |unless: &[&str]| !unless.iter().any(|word| word.eq_ignore_ascii_case(&one.value));
    Some(match one.standing? {
        Standing::Refused { unless, .. } | Standing::Stricter { unless } if !asks(unless) => "obeyed",
        standing => word(standing),
    })
}

fn text(settled: &Settled, style: &Style) -> String {
    let shown = |text: &str| escape(text, Lines::Single).into_owned();
    let mut out = format!("{}\n", style.paint(Ink::Bold, settled.host.name.as_str()));
    if settled.host.reach == Reach::Local {
        out.push_str("  this machine, without SSH\n");
        return out;
    }
    let width = settled.effective.iter().map(|one| one.key.len()).max().unwrap_or_default();
    for one in &settled.effective {
        let note = match standing(one) {
            None | Some("obeyed") => shown(&one.origin.to_string()),
            Some(word) => format!("{}; {word}", shown(&one.origin.to_string())),
        };
        let note = format!("# {note}");
        let note = style.paint(Ink::Dim, &note);
        // Writing to a string cannot fail.
        let value = if one.value.is_empty() { "none".to_owned() } else { shown(&one.value) };
        let _ = writeln!(out, "  {:width$} = {value}  {note}", one.key);
    }
    let (by, at) = becoming(&settled.host.root_by);
    let note = at.map_or(String::new(), |at| format!("  # {}", shown(&at.to_string())));
    let _ = writeln!(out, "  {:width$} = {by}{}", "become", style.paint(Ink::Dim, &note));
    for refusal in &settled.host.ssh.refused {
        let refusal = shown(&refusal.to_string());
        let _ = writeln!(out, "  {}", style.paint(Ink::Red, &format!("refused: {refusal}")));
    }
    out
}

/// How root is had, and where it is written that it is not.
fn becoming(by: &RootBy) -> (&'static str, Option<&Refusal>) {
    match by {
        RootBy::Sudo => ("sudo", None),
        RootBy::Doas => ("doas", None),
        RootBy::Refused(refusal) => ("none", Some(refusal)),
    }
}

fn told(compared: &[Compared], hosts: &[&Host], style: &Style) -> String {
    let mut out = String::from("\n");
    for one in compared {
        let names = super::folded(one.hosts.iter().map(|place| &hosts[*place].name));
        let said = if one.differences.is_empty() { "ssh says the same of" } else { "ssh differs on" };
        let ink = if one.differences.is_empty() { Ink::Green } else { Ink::Red };
        let _ = writeln!(out, "{} {names}", style.paint(ink, said));
        for Difference { keyword, ours, ssh } in &one.differences {
            let text = format!("  {keyword}: ours {ours:?}, ssh {ssh:?}");
            let _ = writeln!(out, "{}", escape(&text, Lines::Single));
        }
    }
    out
}

fn json(settled: &[Settled], compared: Option<&[Compared]>) -> Value {
    let differences = |place: usize| -> Value {
        let found = compared.and_then(|all| all.iter().find(|one| one.hosts.contains(&place)));
        let Some(found) = found else { return Value::Null };
        let one = |it: &Difference| json!({ "keyword": it.keyword, "ours": it.ours, "ssh": it.ssh });
        found.differences.iter().map(one).collect()
    };
    let host = |(place, settled): (usize, &Settled)| {
        let refused = settled.host.ssh.refused.iter().map(|refusal| {
            json!({
                "file": &*refusal.at.file,
                "line": refusal.at.line,
                "directive": refusal.directive,
                "reason": refusal.reason,
            })
        });
        json!({
            "name": settled.host.name,
            "local": settled.host.reach == Reach::Local,
            "become": becoming(&settled.host.root_by).0,
            "values": settled.effective.iter().map(value).collect::<Value>(),
            "refused": refused.collect::<Value>(),
            // Null where ssh was not asked.
            "ssh_differs": differences(place),
        })
    };
    json!({ "schema": 1, "hosts": settled.iter().enumerate().map(host).collect::<Value>() })
}

fn value(one: &Effective) -> Value {
    let origin = match &one.origin {
        Origin::Said(who) => json!({ "layer": "configuration", "by": &**who }),
        Origin::File(at) => json!({ "layer": "ssh_config", "path": &*at.file, "line": at.line }),
        Origin::Default => json!({ "layer": "default" }),
    };
    json!({ "key": one.key, "value": one.value, "origin": origin, "standing": standing(one) })
}

//! `hosts`: who is in the inventory, who can be reached, and whose keys to believe.

mod check;
mod show;
mod trust;

use std::collections::BTreeMap;

use anyhow::Result;

use crate::cli::{Context, Exit};
use crate::config::{Inventory, Origins, Settings};
use crate::model::{Host, HostName, Reach};
use crate::render::json::{FromReport, HostReport, HostsReport, InventoryReport, Schema};
use crate::render::{Cell, Column, Lines, Table, escape};
use crate::select;

/// List hosts, see who can be reached, learn host keys
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Hosts {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    List(List),
    Check(check::Check),
    Show(show::Show),
    Trust(trust::Trust),
}

impl Hosts {
    pub fn run(self, context: &Context) -> Result<Exit> {
        match self.verb {
            None => self.list.run(context),
            Some(Verb::List(list)) => list.run(context),
            Some(Verb::Check(check)) => check.run(context),
            Some(Verb::Show(show)) => show.run(context),
            Some(Verb::Trust(trust)) => trust.run(context),
        }
    }
}

/// Print the hosts that a selector names (the default)
#[derive(Debug, clap::Args)]
struct List {
    /// Which hosts
    #[arg(value_name = "SELECTOR", default_value = "*")]
    selector: String,
    /// Print one folded node set instead of a table
    #[arg(long, conflicts_with = "json")]
    fold: bool,
}

impl List {
    fn run(&self, context: &Context) -> Result<Exit> {
        let hosts = context.select_settled(&self.selector)?;
        if context.global.json {
            context.print_json(&report(&hosts, context.settings()?))?;
        } else if self.fold {
            context.print(&format!("{}\n", folded(hosts.iter().map(|host| &host.name))))?;
        } else {
            let origins = &context.settings()?.origins;
            context.print(&table(&hosts, origins).render(context.out_style()))?;
        }
        remark_refusals(context, &hosts);
        Ok(Exit::Good)
    }
}

/// Says which hosts an inventory or an ssh_config keeps us from.
pub(super) fn remark_refusals(context: &Context, hosts: &[Host]) {
    for line in barred(hosts) {
        context.remark(&format!("dropsonde: {line}"));
    }
}

/// Which hosts an inventory or an ssh_config keeps us from, each reason once.
pub(super) fn barred<'a>(hosts: impl IntoIterator<Item = &'a Host>) -> Vec<String> {
    let mut barred: BTreeMap<String, Vec<&HostName>> = BTreeMap::new();
    for host in hosts {
        for refusal in &host.ssh.refused {
            barred.entry(refusal.to_string()).or_default().push(&host.name);
        }
    }
    let line = |(why, names): (String, Vec<&HostName>)| {
        format!("{} cannot be connected to: {}", folded(names), escape(&why, Lines::Single))
    };
    barred.into_iter().map(line).collect()
}

fn report<'a>(hosts: &'a [Host], settings: &'a Settings) -> HostsReport<'a> {
    let host = |host: &'a Host| {
        let from = settings.origins.of(&host.name).into_iter().map(|(inventory, place)| FromReport {
            inventory,
            file: &place.file,
            line: place.line_column().map(|(line, _)| line),
        });
        HostReport::new(host, from.collect())
    };
    let inventory = |one: &'a Inventory| InventoryReport {
        name: &one.name,
        kind: one.kind,
        hosts: one.wanted.hosts.len(),
        answered: one.answer.answered.rfc3339(),
        trouble: one.answer.trouble(),
    };
    HostsReport {
        schema: Schema,
        hosts: hosts.iter().map(host).collect(),
        inventories: settings.inventories.iter().map(inventory).collect(),
    }
}

/// Who names a host: the file of the configuration, or other programs' lists.
fn named_by(host: &Host, origins: &Origins) -> String {
    let who = origins.of(&host.name).into_iter().map(|(inventory, place)| match inventory {
        Some(inventory) => inventory.to_owned(),
        None => {
            let file = place.file.rsplit('/').next().unwrap_or_default();
            let line = place.line_column().map_or(String::new(), |(line, _)| format!(":{line}"));
            format!("{file}{line}")
        }
    });
    who.collect::<Vec<_>>().join(" ")
}

fn table(hosts: &[Host], origins: &Origins) -> Table {
    let mut table = Table::new([
        Column::left("HOST"),
        Column::left("ADDRESS"),
        Column::right("PORT"),
        Column::left("USER"),
        Column::left("FROM"),
        Column::left("LABELS").elastic(),
    ]);
    for host in hosts {
        let labels: Vec<String> =
            host.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
        let (address, port, user) = match host.reach {
            Reach::Ssh => (host.address.clone(), host.port.to_string(), host.user.clone()),
            Reach::Local => ("this machine".to_owned(), "-".to_owned(), "-".to_owned()),
        };
        table.row([
            host.name.as_str().into(),
            address.into(),
            port.into(),
            user.into(),
            named_by(host, origins).into(),
            Cell::from(labels.join(" ")),
        ]);
    }
    table
}

/// The node set of some hosts, fit for a terminal.
fn folded<'a>(names: impl IntoIterator<Item = &'a HostName>) -> String {
    let names: Vec<&str> = names.into_iter().map(HostName::as_str).collect();
    escape(&select::fold(names), Lines::Single).into_owned()
}

/// All hosts, some of them, none.
pub(super) fn exit(hosts: impl Iterator<Item = bool>) -> Exit {
    match hosts.fold((0, 0), |(good, all), is_good| (good + usize::from(is_good), all + 1)) {
        (good, all) if good == all => Exit::Good,
        (0, _) => Exit::NoHostReached,
        _ => Exit::Partial,
    }
}

//! `hosts check`: who can be reached, and what stands in the way of the others, folded.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use serde_json::json;

use crate::cli::{Context, Exit, sweeping};
use crate::collect::contact::{self, Contact};
use crate::collect::ssh_settings;
use crate::model::{Host, Outcome};
use crate::render::{Cell, Column, Ink, Table};

/// Resolve, connect, verify the host key and log in; run nothing
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Which hosts
    #[arg(value_name = "SELECTOR", default_value = "*")]
    selector: String,
}

impl Check {
    pub fn run(&self, context: &Context) -> Result<Exit> {
        let hosts: Vec<Host> = context.select(&self.selector)?.into_iter().cloned().collect();
        let settings = context.settings()?;
        let ssh = Arc::new(ssh_settings(&settings.limits, &settings.defaults, sweeping::agent_socket()));
        let contacts = sweeping::runtime()?.block_on(contact::check(hosts, ssh, &settings.limits));
        if context.global.json {
            context.print_json(&json(&contacts))?;
        } else {
            context.print(&table(&contacts).render(context.out_style()))?;
        }
        Ok(super::exit(contacts.iter().map(|contact| contact.outcome == Outcome::Ok)))
    }
}

fn json(contacts: &[Contact]) -> serde_json::Value {
    let host = |contact: &Contact| {
        json!({
            "name": contact.host.name,
            "outcome": contact.outcome,
            "detail": contact.detail,
            "elapsed_s": contact.elapsed.as_secs_f64(),
        })
    };
    let mut outcomes: BTreeMap<&str, u64> =
        Outcome::ALL.into_iter().map(|outcome| (outcome.as_str(), 0)).collect();
    for contact in contacts {
        *outcomes.entry(contact.outcome.as_str()).or_default() += 1;
    }
    let hosts: Vec<_> = contacts.iter().map(host).collect();
    json!({ "schema": 1, "outcomes": outcomes, "hosts": hosts })
}

/// One row for all hosts that said the same, what is amiss first.
fn table(contacts: &[Contact]) -> Table {
    let mut alike: BTreeMap<(bool, Outcome, String), Vec<&Contact>> = BTreeMap::new();
    for contact in contacts {
        let general = contact.detail.as_deref().map(|detail| general(detail, &contact.host));
        let key = (contact.outcome == Outcome::Ok, contact.outcome, general.unwrap_or_default());
        alike.entry(key).or_default().push(contact);
    }
    let mut table = Table::new([
        Column::left("OUTCOME"),
        Column::right("N"),
        Column::left("HOSTS"),
        Column::left("DETAIL"),
    ]);
    for ((is_ok, outcome, general), contacts) in alike {
        let detail = match contacts.as_slice() {
            [one] => one.detail.clone().unwrap_or_default(),
            _ => general,
        };
        table.row([
            Cell::from(outcome.as_str()).ink(if is_ok { Ink::Green } else { Ink::Red }),
            contacts.len().to_string().into(),
            super::folded(contacts.iter().map(|contact| &contact.host.name)).into(),
            detail.into(),
        ]);
    }
    table
}

/// `detail` without what is this host's alone, so that 200 hosts without sshd are one row.
fn general(detail: &str, host: &Host) -> String {
    let word = |word: &str| {
        let core = word.trim_end_matches([':', ',', ';', '.']);
        let end = &word[core.len()..];
        let bracketed = core.strip_prefix('[').and_then(|rest| rest.split_once("]:"));
        let is_own = core == host.name.as_str()
            || core.eq_ignore_ascii_case(&host.address)
            || core.parse::<SocketAddr>().is_ok()
            || bracketed.is_some_and(|(name, _)| name.eq_ignore_ascii_case(&host.address));
        match core {
            _ if is_own => format!("HOST{end}"),
            _ if core.starts_with("SHA256:") => format!("SHA256:…{end}"),
            _ => word.to_owned(),
        }
    };
    detail.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HostName, Labels, Reach};

    #[test]
    fn what_is_one_hosts_alone_is_left_out() {
        let host = Host {
            name: HostName::new("web01").unwrap(),
            address: "web01.example.net".to_owned(),
            port: 2222,
            user: "probe".to_owned(),
            labels: Labels::new(),
            reach: Reach::Ssh,
            identity_files: Vec::new(),
            known_hosts: Vec::new(),
            proc_root: None,
            sys_root: None,
        };
        let check = |detail: &str, expected: &str| assert_eq!(general(detail, &host), expected);
        check("connecting to 10.0.0.7:2222: connection refused", "connecting to HOST: connection refused");
        check("connecting to [::1]:22: refused", "connecting to HOST: refused");
        check("resolving web01.example.net: no such name", "resolving HOST: no such name");
        check(
            "[web01.example.net]:2222 shows the key SHA256:abc, and run dropsonde hosts trust web01",
            "HOST shows the key SHA256:…, and run dropsonde hosts trust HOST",
        );
        check("web02 is another", "web02 is another");
    }
}

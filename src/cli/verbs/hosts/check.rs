//! `hosts check`: who can be reached, and what stands in the way of the others, folded.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use serde_json::json;

use crate::cli::summary::general;
use crate::cli::{Context, Exit, sweeping};
use crate::collect::contact::{self, Contact};
use crate::collect::ssh_settings;
use crate::model::Outcome;
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
        let hosts = context.select_settled(&self.selector)?;
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
        let general = contact
            .detail
            .as_deref()
            .map(|detail| general(detail, (&contact.host.name, Some(&contact.host.address))));
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

//! `alerts`: which incidents are open, which messages wait, and whether they would arrive.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::failure::Usage;
use crate::cli::{Context, Exit, following, sweeping};
use crate::config::{Receiver, Settings};
use crate::render::{Cell, Column, Ink, Lines, Table, escape};
use crate::select::nearest;
use crate::watch::alerts::{self, Book};

/// Show open incidents and waiting messages, or test receivers
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  dropsonde alerts
  dropsonde alerts list --json
  dropsonde alerts test
  dropsonde alerts test ops")]
pub struct Alerts {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Open incidents and the messages that wait (the default)
    List,
    /// Send a message to every receiver now, and say whether it was taken
    Test {
        /// Only to these
        #[arg(value_name = "RECEIVER")]
        receivers: Vec<String>,
    },
}

impl Alerts {
    pub fn run(self, context: &Context) -> Result<Exit> {
        match self.verb {
            None | Some(Verb::List) => list(context),
            Some(Verb::Test { receivers }) => test(context, &receivers),
        }
    }
}

fn list(context: &Context) -> Result<Exit> {
    let book = alerts::book(&context.state_dir()?)?;
    if context.global.json {
        context.print_json(&report(&book))?;
        return Ok(Exit::Good);
    }
    if book.incidents.is_empty() && book.queue.is_empty() {
        context.remark("no incident is open and no message waits");
        return Ok(Exit::Good);
    }
    let style = context.out_style();
    let mut text = String::new();
    if !book.incidents.is_empty() {
        let columns = [Column::left("SINCE"), Column::left("SEVERITY"), Column::left("INCIDENT").elastic()];
        let mut table = Table::new(columns);
        for incident in &book.incidents {
            table.row([
                Cell::new(incident.opened().rfc3339()),
                Cell::new(incident.severity.as_str()).ink(Ink::Yellow),
                Cell::new(incident.summary()),
            ]);
        }
        text.push_str(&table.render(style));
    }
    if !book.queue.is_empty() {
        let columns = [Column::left("WAITS FOR"), Column::left("SINCE"), Column::left("MESSAGE").elastic()];
        let mut table = Table::new(columns);
        for queued in &book.queue {
            table.row([
                Cell::new(queued.receiver.clone()),
                Cell::new(queued.notice.at().rfc3339()),
                Cell::new(queued.notice.summary()),
            ]);
        }
        let gap = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!("{gap}{}", table.render(style)));
    }
    context.print(&text)?;
    Ok(Exit::Good)
}

fn report(book: &Book) -> Value {
    let incidents: Vec<Value> = book
        .incidents
        .iter()
        .map(|incident| {
            json!({
                "incident": incident.id,
                "rule": incident.rule,
                "subject": incident.subject,
                "severity": incident.severity,
                "opened": incident.opened().rfc3339(),
                "hosts": incident.hosts.keys().collect::<Vec<_>>(),
                "summary": incident.summary(),
            })
        })
        .collect();
    let queue: Vec<Value> = book
        .queue
        .iter()
        .map(|queued| {
            json!({
                "receiver": queued.receiver,
                "id": queued.notice.id,
                "incident": queued.notice.incident,
                "state": queued.notice.state,
                "at": queued.notice.at().rfc3339(),
                "summary": queued.notice.summary(),
            })
        })
        .collect();
    json!({
        "schema": 1, "incidents": incidents, "queue": queue, "delivered": book.delivered, "dropped": book.dropped
    })
}

fn test(context: &Context, names: &[String]) -> Result<Exit> {
    let settings = context.settings()?;
    let receivers = chosen(settings, names)?;
    let credentials = following::credentials();
    let mut answers = Vec::new();
    let runtime = sweeping::runtime()?;
    for receiver in receivers {
        let answer = runtime.block_on(alerts::test(settings, receiver, credentials.as_deref()));
        answers.push((receiver, answer.err().map(|error| error.to_string())));
    }
    if context.global.json {
        let one = |(receiver, error): &(&Receiver, Option<String>)| json!({ "receiver": receiver.name, "ok": error.is_none(), "error": error });
        context
            .print_json(&json!({ "schema": 1, "receivers": answers.iter().map(one).collect::<Vec<_>>() }))?;
    } else {
        for (receiver, error) in &answers {
            let (ink, said) = match error {
                None => (Ink::Green, "took it".into()),
                Some(error) => (Ink::Red, escape(error, Lines::Single)),
            };
            let said = context.out_style().paint(ink, &said);
            context.print(&format!("{}: {said}\n", escape(&receiver.name, Lines::Single)))?;
        }
    }
    let refused = answers.iter().any(|(_, error)| error.is_some());
    Ok(if refused { Exit::Partial } else { Exit::Good })
}

fn chosen<'a>(settings: &'a Settings, names: &[String]) -> Result<Vec<&'a Receiver>> {
    if settings.receivers.is_empty() {
        let hint = "the configuration has no [[receiver]]; see config.example.toml";
        return Err(Usage(hint.to_owned()).into());
    }
    if names.is_empty() {
        return Ok(settings.receivers.iter().collect());
    }
    let known: Vec<&str> = settings.receivers.iter().map(|it| it.name.as_str()).collect();
    let find = |name: &String| {
        settings.receivers.iter().find(|it| it.name == *name).ok_or_else(|| {
            let near = nearest(name, known.iter().copied());
            let hint = match near.first() {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are {}", known.join(", ")),
            };
            Usage(format!("no receiver {name}; {hint}")).into()
        })
    };
    names.iter().map(find).collect()
}

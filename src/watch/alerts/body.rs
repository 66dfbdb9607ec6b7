//! A notice in a receiver's own language. Whatever a host or a person wrote is data in it: JSON's strings
//! are escaped by JSON, Slack's markup as Slack says.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::notice::{Notice, State};
use crate::config::{Receiver, ReceiverKind};
use crate::model::CollectorTime;
use crate::render::{Lines, Template, escape};

/// What is sent for a notice; `hold` is how long Alertmanager is to remember it.
pub(super) fn body(receiver: &Receiver, notice: &Notice, (now, hold): (CollectorTime, Duration)) -> Vec<u8> {
    let value = match (receiver.kind, &receiver.template) {
        (ReceiverKind::Alertmanager, _) => alertmanager(receiver, notice, (now, hold)),
        (ReceiverKind::Slack, None) => {
            json!({ "text": format!("*{}* {}", notice.severity.as_str(), mrkdwn(&notice.summary())) })
        }
        (ReceiverKind::Slack, Some(template)) => {
            json!({ "text": template.fill(|place| mrkdwn(&plain(&filled(notice, place)))) })
        }
        (ReceiverKind::Webhook, None) => webhook(notice),
        // It was checked that this gives JSON.
        (ReceiverKind::Webhook, Some(template)) => return within_json(notice, template).into_bytes(),
    };
    value.to_string().into_bytes()
}

/// The alerts of one POST to `/api/v2/alerts`. Its labels never change in an incident: they are what
/// Alertmanager knows it by.
fn alertmanager(receiver: &Receiver, notice: &Notice, (now, hold): (CollectorTime, Duration)) -> Value {
    let mut labels: Map<String, Value> =
        receiver.labels.iter().map(|(label, value)| (label.clone(), value.as_str().into())).collect();
    labels.insert("alertname".to_owned(), notice.rule.as_str().into());
    labels.insert("severity".to_owned(), notice.severity.as_str().into());
    labels.insert("incident".to_owned(), notice.incident.as_str().into());
    if let Some(metric) = &notice.metric {
        labels.insert("metric".to_owned(), metric.as_str().into());
    }
    let hold_ns = i64::try_from(hold.as_nanos()).unwrap_or(i64::MAX);
    let ends = match notice.state {
        State::Resolved => notice.at(),
        _ => CollectorTime::from_unix_ns(now.unix_ns().saturating_add(hold_ns)),
    };
    json!([{
        "labels": labels,
        "annotations": {
            "summary": clean(&notice.summary()),
            "hosts": notice.folded(),
            "condition": clean(&notice.condition),
            "sweep": notice.sweep.as_ref().map_or("", |sweep| sweep.as_str()),
        },
        "startsAt": notice.opened().rfc3339(),
        "endsAt": ends.rfc3339(),
    }])
}

fn webhook(notice: &Notice) -> Value {
    let worst = notice.worst.as_ref().map(
        |worst| json!({ "host": worst.host, "value": worst.value, "text": worst.text, "usual": worst.usual }),
    );
    json!({
        "schema": 1,
        "id": notice.id,
        "incident": notice.incident,
        "state": notice.state.as_str(),
        "rule": clean(&notice.rule),
        "severity": notice.severity.as_str(),
        "metric": notice.metric,
        "condition": clean(&notice.condition),
        "hosts": notice.hosts,
        "joined": notice.joined,
        "worst": worst,
        "detail": notice.detail.as_deref().map(clean),
        "summary": clean(&notice.summary()),
        "sweep": notice.sweep,
        "opened": notice.opened().rfc3339(),
        "at": notice.at().rfc3339(),
    })
}

fn filled(notice: &Notice, place: &str) -> Value {
    let worst = notice.worst.as_ref();
    match place {
        "id" => notice.id.as_str().into(),
        "incident" => notice.incident.as_str().into(),
        "state" => notice.state.as_str().into(),
        "rule" => clean(&notice.rule).into(),
        "severity" => notice.severity.as_str().into(),
        "metric" => notice.metric.as_deref().unwrap_or_default().into(),
        "condition" => clean(&notice.condition).into(),
        "hosts" => notice.folded().into(),
        "count" => notice.hosts.len().into(),
        "worst" => worst.map_or("", |worst| worst.host.as_str()).into(),
        "value" => worst.map_or("", |worst| worst.text.as_str()).into(),
        "sweep" => notice.sweep.as_ref().map_or("", |sweep| sweep.as_str()).into(),
        "at" => notice.at().rfc3339().into(),
        _ => clean(&notice.summary()).into(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A place stands within a string of the template: the value's own quotes are not wanted.
fn within_json(notice: &Notice, template: &Template) -> String {
    template.fill(|place| match filled(notice, place) {
        Value::String(text) => {
            let quoted = Value::String(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
        value => value.to_string(),
    })
}

/// Without anything that a terminal or a page could act on.
fn clean(text: &str) -> String {
    escape(text, Lines::Single).into_owned()
}

fn mrkdwn(text: &str) -> String {
    clean(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;

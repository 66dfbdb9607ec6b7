//! What each kind of receiver gets.

use super::*;
use crate::config::{Address, PLACES};
use crate::http::{Secret, Trust};
use crate::model::{HostName, Labels, Severity, SweepId};
use crate::watch::alerts::notice::Worst;

const NOW_S: i64 = 1_795_381_600;

fn receiver(kind: ReceiverKind, template: Option<&str>) -> Receiver {
    Receiver {
        name: "r".to_owned(),
        kind,
        address: Address::Secret(Secret::Credential("url".to_owned())),
        token: None,
        trust: Trust::default(),
        only: Vec::new(),
        resolved: true,
        labels: Labels::from([("team".to_owned(), "ops".to_owned())]),
        template: template.map(|text| Template::parse(text, &PLACES).unwrap()),
    }
}

fn notice(state: State) -> Notice {
    let host = |name: &str| HostName::new(name).unwrap();
    Notice {
        id: "1d".to_owned(),
        incident: "1c".to_owned(),
        state,
        rule: "<hot> & \"loud\"\u{202e}".to_owned(),
        severity: Severity::Critical,
        metric: Some("temperature".to_owned()),
        condition: "temperature{a=\"b\"} > 5".to_owned(),
        hosts: ["web02", "web01", "web03"].map(host).to_vec(),
        joined: vec![host("web03")],
        worst: Some(Worst {
            host: host("web02"),
            value: Some(9.5),
            text: "9.5°C".to_owned(),
            usual: Some("3°C".to_owned()),
        }),
        detail: None,
        sweep: SweepId::new("20261122T230000Z-1f2e3d4c").ok(),
        opened_ns: (NOW_S - 3_600) * 1_000_000_000,
        at_ns: NOW_S * 1_000_000_000,
    }
}

fn sent(receiver: &Receiver, state: State) -> Value {
    let now = CollectorTime::from_unix_s(NOW_S);
    serde_json::from_slice(&body(receiver, &notice(state), (now, Duration::from_secs(7_200)))).unwrap()
}

const SUMMARY: &str = "<hot> & \"loud\"\\u{202e}, temperature on web[01-03] (3 hosts): 9.5°C on web02, usually \
                       3°C; since 2026-11-22 20:06Z";

#[test]
fn alertmanager_gets_labels_that_stay_and_an_end() {
    let receiver = receiver(ReceiverKind::Alertmanager, None);
    let alert = &sent(&receiver, State::Firing)[0];
    assert_eq!(
        alert["labels"],
        json!({
            "alertname": "<hot> & \"loud\"\u{202e}", "severity": "critical", "incident": "1c",
            "metric": "temperature", "team": "ops"
        })
    );
    assert_eq!(
        (&alert["startsAt"], &alert["endsAt"]),
        (&json!("2026-11-22T20:06:40Z"), &json!("2026-11-22T23:06:40Z"))
    );
    assert_eq!(alert["annotations"]["summary"], SUMMARY);
    assert_eq!(alert["annotations"]["hosts"], "web[01-03]");
    let over = &sent(&receiver, State::Resolved)[0];
    assert_eq!((&over["labels"], &over["endsAt"]), (&alert["labels"], &json!("2026-11-22T21:06:40Z")));
}

#[test]
fn slack_gets_text_without_markup_of_others() {
    let plain = sent(&receiver(ReceiverKind::Slack, None), State::Firing);
    let text = plain["text"].as_str().unwrap();
    assert!(
        text.starts_with("*critical* &lt;hot&gt; &amp; \"loud\"\\u{202e}, temperature on web[01-03]"),
        "{text}"
    );
    let own = receiver(ReceiverKind::Slack, Some("<!here> {{rule}} is {{state}}: {{count}} at {{value}}"));
    let text = sent(&own, State::Resolved);
    assert_eq!(text["text"], "<!here> &lt;hot&gt; &amp; \"loud\"\\u{202e} is resolved: 3 at 9.5°C");
}

#[test]
fn a_webhook_gets_json_and_a_template_stays_json() {
    let all = sent(&receiver(ReceiverKind::Webhook, None), State::Firing);
    assert_eq!(all["summary"], SUMMARY);
    assert_eq!((&all["hosts"], &all["joined"]), (&json!(["web02", "web01", "web03"]), &json!(["web03"])));
    assert_eq!(all["worst"], json!({"host": "web02", "value": 9.5, "text": "9.5°C", "usual": "3°C"}));
    assert_eq!((&all["state"], &all["schema"], &all["id"]), (&json!("firing"), &json!(1), &json!("1d")));
    let every: Vec<String> = PLACES.iter().map(|place| format!("\"{place}\": \"{{{{{place}}}}}\"")).collect();
    let template = format!("{{{}, \"n\": {{{{count}}}}}}", every.join(", "));
    let own = sent(&receiver(ReceiverKind::Webhook, Some(&template)), State::Firing);
    assert_eq!((&own["n"], &own["count"], &own["summary"]), (&json!(3), &json!("3"), &json!(SUMMARY)));
    assert_eq!(own["condition"], "temperature{a=\"b\"} > 5");
}

#[test]
fn a_fleet_is_cut_and_one_host_is_not_counted() {
    let mut many = notice(State::Updated);
    many.hosts = (0..400).map(|n| HostName::new(&format!("h{}", n * 2)).unwrap()).collect();
    assert!(many.folded().ends_with('…') && many.folded().chars().count() == 301, "{}", many.folded());
    many.hosts.truncate(1);
    assert!(many.summary().starts_with("more hosts: <hot>") && many.summary().contains(" on h0: 9.5°C, "));
}

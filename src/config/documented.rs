//! The example and the documentation against the program: a key that is new, renamed or has another
//! default fails here until both say so.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::alert::{self, Alerts};
use super::defaults::Defaults;
use super::fault::Faults;
use super::file::Text;
use super::knob::Knobs;
use super::limits::Limits;
use super::metrics::Metrics;
use super::reader::Document;
use super::retention::Retention;
use super::{access, escalate, hosts, inventory, load, receiver, schedule};

const EXAMPLE: &str = include_str!("../../config.example.toml");
const MANUAL: &str = include_str!("../../docs/configuration.md");

/// The example with every setting in force.
fn in_force() -> String {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| !c.is_whitespace()) => setting.to_owned(),
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

/// The same without what other programs would have to answer.
fn without_inventories() -> String {
    let mut kept = true;
    let keep = |line: &&str| {
        if line.starts_with('[') {
            kept = *line != "[[inventory]]";
        }
        kept
    };
    in_force().lines().filter(keep).collect::<Vec<_>>().join("\n")
}

fn load_text(text: &str) -> super::Settings {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, text).unwrap();
    let environment = BTreeMap::from([("HOME".to_owned(), "/home/ann".to_owned())]);
    let system = super::System { etc: folder.path().join("etc"), vendor: folder.path().join("share") };
    let sources = super::Sources { config: Some(file), environment, system, ..super::Sources::default() };
    load(&sources).unwrap_or_else(|faults| panic!("{faults}"))
}

/// The value texts that the example gives the single settings, by key.
fn written() -> BTreeMap<String, serde_json::Value> {
    let text = Text { file: "example".into(), folder: Path::new("").into(), text: Arc::from(in_force()) };
    let mut faults = Faults::default();
    let document = Document::parse(&text, None);
    let mut written = BTreeMap::new();
    document.walk(load::KEYS, &mut faults, |root, faults| {
        for section in ["defaults", "limits", "retention", "alerts", "metrics"] {
            let table = root.open_section(section, faults).unwrap();
            written.extend(table.written().map(|given| (format!("{section}.{}", given.key), given.value)));
        }
    });
    assert_eq!(faults, Faults::default());
    written
}

fn defaults<S: Knobs>() -> impl Iterator<Item = (String, String, serde_json::Value)> {
    let settings = S::default();
    S::KNOBS.iter().map(move |knob| {
        (format!("{}.{}", S::SECTION, knob.key), S::variable(knob.key), (knob.json)(&settings))
    })
}

fn all_defaults() -> Vec<(String, String, serde_json::Value)> {
    defaults::<Defaults>()
        .chain(defaults::<Limits>())
        .chain(defaults::<Alerts>())
        .chain(defaults::<Retention>())
        .chain(defaults::<Metrics>())
        .collect()
}

/// The one default that depends on who asks.
const NOT_CONSTANT: &str = "defaults.user";

#[test]
fn the_example_loads_as_it_is_and_with_everything_in_force() {
    assert_eq!(load_text(EXAMPLE).fleet.hosts.len(), 0);
    let settings = load_text(&without_inventories());
    assert_eq!(settings.fleet.hosts.len(), 50);
    assert_eq!(settings.fleet.groups["quiet"].len(), 44);
    assert_eq!(settings.schedules.len(), 1);
    assert_eq!(settings.escalations.len(), 1);
    assert_eq!((settings.alerts.len(), settings.receivers.len()), (1, 3));
    assert_eq!(settings.delivery, Alerts::default());
    assert_eq!(settings.state_dir, Path::new("/home/ann/.local/state/dropsonde"));
    assert_eq!(settings.limits, Limits::default());
}

#[test]
fn the_examples_of_inventories_are_right() {
    let text = Text { file: "example".into(), folder: Path::new("").into(), text: Arc::from(in_force()) };
    let mut faults = Faults::default();
    let document = Document::parse(&text, None);
    let world = inventory::World { home: None, environment: &BTreeMap::new() };
    let drafts =
        document.walk(load::KEYS, &mut faults, |root, faults| inventory::read_all(root, world, faults));
    assert_eq!(faults, Faults::default());
    let names: Vec<String> = drafts.unwrap().into_iter().map(|draft| draft.name.value).collect();
    assert_eq!(names, ["ansible", "targets", "service", "ssh", "cmdb"]);
}

#[test]
fn the_example_has_every_setting_with_its_default() {
    let mut written = written();
    for (key, _, default) in all_defaults() {
        let value = written.remove(&key).unwrap_or_else(|| panic!("{key} is not in the example"));
        if key != NOT_CONSTANT {
            // One minute may be written as 60 seconds, but then the manual and `config show` differ.
            assert_eq!(value, default, "{key}");
        }
    }
    assert_eq!(written, BTreeMap::new());
}

/// The keys of the tables that come several times.
fn table_keys() -> impl Iterator<Item = &'static &'static str> {
    let of_rules = escalate::KEYS.iter().chain(alert::KEYS).chain(receiver::KEYS);
    hosts::KEYS.iter().chain(access::KEYS).chain(inventory::KEYS).chain(schedule::KEYS).chain(of_rules)
}

#[test]
fn the_example_has_every_key_of_hosts_and_schedules() {
    let lines = in_force();
    let has = |key: &str| lines.lines().any(|line| line.starts_with(&format!("{key} = ")));
    for key in table_keys() {
        assert!(has(key), "{key} is not in the example");
    }
    for section in load::KEYS {
        let header =
            lines.contains(&format!("\n[{section}]\n")) || lines.contains(&format!("\n[[{section}]]\n"));
        assert!(header || has(section), "{section} is not in the example");
    }
}

#[test]
fn the_manual_has_every_setting_with_its_default_and_variable() {
    for (key, variable, default) in all_defaults() {
        let default = match default {
            _ if key == NOT_CONSTANT => "who runs the program".to_owned(),
            serde_json::Value::Array(items) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                format!("`[{}]`", items.join(", "))
            }
            value => format!("`{value}`"),
        };
        let row = format!("| `{key}` | {default} | `{variable}` |");
        assert!(MANUAL.contains(&row), "no row {row}");
    }
    for key in table_keys() {
        assert!(MANUAL.contains(&format!("`{key}`")), "{key} is not in the manual");
    }
}

#[test]
fn every_key_of_a_probe_file_is_in_the_text_on_writing_probes() {
    let text = include_str!("../../docs/writing-probes.md");
    let keys =
        super::probe_file::KEYS.iter().chain(super::probe_file::MEASURED_KEYS).chain(super::metric::KEYS);
    for key in keys {
        let forms = [format!("`{key}`"), format!("\n{key} = "), format!("[{key}]"), format!("`{key} = ")];
        assert!(forms.iter().any(|form| text.contains(form)), "{key}");
    }
}

#[test]
fn the_text_on_alerts_has_those_of_the_collectors_own_and_every_place() {
    let text = include_str!("../../docs/alerts.md");
    for facts in crate::model::OwnAlert::ALL {
        let row = format!(
            "| `{}` | {} | {} | {} | {} |",
            facts.name,
            facts.severity.as_str(),
            facts.meaning,
            facts.remedy,
            facts.over
        );
        assert!(text.contains(&row), "no row {row}");
    }
    for place in super::PLACES {
        assert!(text.contains(&format!("`{place}`")), "{place}");
    }
}

//! A host that sends control sequences in every place it has: in details, labels, faults, output. None
//! of them reaches stdout or stderr, and nothing is coloured that is not a terminal.

use dropsonde::render::is_unprintable;

use super::build::*;

#[test]
fn nothing_a_terminal_acts_on_leaves_any_verb() {
    let state = state(3);
    let mut said = 0;
    for args in [
        &["sweeps"][..],
        &["sweeps", "latest"],
        &["sweeps", "latest", "-v"],
        &["sweeps", "latest", "--json"],
        &["show", "web01", "disk"],
        &["show", "web01", "disk", "--json"],
        &["show", "web01", "notes"],
        &["show", "web05", "disk"],
        &["top"],
        &["top", "disk_nothing_seconds"],
        &["top", "disk_nothing_seconds", "--json"],
        &["top", "disk_nothing_seconds", "--label", "hostile=x"],
        &["compare", "web01", "web06", "--all"],
        &["compare", "web01", "web06", "--json"],
        &["query", "SELECT * FROM v_host_label"],
        &["query", "--json", "SELECT * FROM v_reading"],
        &["query", "--ndjson", "SELECT * FROM v_fault"],
        &["query", "--csv", "SELECT * FROM v_sample"],
        &["query", "SELECT 1 AS \"\x1b[31m\""],
        &["query", "SELECT \x1b[31m"],
        &["export", "--format", "csv"],
        &["export", "--format", "ndjson"],
        &["top", "\x1b[31m"],
        &["show", "web01", "\x1b[31m"],
        &["sweeps", "\x1b[31m"],
        &["check", "--deep"],
        &["reindex"],
    ] {
        let output = run(state.path(), args);
        let text = format!("{}{}", stdout(&output), stderr(&output));
        let raw: Vec<char> = text.chars().filter(|c| is_unprintable(*c) && *c != '\n').collect();
        assert!(raw.is_empty(), "{args:?}: {raw:?} in {text}");
        assert!(!text.is_empty(), "{args:?}");
        said += usize::from(text.contains("owned"));
    }
    // It was said, only harmlessly.
    assert!(said >= 15, "{said}");
}

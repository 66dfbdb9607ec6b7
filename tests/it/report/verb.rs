//! `report` as its users run it: the real binary on a fleet's history that a recorder has written.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::browser;
use crate::lenses::fleet::{DISK, Fleet, name};
use crate::verbs::build::{refusal, state, text};

#[test]
fn a_fleet_with_three_incidents() {
    let state = Fleet::default().record();
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("fleet.html");
    let path = file.to_str().unwrap();
    assert_eq!(text(state.path(), &["report", "--out", path]), "");
    let page = fs::read_to_string(&file).unwrap();
    let verdict =
        page.split("<p class=\"verdict\">").nth(1).and_then(|rest| rest.split("</p>").next()).unwrap();
    assert!(page.contains("<h1>6 of 48 hosts differ</h1>"), "{verdict}");
    for part in [
        "web[06,18,30,42] in runq_latency_seconds (",
        "metrics since 16:00, sharing kernel 6.8.0-52 (1 of the 44 others too)",
        "web24 in disk_await_seconds device=sdb (",
        "web12 in steal_ratio (",
    ] {
        assert!(verdict.contains(part), "{part}: {verdict}");
    }
    let bytes = format!("dropsonde show {} node --sweep ", name(DISK));
    assert!(page.contains(&bytes), "{page}");
    assert!(page.len() < 200_000, "{}", page.len());
    browser::check("a recorded fleet", &page, 200);
    // The same again, in place of it and to stdout.
    let inode = fs::metadata(&file).unwrap().ino();
    text(state.path(), &["report", "--out", path]);
    assert_ne!(fs::metadata(&file).unwrap().ino(), inode, "a file of its own, renamed");
    assert_eq!(fs::read_to_string(&file).unwrap(), page);
    assert_eq!(text(state.path(), &["report", "--out", "-"]), page);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1, "nothing is left beside it");
    // Of some hosts, and of an earlier sweep.
    let some = text(state.path(), &["report", "web[01-12]", "--peers", "rack", "--out", "-"]);
    assert!(some.contains("hosts <code>web[01-12]</code>") && some.contains("<code>rack</code>"), "{some}");
    assert!(!some.contains("web24"));
}

#[test]
fn what_cannot_be_is_refused_and_leaves_the_old_file() {
    let state = state(1);
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("old.html");
    fs::write(&file, "old").unwrap();
    let (folder, path) = (out.path().to_str().unwrap(), file.to_str().unwrap());
    let check = |args: &[&str], what: &str| {
        let (code, said) = refusal(state.path(), args);
        assert!(code == 2 && said.contains(what), "{args:?}: {code} {said}");
    };
    check(&["report", "--out", folder], "is a folder; name a file in it");
    let missing = format!("{folder}/none/here/fleet.html");
    check(&["report", "--out", &missing], &format!("--out {missing} cannot be written: there is no folder"));
    check(&["report", "--out", "/dev/null/fleet.html"], "/dev/null is no folder; name another file");
    let export = ["export", "--format", "sqlite", "--out", &missing];
    check(&export, "cannot be written: there is no folder");
    check(&["report", "--out", path, "--json"], "outliers --json");
    check(&["report", "--out", path, "--sweep", "2031"], "no sweep 2031");
    check(&["report", "--out", path, "--peers", "nonsense"], "no host had this label");
    check(&["report", "nobody", "--out", path], "nobody");
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
}

#[test]
fn a_fleet_too_small_to_compare_still_has_its_coverage() {
    let state = state(1);
    let page = text(state.path(), &["report", "web[02-04]", "--out", "-"]);
    for part in ["<h1>Nothing found on ", "Not enough data", "<h2>Coverage</h2>", "dropsonde sweeps "] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for hostile in ["<script", "\u{202e}", "\x1b"] {
        assert!(!page.contains(hostile), "{hostile:?}");
    }
    browser::check("a small fleet", &page, 20);
}

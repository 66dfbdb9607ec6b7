//! The library of probes and what is written about it: docs/probes.md is what the files say, and no probe
//! is shipped without a word on when to use it and an output that was read.

use std::path::Path;

use dropsonde::config::Library;
use dropsonde::model::Probe;
use dropsonde::render::probe_docs;

fn library() -> Library {
    Library::built_in().unwrap_or_else(|faults| panic!("{faults}"))
}

fn each(check: impl Fn(&Probe) -> Vec<String>) {
    let wrong: Vec<String> = library().probes.values().flat_map(|shelved| check(&shelved.probe)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_page_is_what_the_files_say() {
    let library = library();
    let probes: Vec<&Probe> = library.probes.values().map(|shelved| &*shelved.probe).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/probes.md");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == probe_docs(&probes),
        "docs/probes.md is not what probes.d says: cargo run -- probes docs > docs/probes.md"
    );
}

#[test]
fn every_shipped_probe_says_what_a_person_needs_to_know() {
    each(|probe| {
        let mut wrong = Vec::new();
        let mut lacks = |what: &str| wrong.push(format!("probes.d/{}.toml: no {what}", probe.name));
        if probe.when.is_none() {
            lacks("`when`: when to reach for it");
        }
        if probe.budget.is_none() {
            lacks("`budget`: what CPU time one reading may take");
        }
        for metric in &probe.metrics {
            if metric.help.is_empty() {
                lacks(&format!("`help` of {}", metric.name));
            }
            if metric.warn.is_some() && metric.why.is_none() {
                lacks(&format!("`why` of the warn of {}", metric.name));
            }
        }
        wrong
    });
}

#[test]
fn every_shipped_probe_was_read_from_a_real_output() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    each(|probe| {
        let folder = corpus.join(probe.name.as_str());
        let cases = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let whole = cases.filter(|case| case.path().join("output").is_file()).count();
        match whole {
            0 => vec![format!("probes.d/{0}.toml: no case in tests/corpus/{0}", probe.name)],
            _ => Vec::new(),
        }
    });
}

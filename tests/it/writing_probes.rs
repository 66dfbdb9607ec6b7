//! Every example of `docs/writing-probes.md`: the TOML loads, and the output shown below it reads
//! as the samples shown below that.

use std::fmt::Write as _;
use std::path::Path;

use dropsonde::config::{Library, parse_probe};
use dropsonde::model::{Format, LabelPairs, Parsed};
use dropsonde::parse::{Context, parse};

/// The fenced blocks: (info string, text).
fn blocks(document: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in document.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some((info, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => writeln!(text, "{line}").unwrap(),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

fn labels(labels: &LabelPairs) -> String {
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

fn text(parsed: &Parsed) -> String {
    let mut text = String::new();
    for sample in &parsed.samples {
        writeln!(text, "{}{} {}", sample.metric, labels(&sample.labels), sample.value).unwrap();
    }
    for total in &parsed.totals {
        writeln!(text, "total {}{} {}", total.metric, labels(&total.labels), total.value).unwrap();
    }
    for h in &parsed.histograms {
        let (sum, buckets) = (h.sum.unwrap(), h.buckets.len());
        writeln!(
            text,
            "histogram {}{} count {} sum {sum} buckets {buckets}",
            h.metric,
            labels(&h.labels),
            h.count
        )
        .unwrap();
    }
    text
}

#[test]
fn every_example_does_what_the_text_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/writing-probes.md");
    let document = std::fs::read_to_string(path).unwrap();
    let blocks = blocks(&document);
    let mut formats = Vec::new();
    for triple in
        blocks.iter().enumerate().filter(|(_, (info, _))| *info == "toml").map(|(at, _)| &blocks[at..])
    {
        let [(_, toml), ("output", output), ("samples", samples), ..] = triple else {
            panic!("expected an output and its samples behind {:?}", triple[0].1);
        };
        let name = toml.lines().next().unwrap().trim_start_matches("name = \"").trim_end_matches('"');
        let probe = parse_probe(name, "writing-probes.md", toml).unwrap_or_else(|faults| panic!("{faults}"));
        let parsed = parse(&probe, output.as_bytes(), &Context::default());
        assert_eq!(parsed.faults, [], "{name}");
        assert_eq!(&text(&parsed), samples, "{name}");
        formats.push(probe.format);
    }
    // The others are what one tool prints: the shipped probes' own.
    for format in [Format::Openmetrics, Format::Keyvalue, Format::Json, Format::Csv, Format::Text] {
        assert!(formats.contains(&format), "no example of {}", format.as_str());
    }
}

/// The words in backticks that can be names of metrics.
fn names(document: &str) -> Vec<&str> {
    let spans = document.split('`').skip(1).step_by(2);
    let is_name = |text: &&str| {
        text.contains('_')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !text.ends_with('_')
    };
    spans.filter(is_name).collect()
}

#[test]
fn the_list_of_metrics_and_the_probes_agree() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let document = std::fs::read_to_string(path).unwrap();
    let library = Library::built_in().unwrap_or_else(|faults| panic!("{faults}"));
    let probes = ["proc", "kernel_log", "block_rq_latency"].map(|name| library.get(name).unwrap());
    let names = names(&document);
    for name in names.iter().filter(|name| !["kernel_log", "hung_task"].contains(name)) {
        assert!(probes.iter().any(|probe| probe.spec(name).is_some()), "{name} is no metric");
    }
    for spec in probes.iter().flat_map(|probe| &probe.metrics) {
        let own = !spec.name.starts_with("node_");
        assert!(!own || names.contains(&spec.name.as_str()), "{} is not described", spec.name);
    }
}

//! What stands in the file.

use std::collections::BTreeSet;

use super::browser::web;
use super::sample::{Sample, moment};
use dropsonde::model::{HostName, Labels};
use dropsonde::report::incidents;

#[test]
fn the_verdict_says_who_since_when_and_what_they_share() {
    let page = Sample::fleet(48, 48, 4, web).page();
    let verdict = page.split("<p class=\"verdict\">").nth(1).and_then(|rest| rest.split("</p>").next());
    assert_eq!(
        verdict,
        Some(
            "web[05,17,29,41].eu.example in runq_latency_seconds device=nvme0n1 (2.97× its peers) and 1 more metric for 47h \
             or longer, sharing nic_driver ena 2.13 (no other host has it); web[08,20,32,44].eu.example in \
             steal_time_ratio device=nvme0n1 (41× its usual, 34.2× its peers) and 1 more metric since 05:00."
        )
    );
    assert!(page.contains("<h1>8 of 48 hosts differ</h1>"));
}

#[test]
fn metrics_of_the_same_hosts_are_one_incident() {
    let sample = Sample::fleet(48, 48, 4, web);
    let incidents = incidents(&sample.outliers.findings);
    let shape: Vec<(usize, usize)> = incidents.iter().map(|it| (it.hosts.len(), it.findings.len())).collect();
    assert_eq!(shape, [(4, 2), (4, 2)]);
}

#[test]
fn nothing_but_text_comes_from_outside() {
    let bad = "</svg></style></title><script>alert(1)</script><img src=x onerror=a>\u{202e}\u{7}\"'&\u{0}";
    let page = Sample::fleet(48, 48, 14, web).hostile(bad).page();
    for tag in ["<script", "<img", "onerror=a>", "</svg></style>", "\u{202e}", "\u{7}", "\u{0}", "\"'&\\"] {
        assert!(!page.contains(tag), "{tag:?}");
    }
    assert_eq!(page.matches("</style>").count(), 1);
    assert!(page.contains("&lt;/svg&gt;&lt;/style&gt;&lt;/title&gt;&lt;script&gt;alert(1)"));
    assert!(page.contains("\\u{202e}\\x07&quot;&#39;&amp;\\x00"));
}

#[test]
fn it_loads_nothing_and_runs_nothing() {
    let page = Sample::fleet(48, 168, 14, web).page();
    for word in ["http:", "https:", "url(", "@import", "src=", "<script", "<link", "javascript:", " on"] {
        let found: Vec<&str> = page.match_indices(word).map(|(at, _)| &page[at..at + 20]).collect();
        // A blank and `on` are also how English goes.
        let found: Vec<&&str> = found.iter().filter(|it| word != " on" || it.contains('=')).collect();
        assert!(found.is_empty(), "{word}: {found:?}");
    }
    let policy = page.find("Content-Security-Policy").unwrap();
    assert!(policy < page.find("<title>").unwrap(), "before anything that is not ours");
}

#[test]
fn the_same_answers_make_the_same_page() {
    assert_eq!(Sample::fleet(12, 30, 3, web).page(), Sample::fleet(12, 30, 3, web).page());
}

#[test]
fn a_page_can_be_sent_by_mail() {
    let size = |hosts, sweeps, metrics| Sample::fleet(hosts, sweeps, metrics, web).page().len();
    let (two_days, week, many) = (size(48, 48, 5), size(48, 168, 14), size(500, 168, 14));
    assert!(two_days < 100_000, "{two_days}");
    assert!(week < 200_000, "{week}");
    assert!(many < 600_000, "{many}");
}

#[test]
fn nothing_differs_is_an_answer() {
    let page = Sample::fleet(48, 48, 0, web).page();
    for text in [
        "<h1>None of 48 hosts differs</h1>",
        "No host stands out in any of 480 metrics, judged by 48 sweeps.",
        "48 of 48 hosts answered. 96 readings planned, 95 came in whole; 480 metrics compared, over 48 sweeps in 47h.",
        "no byte for 15s",
        "dropsonde outliers --sweep 20261122T230000Z-00000007",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("id=\"differences\"") && !page.contains("id=\"heat\""));
}

#[test]
fn what_lacks_is_said_and_nothing_is_claimed() {
    let page = Sample::fleet(1, 1, 0, web).lack().page();
    for text in [
        "<h1>Nothing found on 1 host</h1>",
        "Not enough data: 0 peers for a host, 3 are needed.",
        "Not enough data of disk_await_seconds to tell a change from a habit: 1 sweep of 24; enough at",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("None of"));
}

#[test]
fn numbers_that_are_none_draw_nothing() {
    let names: Vec<HostName> = (0..6).map(|n| HostName::new(&web(n)).unwrap()).collect();
    let mut sample = Sample::fleet(6, 6, 2, web);
    for it in &mut sample.outliers.findings {
        it.subject.labels = Labels::new();
        for host in &mut it.hosts {
            (host.value, host.peers, host.z) = (f64::NAN, f64::INFINITY, f64::NEG_INFINITY);
            host.history =
                vec![Some(f64::INFINITY), None, Some(f64::NAN), None, Some(f64::MAX), Some(-f64::MAX)];
        }
    }
    let page = sample.page();
    assert!(!page.contains("NaN") && !page.contains("\"inf"), "{page}");
    let calm = Sample::calm(&names, &[moment(0)]);
    assert!(calm.page().contains("</html>"));
}

/// Each command on the page is one that the program takes.
#[test]
fn every_command_is_one_that_is_taken() {
    let mut sample = Sample::fleet(48, 48, 14, web);
    sample.outliers.peers_by = Some("ro le's".to_owned());
    let page = sample.page();
    let shown = page.split("<dd><code>").skip(1).filter_map(|rest| rest.split("</code>").next());
    let shown: BTreeSet<String> = shown.map(|it| it.replace("&#39;", "'").replace("&amp;", "&")).collect();
    assert!(shown.len() > 20, "{shown:?}");
    for line in shown {
        let command = line.split(" | ").next().unwrap();
        // Only the label of the peers has blanks, and quotes for them.
        let words = command.replace("'ro le'\\''s'", "ro\u{a0}le's");
        let words = words.split(' ').map(|word| word.replace('\u{a0}', " "));
        let taken = dropsonde::cli::command().try_get_matches_from(words);
        assert!(taken.is_ok(), "{line}: {}", taken.unwrap_err());
    }
}

//! What to type next. A page says where each of its numbers is from; these commands lead there.

use super::html::Html;
use super::page::Page;
use crate::compare::Outlier;
use crate::render::shell_word;

/// What the first host sent.
pub fn bytes(page: &Page<'_>, it: &Outlier) -> (&'static str, String) {
    let (host, probe, sweep) = (&it.first().host, &it.subject.probe, &page.outliers.sweep);
    ("the raw bytes", format!("dropsonde show {host} {probe} --sweep {sweep} --raw | less"))
}

/// What leads further from one finding.
pub fn of_finding(page: &Page<'_>, it: &Outlier) -> Vec<(&'static str, String)> {
    let (host, sweep) = (&it.first().host, &page.outliers.sweep);
    let metric = shell_word(&it.subject.metric);
    // A metric may have a line for each of two disks.
    let label =
        |(label, value): (&String, &String)| format!(" --label {}", shell_word(&format!("{label}={value}")));
    let labels: String = it.subject.labels.iter().map(label).collect();
    vec![
        ("what they share", format!("dropsonde explain {metric}{labels} --sweep {sweep}{}", scope(page))),
        ("over time", format!("dropsonde history {metric} -H {host}")),
        ("every host now", format!("dropsonde top {metric} --sweep {sweep}")),
    ]
}

/// Of the whole page.
pub fn of_page(page: &Page<'_>) -> Vec<(&'static str, String)> {
    let sweep = &page.outliers.sweep;
    let hosts = page.hosts.map(|hosts| format!(" {}", shell_word(hosts))).unwrap_or_default();
    let peers = page.outliers.peers_by.as_ref().map(|label| format!(" --peers {}", shell_word(label)));
    let peers = peers.unwrap_or_default();
    vec![
        ("the same in a terminal", format!("dropsonde outliers{hosts} --sweep {sweep}{peers}")),
        ("every reading and its outcome", format!("dropsonde sweeps {sweep}")),
    ]
}

fn scope(page: &Page<'_>) -> String {
    let hosts = page.hosts.map(|hosts| format!(" -H {}", shell_word(hosts))).unwrap_or_default();
    let peers = page.outliers.peers_by.as_ref().map(|label| format!(" --peers {}", shell_word(label)));
    format!("{hosts}{}", peers.unwrap_or_default())
}

pub fn list(html: &mut Html, commands: &[(&'static str, String)]) {
    html.raw("<dl class=\"commands\">");
    for (what, command) in commands {
        html.raw("<div><dt>").raw(what).raw("</dt><dd><code>").text(command).raw("</code></dd></div>");
    }
    html.raw("</dl>");
}

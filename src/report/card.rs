//! One finding: its size in words and numbers, every host, since when, and where the bytes are.

use super::commands;
use super::html::{Html, MOMENT, NOTE, NUMBER, ROW_HEAD};
use super::page::Page;
use super::picture::Picture;
use super::{band, names, size, strip, when};
use crate::compare::{Lens, Outlier, OutlierHost};
use crate::model::{HostName, Worse};
use crate::render::{counted, units};

/// Rows of the table of one finding.
const ROWS: usize = 60;

pub fn card(html: &mut Html, page: &Page<'_>, nth: usize, domain: &str) {
    let it = &page.outliers.findings[nth];
    let first = it.first();
    let hosts: Vec<&HostName> = it.hosts.iter().map(|it| &it.host).collect();
    html.raw("<article class=\"card\" id=\"f")
        .count(nth + 1)
        .raw("\"><h3><span class=\"rank\">")
        .count(nth + 1);
    html.raw("</span> <bdi>").text(&names::subject(&it.subject)).raw("</bdi>");
    if is_bad(it) {
        html.raw(" <span class=\"bad\">! worse</span>");
    }
    html.raw("</h3><p class=\"facts\"><strong>");
    let numbers = size::amounts(it, first);
    match size::multiples(it, first) {
        Some((lead, rest)) => {
            html.text(&lead).raw("</strong>").text(&rest).raw(" <span class=\"dot\">·</span> ");
            html.text(&format!("{}: {}", first.host, numbers.all()));
        }
        None => {
            html.text(&numbers.value).raw("</strong>");
            html.text(&format!(" on {}{}", first.host, numbers.others));
        }
    }
    for more in [counted(hosts.len(), "host"), when::since(it.since(), page.outliers), lens(it)] {
        if !more.is_empty() {
            html.raw(" <span class=\"dot\">·</span> ").text(&more);
        }
    }
    html.raw("</p>");
    help(html, it);
    if let Some(picture) = page.pictures.get(nth).and_then(Option::as_ref) {
        charts(html, (it, picture), domain);
    }
    commands::list(html, &[commands::bytes(page, it)]);
    table(html, page, it);
    html.raw("</article>");
}

/// For the worse, or beyond what the metric warns at.
pub fn is_bad(it: &Outlier) -> bool {
    it.warned || (it.lens == Lens::Changed && it.about.worse != Worse::Either)
}

pub fn value(it: &Outlier, value: f64) -> String {
    units::sample(value, &it.about.unit, it.subject.kind)
}

pub fn lens(it: &Outlier) -> String {
    match (it.lens, it.provisional) {
        (Lens::Changed, _) => "changed".to_owned(),
        (Lens::Odd, false) => "odd".to_owned(),
        (Lens::Odd, true) => "odd (provisional)".to_owned(),
    }
}

fn help(html: &mut Html, it: &Outlier) {
    let mut text = it.about.help.clone();
    if it.subject.worst_of {
        text.push_str("; each host's worst is meant");
    }
    if let Some(warn) = it.about.warn {
        text.push_str("; warns at ");
        text.push_str(&value(it, warn));
    }
    if !text.is_empty() {
        html.element(NOTE, &text);
    }
}

fn charts(html: &mut Html, (it, picture): (&Outlier, &Picture), domain: &str) {
    let (strip, band) = (strip::strip(it, picture, domain), band::band(it, picture, domain));
    html.raw("<div class=\"charts\">");
    if !strip.is_empty() {
        html.raw("<figure><figcaption>Every host in this sweep: <span class=\"key-out\">◆</span> differs, ");
        html.raw(if strip::is_crowd(it, picture) {
            "<span class=\"key-peer\">▟</span> peers, the more the higher, "
        } else {
            "<span class=\"key-peer\">●</span> peer, "
        });
        html.raw("<span class=\"key-median\">┃</span> median of the peers");
        html.push(&strip::remark(it, picture)).raw("</figcaption>").push(&strip).raw("</figure>");
    }
    if !band.is_empty() {
        html.raw("<figure><figcaption>When, over ").text(&counted(picture.sweeps.len(), "sweep"));
        html.raw("</figcaption>").push(&band).raw("</figure>");
    }
    html.raw("</div>");
}

fn table(html: &mut Html, page: &Page<'_>, it: &Outlier) {
    html.raw("<details><summary>All numbers of ").text(&counted(it.hosts.len(), "host"));
    html.raw(", and what to look at next</summary><div class=\"scroll\"><table><thead><tr>");
    html.raw("<th scope=\"col\">Host</th>");
    for head in ["Value", "Peers", "Expected", "Change", "Ratio", "z (limit)", "n"] {
        html.raw("<th scope=\"col\" class=\"n\">").raw(head).raw("</th>");
    }
    html.raw("<th scope=\"col\">Since</th></tr></thead><tbody>");
    it.hosts.iter().take(ROWS).for_each(|host| row(html, page, (it, host)));
    html.raw("</tbody></table></div>");
    if it.hosts.len() > ROWS {
        html.element(NOTE, &format!("Not in this table: {}.", counted(it.hosts.len() - ROWS, "more host")));
    }
    let meaning = match it.lens {
        Lens::Changed => "Expected: the value if the host stood to its peers as ever. n: sweeps of history.",
        Lens::Odd => "Expected: the median of the peers. n: peers.",
    };
    html.element(NOTE, meaning);
    commands::list(html, &commands::of_finding(page, it));
    html.raw("</details>");
}

fn row(html: &mut Html, page: &Page<'_>, (it, host): (&Outlier, &OutlierHost)) {
    html.raw("<tr>").element(ROW_HEAD, host.host.as_str());
    for number in [host.value, host.peers, host.expected] {
        html.element(NUMBER, &value(it, number));
    }
    html.element(NUMBER, &size::change_text(it, host)).element(NUMBER, &units::times(host.ratio));
    html.element(NUMBER, &format!("{:.1} ({:.1})", host.z, host.limit)).element(NUMBER, &host.n.to_string());
    let since = host.since.map_or_else(|| when::since(None, page.outliers), when::moment);
    html.element(MOMENT, &since).raw("</tr>");
}

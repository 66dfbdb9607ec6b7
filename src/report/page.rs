//! The whole page, from what the index answered. The same answers make the same page, to the byte.

use super::card::{card, is_bad, lens, value};
use super::commands;
use super::coverage::{self, Coverage};
use super::heat;
use super::html::{CELL, Html, MOMENT, NOTE, NUMBER};
use super::names;
use super::picture::Picture;
use super::shared;
use super::size::change_text;
use super::verdict::{headline, sentence};
use super::when;
use crate::compare::{Explanation, Outliers};
use crate::model::HostName;
use crate::render::units;

/// Findings with charts of their own; the others are lines of a table.
pub const MOST_CARDS: usize = 12;

/// Lines of that table.
const LINES: usize = 100;

/// The first thing in the file. Even a text that got through unescaped could run and load nothing.
const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
    <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"no-referrer\">";

/// What a page shows.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    pub outliers: &'a Outliers,
    /// In the order of the findings, as far as there are charts; `None` where there is nothing to draw.
    pub pictures: &'a [Option<Picture>],
    pub explanations: &'a [Explanation],
    pub coverage: &'a Coverage,
    /// The selector that was given.
    pub hosts: Option<&'a str>,
    pub version: &'a str,
}

/// The file.
pub fn page(page: &Page<'_>) -> String {
    let answer = page.outliers;
    let mut html = Html::default();
    html.raw(HEAD).raw("<title>").text(&headline(answer)).raw(" · dropsonde</title><style>");
    html.raw(include_str!("style.css")).raw("</style></head><body><header><p>dropsonde report");
    html.raw(" <span class=\"dot\">·</span> sweep <b>").text(&when::date(answer.started)).raw("</b> ");
    html.raw("<span class=\"dot\">·</span> <code>").text(answer.sweep.as_str()).raw("</code>");
    html.raw("</p><p>").text(&page.coverage.trigger);
    if let Some(hosts) = page.hosts {
        html.raw(" <span class=\"dot\">·</span> hosts <code>").text(hosts).raw("</code>");
    }
    if let Some(label) = &answer.peers_by {
        html.raw(" <span class=\"dot\">·</span> peers have the same <code>").text(label).raw("</code>");
    }
    html.raw("</p></header><main><h1>").text(&headline(answer)).raw("</h1><p class=\"verdict\">");
    html.text(&sentence(answer, page.explanations)).raw("</p>");
    let domain = names::domain(hosts(page));
    findings(&mut html, page, &domain);
    shared::section(&mut html, page);
    heat::section(&mut html, page, &domain);
    coverage::section(&mut html, page);
    how(&mut html, page);
    html.raw("</main><footer>dropsonde ")
        .text(page.version)
        .raw(" <span class=\"dot\">·</span> all times are UTC");
    html.raw("</footer></body></html>\n");
    html.finish()
}

fn hosts<'a>(page: &'a Page<'_>) -> impl Iterator<Item = &'a HostName> {
    let own = page.outliers.findings.iter().flat_map(|it| &it.hosts).map(|it| &it.host);
    own.chain(page.pictures.iter().flatten().flat_map(|picture| &picture.hosts))
}

fn findings(html: &mut Html, page: &Page<'_>, domain: &str) {
    let all = &page.outliers.findings;
    if all.is_empty() {
        return;
    }
    html.raw("<section id=\"differences\"><h2>What is different</h2>");
    for nth in 0..all.len().min(MOST_CARDS) {
        card(html, page, nth, domain);
    }
    if all.len() > MOST_CARDS {
        rest(html, page);
    }
    html.raw("</section>");
}

fn rest(html: &mut Html, page: &Page<'_>) {
    let all = &page.outliers.findings;
    html.raw("<div class=\"card\"><h3>Further differences</h3><div class=\"scroll\"><table><thead><tr>");
    html.raw("<th scope=\"col\" class=\"n\">#</th><th scope=\"col\">Metric</th><th scope=\"col\">Hosts</th>");
    html.raw("<th scope=\"col\" class=\"n\">Value</th><th scope=\"col\" class=\"n\">Peers</th>");
    html.raw("<th scope=\"col\" class=\"n\">Change</th><th scope=\"col\" class=\"n\">Ratio</th>");
    html.raw("<th scope=\"col\">Since</th><th scope=\"col\">Lens</th>");
    html.raw("</tr></thead><tbody>");
    for (nth, it) in all.iter().enumerate().skip(MOST_CARDS).take(LINES) {
        let first = it.first();
        html.raw("<tr>").element(NUMBER, &(nth + 1).to_string()).raw("<th scope=\"row\"><bdi>");
        html.raw(if is_bad(it) { "! " } else { "" }).text(&names::subject(&it.subject)).raw("</bdi></th>");
        html.element(CELL, &names::hosts(&it.hosts.iter().map(|it| &it.host).collect::<Vec<_>>()));
        html.element(NUMBER, &value(it, first.value)).element(NUMBER, &value(it, first.peers));
        html.element(NUMBER, &change_text(it, first)).element(NUMBER, &units::times(first.ratio));
        html.element(MOMENT, &when::since(it.since(), page.outliers)).element(CELL, &lens(it)).raw("</tr>");
    }
    html.raw("</tbody></table></div>");
    let more = all.len().saturating_sub(MOST_CARDS + LINES);
    if more > 0 {
        html.element(NOTE, &format!("{more} more are in `dropsonde outliers --json`."));
    }
    html.raw("</div>");
}

/// How to read the page, and what to type next.
fn how(html: &mut Html, page: &Page<'_>) {
    html.raw(
        "<section id=\"how\"><h2>How this was compared</h2><div class=\"card\"><p><b>changed</b>: a host ",
    );
    html.raw(
        "stands to its peers otherwise than in its own past, in most of its last three sweeps; what all ",
    );
    html.raw(
        "hosts share is no difference. <b>odd</b>: it has always differed from its peers, or there are too ",
    );
    html.raw(
        "few sweeps yet, which makes it provisional. The first takes 24 sweeps and 3 peers, the second 5 peers. ",
    );
    html.raw("The most important stands first: size of the difference × confidence × weight of the metric. ");
    html.raw("<b>! worse</b> is a change for the worse, or beyond what the metric warns at.</p>");
    commands::list(html, &commands::of_page(page));
    html.raw("</div></section>");
}

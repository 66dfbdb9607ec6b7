//! Hosts × metrics, the strangest hosts first. A cell says by sign and number what its colour says, so it
//! can be read without colour.

use std::collections::{BTreeMap, BTreeSet};

use super::html::{Html, NOTE};
use super::names;
use super::page::Page;
use super::picture::Picture;
use crate::compare::{Outlier, Sorted, Spread};
use crate::model::HostName;

const ROWS: usize = 24;
const COLUMNS: usize = 12;

/// Makes the median absolute deviation of normal numbers their standard deviation.
const NORMAL: f64 = 1.4826;

/// Makes the mean absolute deviation of normal numbers their standard deviation.
const NORMAL_MEAN: f64 = 1.2533;

/// Logarithms that all agree still differ by this much: 10 %.
const LEAST: f64 = 0.1;

/// Further off is all the same.
const MOST: f64 = 99.0;

/// A smaller distance is usual, and left blank: the eye should find the rest.
const TELLING: f64 = 1.5;

/// A column: how many scales each host lies off the median of all, and who is in the finding.
struct Column<'a> {
    /// Its finding's place in the ranking, from 1.
    number: usize,
    z: BTreeMap<&'a HostName, f64>,
    found: BTreeSet<&'a HostName>,
}

pub fn section(html: &mut Html, page: &Page<'_>, domain: &str) {
    let findings = page.outliers.findings.iter().zip(page.pictures).enumerate();
    let columns: Vec<Column<'_>> = findings
        .filter_map(|(nth, (it, picture))| column(nth + 1, it, picture.as_ref()?))
        .take(COLUMNS)
        .collect();
    let hosts = strangest(&columns);
    if columns.is_empty() || hosts.is_empty() {
        return;
    }
    html.raw("<section id=\"heat\"><h2>Hosts × metrics</h2><div class=\"card\"><p class=\"note\">");
    html.raw("Each number: how many usual distances the host lies from the median of all hosts, ▲ above, ");
    html.raw("▼ below; framed where it is a finding. Columns are the differences by their number above.</p>");
    html.raw("<div class=\"sides\"><table class=\"heat\">");
    html.raw("<thead><tr><th scope=\"col\">Host</th>");
    for column in &columns {
        let name = names::subject(&page.outliers.findings[column.number - 1].subject);
        html.raw("<th scope=\"col\"><a href=\"#f").count(column.number).raw("\" title=\"").text(&name);
        html.raw("\">").count(column.number).raw("</a></th>");
    }
    html.raw("</tr></thead><tbody>");
    for host in hosts.iter().take(ROWS) {
        html.raw("<tr><th scope=\"row\" title=\"").text(host.as_str()).raw("\">");
        html.text(&names::label(host, domain)).raw("</th>");
        columns.iter().for_each(|column| cell(html, column, host));
        html.raw("</tr>");
    }
    html.raw("</tbody></table>");
    legend(html, page, &columns);
    let all = columns.iter().flat_map(|column| column.z.keys()).collect::<BTreeSet<_>>().len();
    html.element(NOTE, &remark((all, hosts.len()), (page.outliers.findings.len(), columns.len())));
    html.raw("</div></section>");
}

/// What is not shown.
fn remark((all, strange): (usize, usize), (findings, columns): (usize, usize)) -> String {
    let mut text = String::new();
    if strange > ROWS {
        text = format!("Shown are the strangest {ROWS} of {strange} hosts. ");
    }
    if findings > columns {
        text = format!("{text}Shown are the first {columns} of {findings} differences. ");
    }
    format!(
        "{text}{} usual in all of these.",
        match all - strange {
            0 => "No host is".to_owned(),
            1 => "1 more host is".to_owned(),
            more => format!("{more} more hosts are"),
        }
    )
}

fn column<'a>(number: usize, it: &'a Outlier, picture: &'a Picture) -> Option<Column<'a>> {
    let finite = || picture.present();
    // Amounts differ by ratios; where one of them is none, by amounts.
    let ratios = finite().all(|value| value > 0.0);
    let made = |value: f64| if ratios { value.ln() } else { value };
    let spread = Spread::of(&finite().map(made).collect::<Sorted>())?;
    // Where most agree their own distances are nothing: those of all are taken, wild ones with them.
    let count = finite().count() as f64;
    let distance: f64 = finite().map(|value| (made(value) - spread.median).abs() / count).sum();
    let least = if ratios { LEAST } else { spread.scale(0.0) };
    let scale = if spread.mad > 0.0 { NORMAL * spread.mad } else { NORMAL_MEAN * distance };
    let z = |value: f64| (made(value) - spread.median) / scale.max(least);
    let with_value = picture.hosts.iter().zip(&picture.last).filter(|(_, value)| value.is_finite());
    let z = with_value.map(|(host, value)| (host, z(*value))).filter(|(_, z)| !z.is_nan());
    let z = z.map(|(host, z)| (host, z.clamp(-MOST, MOST))).collect();
    Some(Column { number, z, found: it.hosts.iter().map(|it| &it.host).collect() })
}

/// Who is in the most important findings, then who lies furthest off in any; not those who lie nowhere off.
fn strangest<'a>(columns: &[Column<'a>]) -> Vec<&'a HostName> {
    let hosts: BTreeSet<&HostName> = columns.iter().flat_map(|column| column.z.keys().copied()).collect();
    let strangeness = |host: &&HostName| {
        let found = columns.iter().filter(|column| column.found.contains(*host)).count();
        let most = columns
            .iter()
            .filter_map(|column| column.z.get(*host))
            .fold(0.0, |most: f64, z| most.max(z.abs()));
        (found, most)
    };
    let mut hosts: Vec<(&HostName, (usize, f64))> =
        hosts.into_iter().map(|host| (host, strangeness(&host))).collect();
    hosts.sort_by(|(a, (found_a, z_a)), (b, (found_b, z_b))| {
        found_b.cmp(found_a).then(z_b.total_cmp(z_a)).then_with(|| a.cmp(b))
    });
    hosts.retain(|(_, (found, z))| *found > 0 || *z >= TELLING);
    hosts.into_iter().map(|(host, _)| host).collect()
}

fn cell(html: &mut Html, column: &Column<'_>, host: &HostName) {
    let Some(z) = column.z.get(host) else {
        html.raw("<td></td>");
        return;
    };
    let found = column.found.contains(host);
    html.raw("<td class=\"").raw(class(*z)).raw(if found { " found\">" } else { "\">" });
    let size = z.abs().round() as usize;
    if z.abs() >= TELLING {
        html.raw(if *z > 0.0 { "▲" } else { "▼" }).raw("<i>").count(size).raw("</i>");
    }
    html.raw("</td>");
}

fn class(z: f64) -> &'static str {
    let step = match z.abs() {
        ..TELLING => 0,
        ..3.5 => 1,
        ..8.0 => 2,
        _ => 3,
    };
    if z > 0.0 { ["", "u1", "u2", "u3"][step] } else { ["", "d1", "d2", "d3"][step] }
}

fn legend(html: &mut Html, page: &Page<'_>, columns: &[Column<'_>]) {
    html.raw("<ol class=\"columns\">");
    for column in columns {
        html.raw("<li value=\"").count(column.number).raw("\"><bdi>");
        html.text(&names::subject(&page.outliers.findings[column.number - 1].subject)).raw("</bdi></li>");
    }
    html.raw("</ol></div>");
}

//! Hosts × metrics, the strangest hosts first. A cell says by sign and number what its colour says, so it
//! can be read without colour.

use std::collections::{BTreeMap, BTreeSet};

use super::html::{Html, NOTE};
use super::names;
use super::page::Page;
use crate::compare::{Course, Outlier, Sorted, Spread};
use crate::model::HostName;

const ROWS: usize = 24;
const COLUMNS: usize = 12;

/// Makes the median absolute deviation of normal numbers their standard deviation.
const NORMAL: f64 = 1.4826;

/// Logarithms that all agree still differ by this much: 10 %.
const LEAST: f64 = 0.1;

/// A column: how many scales each host lies off the median of all, and who is in the finding.
struct Column<'a> {
    /// Its finding's place in the ranking, from 1.
    number: usize,
    z: BTreeMap<&'a HostName, f64>,
    found: BTreeSet<&'a HostName>,
}

pub fn section(html: &mut Html, page: &Page<'_>, domain: &str) {
    let findings = page.outliers.findings.iter().zip(page.courses).enumerate();
    let columns: Vec<Column<'_>> = findings
        .filter_map(|(nth, (it, course))| column(nth + 1, it, course.as_ref()?))
        .take(COLUMNS)
        .collect();
    let hosts = strangest(&columns);
    if columns.is_empty() || hosts.len() < 2 {
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
    let more = [(hosts.len(), ROWS, "hosts"), (page.outliers.findings.len(), columns.len(), "differences")];
    let capped: Vec<String> = more
        .into_iter()
        .filter(|(all, shown, _)| all > shown)
        .map(|(all, shown, what)| format!("the first {shown} of {all} {what}"))
        .collect();
    if !capped.is_empty() {
        html.element(NOTE, &format!("Shown are {}.", capped.join(" and ")));
    }
    html.raw("</div></section>");
}

fn column<'a>(number: usize, it: &'a Outlier, course: &'a Course) -> Option<Column<'a>> {
    let values = course.sweep(course.sweeps.len().checked_sub(1)?);
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    // Amounts differ by ratios; where one of them is none, by amounts.
    let ratios = finite().all(|value| value > 0.0);
    let made = |value: f64| if ratios { value.ln() } else { value };
    let spread = Spread::of(&finite().map(made).collect::<Sorted>())?;
    let z = |value: f64| match ratios {
        true => (value.ln() - spread.median) / (NORMAL * spread.mad).max(LEAST),
        false => spread.robust_z(value, 0.0),
    };
    let with_value = course.hosts.iter().zip(values).filter(|(_, value)| value.is_finite());
    let z = with_value.map(|(host, value)| (host, z(*value))).filter(|(_, z)| z.is_finite()).collect();
    Some(Column { number, z, found: it.hosts.iter().map(|it| &it.host).collect() })
}

/// Who is in the most important findings, then who lies furthest off in any.
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
    hosts.into_iter().map(|(host, _)| host).collect()
}

fn cell(html: &mut Html, column: &Column<'_>, host: &HostName) {
    let Some(z) = column.z.get(host) else {
        html.raw("<td></td>");
        return;
    };
    let found = column.found.contains(host);
    html.raw("<td class=\"").raw(class(*z)).raw(if found { " found\">" } else { "\">" });
    let size = z.abs().round().min(999.0) as usize;
    // What is usual is left blank: the eye should find the rest.
    if size > 1 {
        html.raw(if *z > 0.0 { "▲" } else { "▼" }).raw("<i>").count(size).raw("</i>");
    }
    html.raw("</td>");
}

fn class(z: f64) -> &'static str {
    let step = match z.abs() {
        ..1.5 => 0,
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

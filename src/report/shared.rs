//! What the outliers have in common, and what else happened to them. It shows only what chance does not
//! explain; that nothing is shown is said, with how much was looked at.

use super::html::{CELL, Html, MOMENT, NOTE, NUMBER};
use super::names;
use super::page::Page;
use super::when;
use crate::compare::{Explanation, KernelLine, SharedLabel};
use crate::model::HostName;
use crate::render::{counted, escape_limited, units};

/// Rows of each table.
const LABELS: usize = 12;
const COMPANIONS: usize = 8;
const LINES: usize = 20;

/// Columns of a label's value, and of a kernel's line.
const VALUE: usize = 80;
const LINE: usize = 300;

pub fn section(html: &mut Html, page: &Page<'_>) {
    let explained: Vec<&Explanation> = page.explanations.iter().filter(|it| !it.hosts.is_empty()).collect();
    if explained.is_empty() {
        return;
    }
    html.raw("<section id=\"shared\"><h2>What they share</h2>");
    for it in explained {
        let name = it.outliers.first().map_or_else(|| it.metric.clone(), |it| names::subject(&it.subject));
        html.raw("<article class=\"card\"><h3><bdi>").text(&name).raw("</bdi>: ");
        html.text(&names::hosts(&it.hosts.iter().collect::<Vec<_>>())).raw("</h3>");
        labels(html, it);
        companions(html, it, page);
        kernel(html, &it.kernel);
        html.raw("</article>");
    }
    html.raw("</section>");
}

fn labels(html: &mut Html, it: &Explanation) {
    let tested = counted(it.shared.tested, "label");
    if it.shared.labels.is_empty() {
        let text = match it.shared.tested {
            0 => "No label splits the hosts so that it could tell: too few hosts differ, or too few labels are known."
                .to_owned(),
            _ => format!("No label is shared by more than chance makes, of {tested} tested."),
        };
        html.element(NOTE, &text);
        return;
    }
    html.raw(
        "<table class=\"shared\"><thead><tr><th scope=\"col\">Label</th><th scope=\"col\">Outliers</th>",
    );
    html.raw(
        "<th scope=\"col\">The rest</th><th scope=\"col\" class=\"n\">p (Holm)</th></tr></thead><tbody>",
    );
    for (nth, label) in it.shared.labels.iter().take(LABELS).enumerate() {
        row(html, label, nth == 0);
    }
    html.raw("</tbody></table>");
    let more = it.shared.labels.len().saturating_sub(LABELS);
    let more =
        if more == 0 { String::new() } else { format!(" {} more are not shown.", counted(more, "label")) };
    html.element(NOTE, &format!("Fisher's exact test, corrected for {tested} tested (Holm).{more}"));
}

fn row(html: &mut Html, label: &SharedLabel, strongest: bool) {
    html.raw("<tr><th scope=\"row\"><bdi>").text(&escape_limited(&label.label, VALUE));
    html.raw("</bdi> <b><bdi>").text(&escape_limited(&label.value, VALUE)).raw("</bdi></b>");
    if strongest {
        html.raw(" <span class=\"tag\">strongest</span>");
    }
    if !label.without_trouble.is_empty() {
        let hosts: Vec<&HostName> = label.without_trouble.iter().collect();
        let have = if hosts.len() == 1 { "has" } else { "have" };
        html.raw("<small>").text(&format!("{} {have} it without trouble", names::hosts(&hosts)));
        html.raw("</small>");
    }
    html.raw("</th>");
    bar(html, "bar out", label.outliers);
    bar(html, "bar rest", label.rest);
    html.element(NUMBER, &chance(label.p_holm)).raw("</tr>");
}

fn bar(html: &mut Html, class: &'static str, [with, of]: [u64; 2]) {
    let share = if of == 0 { 0.0 } else { with as f64 / of as f64 };
    html.raw("<td><svg class=\"").raw(class).raw("\" aria-hidden=\"true\" width=\"100%\" height=\"10\">");
    html.raw("<rect class=\"track\" width=\"100%\" height=\"10\" rx=\"2\"/><rect class=\"fill\" width=\"");
    html.percent(share).raw("\" height=\"10\" rx=\"2\"/></svg> ");
    html.text(&format!("{with}/{of}")).raw("</td>");
}

/// `0.02`, `1e-4`.
fn chance(p: f64) -> String {
    if p < 0.001 { format!("{p:.0e}") } else { format!("{p:.3}") }
}

fn companions(html: &mut Html, it: &Explanation, page: &Page<'_>) {
    if it.companions.is_empty() {
        return;
    }
    html.raw("<h4>Moved with it</h4><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Metric</th>");
    html.raw("<th scope=\"col\" class=\"n\">Ratio</th><th scope=\"col\" class=\"n\">Value</th>");
    html.raw("<th scope=\"col\" class=\"n\">Peers</th>");
    html.raw("<th scope=\"col\">Since</th><th scope=\"col\">Hosts</th></tr></thead><tbody>");
    for other in it.companions.iter().take(COMPANIONS) {
        html.raw("<tr><th scope=\"row\"><bdi>").text(&names::subject(&other.subject)).raw("</bdi></th>");
        html.element(NUMBER, &units::times(other.ratio));
        html.element(NUMBER, &units::sample(other.value, &other.unit, other.subject.kind));
        html.element(NUMBER, &units::sample(other.peers, &other.unit, other.subject.kind));
        html.element(MOMENT, &when::since(other.since, page.outliers));
        html.element(CELL, &names::hosts(&other.hosts.iter().collect::<Vec<_>>())).raw("</tr>");
    }
    html.raw("</tbody></table></div>");
    if it.companions.len() > COMPANIONS {
        html.element(NOTE, &format!("{} more did.", it.companions.len() - COMPANIONS));
    }
}

fn kernel(html: &mut Html, lines: &[KernelLine]) {
    if lines.is_empty() {
        return;
    }
    html.raw("<h4>What their kernels said then</h4><ul class=\"log\">");
    for line in lines.iter().take(LINES) {
        html.raw("<li><b>").text(line.host.as_str()).raw("</b> <span>").text(&when::moment(line.at));
        html.raw("</span> ");
        if let Some(event) = line.event {
            html.raw("<span class=\"tag\">").text(event).raw("</span> ");
        }
        html.raw("<bdi><code>").text(&escape_limited(&line.text, LINE)).raw("</code></bdi></li>");
    }
    html.raw("</ul>");
    if lines.len() > LINES {
        html.element(NOTE, &format!("{}.", counted(lines.len() - LINES, "more line")));
    }
}

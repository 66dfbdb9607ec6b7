//! Every host's value on one line: the peers as dots, or as a hill where they are a crowd, those that differ as named diamonds. Places are shares
//! of the width and sizes are pixels, so the text of a narrow page is as large as that of a wide one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::html::Html;
use super::names;
use super::picture::Picture;
use super::scale::Scale;
use crate::compare::Outlier;
use crate::model::{HostName, Kind};
use crate::render::{counted, units};

/// Pixels: a row of labels, the dots, the axis.
const ROW: usize = 15;
const DOTS: usize = 40;
const AXIS: usize = 20;

/// Rows of labels at most; who has none is in the table.
const ROWS: usize = 5;

/// More peers than these are a hill: a dot each would be a black bar, and a page of megabytes.
const CROWD: usize = 1_000;

/// Steps of the hill's outline over the width.
const BINS: usize = 200;

/// Diamonds nearer than this are named together.
const NEAR: f64 = 0.04;

/// A character's width as a share of the narrowest plot that is meant to be read.
const CHARACTER: f64 = 7.3 / 270.0;

/// Hosts with a diamond each; more of them are a crowd.
const DIAMONDS: usize = 60;

/// Hosts that differ and stand together.
struct Cluster<'a> {
    hosts: Vec<(&'a HostName, f64)>,
    /// Where its first diamond stands.
    share: f64,
    row: usize,
    label: String,
}

/// The plot; empty where the judged sweep has no number.
pub fn strip(it: &Outlier, picture: &Picture, domain: &str) -> Html {
    let mut html = Html::default();
    let all = picture.present().chain(it.hosts.iter().map(|it| it.value));
    let Some(scale) = Scale::of(all) else { return html };
    let clusters = clusters(it, scale, domain);
    let rows = clusters.iter().map(|it| it.row + 1).max().unwrap_or(0);
    let top = rows * ROW;
    let value = |value: f64| units::sample(value, &it.about.unit, it.subject.kind);
    html.raw("<div class=\"strip\"><svg role=\"img\" width=\"100%\" height=\"").count(top + DOTS + AXIS);
    html.raw("\"><title>").text(&describe(it, picture, &value)).raw("</title>");
    axis(&mut html, scale, (top + DOTS, &it.about.unit, it.subject.kind));
    let shares: Vec<f64> = peers(it, picture).map(|value| scale.share(value)).collect();
    if shares.len() > CROWD {
        hill(&mut html, top, &shares)
    } else {
        dots(&mut html, top, &shares)
    }
    median(&mut html, (top, scale.share(it.first().peers)), &value(it.first().peers));
    clusters.iter().for_each(|cluster| draw(&mut html, cluster, (rows, scale), &value));
    html.raw("</svg></div>");
    html
}

/// Whether the peers are too many for a dot each.
pub fn is_crowd(it: &Outlier, picture: &Picture) -> bool {
    peers(it, picture).nth(CROWD).is_some()
}

fn peers<'a>(it: &'a Outlier, picture: &'a Picture) -> impl Iterator<Item = f64> + 'a {
    let outliers: BTreeSet<&HostName> = it.hosts.iter().map(|it| &it.host).collect();
    let values = picture.hosts.iter().zip(&picture.last);
    values.filter(move |(host, value)| value.is_finite() && !outliers.contains(host)).map(|(_, value)| *value)
}

/// What the picture alone does not say.
pub fn remark(it: &Outlier, picture: &Picture) -> Html {
    let mut html = Html::default();
    let all = picture.present().chain(it.hosts.iter().map(|it| it.value));
    if Scale::of(all).is_some_and(|scale| scale.is_log()) {
        html.raw("; logarithmic");
    }
    let silent = picture.hosts.len() - picture.present().count();
    if silent > 0 {
        html.raw("; ").count(silent).raw(" of ").count(picture.hosts.len()).raw(" hosts have no value");
    }
    html
}

fn describe(it: &Outlier, picture: &Picture, value: &impl Fn(f64) -> String) -> String {
    let mut text =
        format!("{} of {}.", names::subject(&it.subject), counted(picture.present().count(), "host"));
    if let Some(band) = picture.all {
        let _ = write!(
            text,
            " Half of them are below {}, one in ten below {}, one in ten above {}.",
            value(band.p50),
            value(band.p10),
            value(band.p90)
        );
    }
    let hosts: Vec<&HostName> = it.hosts.iter().map(|it| &it.host).collect();
    let _ = write!(
        text,
        " {} {}, the first with {}.",
        names::hosts(&hosts),
        if hosts.len() == 1 { "differs" } else { "differ" },
        value(it.first().value)
    );
    text
}

fn axis(html: &mut Html, scale: Scale, (y, unit, kind): (usize, &str, Kind)) {
    html.raw("<line class=\"axis\" x1=\"0\" x2=\"100%\" y1=\"").count(y).raw("\" y2=\"").count(y).raw("\"/>");
    for (share, anchor, text) in ticks(scale, unit, kind) {
        html.raw("<line class=\"axis\" x1=\"").percent(share).raw("\" x2=\"").percent(share);
        html.raw("\" y1=\"").count(y).raw("\" y2=\"").count(y + 4).raw("\"/><text x=\"");
        html.percent(share).raw("\" y=\"").count(y + 16).raw("\" text-anchor=\"").raw(anchor);
        html.raw("\">").text(&text).raw("</text>");
    }
}

/// The numbers along the axis that do not touch each other.
fn ticks(scale: Scale, unit: &str, kind: Kind) -> Vec<(f64, &'static str, String)> {
    let mut found = Vec::new();
    let mut end = f64::NEG_INFINITY;
    for (tick, text) in scale.ticks(unit, kind, 4) {
        let share = scale.share(tick);
        let width = (text.chars().count() + 1) as f64 * CHARACTER;
        let (anchor, from) = anchor(share, width);
        if from >= end {
            end = from + width;
            found.push((share, anchor, text));
        }
    }
    found
}

/// How a text of some width stays within the plot, and where it then begins.
pub(super) fn anchor(share: f64, width: f64) -> (&'static str, f64) {
    if share < width / 2.0 {
        ("start", share)
    } else if share > 1.0 - width / 2.0 {
        ("end", share - width)
    } else {
        ("middle", share - width / 2.0)
    }
}

/// A dot is a line of no length with round ends: it keeps its size in a drawing that is stretched.
fn dots(html: &mut Html, top: usize, shares: &[f64]) {
    html.raw("<svg class=\"stretch\" y=\"").count(top).raw("\" height=\"").count(DOTS);
    html.raw("\" viewBox=\"0 0 1000 40\" preserveAspectRatio=\"none\"><path class=\"peer\" d=\"");
    for (nth, share) in shares.iter().enumerate() {
        // Golden steps spread neighbours evenly over the height.
        let y = 7.0 + (nth as f64 * 0.618_034).fract() * 26.0;
        html.raw("M").at((share * 1000.0).round()).raw(" ").at(y.round()).raw("h0");
    }
    html.raw("\"/></svg>");
}

/// How many of the peers are where: from a single one, which can still be seen, to the most.
fn hill(html: &mut Html, top: usize, shares: &[f64]) {
    let mut bins = vec![0_usize; BINS];
    for share in shares {
        bins[((share * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    let most = bins.iter().copied().max().unwrap_or(1).max(1) as f64;
    html.raw("<svg class=\"stretch\" y=\"").count(top).raw("\" height=\"").count(DOTS);
    html.raw("\" viewBox=\"0 0 1000 40\" preserveAspectRatio=\"none\"><path class=\"crowd\" d=\"");
    let wide = 1000 / BINS;
    for (bin, count) in bins.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        let high = (32.0 * count as f64 / most).round().max(2.0);
        html.raw("M").count(bin * wide).raw(" 37v").at(-high).raw("h").count(wide).raw("v").at(high).raw("z");
    }
    html.raw("\"/></svg>");
}

fn median(html: &mut Html, (top, share): (usize, f64), value: &str) {
    html.raw("<line class=\"median\" x1=\"").percent(share).raw("\" x2=\"").percent(share);
    html.raw("\" y1=\"").count(top + 2).raw("\" y2=\"").count(top + DOTS - 2);
    html.raw("\"><title>median of the peers: ").text(value).raw("</title></line>");
}

fn clusters<'a>(it: &'a Outlier, scale: Scale, domain: &str) -> Vec<Cluster<'a>> {
    let mut hosts: Vec<(&HostName, f64)> = it.hosts.iter().map(|it| (&it.host, it.value)).collect();
    hosts.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(b.0)));
    let mut found: Vec<Cluster<'a>> = Vec::new();
    for (host, value) in hosts {
        let share = scale.share(value);
        match found.last_mut() {
            Some(last) if share - last.share <= NEAR => last.hosts.push((host, value)),
            _ => found.push(Cluster { hosts: vec![(host, value)], share, row: 0, label: String::new() }),
        }
    }
    let mut taken: Vec<Vec<(f64, f64)>> = vec![Vec::new(); ROWS];
    for cluster in &mut found {
        let names: Vec<&HostName> = cluster.hosts.iter().map(|(host, _)| *host).collect();
        cluster.label = names::label_of_all(&names, domain);
        let width = (cluster.label.chars().count() + 1) as f64 * CHARACTER;
        let from = if cluster.share > 0.5 { cluster.share - width } else { cluster.share };
        let free = |row: &Vec<(f64, f64)>| row.iter().all(|(a, b)| from >= *b || from + width <= *a);
        match taken.iter().position(free) {
            Some(row) => {
                taken[row].push((from, from + width));
                cluster.row = row;
            }
            None => cluster.label.clear(),
        }
    }
    found
}

/// The label stands above its diamonds, and on the side where there is room for it.
fn draw(
    html: &mut Html,
    cluster: &Cluster<'_>,
    (rows, scale): (usize, Scale),
    value: &impl Fn(f64) -> String,
) {
    let top = rows * ROW;
    let (middle, share) = (top + DOTS / 2, cluster.share);
    if !cluster.label.is_empty() {
        let baseline = (rows - cluster.row) * ROW - 3;
        html.raw("<line class=\"leader\" x1=\"").percent(share).raw("\" x2=\"").percent(share);
        html.raw("\" y1=\"").count(baseline + 2).raw("\" y2=\"").count(middle).raw("\"/>");
        html.raw("<text class=\"name\" x=\"").percent(share).raw("\" y=\"").count(baseline);
        html.raw("\" text-anchor=\"").raw(if share > 0.5 { "end" } else { "start" }).raw("\">");
        html.text(&cluster.label).raw("</text>");
    }
    let mut drawn = BTreeSet::new();
    for (host, number) in cluster.hosts.iter().take(DIAMONDS) {
        let share = scale.share(*number);
        // Diamonds on one spot are one to the eye; the table has them all.
        if !drawn.insert((share * 1000.0) as i64) {
            continue;
        }
        html.raw("<svg class=\"spot\" x=\"").percent(share).raw("\" y=\"").count(middle);
        html.raw("\"><path class=\"out\" d=\"M0-6 6 0 0 6-6 0z\"><title>").text(host.as_str()).raw(": ");
        html.text(&value(*number)).raw("</title></path></svg>");
    }
}

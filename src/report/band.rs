//! When it began: where most of the fleet was in each sweep, and where the outliers were. A sweep that has
//! no value is a gap, not a line across it.

use super::html::Html;
use super::names;
use super::picture::Picture;
use super::scale::Scale;
use super::strip::anchor;
use super::when;
use crate::compare::{Band, Outlier, OutlierHost};
use crate::model::CollectorTime;
use crate::render::{counted, units};

/// Pixels.
const HEIGHT: usize = 170;
const CHARACTER: usize = 8;
const LINE: f64 = 15.0;

/// Lines that an eye can follow, each with a colour and a dash of its own.
const LINES: usize = 5;

/// What of the chart every part needs.
struct Frame<'a> {
    it: &'a Outlier,
    picture: &'a Picture,
    scale: Scale,
    from_s: f64,
    span_s: f64,
}

/// The chart; empty where there is no history.
pub fn band(it: &Outlier, picture: &Picture, domain: &str) -> Html {
    let mut html = Html::default();
    let bands = &picture.peers;
    let lines: Vec<&OutlierHost> =
        it.hosts.iter().filter(|host| host.history.len() == picture.sweeps.len()).take(LINES).collect();
    let values = bands.iter().flatten().flat_map(|band| [band.p10, band.p90]);
    let own = lines.iter().flat_map(|host| &host.history).flatten().copied();
    let Some(scale) = Scale::of(values.chain(own)) else { return html };
    let (Some(first), Some(last)) = (picture.sweeps.first(), picture.sweeps.last()) else { return html };
    let (from_s, until_s) = (first.started.unix_s(), last.started.unix_s());
    if until_s <= from_s {
        return html;
    }
    let span_s = until_s.saturating_sub(from_s) as f64;
    let frame = Frame { it, picture, scale, from_s: from_s as f64, span_s };
    html.raw("<div class=\"when\">");
    frame.values(&mut html);
    html.raw("<svg class=\"plot\" role=\"img\" height=\"").count(HEIGHT).raw("\" viewBox=\"0 0 1000 170\" ");
    html.raw("preserveAspectRatio=\"none\"><title>").text(&frame.describe(lines.len())).raw("</title>");
    frame.grid(&mut html);
    frame.area(&mut html, bands);
    let middle: Vec<Option<f64>> = bands.iter().map(|band| band.map(|band| band.p50)).collect();
    frame.line(&mut html, "middle", &middle);
    for (nth, host) in lines.iter().enumerate() {
        frame.line(&mut html, class(nth), &host.history);
    }
    html.raw("</svg>");
    frame.ends(&mut html, &lines, domain);
    frame.times(&mut html, (first.started, last.started));
    html.raw("</div>");
    legend(&mut html, it, &lines);
    html
}

fn class(nth: usize) -> &'static str {
    ["l0", "l1", "l2", "l3", "l4"][nth % LINES]
}

impl Frame<'_> {
    fn x(&self, at: CollectorTime) -> f64 {
        ((at.unix_s() as f64 - self.from_s) / self.span_s * 1000.0).round()
    }

    fn y(&self, value: f64) -> f64 {
        ((1.0 - self.scale.share(value)) * (HEIGHT as f64 - 16.0) + 8.0).round()
    }

    fn text(&self, value: f64) -> String {
        units::sample(value, &self.it.about.unit, self.it.subject.kind)
    }

    fn describe(&self, lines: usize) -> String {
        let first = self.it.first();
        let start = first.history.iter().flatten().next().copied().unwrap_or(f64::NAN);
        format!(
            "{} over {}: where the middle eight of ten peers were, and {lines} of those that differ. \
             {} went from {} to {}.",
            names::subject(&self.it.subject),
            counted(self.picture.sweeps.len(), "sweep"),
            first.host,
            self.text(start),
            self.text(first.value)
        )
    }

    /// The numbers beside the plot, in a column as wide as the longest of them.
    fn values(&self, html: &mut Html) {
        let ticks = self.ticks();
        let width = ticks.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0) * CHARACTER + 10;
        html.raw("<svg class=\"values\" aria-hidden=\"true\" width=\"").count(width);
        html.raw("\" height=\"").count(HEIGHT).raw("\">");
        for (tick, text) in ticks {
            html.raw("<text text-anchor=\"end\" x=\"").count(width - 6).raw("\" y=\"");
            html.at(self.y(tick) + 4.0).raw("\">").text(&text).raw("</text>");
        }
        html.raw("</svg>");
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        self.scale.ticks(&self.it.about.unit, self.it.subject.kind, 5)
    }

    fn grid(&self, html: &mut Html) {
        html.raw("<path class=\"grid\" d=\"");
        for (tick, _) in self.ticks() {
            html.raw("M0 ").at(self.y(tick)).raw("h1000");
        }
        html.raw("\"/>");
        if let Some(since) = self.it.since() {
            html.raw("<path class=\"onset\" d=\"M").at(self.x(since)).raw(" 0V170\"><title>");
            html.text(&format!("since {}", when::date(since))).raw("</title></path>");
        }
    }

    /// From the tenth to the ninetieth of a hundred hosts.
    fn area(&self, html: &mut Html, bands: &[Option<Band>]) {
        html.raw("<path class=\"band\" d=\"");
        let columns: Vec<usize> = (0..bands.len()).collect();
        for run in columns.chunk_by(|a, b| bands[*a].is_some() == bands[*b].is_some()) {
            let there = || run.iter().filter_map(|at| Some((*at, bands[*at]?)));
            let up = there().map(|(at, band)| (at, band.p90));
            let down = there().map(|(at, band)| (at, band.p10));
            let points: Vec<(f64, f64)> =
                up.chain(down.rev()).map(|(at, value)| (self.column(at), self.y(value))).collect();
            path(html, &points);
            if !points.is_empty() {
                html.raw("z");
            }
        }
        html.raw("\"/>");
    }

    fn column(&self, at: usize) -> f64 {
        self.x(self.picture.sweeps[at].started)
    }

    fn line(&self, html: &mut Html, class: &'static str, values: &[Option<f64>]) {
        html.raw("<path class=\"line ").raw(class).raw("\" d=\"");
        let columns: Vec<(usize, Option<f64>)> = values.iter().copied().enumerate().collect();
        for run in columns.chunk_by(|a, b| a.1.is_some() == b.1.is_some()) {
            let point = |(at, value): &(usize, Option<f64>)| Some((self.column(*at), self.y((*value)?)));
            path(html, &run.iter().filter_map(point).collect::<Vec<_>>());
            if run.len() == 1 && run[0].1.is_some() {
                html.raw("h0");
            }
        }
        html.raw("\"/>");
    }

    /// Each line's host beside its end, no two on one spot.
    fn ends(&self, html: &mut Html, lines: &[&OutlierHost], domain: &str) {
        let mut labels: Vec<(f64, &'static str, String)> = Vec::new();
        for (nth, host) in lines.iter().enumerate() {
            let last = host.history.iter().rev().flatten().next().copied().unwrap_or(host.value);
            labels.push((self.y(last), class(nth), names::label(&host.host, domain)));
        }
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut least = 12.0;
        for label in &mut labels {
            label.0 = label.0.max(least);
            least = label.0 + LINE;
        }
        let mut most = HEIGHT as f64 - 4.0;
        for label in labels.iter_mut().rev() {
            label.0 = label.0.min(most);
            most = label.0 - LINE;
        }
        let width = labels.iter().map(|it| it.2.chars().count()).max().unwrap_or(0) * CHARACTER + 12;
        html.raw("<svg class=\"ends\" aria-hidden=\"true\" width=\"").count(width);
        html.raw("\" height=\"").count(HEIGHT).raw("\">");
        for (y, class, label) in labels {
            html.raw("<text class=\"name ").raw(class).raw("\" x=\"8\" y=\"").at(y).raw("\">");
            html.text(&label).raw("</text>");
        }
        html.raw("</svg>");
    }

    fn times(&self, html: &mut Html, (from, until): (CollectorTime, CollectorTime)) {
        html.raw("<svg class=\"times\" aria-hidden=\"true\" width=\"100%\" height=\"18\">");
        let ticks = when::ticks(from, until, 6);
        let day = ticks.iter().position(|(_, text)| !text.contains(':')).unwrap_or(0);
        for (nth, (at, text)) in ticks.into_iter().enumerate() {
            let share = self.x(at) / 1000.0;
            // A narrow page has room for every other one, and the days say more than the hours.
            html.raw(if nth % 2 != day % 2 { "<text class=\"odd\" x=\"" } else { "<text x=\"" })
                .percent(share)
                .raw("\" y=\"13\" text-anchor=\"");
            html.raw(anchor(share, 0.18).0).raw("\">").text(&text).raw("</text>");
        }
        html.raw("</svg>");
    }
}

fn path(html: &mut Html, points: &[(f64, f64)]) {
    let mut before = None;
    for (x, y) in points {
        // Relative steps are short, and there are thousands of them.
        match before {
            None => html.raw("M").at(*x).raw(" ").at(*y).raw("l"),
            Some((old_x, old_y)) => {
                html.at(x - old_x).raw(if *y < old_y { "" } else { " " }).at(y - old_y).raw(" ")
            }
        };
        before = Some((*x, *y));
    }
    if points.len() == 1 {
        html.raw("0 0");
    }
}

fn legend(html: &mut Html, it: &Outlier, lines: &[&OutlierHost]) {
    html.raw("<ul class=\"legend\">");
    for (nth, host) in lines.iter().enumerate() {
        html.raw(
            "<li class=\"own\"><svg aria-hidden=\"true\" width=\"26\" height=\"10\"><path class=\"line ",
        );
        html.raw(class(nth)).raw("\" d=\"M0 5h26\"/></svg> ").text(host.host.as_str()).raw("</li>");
    }
    html.raw("<li><svg aria-hidden=\"true\" width=\"26\" height=\"10\"><path class=\"band\" d=\"M0 0h26v10h-26z\"/>");
    html.raw("<path class=\"line middle\" d=\"M0 5h26\"/></svg> peers: 10th to 90th of 100, and median</li>");
    if it.since().is_some() {
        html.raw(
            "<li><svg aria-hidden=\"true\" width=\"10\" height=\"12\"><path class=\"onset\" d=\"M5 0v12\"/>",
        );
        html.raw("</svg> since when</li>");
    }
    if it.hosts.len() > lines.len() {
        html.raw("<li>").count(lines.len()).raw(" of ").count(it.hosts.len()).raw(" hosts that differ</li>");
    }
    html.raw("</ul>");
}

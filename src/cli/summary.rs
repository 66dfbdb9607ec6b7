//! A sweep in a few lines: how many ended how, and the failures with their hosts folded.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use std::io::Write;

use super::Context;
use crate::collect::Kept;
use crate::model::{HostName, Outcome};
use crate::render::json::{ReadingReport, SweepReport, to_line};
use crate::render::{Cell, Column, Ink, Style, Table, units};
use crate::select::fold;

/// The whole summary.
pub fn text(report: &SweepReport, style: &Style) -> String {
    let mut groups: BTreeMap<(&str, Outcome, Option<String>), Vec<&ReadingReport>> = BTreeMap::new();
    for reading in &report.readings {
        let detail = reading.detail.as_deref().map(|detail| general(detail, (&reading.host, None)));
        groups.entry((reading.probe.as_str(), reading.outcome, detail)).or_default().push(reading);
    }
    let elapsed = std::time::Duration::from_secs_f64(report.elapsed_s.max(0.0));
    let ok = report.outcomes.get(&Outcome::Ok).copied().unwrap_or_default();
    let mut text =
        format!("sweep {} · {ok}/{} ok · {}\n", report.sweep, report.planned, units::elapsed(elapsed));
    let mut table = Table::new([
        Column::left("PROBE"),
        Column::left("OUTCOME"),
        Column::right("N"),
        Column::left("HOSTS").elastic(),
        Column::left("DETAIL"),
    ]);
    for ((probe, outcome, detail), readings) in groups {
        let detail = match readings.as_slice() {
            [one] => one.detail.clone().unwrap_or_default(),
            _ => detail.unwrap_or_default(),
        };
        let hosts = fold(readings.iter().map(|reading| reading.host.as_str()));
        table.row([
            Cell::from(probe),
            Cell::new(outcome.as_str()).ink(ink(outcome)),
            Cell::new(readings.len().to_string()),
            Cell::new(hosts),
            Cell::new(detail),
        ]);
    }
    text.push_str(&table.render(style));
    text
}

/// `detail` without what is this host's alone, so that 200 hosts without sshd are one row. The address
/// is not known where the reading comes from the index.
pub fn general(detail: &str, (name, address): (&HostName, Option<&str>)) -> String {
    let is_address = |text: &str| address.is_some_and(|address| text.eq_ignore_ascii_case(address));
    let is_own = |text: &str| {
        // web01.example.net is most likely the address of web01.
        text.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            || is_address(text)
            || text.parse::<SocketAddr>().is_ok()
            || text
                .strip_prefix('[')
                .and_then(|rest| rest.split_once("]:"))
                .is_some_and(|(name, _)| is_address(name))
    };
    let word = |word: &str| {
        let core = word.trim_end_matches([':', ',', ';', '.']);
        let end = &word[core.len()..];
        let (user, place) = core.rfind('@').map_or(("", core), |at| core.split_at(at + 1));
        match core {
            _ if is_own(place) => format!("{user}HOST{end}"),
            _ if core.starts_with("SHA256:") => format!("SHA256:…{end}"),
            _ => word.to_owned(),
        }
    };
    // The jump host is not the host's own: which one it is, all behind it want to know.
    let mut is_jump = false;
    let all: Vec<&str> = detail.split(' ').collect();
    let words = all.iter().enumerate().map(|(at, text)| {
        // Nor is a key of the agent, of which many may have one comment.
        let is_ours = all.get(at + 1..).is_some_and(|rest| rest.starts_with(&["from", "ssh-agent"]));
        let shown = if is_jump || is_ours { (*text).to_owned() } else { word(text) };
        is_jump = *text == "via" || (is_jump && !text.ends_with([':', ')', ',', ';']));
        shown
    });
    words.collect::<Vec<_>>().join(" ")
}

pub fn ink(outcome: Outcome) -> Ink {
    match outcome {
        Outcome::Ok => Ink::Green,
        Outcome::Unsupported | Outcome::Skipped => Ink::Dim,
        _ => Ink::Red,
    }
}

/// One reading as a line of JSON on stdout, at once.
pub fn ndjson(context: &Context, kept: &Kept) -> Result<()> {
    let report = ReadingReport {
        bytes_wire: kept.bytes_wire,
        histograms: Some(kept.parsed.histograms.len() as u64),
        ..ReadingReport::new(&kept.reading, kept.samples)
    };
    let mut out = context.out();
    writeln!(out, "{}", to_line(&report)?).and_then(|()| out.flush()).context("write to stdout")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_one_hosts_alone_is_left_out() {
        let name = HostName::new("web01").unwrap();
        let check = |detail: &str, expected: &str| {
            assert_eq!(general(detail, (&name, Some("web.internal"))), expected);
        };
        check("connecting to 10.0.0.7:2222: connection refused", "connecting to HOST: connection refused");
        check("connecting to [::1]:22: refused", "connecting to HOST: refused");
        check("resolving web01.example.net: no such name", "resolving HOST: no such name");
        check("resolving Web.Internal: no such name", "resolving HOST: no such name");
        check(
            "probe@10.0.0.7:22 refused /k; it accepts publickey",
            "probe@HOST refused /k; it accepts publickey",
        );
        check(
            "[web.internal]:2222 shows the key SHA256:abc, and run dropsonde hosts trust web01",
            "HOST shows the key SHA256:…, and run dropsonde hosts trust HOST",
        );
        let dead = "unreachable via jdead (10.1.2.3:9): connecting to 10.1.2.3:9: refused";
        check(dead, "unreachable via jdead (10.1.2.3:9): connecting to HOST: refused");
        let dead = "unreachable via 10.1.2.3:2222: connecting to 10.1.2.3:2222: refused";
        check(dead, "unreachable via 10.1.2.3:2222: connecting to HOST: refused");
        let down = "connecting to 10.0.0.7:22 via web01 failed: from there web01 is down";
        check(down, "connecting to HOST via web01 failed: from there HOST is down");
        let agents = "me@10.0.0.7:22 refused me SHA256:abc from ssh-agent (ssh-ed25519)";
        check(agents, "me@HOST refused me SHA256:abc from ssh-agent (ssh-ed25519)");
        check("web02 is another, web011 too", "web02 is another, web011 too");
    }

    #[test]
    fn a_name_within_a_word_is_no_name() {
        let name = HostName::new("me").unwrap();
        assert_eq!(general("200 times its size", (&name, None)), "200 times its size");
    }
}

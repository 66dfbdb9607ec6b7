//! Names that fit their place. A name in a chart is short and tells its host from the others there; the
//! whole one stands in the table beside it.

use crate::compare::Subject;
use crate::model::HostName;
use crate::render::escape_limited;
use crate::select::fold;

/// Columns of a label in a chart: half of the narrowest chart.
pub const LABEL: usize = 18;

/// Columns of a node set within a sentence.
const SET: usize = 60;

/// The domain that all hosts are in, from its dot on; a chart does without it.
pub fn domain<'a>(hosts: impl Iterator<Item = &'a HostName>) -> String {
    let hosts: Vec<&str> = hosts.map(HostName::as_str).collect();
    let Some(first) = hosts.first() else { return String::new() };
    let tails = first.match_indices('.').map(|(at, _)| &first[at..]);
    let of_all = |tail: &&str| hosts.iter().all(|host| host.len() > tail.len() && host.ends_with(tail));
    // The parts of an address are no domain.
    let named = |tail: &&str| tail.contains(|c: char| c.is_ascii_alphabetic());
    tails.filter(named).find(of_all).unwrap_or_default().to_owned()
}

/// A host's label in a chart.
pub fn label(host: &HostName, domain: &str) -> String {
    cut(host.as_str().strip_suffix(domain).unwrap_or(host.as_str()))
}

/// The label of several hosts that stand together.
pub fn label_of_all(hosts: &[&HostName], domain: &str) -> String {
    let short = |host: &&HostName| host.as_str().strip_suffix(domain).unwrap_or(host.as_str()).to_owned();
    let all = fold(hosts.iter().map(short));
    if hosts.len() > 1 && all.chars().count() > LABEL { format!("{} hosts", hosts.len()) } else { cut(&all) }
}

/// The end tells hosts apart as often as the beginning does.
fn cut(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    if chars.len() <= LABEL {
        return name.to_owned();
    }
    let half = LABEL / 2;
    let ends = chars[..half].iter().chain(['…'].iter()).chain(&chars[chars.len() - (LABEL - half - 1)..]);
    ends.collect()
}

/// Hosts in a sentence: folded, or how many where that is long.
pub fn hosts(hosts: &[&HostName]) -> String {
    let all = fold(hosts.iter().map(|host| host.as_str()));
    if all.len() <= SET { all } else { format!("{} hosts", hosts.len()) }
}

/// `disk_await_seconds p99 device=sda`.
pub fn subject(subject: &Subject) -> String {
    let mut text = subject.metric.clone();
    if let Some(statistic) = subject.statistic {
        text.push(' ');
        text.push_str(statistic);
    }
    let labels: Vec<String> =
        subject.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
    if !labels.is_empty() {
        text.push(' ');
        text.push_str(&labels.join(","));
    }
    escape_limited(&text, 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostName {
        HostName::new(name).unwrap()
    }

    #[test]
    fn a_domain_that_all_have_is_left_out() {
        let of = |names: &[&str]| domain(names.iter().map(|name| host(name)).collect::<Vec<_>>().iter());
        assert_eq!(of(&["a.eu.example", "b.eu.example"]), ".eu.example");
        assert_eq!(of(&["a.z1.example", "b.z2.example"]), ".example");
        assert_eq!(of(&["a.eu", "b.us"]), "");
        assert_eq!(of(&["a.eu", "b"]), "");
        assert_eq!(of(&["10.0.0.1", "11.0.0.1"]), "");
        assert_eq!(of(&[]), "");
        assert_eq!(label(&host("web01.eu"), ".eu"), "web01");
    }

    #[test]
    fn labels_fit() {
        assert_eq!(label(&host("a-very-long-name-of-a-host-17"), ""), "a-very-lo…-host-17");
        let three = [&host("web01.eu"), &host("web02.eu"), &host("web07.eu")];
        assert_eq!(label_of_all(&three, ".eu"), "web[01-02,07]");
        let odd: Vec<HostName> = (0..20).map(|n| host(&format!("web{:02}", n * n))).collect();
        assert_eq!(label_of_all(&odd.iter().collect::<Vec<_>>(), ""), "20 hosts");
        assert_eq!(hosts(&odd.iter().collect::<Vec<_>>()), "20 hosts");
    }
}

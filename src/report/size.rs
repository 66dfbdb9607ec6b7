//! How large a difference is, in words: against the host's own past where that is what was judged, and against
//! its peers. Of none there is no multiple: there the numbers themselves are told.

use crate::compare::{Lens, Outlier, OutlierHost};
use crate::render::units;

/// `4.1×`; of what is usually none `from 0/s`, and nothing of what was always so.
pub fn change_text(it: &Outlier, host: &OutlierHost) -> String {
    match (it.lens, host.change) {
        (Lens::Changed, None) => {
            format!("from {}", units::sample(host.expected, &it.about.unit, it.subject.kind))
        }
        _ => units::times(change(it, host)),
    }
}

/// `4.1×` and ` its usual, 3.9× its peers`; `None` where no multiple says anything.
pub fn multiples(it: &Outlier, host: &OutlierHost) -> Option<(String, String)> {
    let usual = change(it, host).map(|times| (times, "its usual"));
    let peers = host.ratio.map(|times| (times, "its peers"));
    let mut all = usual.into_iter().chain(peers);
    let (first, of) = all.next()?;
    let rest: String = all.map(|(times, of)| format!(", {} {of}", units::times(times))).collect();
    Some((units::times(first), format!(" {of}{rest}")))
}

/// How many times what it would have as ever; `None` of what was always so.
fn change(it: &Outlier, host: &OutlierHost) -> Option<f64> {
    host.change.filter(|_| it.lens == Lens::Changed)
}

/// `3.7ms`, and `, usually 0.9ms, its peers 0.95ms`.
pub struct Amounts {
    pub value: String,
    pub others: String,
}

impl Amounts {
    pub fn all(&self) -> String {
        format!("{}{}", self.value, self.others)
    }
}

pub fn amounts(it: &Outlier, host: &OutlierHost) -> Amounts {
    let value = |value: f64| units::sample(value, &it.about.unit, it.subject.kind);
    let usual = match it.lens {
        Lens::Changed => format!(", usually {}", value(host.expected)),
        Lens::Odd => String::new(),
    };
    Amounts { value: value(host.value), others: format!("{usual}, its peers {}", value(host.peers)) }
}

/// The multiples, or else the numbers.
pub fn size(it: &Outlier, host: &OutlierHost) -> String {
    multiples(it, host).map_or_else(|| amounts(it, host).all(), |(first, rest)| format!("{first}{rest}"))
}

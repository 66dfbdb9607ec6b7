//! One message to a receiver: what happened, to whom, and how bad it is. It holds facts and no receiver's
//! language, and nothing secret: it lies in the state directory until it is delivered.

use serde::{Deserialize, Serialize};

use crate::model::{CollectorTime, HostName, Severity, SweepId};
use crate::select::fold;

/// What the message says of its incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Firing,
    /// More hosts than were told of before.
    Updated,
    /// Nothing new, for receivers that forget what is not repeated.
    Repeated,
    Resolved,
    /// `alerts test`.
    Test,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Updated => "updated",
            Self::Repeated => "repeated",
            Self::Resolved => "resolved",
            Self::Test => "test",
        }
    }
}

/// The host that is worst off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worst {
    pub host: HostName,
    /// `None` where it is infinite.
    pub value: Option<f64>,
    /// The value in its unit, and what it usually is.
    pub text: String,
    pub usual: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// The same in each attempt to deliver this message: who has seen it need not take it again.
    pub id: String,
    /// The same in all messages of one incident.
    pub incident: String,
    pub state: State,
    pub rule: String,
    pub severity: Severity,
    /// Of an alert of the collector's own: none.
    pub metric: Option<String>,
    /// What was waited for, or what the collector's own alert means.
    pub condition: String,
    /// Whom it is about now; of a resolved one, whom it was about.
    pub hosts: Vec<HostName>,
    /// Those of them that no message named before.
    pub joined: Vec<HostName>,
    pub worst: Option<Worst>,
    /// What else there is to say in a few words.
    pub detail: Option<String>,
    pub sweep: Option<SweepId>,
    pub opened_ns: i64,
    pub at_ns: i64,
}

/// A longer list of hosts is cut: a message is read on a telephone.
const LONGEST_LIST: usize = 300;

impl Notice {
    pub fn opened(&self) -> CollectorTime {
        CollectorTime::from_unix_ns(self.opened_ns)
    }

    pub fn at(&self) -> CollectorTime {
        CollectorTime::from_unix_ns(self.at_ns)
    }

    /// The hosts, folded, and cut where there are very many.
    pub fn folded(&self) -> String {
        let mut text = fold(&self.hosts);
        if let Some((cut, _)) = text.char_indices().nth(LONGEST_LIST) {
            text.truncate(cut);
            text.push('…');
        }
        text
    }

    /// One sentence for a person.
    pub fn summary(&self) -> String {
        let mut text = match self.state {
            State::Resolved => format!("resolved: {}", self.rule),
            State::Updated => format!("more hosts: {}", self.rule),
            State::Test => format!("test: {}", self.rule),
            State::Firing | State::Repeated => self.rule.clone(),
        };
        if let Some(metric) = self.metric.as_ref().filter(|metric| !self.rule.contains(metric.as_str())) {
            text.push_str(&format!(", {metric}"));
        }
        match self.hosts.len() {
            0 => {}
            1 => text.push_str(&format!(" on {}", self.folded())),
            many => text.push_str(&format!(" on {} ({many} hosts)", self.folded())),
        }
        if let Some(worst) = self.worst.as_ref().filter(|_| self.state != State::Resolved) {
            let who = if self.hosts.len() > 1 { format!(" on {}", worst.host) } else { String::new() };
            text.push_str(&format!(": {}{who}", worst.text));
            if let Some(usual) = &worst.usual {
                text.push_str(&format!(", usually {usual}"));
            }
        }
        if let Some(detail) = &self.detail {
            text.push_str(&format!(": {detail}"));
        }
        let since = self.opened().utc().format("%Y-%m-%d %H:%MZ");
        match self.state {
            State::Test => text,
            State::Resolved => format!("{text}; it began {since}"),
            _ => format!("{text}; since {since}"),
        }
    }
}

//! Hosts by what a probe printed there. Texts are known by their hash, because those of a large fleet
//! together are more than memory.

use std::collections::BTreeMap;

use crate::model::{HostName, Outcome};
use crate::store::index::ReadingRow;

/// Hosts whose output is the same to the byte.
#[derive(Debug, Clone, PartialEq)]
pub struct SameText {
    pub hosts: Vec<HostName>,
    /// One of their readings, where the text stands.
    pub reading: ReadingRow,
    pub bytes: usize,
}

/// The groups, the largest first, and the hosts without output with what became of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Texts {
    pub groups: Vec<SameText>,
    pub without: BTreeMap<String, Vec<HostName>>,
}

/// Groups the readings of one probe in one sweep; `output` gives a reading's text, or why there is none.
pub fn same_texts(
    readings: impl IntoIterator<Item = ReadingRow>,
    output: impl Fn(&ReadingRow) -> Result<Vec<u8>, String>,
) -> Texts {
    let mut texts = Texts::default();
    let mut groups: BTreeMap<[u8; 32], SameText> = BTreeMap::new();
    for row in readings {
        if row.outcome != Outcome::Ok {
            texts.without.entry(row.outcome.to_string()).or_default().push(row.host);
            continue;
        }
        match output(&row) {
            Ok(text) => {
                let bytes = text.len();
                let new = || SameText { hosts: Vec::new(), reading: row.clone(), bytes };
                let group = groups.entry(*blake3::hash(&text).as_bytes()).or_insert_with(new);
                group.hosts.push(row.host);
            }
            Err(why) => texts.without.entry(why).or_default().push(row.host),
        }
    }
    texts.groups = groups.into_values().collect();
    texts.groups.sort_by(|a, b| b.hosts.len().cmp(&a.hosts.len()).then_with(|| a.hosts.cmp(&b.hosts)));
    texts
}

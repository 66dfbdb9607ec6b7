//! Hosts by what a probe printed there. Texts are known by their hash, because those of a large fleet
//! together are more than memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::model::{HostName, Outcome};
use crate::store::index::ReadingRow;

/// What is each host's own by its meaning, however few hosts there are.
const OWN: [&str; 3] = ["boot_id", "hostname", "machine_id"];

/// So many hosts, and half of all, that say each something else are no accident.
const LEAST_OWN: usize = 8;

/// Values that are remembered to find that out; what takes more is no list of facts.
const MOST_VALUES: usize = 1 << 20;

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

/// The first words of lines that tell no hosts apart because each host has its own behind them: a boot's id, a
/// serial number. `texts` are all hosts' outputs.
pub fn own_words(texts: impl Iterator<Item = Vec<u8>>) -> BTreeSet<String> {
    // The values of a word so far; `None` once two hosts had the same.
    let mut seen: HashMap<Vec<u8>, Option<HashSet<[u8; 32]>>> = HashMap::new();
    let mut own = BTreeSet::new();
    let (mut values, mut hosts) = (0, 0_usize);
    for text in texts {
        hosts += 1;
        for (word, value) in facts(&text) {
            if values == MOST_VALUES {
                return own;
            }
            own.extend(OWN.iter().filter(|own| own.as_bytes() == word).map(|own| (*own).to_owned()));
            let of_word = seen.entry(word).or_insert_with(|| Some(HashSet::new()));
            if of_word.as_mut().is_some_and(|known| known.insert(value)) {
                values += 1;
            } else {
                *of_word = None;
            }
        }
    }
    let all_differ = seen.into_iter().filter(|(_, known)| {
        known.as_ref().is_some_and(|known| known.len() >= LEAST_OWN && known.len() * 2 >= hosts)
    });
    own.extend(all_differ.filter_map(|(word, _)| String::from_utf8(word).ok()));
    own
}

/// The lines that do not begin with one of these words.
pub fn without_words(text: &[u8], own: &BTreeSet<String>) -> Vec<u8> {
    let is_own = |line: &[u8]| std::str::from_utf8(word_of(line)).is_ok_and(|word| own.contains(word));
    text.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_own(line)).flatten().copied().collect()
}

/// Each first word with what stands behind it, on all lines that begin with it.
fn facts(text: &[u8]) -> BTreeMap<Vec<u8>, [u8; 32]> {
    let mut values: BTreeMap<Vec<u8>, blake3::Hasher> = BTreeMap::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !word_of(line).is_empty()) {
        let word = word_of(line);
        values.entry(word.to_vec()).or_default().update(&line[word.len()..]).update(b"\n");
    }
    values.into_iter().map(|(word, value)| (word, *value.finalize().as_bytes())).collect()
}

fn word_of(line: &[u8]) -> &[u8] {
    let end = line.iter().position(|byte| byte.is_ascii_whitespace() || b"=:".contains(byte));
    &line[..end.unwrap_or(line.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(texts: &[String]) -> Vec<String> {
        own_words(texts.iter().map(|text| text.as_bytes().to_vec())).into_iter().collect()
    }

    #[test]
    fn what_each_host_has_for_itself_is_found() {
        let text =
            |host: usize| format!("boot_id b{host}\nkernel 6.{}\nserial: SN{host}\nnote{host} x\n", host % 3);
        let texts: Vec<String> = (0..8).map(text).collect();
        assert_eq!(own(&texts), ["boot_id", "serial"]);
        let without =
            without_words(texts[1].as_bytes(), &own_words(texts.iter().map(|it| it.clone().into())));
        assert_eq!(String::from_utf8(without).unwrap(), "kernel 6.1\nnote1 x\n");
        // Of few hosts nobody knows, but a boot's id is its host's own.
        assert_eq!(own(&texts[..2]), ["boot_id"]);
    }

    #[test]
    fn a_word_on_many_lines_counts_with_all_of_them() {
        let texts: Vec<String> = (0..9).map(|host| format!("mount /\nmount /data{host}\n")).collect();
        assert_eq!(own(&texts), ["mount"]);
        let same: Vec<String> = (0..9).map(|host| format!("mount /\nmount /data{}\n", host % 8)).collect();
        assert_eq!(own(&same), Vec::<String>::new());
    }
}

//! One member of a sweep's tar: its name and its bytes on the tape.

use tar::{EntryType, Header};

use super::Facts;
use crate::model::{CollectorTime, HostName, ProbeName, Reading};

pub(super) const BLOCK: usize = 512;

/// What a member is. Reserved names begin with `_`, which no host's name can.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Entry {
    /// `_plan.json`, the first member: who runs what.
    Plan,
    /// `_probes/<name>.toml`: the definition the sweep's readings were taken with.
    Probe(ProbeName),
    /// `<host>/<probe>.gz`.
    Reading(HostName, ProbeName),
    /// `_digest/0001.ndjson.gz`: what is kept of readings whose bytes were pruned.
    Digest(u32),
    /// `_merged/0001.ndjson.gz`: the same, of a sweep whose numbers stand for several sweeps.
    Merged(u32),
    /// `_end.json`, the last member: how it went.
    End,
}

impl Entry {
    pub fn path(&self) -> String {
        match self {
            Self::Plan => "_plan.json".to_owned(),
            Self::Probe(probe) => format!("_probes/{probe}.toml"),
            Self::Reading(host, probe) => format!("{host}/{probe}.gz"),
            Self::Digest(part) => format!("_digest/{part:04}.ndjson.gz"),
            Self::Merged(part) => format!("_merged/{part:04}.ndjson.gz"),
            Self::End => "_end.json".to_owned(),
        }
    }

    /// The entry that `path` names, if it is one of ours.
    pub fn from_path(path: &str) -> Option<Self> {
        match path {
            "_plan.json" => Some(Self::Plan),
            "_end.json" => Some(Self::End),
            _ => match path.split_once('/')? {
                ("_probes", file) => ProbeName::new(file.strip_suffix(".toml")?).ok().map(Self::Probe),
                ("_digest", file) => part(file).map(Self::Digest),
                ("_merged", file) => part(file).map(Self::Merged),
                (host, file) => {
                    let probe = ProbeName::new(file.strip_suffix(".gz")?).ok()?;
                    Some(Self::Reading(HostName::new(host).ok()?, probe))
                }
            },
        }
    }
}

fn part(file: &str) -> Option<u32> {
    let digits = file.strip_suffix(".ndjson.gz")?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// What `zcat` reads as nothing: stored for a reading that brought no bytes, so that every member
/// reads the same way.
const EMPTY_GZIP: [u8; 20] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Appends a reading's member to `out`.
pub fn encode_reading(out: &mut Vec<u8>, reading: &Reading, seq: u64) {
    let data: &[u8] = if reading.wire.is_empty() { &EMPTY_GZIP } else { &reading.wire };
    let entry = Entry::Reading(reading.host.clone(), reading.probe.clone());
    encode(out, &entry, &Facts::of(reading, seq, data), data, reading.started);
}

/// Appends a member that is not a reading.
pub fn encode_plain(out: &mut Vec<u8>, entry: &Entry, seq: u64, data: &[u8], written: CollectorTime) {
    encode(out, entry, &Facts::plain(seq, data), data, written);
}

/// A whole member: pax header, header, data, each padded to the block.
fn encode(out: &mut Vec<u8>, entry: &Entry, facts: &Facts, data: &[u8], written: CollectorTime) {
    let path = entry.path();
    let mut header = blank_header(EntryType::Regular, data.len(), written);
    let mut pax = Vec::new();
    // A host's name of more than 155 bytes does not fit the plain header.
    if header.set_path(&path).is_err() {
        push_record(&mut pax, "path", path.as_bytes());
        set_short_path(&mut header, "_long_name.gz");
    }
    let facts = serde_json::to_vec(facts).unwrap_or_default();
    push_record(&mut pax, "comment", &facts);
    let mut pax_header = blank_header(EntryType::XHeader, pax.len(), written);
    set_short_path(&mut pax_header, "_facts");
    for (header, bytes) in [(&mut pax_header, pax.as_slice()), (&mut header, data)] {
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
}

fn blank_header(kind: EntryType, size: usize, written: CollectorTime) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(written.unix_s().try_into().unwrap_or(0));
    header
}

fn set_short_path(header: &mut Header, path: &str) {
    if let Some(ustar) = header.as_ustar_mut() {
        ustar.name[..path.len()].copy_from_slice(path.as_bytes());
    }
}

/// `<length> <key>=<value>\n`, where the length counts itself.
fn push_record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let digits = |n: usize| n.to_string().len();
    let mut len = rest + digits(rest);
    len = rest + digits(len);
    out.extend_from_slice(format!("{len} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// The value of one pax record. Records carry their own length, so a value may hold anything.
pub(super) fn pax_value<'a>(mut pax: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    while !pax.is_empty() {
        let space = pax.iter().take(20).position(|byte| *byte == b' ')?;
        let len: usize = std::str::from_utf8(&pax[..space]).ok()?.parse().ok()?;
        let record = pax.get(space + 1..len)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        if &record[..equals] == wanted.as_bytes() {
            return Some(&record[equals + 1..]);
        }
        pax = &pax[len..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for size in [0, 1, 80, 84, 85, 86, 87, 88, 89, 90, 91, 980, 981, 982, 983, 984, 985, 986, 987, 5_000]
        {
            let mut pax = Vec::new();
            let value = vec![b'\n'; size];
            push_record(&mut pax, "comment", &value);
            push_record(&mut pax, "path", b"a/b");
            let len: usize =
                std::str::from_utf8(pax.split(|b| *b == b' ').next().unwrap()).unwrap().parse().unwrap();
            assert_eq!(pax[len - 1], b'\n', "{size}");
            assert_eq!(pax_value(&pax, "comment"), Some(value.as_slice()), "{size}");
            assert_eq!(pax_value(&pax, "path"), Some(b"a/b".as_slice()), "{size}");
        }
    }

    #[test]
    fn only_our_own_paths_are_entries() {
        for path in [
            "_plan.json",
            "_end.json",
            "_probes/proc.toml",
            "web01/proc.gz",
            "_digest/0001.ndjson.gz",
            "_merged/12345.ndjson.gz",
        ] {
            assert_eq!(Entry::from_path(path).map(|entry| entry.path()), Some(path.to_owned()));
        }
        for path in [
            "../x/proc.gz",
            "/web01/proc.gz",
            "web01/../proc.gz",
            "web01/proc",
            "x",
            "a/b/c.gz",
            "_x/p.gz",
            "_digest/+1.ndjson.gz",
        ] {
            assert_eq!(Entry::from_path(path), None, "{path}");
        }
    }
}

//! The last good answer of each source, in a file below the state directory: it stands in while the source
//! fails, also across restarts. Such a file is a help and never a must: one that cannot be read is none.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::Place;
use super::found::{Field, Found, FoundHost};
use super::gather::Answer;
use super::source::Source;
use crate::model::{CollectorTime, FirstLines, HostName, Labels, Reach, Refusal, RootBy, Written};
use crate::store::{StateDir, StoreError};

/// A list of 100,000 hosts with labels.
const MOST_BYTES: u64 = 256 << 20;

const FOLDER: &str = "inventory";

#[derive(Serialize, Deserialize)]
struct Kept {
    schema: u32,
    /// Of what it is the answer.
    source: String,
    /// When the source gave it.
    answered_unix_ns: i64,
    empties: u32,
    hosts: Vec<KeptHost>,
    groups: std::collections::BTreeMap<String, Vec<HostName>>,
}

#[derive(Serialize, Deserialize)]
struct KeptHost {
    name: HostName,
    address: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    identity_files: Option<Vec<PathBuf>>,
    is_local: bool,
    #[serde(default)]
    root_by: Option<KeptRootBy>,
    labels: Labels,
    /// Name and text.
    first: Option<(String, String)>,
    refused: Vec<KeptRefusal>,
    place: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeptRootBy {
    Sudo,
    Doas,
    Refused(KeptRefusal),
}

#[derive(Serialize, Deserialize)]
struct KeptRefusal {
    field: u8,
    file: String,
    line: u32,
    directive: String,
    reason: String,
}

/// By the numbers that files have: a further one goes to the end.
const FIELDS: [Field; 7] = [
    Field::Address,
    Field::Port,
    Field::User,
    Field::IdentityFiles,
    Field::Way,
    Field::Reach,
    Field::Arguments,
];

fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join(FOLDER)
}

fn path(state_dir: &Path, name: &str) -> PathBuf {
    folder(state_dir).join(format!("{name}.json"))
}

/// The answer that was kept of `source`, if it is one to the same question.
pub(super) fn load(state_dir: &Path, source: &Source) -> Option<Answer> {
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    let file =
        OpenOptions::new().read(true).custom_flags(nofollow).open(path(state_dir, &source.name)).ok()?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    let kept: Kept = serde_json::from_slice(&bytes).ok()?;
    if kept.schema != 1 || kept.source != source.identity() {
        return None;
    }
    let answered = CollectorTime::from_unix_ns(kept.answered_unix_ns);
    Some(Answer {
        name: source.name.clone(),
        identity: kept.source,
        found: Arc::new(Found {
            hosts: kept.hosts.into_iter().map(found).collect(),
            groups: kept.groups,
            remarks: Vec::new(),
        }),
        answered,
        tried: answered,
        empties: kept.empties,
        failed: None,
    })
}

fn found(kept: KeptHost) -> FoundHost {
    let refused = |kept: KeptRefusal| {
        let field = FIELDS.get(usize::from(kept.field)).copied().unwrap_or(Field::Way);
        let at = Written { file: kept.file.into(), line: kept.line };
        (field, Refusal { at, directive: kept.directive, reason: kept.reason })
    };
    let root_by = |kept: KeptRootBy| match kept {
        KeptRootBy::Sudo => RootBy::Sudo,
        KeptRootBy::Doas => RootBy::Doas,
        KeptRootBy::Refused(kept) => RootBy::Refused(Arc::new(refused(kept).1)),
    };
    FoundHost {
        name: kept.name,
        address: kept.address,
        port: kept.port,
        user: kept.user,
        identity_files: kept.identity_files,
        reach: if kept.is_local { Reach::Local } else { Reach::Ssh },
        root_by: kept.root_by.map(root_by),
        labels: kept.labels,
        first: kept.first.map(|(name, text)| Arc::new(FirstLines { name: name.into(), text })),
        refused: kept.refused.into_iter().map(refused).collect(),
        place: Place::whole(kept.place),
    }
}

fn kept(host: &FoundHost) -> KeptHost {
    let refused = |field: Field, refusal: &Refusal| KeptRefusal {
        field: (0..).zip(FIELDS).find(|(_, known)| *known == field).map_or(4, |(number, _)| number),
        file: refusal.at.file.to_string(),
        line: refusal.at.line,
        directive: refusal.directive.clone(),
        reason: refusal.reason.clone(),
    };
    let root_by = |by: &RootBy| match by {
        RootBy::Sudo => KeptRootBy::Sudo,
        RootBy::Doas => KeptRootBy::Doas,
        RootBy::Refused(refusal) => KeptRootBy::Refused(refused(Field::Way, refusal)),
    };
    KeptHost {
        name: host.name.clone(),
        address: host.address.clone(),
        port: host.port,
        user: host.user.clone(),
        identity_files: host.identity_files.clone(),
        is_local: host.reach == Reach::Local,
        root_by: host.root_by.as_ref().map(root_by),
        labels: host.labels.clone(),
        first: host.first.as_ref().map(|first| (first.name.to_string(), first.text.clone())),
        refused: host.refused.iter().map(|(field, one)| refused(*field, one)).collect(),
        place: host.place.to_string(),
    }
}

/// Writes down what the sources answered, below a state directory that is there. An answer that is older than
/// what is kept, or the same, is left alone.
pub fn keep(state_dir: &Path, answers: &[Answer]) -> Result<(), StoreError> {
    for answer in answers {
        let kept = Kept {
            schema: 1,
            source: answer.identity.clone(),
            answered_unix_ns: answer.answered.unix_ns(),
            empties: answer.empties,
            hosts: answer.found.hosts.iter().map(kept).collect(),
            groups: answer.found.groups.clone(),
        };
        let path = path(state_dir, &answer.name);
        let text = serde_json::to_vec(&kept).map_err(|error| StoreError::io("write", &path, error.into()))?;
        if newer(&path, answer) {
            continue;
        }
        let folder = StateDir::at(state_dir).make_folder(FOLDER)?;
        write(&folder, &path, &text)?;
    }
    Ok(())
}

/// Whether an answer of the same source is kept that came later.
fn newer(path: &Path, answer: &Answer) -> bool {
    #[derive(Deserialize)]
    struct When {
        source: String,
        answered_unix_ns: i64,
        empties: u32,
    }
    let when = fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<When>(&bytes).ok());
    when.is_some_and(|when| {
        let at = (when.answered_unix_ns, when.empties);
        when.source == answer.identity && at >= (answer.answered.unix_ns(), answer.empties)
    })
}

/// There whole or not at all.
fn write(folder: &Path, path: &Path, text: &[u8]) -> Result<(), StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    // What a killed process of the same number has left.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::io("remove", &temporary, error));
        }
        _ => {}
    }
    let mut file = StateDir::make_file(&temporary)?;
    let written = file.write_all(text).and_then(|()| file.sync_all());
    let kept = written.and_then(|()| fs::rename(&temporary, path));
    if kept.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    kept.map_err(|error| StoreError::io("write", path, error))
}

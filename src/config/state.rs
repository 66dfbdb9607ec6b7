//! Where the state directory is, and nothing else: what was recorded must stay readable while a probe
//! file or a host's entry is broken. A file that cannot be parsed is still a fault, because it may name
//! another directory than the one that would be read instead.

use std::path::PathBuf;

use super::fault::Faults;
use super::file;
use super::layers::Sources;
use super::load::KEYS;
use super::reader::{Document, Located};

/// The state directory that [`load`](super::load) would give. With a flag or a variable that names it, no
/// file is read.
pub fn state_dir(sources: &Sources) -> Result<PathBuf, Faults> {
    let named = sources.state.is_some() || sources.variable("DROPSONDE_STATE").is_some();
    let written = if named { None } else { written(sources)? };
    sources.state_dir(written).map(|(path, _)| path)
}

fn written(sources: &Sources) -> Result<Option<Located<PathBuf>>, Faults> {
    let (config_file, folder) = sources.locate();
    let drop_ins = folder.map_or(Ok(Vec::new()), |folder| file::drop_ins(&folder.join("conf.d")))?;
    let home = sources.home();
    let mut state = None;
    for path in config_file.into_iter().chain(drop_ins) {
        let text = file::read(&path)?;
        let document = Document::parse(&text, home.as_deref());
        let mut found = Faults::default();
        let mut read = None;
        // Unknown keys and the like are for the verbs that use what they would have said.
        document.walk(KEYS, &mut Faults::default(), |root, _| {
            read = root.read::<PathBuf>("state", &mut found);
        });
        if !document.is_whole() {
            document.walk(KEYS, &mut found, |_, _| {});
        }
        if !found.is_empty() {
            return Err(found);
        }
        state = read.or(state);
    }
    Ok(state)
}

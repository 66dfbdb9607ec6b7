//! A sweep's tar written again with what was read out of its bytes in their place.

use std::sync::Arc;

use crate::collect::Caps;
use crate::collect::replay::Opening;
use crate::collect::reread::reread;
use crate::model::{HostName, Kept, Probe, ProbeName, Sample, SweepId};
use crate::store::archive::{Digest, Entry, Member, Rewrite, TarFile};
use crate::store::index::{Reader, Series};
use crate::store::{StateDir, StoreError};

/// What became of it.
pub(super) enum Thinned {
    /// The new tar stands beside the old one, so much smaller.
    Done { saved_bytes: u64 },
    /// Somebody did it before; the index may not know.
    Before,
    /// It is damaged: its bytes are kept for as long as all of it is.
    KeptBack(String),
}

/// Writes a closed sweep's new tar, and decides nothing.
pub(super) fn thin(
    state: &StateDir,
    reader: &Reader,
    sweep: &SweepId,
    caps: Caps,
) -> Result<Thinned, StoreError> {
    let tar = TarFile::open(state, sweep)?;
    let len = tar.size()?;
    let Some(opening) = Opening::read(&tar, len)? else {
        return Ok(Thinned::KeptBack("its plan cannot be read".to_owned()));
    };
    if opening.kept != Kept::Raw {
        return Ok(Thinned::Before);
    }
    let mut between = reader.between(sweep)?;
    let mut rewrite = Rewrite::begin(state, sweep, (&tar, &opening.first, opening.end), false)?;
    let mut walk = tar.walk(opening.end, len);
    let mut end = None;
    for step in walk.by_ref() {
        let member = match step? {
            Ok(member) => member,
            Err(damage) => return Ok(Thinned::KeptBack(damage.what)),
        };
        match &member.entry {
            Entry::Reading(host, probe) => {
                let between = between.remove(&(host.clone(), probe.clone())).unwrap_or_default();
                let definition = opening.probes.iter().find(|it| it.name == *probe);
                match digest((host, probe), (&tar, &member), definition, caps) {
                    Ok(digest) => {
                        let between = between.into_iter().map(|(series, rate)| sample(&series, rate));
                        rewrite.push(&Digest { between: between.collect(), ..digest })?;
                    }
                    Err(StoreError::Damaged { what, .. }) => return Ok(Thinned::KeptBack(what)),
                    Err(error) => return Err(error),
                }
            }
            Entry::End => end = Some(member),
            _ => return Ok(Thinned::KeptBack(format!("{} is not expected there", member.entry.path()))),
        }
    }
    let Some(end) = end.filter(|_| walk.closed()) else {
        return Ok(Thinned::KeptBack("it has no end".to_owned()));
    };
    let archived = rewrite.finish(&tar, &end)?;
    Ok(Thinned::Done { saved_bytes: len.saturating_sub(archived) })
}

fn digest(
    (host, probe): (&HostName, &ProbeName),
    (tar, member): (&Arc<TarFile>, &Member),
    definition: Option<&Arc<Probe>>,
    caps: Caps,
) -> Result<Digest, StoreError> {
    let reread = reread(definition.map(Arc::as_ref), &tar.reading(member)?, caps);
    Ok(Digest {
        host: host.clone(),
        probe: probe.clone(),
        facts: member.facts.clone(),
        parsed: reread.parsed,
        between: Vec::new(),
        truncated: reread.truncated,
    })
}

fn sample(series: &Series, value: f64) -> Sample {
    let Series { metric, labels, kind, span, .. } = series;
    let labels = labels.iter().map(|(label, value)| (label.clone().into(), value.clone())).collect();
    Sample { metric: metric.clone().into(), labels, kind: *kind, span: *span, value }
}

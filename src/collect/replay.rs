//! Bringing the index up to the archive: the members that it lacks, of all sweeps, in the one order in
//! which they were recorded. It writes nothing into the archive.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use super::Caps;
use super::reread::reread;
use crate::config;
use crate::model::{Kept, Plan, Probe, ProbeName, Reading, SweepEnd, SweepId};
use crate::store::archive::{Digest, Entry, Member, TarFile, Walk};
use crate::store::index::{Digested, Event, EventKind, Mark, Writer};
use crate::store::{StateDir, StoreError};

/// Readings, and bytes of them, that one transaction takes.
const BATCH: usize = 512;
const BATCH_BYTES: u64 = 16 << 20;

/// The zeros that end a tar.
const END_BLOCKS: u64 = 1_024;

/// A stretch of the archive that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    pub sweep: SweepId,
    pub what: String,
}

#[derive(Debug, Default)]
pub(super) struct Replayed {
    pub readings: u64,
    pub sweeps: u64,
    /// The highest number that was seen.
    pub last_seq: u64,
    pub lost: Vec<Lost>,
}

/// What to replay, and what to say on the way.
pub(super) struct Replay<'a> {
    pub state: &'a StateDir,
    pub caps: Caps,
    /// Only numbers below this: what is being written right now is left for a later pass.
    pub below: u64,
    /// Only these sweeps, where not all are wanted.
    pub only: Option<&'a [SweepId]>,
    pub progress: &'a mut dyn FnMut(u64, u64),
}

impl<'a> Replay<'a> {
    pub(super) fn everything(state: &'a StateDir, caps: Caps, progress: &'a mut dyn FnMut(u64, u64)) -> Self {
        Self { state, caps, below: u64::MAX, only: None, progress }
    }
}

impl Replay<'_> {
    /// Gives `index` all that it lacks.
    pub(super) fn run(&mut self, index: &mut Writer) -> Result<Replayed, StoreError> {
        let marks = index.marks()?;
        for (sweep, _) in marks.iter().filter(|(_, mark)| mark.ended && !mark.pivoted) {
            index.pivot(sweep)?;
        }
        let mut done = Replayed::default();
        let mut waiting = self.lagging(&marks, &mut done)?;
        // Latest first, so that the next one to open is at the end.
        waiting.sort_by_key(|(first_seq, _, _)| Reverse(*first_seq));
        let sweeps = waiting.len() as u64;
        let mut merge = Merge { replay: self, waiting, active: BinaryHeap::new(), done };
        let mut batch = Batch::default();
        while let Some(event) = merge.next()? {
            merge.done.readings += u64::from(matches!(event.kind, EventKind::Reading { .. }));
            merge.done.last_seq = merge.done.last_seq.max(event.seq);
            merge.done.sweeps += u64::from(matches!(event.kind, EventKind::End(_)));
            if batch.push(event) {
                batch.flush(index)?;
                (merge.replay.progress)(merge.done.sweeps, sweeps);
            }
        }
        batch.flush(index)?;
        (merge.replay.progress)(merge.done.sweeps, sweeps);
        Ok(merge.done)
    }

    /// Sweeps of which the index lacks something: the first number it lacks, the sweep, its mark.
    fn lagging(
        &self,
        marks: &HashMap<SweepId, Mark>,
        done: &mut Replayed,
    ) -> Result<Vec<(u64, SweepId, Option<Mark>)>, StoreError> {
        let mut lagging = Vec::new();
        for sweep in self.state.sweeps()? {
            if self.only.is_some_and(|only| !only.contains(&sweep)) {
                continue;
            }
            let mark = marks.get(&sweep).copied();
            let len = self.state.tar_len(&sweep)?;
            let known = mark.map_or(0, |mark| mark.archived + if mark.ended { END_BLOCKS } else { 0 });
            if len <= known {
                continue;
            }
            let tar = TarFile::open(self.state, &sweep)?;
            // An empty tar is a sweep that is just beginning or never did.
            match tar.walk(mark.map_or(0, |mark| mark.archived), len).next().transpose()? {
                Some(Ok(member)) => lagging.push((member.facts.seq, sweep, mark)),
                Some(Err(damage)) if damage.end < len => lagging.push((0, sweep, mark)),
                Some(Err(_)) if !tar.is_idle() => {}
                Some(Err(damage)) => done.lost.push(Lost { sweep, what: damage.what }),
                None => {}
            }
        }
        Ok(lagging)
    }
}

#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    bytes: u64,
}

impl Batch {
    /// Returns whether it is full.
    fn push(&mut self, event: Event) -> bool {
        let ends = matches!(event.kind, EventKind::End(_));
        if let EventKind::Reading { reading, .. } = &event.kind {
            self.bytes += reading.bytes_raw;
        }
        self.events.push(event);
        ends || self.events.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    fn flush(&mut self, index: &mut Writer) -> Result<(), StoreError> {
        index.ingest(&self.events)?;
        for event in self.events.drain(..) {
            if matches!(event.kind, EventKind::End(_)) {
                index.pivot(&event.sweep)?;
            }
        }
        self.bytes = 0;
        Ok(())
    }
}

/// The sweeps' members as one stream. Only sweeps that overlap in time are open at once.
struct Merge<'a, 'b> {
    replay: &'a mut Replay<'b>,
    waiting: Vec<(u64, SweepId, Option<Mark>)>,
    active: BinaryHeap<Reverse<Head>>,
    done: Replayed,
}

impl Merge<'_, '_> {
    fn next(&mut self) -> Result<Option<Event>, StoreError> {
        loop {
            self.open_due()?;
            let Some(Reverse(mut head)) = self.active.pop() else { return Ok(None) };
            if head.seq >= self.replay.below {
                continue;
            }
            let event = head.source.event(head.seq, head.step, self.replay.caps, &mut self.done.lost)?;
            if let Some((seq, step)) = head.source.advance(&mut self.done.lost)? {
                self.active.push(Reverse(Head { seq, step, source: head.source }));
            }
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    fn open_due(&mut self) -> Result<(), StoreError> {
        while let Some((first, _, _)) = self.waiting.last() {
            if self.active.peek().is_some_and(|Reverse(head)| head.seq < *first) {
                break;
            }
            let Some((_, sweep, mark)) = self.waiting.pop() else { break };
            if let Some((seq, step, source)) =
                Source::open(self.replay.state, sweep, mark, &mut self.done.lost)?
            {
                self.active.push(Reverse(Head { seq, step, source }));
            }
        }
        Ok(())
    }
}

/// A sweep and its next step. Ordered by number; two of one number can only come from a damaged file.
struct Head {
    seq: u64,
    step: Step,
    source: Source,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.seq, &self.source.sweep).cmp(&(other.seq, &other.source.sweep))
    }
}

enum Step {
    Begin {
        archived: u64,
    },
    Member(Box<Member>),
    /// A reading whose bytes were pruned, and how far the archive goes with it.
    Digest(Box<Digest>, u64),
}

/// One sweep's tar, from where the index lacks it.
struct Source {
    sweep: SweepId,
    tar: Arc<TarFile>,
    plan: Arc<Plan>,
    probes: Arc<[Arc<Probe>]>,
    kept: Kept,
    walk: Walk,
    /// Readings of the digest that was reached last.
    digests: VecDeque<(Digest, u64)>,
    len: u64,
}

impl Source {
    /// Opens a tar and reads its plan and definitions; `None` when there is nothing to replay in it.
    fn open(
        state: &StateDir,
        sweep: SweepId,
        mark: Option<Mark>,
        lost: &mut Vec<Lost>,
    ) -> Result<Option<(u64, Step, Self)>, StoreError> {
        let tar = TarFile::open(state, &sweep)?;
        let len = tar.size()?;
        let Some(opening) = Opening::read(&tar, len)? else {
            let what =
                "its plan cannot be read, so its readings are not indexed; tar still reads them".to_owned();
            lost.push(Lost { sweep, what });
            return Ok(None);
        };
        let from = mark.map_or(0, |mark| mark.archived).max(opening.end);
        let walk = tar.walk(from, len);
        let Opening { plan, probes, kept, .. } = opening;
        let mut source = Self { sweep, tar, plan, probes, kept, walk, digests: VecDeque::new(), len };
        let first = match mark {
            None => Some((opening.seq, Step::Begin { archived: opening.end })),
            Some(_) => source.advance(lost)?,
        };
        Ok(first.map(|(seq, step)| (seq, step, source)))
    }

    fn advance(&mut self, lost: &mut Vec<Lost>) -> Result<Option<(u64, Step)>, StoreError> {
        loop {
            if let Some((digest, archived)) = self.digests.pop_front() {
                return Ok(Some((digest.facts.seq, Step::Digest(Box::new(digest), archived))));
            }
            let Some(step) = self.walk.next() else { return Ok(None) };
            match step? {
                Ok(member) if matches!(member.entry, Entry::Digest(_) | Entry::Merged(_)) => {
                    self.open_digest(&member, lost)?;
                }
                Ok(member) => return Ok(Some((member.facts.seq, Step::Member(Box::new(member))))),
                // The tail of a sweep that is being written right now.
                Err(damage) if damage.end == self.len && !self.tar.is_idle() => {}
                Err(damage) => {
                    let what = format!("bytes {} to {}: {}", damage.offset, damage.end, damage.what);
                    lost.push(Lost { sweep: self.sweep.clone(), what });
                }
            }
        }
    }

    fn open_digest(&mut self, member: &Member, lost: &mut Vec<Lost>) -> Result<(), StoreError> {
        match self.tar.digests(member) {
            Ok(digests) => {
                // Only the last completes the member: whoever stops before it reads the whole again.
                let last = digests.len().saturating_sub(1);
                let reach = |at| if at == last { member.end } else { member.offset };
                self.digests = digests.into_iter().enumerate().map(|(at, it)| (it, reach(at))).collect();
            }
            Err(error @ StoreError::Damaged { .. }) => {
                lost.push(Lost { sweep: self.sweep.clone(), what: error.to_string() });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What the index is told of a step; `None` for one that says nothing or whose bytes are damaged.
    fn event(
        &self,
        seq: u64,
        step: Step,
        caps: Caps,
        lost: &mut Vec<Lost>,
    ) -> Result<Option<Event>, StoreError> {
        let (archived, kind) = match step {
            Step::Begin { archived } => {
                let (plan, probes) = (Arc::clone(&self.plan), Arc::clone(&self.probes));
                (archived, EventKind::Begin { plan, probes, kept: self.kept })
            }
            Step::Digest(digest, archived) => match digested(*digest, &self.probes) {
                Some(kind) => (archived, kind),
                None => {
                    let what = "a digest lacks facts of a reading".to_owned();
                    lost.push(Lost { sweep: self.sweep.clone(), what });
                    return Ok(None);
                }
            },
            Step::Member(member) => {
                let kind = match self.member(&member, caps) {
                    Ok(Some(kind)) => kind,
                    Ok(None) => return Ok(None),
                    Err(error @ StoreError::Damaged { .. }) => {
                        lost.push(Lost { sweep: self.sweep.clone(), what: error.to_string() });
                        return Ok(None);
                    }
                    Err(error) => return Err(error),
                };
                (member.end, kind)
            }
        };
        Ok(Some(Event { seq, sweep: self.sweep.clone(), archived, kind }))
    }

    fn member(&self, member: &Member, caps: Caps) -> Result<Option<EventKind>, StoreError> {
        match &member.entry {
            Entry::Reading(_, name) => {
                let reading = self.tar.reading(member)?;
                let probe = self.probes.iter().find(|probe| probe.name == *name).cloned();
                let reread = reread(probe.as_deref(), &reading, caps);
                Ok(Some(EventKind::Reading {
                    reading: Box::new(reading),
                    probe,
                    parsed: Arc::new(reread.parsed),
                    truncated: reread.truncated,
                    offset: member.offset,
                    digested: None,
                }))
            }
            Entry::End => self.tar.json::<SweepEnd>(member).map(|end| Some(EventKind::End(end))),
            Entry::Plan | Entry::Probe(_) | Entry::Digest(_) | Entry::Merged(_) => Ok(None),
        }
    }
}

/// A reading whose bytes were pruned, as the index takes it.
fn digested(digest: Digest, probes: &[Arc<Probe>]) -> Option<EventKind> {
    let reading = reading_of(&digest)?;
    let bytes_wire = digest.facts.bytes_wire();
    Some(EventKind::Reading {
        probe: probes.iter().find(|probe| probe.name == reading.probe).cloned(),
        reading: Box::new(reading),
        parsed: Arc::new(digest.parsed),
        truncated: digest.truncated,
        offset: 0,
        digested: Some(Digested { between: digest.between, bytes_wire }),
    })
}

/// The reading without its bytes; `None` when the facts are of none.
pub(super) fn reading_of(digest: &Digest) -> Option<Reading> {
    digest.facts.reading(&digest.host, &digest.probe, bytes::Bytes::new())
}

/// How a sweep's tar begins.
pub(super) struct Opening {
    pub seq: u64,
    pub first: Member,
    pub plan: Arc<Plan>,
    /// Those definitions that this version can read.
    pub probes: Arc<[Arc<Probe>]>,
    pub kept: Kept,
    /// Where the first reading begins.
    pub end: u64,
}

impl Opening {
    /// `None` when the plan is damaged or not there.
    pub(super) fn read(tar: &Arc<TarFile>, len: u64) -> Result<Option<Self>, StoreError> {
        let mut walk = tar.walk(0, len);
        let Some(Ok(first)) = walk.next().transpose()? else { return Ok(None) };
        if first.entry != Entry::Plan {
            return Ok(None);
        }
        let plan = match tar.json::<Plan>(&first) {
            Ok(plan) => Arc::new(plan),
            Err(StoreError::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut probes = Vec::new();
        let (mut end, mut kept) = (first.end, Kept::Raw);
        for step in walk {
            let Ok(member) = step? else { break };
            let name = match &member.entry {
                Entry::Probe(name) => name,
                other => {
                    kept = kept_of(other);
                    break;
                }
            };
            match tar.data(&member) {
                Ok(source) => probes.extend(definition(name, &source)),
                Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
            end = member.end;
        }
        let seq = first.facts.seq;
        Ok(Some(Self { seq, first, plan, probes: probes.into(), kept, end }))
    }
}

/// What is there of a sweep whose first reading stands so.
const fn kept_of(first: &Entry) -> Kept {
    match first {
        Entry::Digest(_) => Kept::Numbers,
        Entry::Merged(_) => Kept::Merged,
        _ => Kept::Raw,
    }
}

/// An archived definition, if this version can read it.
fn definition(name: &ProbeName, source: &[u8]) -> Option<Arc<Probe>> {
    let source = std::str::from_utf8(source).ok()?;
    config::parse_probe(name.as_str(), name.as_str(), source).ok().map(Arc::new)
}

//! One sweep that is being recorded: its ledger and its tape. Members gather here and reach the file in
//! one write and one sync; after a failure of either, nothing more.

use std::sync::Arc;

use super::ledger::Ledger;
use crate::model::{Kept, Parsed, Plan, Probe, Reading, SweepEnd, SweepId};
use crate::store::archive::{Entry, Tape, encode_plain, encode_reading};
use crate::store::index::{Event, EventKind};
use crate::store::{StateDir, StoreError, Turn};

#[derive(Debug)]
pub(super) struct Sweeping {
    sweep: SweepId,
    ledger: Ledger,
    tape: Tape,
    /// Members of this group, not written yet.
    pending: Vec<u8>,
    /// Why it takes nothing more.
    failed: Option<StoreError>,
    /// Why it takes no reading more, though it can still end.
    full: Option<StoreError>,
}

impl Sweeping {
    /// Makes the sweep's tar; its plan and definitions are the first members.
    pub(super) fn begin(
        state: &StateDir,
        plan: Arc<Plan>,
        probes: Arc<[Arc<Probe>]>,
        turn: &mut Turn<'_>,
    ) -> Result<(Self, Event), StoreError> {
        let ledger = Ledger::new(Arc::clone(&plan), Arc::clone(&probes));
        let missing =
            plan.hosts.iter().flat_map(|host| &host.probes).find(|name| ledger.probe(name).is_none());
        if let Some(probe) = missing {
            return Err(StoreError::NoProbe { probe: probe.clone() });
        }
        let tape = Tape::create(state, &plan.sweep)?;
        let mut sweeping = Self::over(ledger, tape);
        let seq = turn.take();
        let at = plan.started;
        let json = serde_json::to_vec(&*plan).unwrap_or_default();
        encode_plain(&mut sweeping.pending, &Entry::Plan, seq, &json, at);
        for probe in probes.iter() {
            let entry = Entry::Probe(probe.name.clone());
            encode_plain(&mut sweeping.pending, &entry, seq, probe.source.as_bytes(), at);
        }
        let event = sweeping.event(seq, EventKind::Begin { plan, probes, kept: Kept::Raw });
        Ok((sweeping, event))
    }

    /// Goes on with a tape that another collector has left.
    pub(super) fn over(ledger: Ledger, tape: Tape) -> Self {
        let sweep = ledger.plan().sweep.clone();
        Self { sweep, ledger, tape, pending: Vec::new(), failed: None, full: None }
    }

    /// For a sweep whose beginning did not reach the disk.
    pub(super) fn discard(self) {
        self.tape.discard();
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Adds a reading; its event says nothing of what it holds yet.
    pub(super) fn record(&mut self, reading: Box<Reading>, turn: &mut Turn<'_>) -> Result<Event, StoreError> {
        self.usable()?;
        if let Some(error) = &self.full {
            return Err(error.clone());
        }
        self.ledger.settle(&reading)?;
        Ok(self.append(reading, turn))
    }

    fn append(&mut self, reading: Box<Reading>, turn: &mut Turn<'_>) -> Event {
        let seq = turn.take();
        let offset = self.len();
        encode_reading(&mut self.pending, &reading, seq);
        let probe = self.ledger.probe(&reading.probe).cloned();
        let parsed = Arc::new(Parsed::default());
        self.event(
            seq,
            EventKind::Reading { reading, probe, parsed, truncated: false, offset, digested: None },
        )
    }

    /// Ends the sweep: what is still owed becomes `skipped`, and the outcomes are those recorded.
    pub(super) fn end(
        &mut self,
        end: SweepEnd,
        why: &str,
        turn: &mut Turn<'_>,
    ) -> Result<(SweepEnd, Vec<Event>), StoreError> {
        self.usable()?;
        let skipped = self.ledger.skipped(why);
        let mut events: Vec<Event> =
            skipped.into_iter().map(|reading| self.append(Box::new(reading), turn)).collect();
        let end = SweepEnd { outcomes: self.ledger.counts.clone(), ..end };
        let seq = turn.take();
        let json = serde_json::to_vec(&end).unwrap_or_default();
        encode_plain(&mut self.pending, &Entry::End, seq, &json, end.ended);
        events.push(self.event(seq, EventKind::End(end.clone())));
        self.pending.extend_from_slice(&Tape::close_blocks());
        Ok((end, events))
    }

    /// Puts what has gathered on the disk. When that is full, `make_room` is asked once: what has gathered
    /// and the sweep's end go where it says that there is room now, and no further reading is taken.
    pub(super) fn write(&mut self, make_room: impl FnOnce() -> bool) -> Result<(), StoreError> {
        self.usable()?;
        let members = std::mem::take(&mut self.pending);
        let mut written = self.put(&members);
        if let Err(error) = &written
            && error.is_full()
            && make_room()
        {
            self.full = Some(error.clone());
            written = self.put(&members);
        }
        self.failed = written.clone().err();
        written
    }

    fn put(&mut self, members: &[u8]) -> Result<(), StoreError> {
        let from = self.tape.position();
        self.tape.append(members).and_then(|()| self.tape.sync(from))
    }

    /// Refuses all from here on.
    pub(super) fn fail(&mut self, error: StoreError) {
        self.pending.clear();
        self.failed.get_or_insert(error);
    }

    fn usable(&self) -> Result<(), StoreError> {
        match &self.failed {
            Some(error) => Err(StoreError::Poisoned(Arc::new(error.clone()))),
            None => Ok(()),
        }
    }

    fn len(&self) -> u64 {
        self.tape.position() + self.pending.len() as u64
    }

    fn event(&self, seq: u64, kind: EventKind) -> Event {
        Event { seq, sweep: self.sweep.clone(), archived: self.len(), kind }
    }
}

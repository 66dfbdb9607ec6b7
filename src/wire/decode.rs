//! The collector's end, coming in: what arrived, whether it is whole, and how the reading ended.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::complaints::Complaints;
use super::inflate::{Broken, Inflate};
use super::request::whole_seconds;
use super::trailer::{MAX_TRAILER, Trailer};
use super::verdict;
use super::{Denial, ExecEnd, Flow, Lack, Limits, Nonce, Request, Share};
use crate::model::{ByteSize, HostClock, Need, Outcome, RootBy};

/// What a login profile may print before the supervisor announces itself.
const MAX_PREAMBLE: usize = 64 * 1024;

/// How one run ended, and all that is kept of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    pub outcome: Outcome,
    /// The reason in words when the outcome is not `ok`; limited in length, not escaped.
    pub detail: Option<String>,
    /// Of a reading that is `denied` because root was not to be had: why.
    pub denial: Option<Denial>,
    pub exit: Option<i32>,
    pub clock: Option<HostClock>,
    /// CPU time of the probe on the host; dash and busybox count it in hundredths of a second.
    pub cpu: Option<Duration>,
    /// The needs that the host does not meet, in the order that they were asked for. Of a request that
    /// only checks this is the answer, provided that the outcome is `ok`.
    pub missing: Vec<Lack>,
    /// What the script wrote there; where it was never started, what the host said instead.
    pub stderr: String,
    /// One gzip stream: the host's own, or made on arrival where the host has no gzip. Empty when
    /// the supervisor never answered.
    pub wire: Bytes,
    /// The output, inflated, without the trailer, no longer than the probe's `max_output`.
    pub raw: Vec<u8>,
}

/// What has arrived so far, by what it is.
enum Stage {
    /// Before the supervisor's first line: whatever a login profile prints.
    Preamble(Vec<u8>),
    Gzip {
        wire: Vec<u8>,
        inflate: Inflate,
    },
    /// The host has no gzip: compressed here at the end, so that the archive holds one kind of thing.
    Plain {
        output: Vec<u8>,
    },
}

/// Why the decoder said [`Flow::Stop`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    Preamble,
    Wire,
    /// As many bytes as may be on the wire, all of them on stderr.
    Stderr,
    Stream(Broken),
}

/// Takes one channel's bytes as they come, in pieces of any size. Holds no more than the caps of its
/// request allow, whatever is sent.
pub struct Decoder {
    pub(super) marker: Vec<u8>,
    pub(super) nonce: Nonce,
    pub(super) limits: Limits,
    pub(super) max_output: ByteSize,
    pub(super) deadline: Duration,
    pub(super) needs: Vec<Need>,
    /// How it becomes root, where it does.
    pub(super) root_by: Option<RootBy>,
    pub(super) only_check: bool,
    stage: Stage,
    arrived: u64,
    /// The same of stderr.
    complained: u64,
    pub(super) stopped: Option<Stopped>,
    stderr: Complaints,
    /// Dropped when the host's first byte is here, or with the decoder.
    awaiting: Option<Box<dyn Send>>,
    /// Called when the supervisor's first line is here.
    begun: Option<Box<dyn FnOnce() + Send>>,
    /// What all that is kept here is taken from; `None` is no limit but the request's own.
    pub(super) share: Option<Share>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("arrived", &self.arrived).field("stopped", &self.stopped).finish()
    }
}

impl Decoder {
    pub fn new(request: &Request<'_>) -> Self {
        let mark = format!("\ndropsonde/1 {}\n", request.tag).into_bytes();
        Self {
            marker: format!("\ndropsonde/1 {} ", request.tag).into_bytes(),
            nonce: request.nonce,
            limits: request.limits,
            max_output: request.probe.max_output,
            deadline: Duration::from_secs(whole_seconds(request.probe.timeout)),
            needs: request.probe.needs.clone(),
            root_by: request.become_root.then(|| request.host.root_by.clone()),
            only_check: request.only_check,
            stage: Stage::Preamble(Vec::new()),
            arrived: 0,
            complained: 0,
            stopped: None,
            stderr: Complaints::new(mark, request.limits.max_stderr.0 as usize),
            awaiting: None,
            begun: None,
            share: None,
        }
    }

    /// Takes the memory for what arrives from `share`, before the first byte. Whoever keeps what
    /// [`finish`](Self::finish) returns keeps a copy of the share as well.
    pub fn draw_on(&mut self, share: Share) {
        self.share = Some(share);
    }

    /// Holds `turn` until the host has said its first word on stdout: whoever limits how many hosts
    /// start something at once gets it back then.
    pub fn hold_until_first_byte(&mut self, turn: impl Send + 'static) {
        self.awaiting = Some(Box::new(turn));
    }

    /// Calls `tell` when the supervisor has answered, whatever a login profile says before.
    pub fn when_begun(&mut self, tell: impl FnOnce() + Send + 'static) {
        self.begun = Some(Box::new(tell));
    }

    /// The next bytes of stdout. After [`Flow::Stop`] further ones are ignored.
    pub fn stdout(&mut self, bytes: &[u8]) -> Flow {
        if self.stopped.is_some() {
            return Flow::Stop;
        }
        self.awaiting = None;
        self.arrived = self.arrived.saturating_add(bytes.len() as u64);
        // What is over the cap is not even looked at, so that the cap means the same however the
        // bytes were cut.
        let over = self.arrived.saturating_sub(self.limits.max_wire.0);
        let within = bytes.len().saturating_sub(usize::try_from(over).unwrap_or(usize::MAX));
        let result = self.take(bytes.get(..within).unwrap_or_default());
        self.stopped = match result {
            Err(stopped) => Some(stopped),
            Ok(()) if over > 0 => Some(Stopped::Wire),
            Ok(()) => None,
        };
        if self.stopped.is_some() { Flow::Stop } else { Flow::Continue }
    }

    /// The next bytes of stderr: kept up to the limit, the rest is dropped, and when there is no end to it
    /// the answer is [`Flow::Stop`].
    pub fn stderr(&mut self, bytes: &[u8]) -> Flow {
        self.complained = self.complained.saturating_add(bytes.len() as u64);
        self.stderr.take(bytes);
        if self.stopped.is_none() && self.complained > self.limits.max_wire.0 {
            self.stopped = Some(Stopped::Stderr);
        }
        if self.stopped.is_some() { Flow::Stop } else { Flow::Continue }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Stopped> {
        let share = self.share.as_ref();
        match &mut self.stage {
            Stage::Preamble(seen) => {
                let slack = self.marker.len() + LONGEST_PACKING.len();
                let searched = seen.len().saturating_sub(slack);
                seen.extend_from_slice(bytes);
                match find_marker(seen, searched, &self.marker) {
                    Some(found) if found.marker <= MAX_PREAMBLE => {
                        let rest = seen.split_off(found.output);
                        self.stage =
                            if found.packed { self.gzip() } else { Stage::Plain { output: Vec::new() } };
                        if let Some(tell) = self.begun.take() {
                            tell();
                        }
                        self.take(&rest)
                    }
                    None if seen.len() <= MAX_PREAMBLE + slack => Ok(()),
                    _ => Err(Stopped::Preamble),
                }
            }
            Stage::Gzip { wire, inflate } => {
                let (used, result) = inflate.push(bytes, share);
                let used = bytes.get(..used).unwrap_or_default();
                make_room(wire, used.len(), share)?;
                wire.extend_from_slice(used);
                result.map_err(Stopped::Stream)
            }
            Stage::Plain { output } => {
                let room = (self.max_output.0 as usize + 1 + MAX_TRAILER).saturating_sub(output.len());
                let within = bytes.get(..room).unwrap_or(bytes);
                make_room(output, within.len(), share)?;
                output.extend_from_slice(within);
                if bytes.len() > room { Err(Stopped::Stream(Broken::Output)) } else { Ok(()) }
            }
        }
    }

    fn gzip(&self) -> Stage {
        let max_out = self.max_output.0 as usize + 1 + MAX_TRAILER;
        Stage::Gzip { wire: Vec::new(), inflate: Inflate::new(max_out, &self.limits) }
    }

    /// The channel is over: what it all means.
    pub fn finish(mut self, end: ExecEnd) -> Decoded {
        let stage = std::mem::replace(&mut self.stage, Stage::Preamble(Vec::new()));
        let (wire, mut raw, whole, preamble) = match stage {
            Stage::Preamble(seen) => (Vec::new(), Vec::new(), false, Some(seen)),
            Stage::Gzip { wire, inflate } => {
                let whole = inflate.whole;
                (wire, inflate.into_output(), whole, None)
            }
            Stage::Plain { output } => (pack(&output), output, true, None),
        };
        let trailer = match Trailer::split(&raw, self.nonce) {
            Some((at, trailer)) if whole && self.stopped.is_none() => {
                raw.truncate(at);
                Some(trailer)
            }
            _ => None,
        };
        let (chatter, own) = self.stderr.told_apart();
        // Where the supervisor never answered, all of it is the host's word.
        let (chatter, own) = if preamble.is_some() { (Vec::new(), Some(chatter)) } else { (chatter, own) };
        let stderr = String::from_utf8_lossy(&own.unwrap_or_default()).into_owned();
        let evidence = verdict::Evidence {
            trailer: trailer.as_ref(),
            preamble: preamble.as_deref(),
            bytes_raw: raw.len() as u64,
            chatter: &String::from_utf8_lossy(&chatter),
            stderr: &stderr,
            end: &end,
        };
        let (outcome, detail) = self.judge(&evidence);
        let denial = self.denied(&evidence).filter(|_| outcome == Outcome::Denied);
        raw.truncate(self.max_output.0 as usize);
        let exit = trailer.as_ref().and_then(|trailer| trailer.exit);
        let cpu = trailer.as_ref().and_then(|trailer| trailer.cpu);
        let (clock, missing) = trailer.map_or((None, Vec::new()), |trailer| (trailer.clock, trailer.missing));
        Decoded { outcome, detail, denial, exit, clock, cpu, missing, stderr, wire: wire.into(), raw }
    }
}

/// Lets `kept` grow by `more` bytes as a vector does, in steps that are each larger than all before them,
/// with each step taken from the share first.
fn make_room(kept: &mut Vec<u8>, more: usize, share: Option<&Share>) -> Result<(), Stopped> {
    let needed = kept.len() + more;
    if needed > kept.capacity() {
        let capacity = needed.max(kept.capacity() * 2);
        if share.is_some_and(|share| !share.take(capacity - kept.capacity())) {
            return Err(Stopped::Stream(Broken::Memory));
        }
        kept.reserve_exact(capacity - kept.len());
    }
    Ok(())
}

/// The stream that a host's own gzip would have sent.
fn pack(output: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(output.len() / 4), Compression::fast());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(output);
    encoder.finish().unwrap_or_default()
}

const LONGEST_PACKING: &[u8] = b"gzip\n";

struct Found {
    /// Where the marker starts, and where the output does.
    marker: usize,
    output: usize,
    packed: bool,
}

/// Looks for the supervisor's first line. It holds the run's tag, so nothing that a profile prints
/// is one.
fn find_marker(seen: &[u8], from: usize, marker: &[u8]) -> Option<Found> {
    let at = from + seen.get(from..)?.windows(marker.len()).position(|window| window == marker)?;
    let word = at + marker.len();
    let rest = seen.get(word..)?;
    [(LONGEST_PACKING, true), (b"raw\n", false)]
        .into_iter()
        .find(|(packing, _)| rest.starts_with(packing))
        .map(|(packing, packed)| Found { marker: at, output: word + packing.len(), packed })
}

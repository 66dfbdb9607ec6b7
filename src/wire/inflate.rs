//! One gzip stream, inflated as it arrives, never beyond its caps.

use std::ops::Range;

use flate2::{Decompress, FlushDecompress, Status};

use super::{Limits, Share};

/// Room given to the inflater at a time, at least: most probes of a fleet print no more than this.
const STEP: usize = 8 * 1024;

/// The ratio is looked at each time this much more has come out: over the first bytes it says
/// nothing, and a short stream of one repeated line is no bomb.
const RATIO_STEP: usize = 256 * 1024;

/// Why a stream was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// More output than the probe may have.
    Output,
    /// More output for a byte than `max_ratio`.
    Ratio,
    /// Not gzip, or its CRC or length is wrong.
    Corrupt,
    /// Bytes behind the end.
    Trailing,
    /// No memory is left for more of it.
    Memory,
}

pub(super) struct Inflate {
    /// Made with the first byte: a host's gzip is silent until its probe is done, and hundreds of
    /// visits that wait at 50 KB each would be most of what a sweep takes.
    state: Option<Decompress>,
    max_out: usize,
    max_ratio: u32,
    /// Longer than what is in it, so that room is zeroed once and not for every piece that arrives.
    buffer: Vec<u8>,
    filled: usize,
    /// The end was reached, and its CRC and length were right.
    pub whole: bool,
}

impl Inflate {
    pub fn new(max_out: usize, limits: &Limits) -> Self {
        Self {
            state: None,
            max_out,
            max_ratio: limits.max_ratio,
            buffer: Vec::new(),
            filled: 0,
            whole: false,
        }
    }

    /// Takes `input` in, and says how many bytes of it belong to the stream, with the reason why not
    /// all do. What comes out is the same however the stream was cut into pieces; where it is given
    /// up in the middle, the count may be a few bytes more in one cut than in another.
    pub fn push(&mut self, input: &[u8], share: Option<&Share>) -> (usize, Result<(), Broken>) {
        if input.is_empty() {
            return (0, Ok(()));
        }
        let mut state = self.state.take().unwrap_or_else(|| Decompress::new_gzip(15));
        let start = state.total_in();
        let result = self.inflate(&mut state, (input, start), share);
        let used = (state.total_in() - start) as usize;
        self.state = Some(state);
        (used, result)
    }

    fn inflate(
        &mut self,
        state: &mut Decompress,
        (input, start): (&[u8], u64),
        share: Option<&Share>,
    ) -> Result<(), Broken> {
        loop {
            let used = (state.total_in() - start) as usize;
            let rest = input.get(used..).unwrap_or_default();
            if self.whole {
                return if rest.is_empty() { Ok(()) } else { Err(Broken::Trailing) };
            }
            let room = self.room(share)?;
            let size = room.len();
            let target = self.buffer.get_mut(room).unwrap_or_default();
            let before = state.total_out();
            let status = state.decompress(rest, target, FlushDecompress::None);
            let made = (state.total_out() - before) as usize;
            self.filled += made;
            match status {
                Ok(Status::StreamEnd) => self.whole = true,
                Ok(_) => {}
                Err(_) => return Err(Broken::Corrupt),
            }
            self.check_ratio(state.total_in())?;
            // Room left over: everything that the input holds is out.
            if !self.whole && made < size {
                return Ok(());
            }
        }
    }

    /// Where the next bytes go: never more than one byte over the cap, so that what a bomb would
    /// write has nowhere to go, and never past a place where the ratio is looked at.
    fn room(&mut self, share: Option<&Share>) -> Result<Range<usize>, Broken> {
        if self.filled > self.max_out {
            return Err(Broken::Output);
        }
        if self.filled == self.buffer.len() {
            let grown = (self.filled + self.filled.max(STEP)).min(self.max_out + 1);
            let more = grown - self.filled;
            if share.is_some_and(|share| !share.take(more)) {
                return Err(Broken::Memory);
            }
            self.buffer.reserve_exact(more);
            self.buffer.resize(grown, 0);
        }
        let check = (self.filled / RATIO_STEP + 1) * RATIO_STEP;
        Ok(self.filled..self.buffer.len().min(check))
    }

    fn check_ratio(&self, arrived: u64) -> Result<(), Broken> {
        let allowed = arrived.saturating_mul(u64::from(self.max_ratio));
        let due = self.filled > 0 && self.filled.is_multiple_of(RATIO_STEP);
        if due && self.filled as u64 > allowed { Err(Broken::Ratio) } else { Ok(()) }
    }

    /// All that came out.
    pub fn into_output(mut self) -> Vec<u8> {
        self.buffer.truncate(self.filled);
        self.buffer
    }
}

/// Why an archived stream does not give its reading back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    #[error("archived stream inflates to {found} of the {expected} bytes that were recorded")]
    Short { expected: u64, found: u64 },
    #[error("recorded size of {expected} bytes is over the limit of {max}")]
    TooLong { expected: u64, max: u64 },
}

/// The output of a reading, without its trailer, out of the stream that was archived.
pub fn inflate_archived(wire: &[u8], bytes_raw: u64, max: u64) -> Result<Vec<u8>, InflateError> {
    if bytes_raw > max {
        return Err(InflateError::TooLong { expected: bytes_raw, max });
    }
    let mut output = Vec::with_capacity(bytes_raw as usize);
    let mut state = Decompress::new_gzip(15);
    // The vector has exactly the room that is wanted, so one call fills it or runs out of input.
    while (output.len() as u64) < bytes_raw {
        let (read, written) = (state.total_in() as usize, output.len());
        let rest = wire.get(read..).unwrap_or_default();
        let status = state.decompress_vec(rest, &mut output, FlushDecompress::None);
        let stuck = state.total_in() as usize == read && output.len() == written;
        if stuck || !matches!(status, Ok(Status::Ok | Status::BufError)) {
            break;
        }
    }
    // A Vec may have got more room than was asked for.
    output.truncate(bytes_raw as usize);
    let found = output.len() as u64;
    if found == bytes_raw { Ok(output) } else { Err(InflateError::Short { expected: bytes_raw, found }) }
}

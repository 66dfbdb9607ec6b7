//! What a sweep tells whoever watches it. Watching is optional and never slows a visit for long: an
//! event is sent when the thing itself is on the disk.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::{HostName, Parsed, Reading};
use crate::wire::Share;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A visit began.
    Visiting(HostName),
    /// A reading is in the archive.
    Recorded(Box<Kept>),
    /// A visit is over.
    Left { host: HostName, after: Duration },
}

/// An acknowledged reading, without its bytes.
#[derive(Debug, Clone)]
pub struct Kept {
    pub reading: Reading,
    pub bytes_wire: u64,
    pub parsed: Arc<Parsed>,
    pub samples: usize,
    /// The output of a probe whose format is text: all that it has to show.
    pub text: Option<Bytes>,
    /// The memory that this text is in.
    pub room: Option<Share>,
}

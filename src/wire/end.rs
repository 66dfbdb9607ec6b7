//! What a transport and a decoder tell each other.

/// What the decoder wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    Continue,
    /// Enough: a cap was passed or the stream is broken. Close stdin and the channel.
    Stop,
}

/// How a command ended, as the transport saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecEnd {
    Exited(u32),
    /// The signal's name without `SIG`.
    Signalled(String),
    /// The channel was closed in good order, without an exit status.
    NoStatus,
    /// The decoder said [`Flow::Stop`].
    DecoderStopped,
    /// Which deadline of ours passed: `first byte`, `idle` or `deadline`.
    TimedOut(&'static str),
    /// The connection went away; why, in words.
    Lost(String),
}

//! known_hosts files: which key a host is expected to have. Read once, asked for every connection,
//! and appended to on purpose; a line that is there is never changed or taken away.

mod append;
mod entry;
mod hosts;
mod key;

pub use append::{AppendError, append, remain};
pub use entry::HostId;
pub(super) use entry::matches_pattern;
pub use hosts::{KnownHosts, Place, Verdict, Warning};
pub use key::{KeyTypes, fingerprint, type_name};

//! What several tests start: real servers and runs, reaped by whoever started them.

pub mod hostile;
pub mod runs;
pub mod sshd;

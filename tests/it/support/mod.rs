//! What several tests start: real servers, reaped by whoever started them.

pub mod sshd;

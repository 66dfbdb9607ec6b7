//! What several tests start: real servers and runs, reaped by whoever started them.

pub mod hostile;
pub mod machine;
pub mod patience;
pub mod peer;
pub mod program;
pub mod proxy;
pub mod receiver;
pub mod runs;
pub mod sshd;
pub mod tracer;

//! The remote contract, both ends of it: what is sent to a host and what its answer means. Bytes in,
//! bytes out; nothing here opens, waits or knows the time.

mod decode;
mod end;

pub use decode::Decoder;
pub use end::{ExecEnd, Flow};

//! The remote contract, both ends of it: what is sent to a host, and what its answer means. Bytes in,
//! bytes out; nothing here opens, waits or knows the time.
//!
//! A [`Request`] is one shell text: the supervisor (`supervisor.sh`) with the probe's script in it as
//! data. The host answers with one line, `dropsonde/1 <tag> gzip`, and one gzip stream: the probe's
//! output and, last, a trailer with the run's [`Nonce`]. A [`Decoder`] turns that into a [`Decoded`].

mod budget;
mod complaints;
mod conduct;
mod decode;
mod denial;
mod end;
mod inflate;
mod lack;
mod request;
mod saved;
pub mod served;
#[cfg(test)]
mod tests;
mod token;
mod trailer;
mod verdict;

pub use budget::{Budget, Share};
pub use conduct::{Conduct, conduct, over_budget};
pub use decode::{Decoded, Decoder};
pub use denial::{Denial, refused};
pub use end::{ExecEnd, Flow};
pub use inflate::{InflateError, inflate_archived};
pub use lack::{Lack, asking};
pub use request::{HEARTBEAT, Limits, MAX_SCRIPT, Request, Unsendable, check};
pub use saved::{Saved, read_saved};
pub use token::{Nonce, RunTag};

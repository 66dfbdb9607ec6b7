//! What was collected, and how it is asked for. The archive (one tar per sweep) is the truth; the
//! index (SQLite) is a cache over it that can be deleted. Every writer goes through
//! `collect::Recorder`. This module never starts a probe, never parses one's output and never
//! unpacks a tar: no name in an archive ever becomes a path.
//!
//! The formats are described in `docs/archive-and-index.md`.

pub mod archive;
pub mod check;
mod claim;
pub mod crash;
mod dir;
mod error;
pub mod index;
mod journal;
mod lock;
pub mod note;
mod owner;
pub mod quarantine;
mod seq;
mod sole;
mod space;
pub mod ticks;

pub use check::{CheckReport, Finding, Severity, check};
pub use claim::{Claim, Claimed};
pub use dir::StateDir;
pub use error::StoreError;

pub use journal::{Act, Journal};
pub use lock::Locked;
pub use seq::{Sequence, Turn};
pub use sole::Sole;
pub use space::{Reserve, Space};

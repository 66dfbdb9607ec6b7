//! A fleet that exists only while this process does: synthetic hosts behind real SSH servers, with a past
//! and three incidents in it. What it shows is made up and says so; it never reads this machine's own /proc.
//!
//! [`HostModel`] is pure: the same seed and the same moment give the same files, whether a demo writes
//! them for a probe that runs now or a backfill asks what yesterday looked like.

mod answer;
mod drive;
mod files;
mod fleet;
mod folder;
mod gate;
mod history;
mod host;
mod platform;
mod stage;
mod story;
mod tree;

pub use answer::Answer;
pub use files::TreeFile;
pub use fleet::{Demo, DemoError, DemoOptions};
pub use gate::{PAST_PROBES, PROBES};
pub use history::{History, Mark, PastSweep, hours};
pub use host::{FleetShape, HostModel, fleet};
pub use story::Incident;
pub use tree::{Tree, TreeError};

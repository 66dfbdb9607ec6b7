//! Running sweeps and keeping what they bring. Nothing here asks the index a question, but for what a sweep
//! goes on from (`prepare`).

mod archived;
mod backfill;
pub mod checkup;
pub mod clock;
pub mod contact;
mod descriptors;
mod dial;
pub mod doctor;
mod errand;
mod event;
mod gate;
pub mod keep;
mod lanes;
mod ledger;
mod limits;
mod prepare;
mod record;
mod recover;
mod reindex;
mod replay;
mod reread;
mod scribe;
mod stop;
mod sweep;
mod sweeping;
mod tail;
mod totals;
mod visit;

pub use archived::Archived;
pub use backfill::backfill;
pub use descriptors::hosts_at_once;
pub use dial::ssh_settings;
pub use errand::{Cursors, Errand, Held, Target, request, root_refused};
pub use event::{Event, Kept};
pub use limits::Caps;
pub use prepare::{complete, cursors, scheduled};
pub use record::{Finished, Options, Recorded, Recorder, SweepHandle};
pub use recover::Recovered;
pub use reindex::{Progress, ReindexReport, reindex};
pub use stop::Stop;
pub use sweep::{Pace, Start, Sweeper, Swept, memory, wire_limits};
pub use totals::each_total;

//! Running sweeps and keeping what they bring. Nothing here asks the index a question.

mod archived;
mod ledger;
mod limits;
mod record;
mod recover;
mod reindex;
mod replay;
mod reread;
mod scribe;
mod sweeping;

pub use archived::Archived;
pub use limits::Caps;
pub use record::{Finished, Options, Recorded, Recorder, SweepHandle};
pub use recover::Recovered;
pub use reindex::{Progress, ReindexReport, reindex};

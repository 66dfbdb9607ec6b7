//! Why the daemon ends by itself.

use std::io;

use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the thread that records has stopped; what was acknowledged is kept, and a restart goes on")]
    RecorderStopped,
    #[error("start the thread that writes down ticks: {0}")]
    Thread(io::Error),
}

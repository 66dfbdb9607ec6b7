//! Why what follows a sweep could not be worked out. The sweep itself is safe by then.

use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Without it nobody knows what was spent, and hosts are spared.
    #[error("nothing is escalated, because what was spent is not known: {0}; mend the file or remove it")]
    Spent(StoreError),
}

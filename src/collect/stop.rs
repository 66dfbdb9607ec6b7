//! The two ways to stop a sweep: start nothing new, and drop everything.

use tokio_util::sync::CancellationToken;

/// Shared by whoever catches signals and everything that has to obey them.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Stop {
    /// One that obeys this one, and that can be stopped alone.
    pub fn child(&self) -> Self {
        Self { soft: self.soft.child_token(), hard: self.hard.child_token() }
    }

    /// Start nothing new; what is in flight may finish.
    pub fn finish(&self) {
        self.soft.cancel();
    }

    /// Abort what is in flight; what arrived is still recorded.
    pub fn abort(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    pub fn is_finishing(&self) -> bool {
        self.soft.is_cancelled()
    }

    pub fn is_aborting(&self) -> bool {
        self.hard.is_cancelled()
    }

    pub async fn finishing(&self) {
        self.soft.cancelled().await;
    }

    pub async fn aborting(&self) {
        self.hard.cancelled().await;
    }
}

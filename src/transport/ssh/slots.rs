//! How many channels a server lets one connection have. It says so only by refusing (`MaxSessions`),
//! so the limit is what was open when it last refused.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Debug)]
struct State {
    open: usize,
    limit: usize,
    /// A channel has been granted on this connection.
    granted: bool,
}

#[derive(Debug)]
pub(super) struct Slots {
    state: Mutex<State>,
    freed: Notify,
}

/// A place for one channel. Dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Slot<'a>(&'a Slots);

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Others are open: wait for one of them.
    Full,
    /// Ours was the only one, but an earlier one may not be gone on the server yet.
    Alone,
    /// The server grants none at all.
    Always,
}

impl Slots {
    pub fn new() -> Self {
        let state = State { open: 0, limit: usize::MAX, granted: false };
        Self { state: Mutex::new(state), freed: Notify::new() }
    }

    /// Waits for a place.
    pub async fn take(&self) -> Slot<'_> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Enabled before the look, so that a place freed in between is not missed.
            freed.as_mut().enable();
            {
                let mut state = self.lock();
                if state.open < state.limit {
                    state.open += 1;
                    return Slot(self);
                }
            }
            freed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot<'_> {
    pub fn granted(&self) {
        self.0.lock().granted = true;
    }

    /// The server refused this channel.
    pub fn refused(self) -> Refusal {
        let mut state = self.0.lock();
        let others = state.open - 1;
        if others > 0 {
            state.limit = others;
            return Refusal::Full;
        }
        if state.granted { Refusal::Alone } else { Refusal::Always }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.lock().open -= 1;
        self.0.freed.notify_waiters();
    }
}

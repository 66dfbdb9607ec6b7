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

/// How many channels a server of that banner can have at once. dropbear from 2022.82 to 2024.85 closes one that
/// is opened in the moment in which the command of another ends, and the whole connection if we have asked for
/// something on it by then (its issues 173 and 321): there one must have ended before the next is opened. One that
/// hides its version may be any of them.
pub(super) fn most_channels(banner: &[u8]) -> usize {
    let software = banner.strip_prefix(b"SSH-2.0-dropbear").and_then(|rest| std::str::from_utf8(rest).ok());
    let Some(version) = software else { return usize::MAX };
    let version = version.strip_prefix('_').and_then(|text| {
        let (year, number) = text.split([' ', '-', '\r']).next()?.split_once('.')?;
        Some((year.parse::<u32>().ok()?, number.parse::<u32>().ok()?))
    });
    let has_fault = version.is_none_or(|version| ((2022, 82)..=(2024, 85)).contains(&version));
    if has_fault { 1 } else { usize::MAX }
}

impl Slots {
    pub fn new(limit: usize) -> Self {
        let state = State { open: 0, limit, granted: false };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropbear_with_that_fault_has_one_channel_at_a_time() {
        let check = |banner: &str, one: bool| {
            assert_eq!(most_channels(banner.as_bytes()) == 1, one, "{banner}");
        };
        check("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10", false);
        check("SSH-2.0-dropbear_2020.81", false);
        check("SSH-2.0-dropbear_2022.82", true);
        check("SSH-2.0-dropbear_2022.83", true);
        check("SSH-2.0-dropbear_2024.85 extra", true);
        check("SSH-2.0-dropbear_2024.86", false);
        check("SSH-2.0-dropbear_2025.88", false);
        check("SSH-2.0-dropbear", true);
        check("SSH-2.0-dropbear_x", true);
        check("", false);
    }
}

//! All jump hosts of a sweep.

use std::sync::{Arc, Mutex, PoisonError};

use super::door::Door;
use super::link::Lane;
use crate::model::Host;
use crate::transport::ssh::failure::ConnectError;
use crate::transport::ssh::settings::{Settings, Timeouts};

/// The doors that were needed so far. A fleet has a handful of jump hosts, so a list will do.
#[derive(Default)]
pub(in crate::transport::ssh) struct Jumps(Mutex<Vec<Arc<Door>>>);

impl Jumps {
    /// A channel to `target` through `chain`.
    pub async fn lane(
        &self,
        chain: &[Arc<Host>],
        target: &Host,
        (timeouts, settings): (&Timeouts, &Settings),
    ) -> Result<Lane, ConnectError> {
        self.door(chain).lane(target, timeouts, settings).await
    }

    /// Waits until there is a way through `chain`, or it is known that there is none.
    pub async fn ready(&self, chain: &[Arc<Host>], settings: &Settings) -> Result<(), ConnectError> {
        self.door(chain).ready(settings).await
    }

    /// Closes the connections that are open. Those behind others first: they go through them.
    pub async fn close(&self) {
        let mut doors = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        doors.sort_by_key(|door| std::cmp::Reverse(door.hops()));
        for door in doors {
            door.close().await;
        }
    }

    fn door(&self, chain: &[Arc<Host>]) -> Arc<Door> {
        let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(door) = doors.iter().find(|door| door.leads_through(chain)) {
            return Arc::clone(door);
        }
        let door = Arc::new(Door::new(chain));
        doors.push(Arc::clone(&door));
        door
    }
}

impl std::fmt::Debug for Jumps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Jumps")
    }
}

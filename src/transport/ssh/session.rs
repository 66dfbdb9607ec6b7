//! One connection to one host: channels on it, and the way out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::client::{Handle, Msg};
use russh::{Channel, Disconnect, Error};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::client::{Client, Witness};
use super::connect::Shaken;
use super::exec::{Output, Ran, run};
use super::failure::{CLOSED, words};
use super::jump::Link;
use super::line::Guard;
use super::settings::Timeouts;
use super::slots::{Refusal, Slot, Slots, most_channels};
use crate::transport::{Exec, Transport};
use crate::wire::{Decoder, ExecEnd, Flow};

/// A refused channel is asked for again after this, and twice that the next time, and so on.
const FIRST_RETRY: Duration = Duration::from_millis(20);
/// 20 ms doubled this often: 2.5 s in all, and a probe's remains are gone after 2.4.
const RETRIES: u32 = 7;

/// How often a channel is asked for again that was closed before anything ran on it.
const REOPENINGS: u32 = 2;

/// A host that let us in. Dropping it closes the connection at once, and with it every command;
/// [`Transport::close`] says goodbye first.
pub struct Session {
    handle: Handle<Client>,
    witness: Witness,
    slots: Slots,
    timeouts: Timeouts,
    peer: String,
    guard: Guard,
    /// The jump host's connection that it goes through.
    via: Option<Arc<Link>>,
}

impl Session {
    pub(super) fn new(shaken: Shaken, timeouts: Timeouts) -> Self {
        let Shaken { handle, guard, witness, peer, via } = shaken;
        let slots = Slots::new(most_channels(&guard.banner()));
        Self { handle, witness, slots, timeouts, peer, guard, via }
    }

    /// The address and port at the other end.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Runs a command and hands its output to `sink` as it arrives. A future that is dropped leaves
    /// its channel open: whoever drops it drops the session as well.
    pub async fn run(&self, exec: Exec<'_>, sink: impl FnMut(Output<'_>) -> Flow) -> ExecEnd {
        let (mut exec, mut sink) = (exec, sink);
        let stdin = Bytes::from(std::mem::take(&mut exec.stdin));
        for _ in 0..=REOPENINGS {
            let (_slot, channel) = match self.open(exec.deadline).await {
                Ok(open) => open,
                Err(end) => return end,
            };
            match run(channel, (&exec, stdin.clone()), self.timeouts.close, &mut sink).await {
                Ran::Ended(end) => return end,
                Ran::Lost => return ExecEnd::Lost(self.why_lost()),
                // Nothing came of it, so nothing can be done twice.
                Ran::NotBegun => {}
            }
        }
        ExecEnd::NoStatus
    }

    async fn open(&self, deadline: Instant) -> Result<(Slot<'_>, Channel<Msg>), ExecEnd> {
        let mut retries = 0;
        loop {
            let slot =
                timeout_at(deadline, self.slots.take()).await.map_err(|_| ExecEnd::TimedOut("deadline"))?;
            let limit = deadline.min(Instant::now() + self.timeouts.open_channel);
            let answer = timeout_at(limit, self.handle.channel_open_session()).await;
            match answer.map_err(|_| ExecEnd::TimedOut("open channel"))? {
                Ok(channel) => {
                    slot.granted();
                    return Ok((slot, channel));
                }
                Err(Error::ChannelOpenFailure(reason)) => match slot.refused() {
                    Refusal::Full => {}
                    Refusal::Alone if retries < RETRIES => {
                        sleep_until(deadline.min(Instant::now() + FIRST_RETRY * 2_u32.pow(retries))).await;
                        retries += 1;
                    }
                    Refusal::Alone | Refusal::Always => {
                        let text = format!(
                            "{} refused a channel ({reason:?}): see MaxSessions in its sshd_config",
                            self.peer
                        );
                        return Err(ExecEnd::Lost(text));
                    }
                },
                Err(error) => {
                    let ended = self.witness.seen().ended.clone();
                    return Err(ExecEnd::Lost(self.lost(&ended.unwrap_or_else(|| words(&error)))));
                }
            }
        }
    }

    fn why_lost(&self) -> String {
        let ended = self.witness.seen().ended.clone();
        self.lost(ended.as_deref().unwrap_or(CLOSED))
    }

    fn lost(&self, why: &str) -> String {
        if let Some(loss) = self.via.as_deref().and_then(Link::loss) {
            return format!("lost {}: {loss}", self.peer);
        }
        format!("lost {}: {why}", self.peer)
    }
}

impl Transport for Session {
    async fn exec(&self, exec: Exec<'_>, decoder: &mut Decoder) -> ExecEnd {
        self.run(exec, |output| match output {
            Output::Stdout(bytes) => decoder.stdout(bytes),
            Output::Stderr(bytes) => decoder.stderr(bytes),
        })
        .await
    }

    async fn close(mut self) {
        let goodbye = async {
            if self.handle.disconnect(Disconnect::ByApplication, "", "").await.is_ok() {
                // The connection's task ends with an error or without one; it has ended either way.
                let _ = (&mut self.handle).await;
            }
        };
        // Past its deadline, dropping the guard closes the socket.
        let _ = timeout(self.timeouts.close, goodbye).await;
        self.guard.cut("the visit is over");
    }
}

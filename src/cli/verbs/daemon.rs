//! `daemon`: the schedules of the configuration, until somebody stops it.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::logging::{LogFormat, Logging, Usual};
use crate::cli::{Context, Exit, following, sweeping};
use crate::config;
use crate::daemon::{self, Load, Notify, Order, Setup};

/// Run the schedules of the configuration until it is stopped
#[derive(Debug, clap::Args)]
#[command(after_help = "\
SIGHUP loads the configuration again; one with faults is not used, and the log says why. SIGINT or SIGTERM lets \
what is in flight finish within limits.signal_grace, a second one drops it; what arrived is recorded.

A sweep that was missed while no daemon ran is caught up once. One whose schedule still runs is skipped. \
`dropsonde schedule` and `dropsonde sweeps` show both.

Examples:
  dropsonde daemon
  dropsonde daemon --log json")]
pub struct Daemon {
    /// What a log line looks like
    #[arg(long = "log", value_enum, default_value_t, value_name = "FORMAT")]
    format: LogFormat,
}

/// Orders that may wait; of a storm of signals the rest are one of these.
const ORDERS: usize = 16;

impl Daemon {
    pub fn logging(&self) -> Logging {
        Logging { format: self.format, usual: Usual::Events }
    }

    pub fn run(self, context: &Context) -> Result<Exit> {
        let settings = context.settings()?.clone();
        let sources = context.sources()?;
        // Whoever asks for the configuration again means all of it.
        let sources = config::Sources { fresh: true, ..sources };
        let load: Load = Arc::new(move || config::load(&sources));
        let notify = match set("NOTIFY_SOCKET") {
            Some(address) => {
                let failed = || format!("reach the service manager at {}", address.to_string_lossy());
                Notify::to(&address).with_context(failed)?
            }
            None => Notify::default(),
        };
        let (agent, credentials, watchdog) = (sweeping::agent_socket(), following::credentials(), watchdog());
        let (orders, received) = mpsc::channel(ORDERS);
        let setup = Setup { settings, load, agent, credentials, notify, watchdog, orders: received };
        sweeping::runtime()?.block_on(async {
            tokio::select! {
                biased;
                failed = pass_on_signals(orders) => failed,
                ended = daemon::run(setup) => Ok(ended?),
            }
        })?;
        Ok(Exit::Good)
    }
}

fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// How often the manager wants to hear of us, if it is us that it means.
fn watchdog() -> Option<Duration> {
    let number = |name| set(name).and_then(|value| value.to_str()?.parse::<u64>().ok());
    let for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|usec| for_us && *usec > 0).map(Duration::from_micros)
}

/// Passes signals on as orders, until it is dropped. They are caught before the daemon opens anything.
async fn pass_on_signals(orders: mpsc::Sender<Order>) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("catch SIGHUP")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("catch SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("catch SIGTERM")?;
    loop {
        let order = tokio::select! {
            _ = hangup.recv() => Order::Reload,
            _ = interrupt.recv() => Order::Stop,
            _ = terminate.recv() => Order::Stop,
        };
        if orders.send(order).await.is_err() {
            // The daemon takes none any more, and ends by itself.
            std::future::pending::<()>().await;
        }
    }
}

//! Dropsonde: small one-shot probes pushed over SSH, their readings archived, indexed, compared.
//!
//! # How data flows
//!
//! One way: configuration, inventory and probes → a plan → a sweep → a visit for each host (one SSH
//! connection) → a channel for each probe → gzip bytes → the archive (synced, then acknowledged) →
//! parsed → the index. Looking back reads the index and never writes it.
//!
//! # The modules, by floor
//!
//! A module imports from lower floors only (`config` alone uses neighbours, `inventory` and `http`, and
//! `inventory` uses `http`); `tests/it/house/floors.rs` enforces it.
//!
//! | floor | module | what it is for |
//! | --- | --- | --- |
//! | 4 | [`cli`] | the verbs, one small file each; alone prints, alone knows clap and anyhow |
//! | 3c | [`daemon`] | the scheduler: which sweep is due, reload, stop, what the service manager is told |
//! | 3b | [`watch`] | what follows a sweep: escalations, alerts, what other programs scrape |
//! | 3a | [`collect`] | sweeps and visits, and the one path into archive and index |
//! | 3a | [`demo`] | a synthetic fleet behind real SSH servers inside this process |
//! | 3a | [`survey`] | questions over everything recorded: who differs, since when, what they share |
//! | 2 | [`config`] | TOML, environment and flags → checked settings, or every fault at once |
//! | 2 | [`inventory`] | blocks of hosts and groups, and other programs' lists of them → one checked fleet |
//! | 2 | [`http`] | requests to other programs; alone names reqwest and rustls |
//! | 2 | [`openssh`] | this machine's ssh_config files, `Match exec`, and what `ssh -G` says |
//! | 2 | [`transport`] | commands on a host, over SSH or on this machine; alone names russh |
//! | 2 | [`store`] | the archive (tar) and the index (SQLite); alone names rusqlite |
//! | 2 | [`report`] | what was found, as one HTML file; pure like the floors below it |
//! | 1 | [`select`] | node sets and selectors |
//! | 1 | [`sshconfig`] | ssh_config: text and a destination → what ssh would use, and where it stands |
//! | 1 | [`wire`] | both ends of the remote contract: what is sent, and what the answer means |
//! | 1 | [`parse`] | a reading's bytes → samples, one file per format |
//! | 1 | [`compare`] | hosts against each other: who is worst, how two sides differ |
//! | 1 | [`schedule`] | when a schedule is due, with both clocks handed in |
//! | 1 | [`render`] | tables, units, diagnostics and JSON, into strings |
//! | 0 | [`model`] | the nouns, as plain data |
//!
//! # What always holds
//!
//! - Floors 0 and 1 do no I/O and know no clock, no randomness and no tokio: what they need is passed in.
//! - Every planned (sweep, host, probe) ends in exactly one [`model::Outcome`]. A host that fails is data,
//!   never an error that ends a sweep.
//! - A reading counts as collected only after its bytes are synced. The archive is the truth; the index
//!   can be rebuilt from it, row for row.
//! - Absent is `None` or NULL, never 0. A counter that went backwards, or whose host booted, has no rate.
//! - Whatever a host sends is bounded (bytes, ratio, lines, samples, time), and escaped before a person
//!   sees it.
//! - No text of a probe or a host becomes part of a command line or of a path.
//! - Collector time and host time are two types.
//! - Every task has an owner that awaits it; there is no global state.

pub mod cli;
pub mod collect;
pub mod compare;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod http;
pub mod inventory;
pub mod model;
pub mod openssh;
pub mod parse;
pub mod render;
pub mod report;
pub mod schedule;
pub mod select;
pub mod sshconfig;
pub mod store;
pub mod survey;
pub mod transport;
pub mod watch;
pub mod wire;

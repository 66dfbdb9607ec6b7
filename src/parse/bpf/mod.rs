//! Histograms and counts of bpftrace (JSON and text), bcc and libbpf-tools, whichever a file holds.
//!
//! A map's name says its part and its unit, the probe's entries say which metric it is. It refuses to
//! guess a metric: a map without an entry is a fault.

mod bcc;
mod emit;
mod host;
mod json;
mod map;
mod names;
mod read;
mod text;

pub(in crate::parse) use read::parse;

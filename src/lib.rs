//! Dropsonde: small one-shot probes pushed over SSH, their readings archived, indexed, compared.

pub mod cli;
pub mod collect;
pub mod compare;
pub mod config;
pub mod demo;
pub mod inventory;
pub mod model;
pub mod parse;
pub mod render;
pub mod select;
pub mod store;
pub mod transport;
pub mod wire;

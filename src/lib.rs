//! Dropsonde: small one-shot probes pushed over SSH, their readings archived, indexed, compared.

pub mod model;
pub mod parse;
pub mod store;

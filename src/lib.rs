//! Dropsonde: small one-shot probes pushed over SSH, their readings archived, indexed, compared.

pub mod demo;
pub mod model;
pub mod transport;
pub mod wire;

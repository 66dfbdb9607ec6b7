//! Jump hosts: one or a few connections to each, shared by all targets behind it. They are opened a few
//! at a time, because an sshd drops who comes when it has ten that have not logged in yet (MaxStartups),
//! opened again when they are lost, and closed with the sweep.

mod door;
mod link;
mod pool;

pub(super) use link::{Lane, Link};
pub(super) use pool::Jumps;

//! The store as its users meet it: real tools, real kills, full disks, failing syncs.

pub mod build;
mod crash;
mod damage;
mod disk;
mod index;
mod tools;

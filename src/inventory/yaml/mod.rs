//! YAML as Ansible and Prometheus read it: version 1.1's scalars, merge keys, anchors and aliases, and where
//! each value stands. It makes no object of a tag, and takes no document that is larger when it is read than
//! when it is written.

mod load;
mod node;
mod scalar;

pub(super) use load::load;
pub(super) use node::{Node, Value};

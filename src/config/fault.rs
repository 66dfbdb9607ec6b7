//! What is wrong in a configuration: the same as what is wrong in an inventory.

pub(crate) use crate::inventory::{Fault, Faults, Place, closest, suggestion};

//! The `dropsonde` command.

fn main() {}

//! Lists of hosts that other programs keep.

mod ansible;
mod generate;
mod shapes;

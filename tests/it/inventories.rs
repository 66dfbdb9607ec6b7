//! Lists of hosts that other programs keep.

mod ansible;
mod generate;
mod served;
mod shapes;
mod sources;
mod verbs;

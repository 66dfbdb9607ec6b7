//! The verbs that say who differs, as their users run them: the real binary on a fleet's history that a
//! recorder has written.

pub mod fleet;
mod outliers;

pub fn show(text: &str) {
    std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()).unwrap();
}

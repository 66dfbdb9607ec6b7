//! This machine's side of [`crate::sshconfig`]: the files that ssh reads, what `Match exec` runs, who
//! and where we are, and what an installed ssh says of the same question.
//!
//! Nothing here decides what a directive means. A host's values come out of our own evaluation, which
//! knows where each of them stands and costs no process; `ssh -G` is asked where somebody wants to see
//! that both agree.

mod files;
mod glob;
mod machine;
mod networks;
mod oracle;
mod passwd;
mod run;

pub use machine::Machine;
pub use oracle::{Asked, Compared, Difference, Oracle, OracleError};
pub use passwd::login_name;

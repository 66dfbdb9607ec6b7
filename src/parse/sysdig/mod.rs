//! What sysdig's chisels print: the JSON of topscalls_time, and the text of topscalls_time, topscalls,
//! scallslower and fileslower.
//!
//! Files and descriptors are not labels: there is no end of them, and they are nobody's business here.

mod json;
mod read;
mod text;

pub(in crate::parse) use read::parse;

//! The archive: one pax tar per sweep, appended to while the sweep runs. A reading counts once its
//! member is whole on the disk. Nothing here unpacks a tar or believes a length it has not checked.

mod digest;
mod facts;
mod member;
mod read;
mod rewrite;
mod tape;

pub use digest::Digest;
pub use facts::Facts;
pub use member::{Entry, encode_plain, encode_reading};
pub use read::{Damage, Member, TarFile, Walk, read_member};
pub use rewrite::{Rewrite, leftovers, rewritten};
pub use tape::{Tape, Unclosed};

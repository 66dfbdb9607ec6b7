//! Who is told that something is not as it should be, once, and that it is over, once. An incident is one
//! rule met in one metric, by however many hosts; the book has those that are open and the messages that
//! wait, and the courier carries them.

mod body;
mod book;
mod courier;
mod ledger;
mod notice;
mod own;
mod post;
mod rules;
mod shelf;
mod unkept;

pub use book::{Book, Incident, Queued};
pub use courier::{Courier, Delivery, test};
pub use ledger::book;
pub(super) use ledger::{raise, take};
pub use notice::{Notice, State, Worst};
pub use own::Trouble;
pub use post::PostError;
pub use unkept::Unkept;

use ledger::test_notice;

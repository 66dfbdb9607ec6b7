//! Keeping what was recorded for as long as it is wanted: bytes first, numbers longer, then nothing. What is
//! still wanted is never in fewer places than one: the new file is whole before the old one goes, and a
//! prune that was stopped is finished by whoever opens the state directory next.

mod backup;
mod finish;
mod health;
mod merge;
mod plan;
mod prune;
mod room;
mod thin;
mod trust;

pub use backup::{BackedUp, backup};
pub(super) use finish::{finish, finish_files};
pub use health::{Health, Stock, health};
pub use plan::Steps;
pub use prune::{Pruned, Pruning, prune, steps};
pub use room::{Upkeep, upkeep, wanted_free};
pub use trust::vouch;

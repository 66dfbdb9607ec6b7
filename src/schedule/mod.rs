//! When a schedule is due: a cron expression in a time zone becomes moments, and what was due since the
//! last look becomes one decision. It knows no clock: both clocks' readings are handed in, so that a
//! year with its two changes of daylight-saving time passes in a test within a millisecond.

mod course;
mod splay;
mod timetable;

pub use course::{Course, Due, Missed, Moment};
pub use splay::offset;
pub use timetable::{BadTimetable, Timetable, zones};

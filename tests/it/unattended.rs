//! What runs with nobody looking: schedules, the daemon, its locks and its units.

mod schedule;

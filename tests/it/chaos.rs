//! Chaos: the built program, real hosts and real disks, with everything going wrong that does in a year.
//! After every round the same is asked (`verify`): nothing lost, nothing twice, nothing left.
//!
//! Each test says its seed and its rounds on stderr. `DROPSONDE_CHAOS_SEED=N` repeats them,
//! `DROPSONDE_CHAOS_ROUNDS=1000` makes ten times as many of them; the test command makes about 100.

mod calls;
mod clocks;
mod crowd;
mod disk;
mod field;
mod killed;
mod link;
mod rounds;
mod torn;
mod verify;

//! bpftrace, bcc, cyclictest, rtla, sysdig, smartctl and nvme: what is read of their outputs against the
//! plainest count of the same file, and the shipped scripts with the tools of this machine.

mod checks;
mod live;

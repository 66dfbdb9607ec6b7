//! How disks say they are: the JSON of `smartctl -j -a` (ATA, NVMe, SCSI) and of `nvme smart-log -o json`.
//!
//! What a disk does not report is absent, not 0. It does not judge a disk by numbers whose meaning
//! is the vendor's own.

mod nvme;
mod read;
mod smartctl;

pub(in crate::parse) use read::parse;

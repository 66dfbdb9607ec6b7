//! The fields of the block events, as kernels from 3 on print them.

use crate::parse::text::{fields, integer};

/// A request on its way: `254,0 WS 4096 () 36348928 + 8 be,0,4 [fio]`. A completion has no bytes, and
/// before 6.13 nothing has a priority.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub device: (u64, u64),
    pub sector: u64,
    /// Whether there is any data in it.
    pub empty: bool,
    pub op: &'static str,
}

pub(super) fn read(text: &[u8]) -> Option<Request> {
    let mut words = fields(text);
    let (device, rwbs) = (words.next()?, words.next()?);
    let comma = device.iter().position(|byte| *byte == b',')?;
    let device = (integer(device.get(..comma)?)?, integer(device.get(comma + 1..)?)?);
    // Between the brackets is a SCSI command, if anything.
    let bracket = text.iter().position(|byte| *byte == b')')?;
    let mut words = fields(text.get(bracket + 1..)?);
    let (sector, plus, count) = (integer(words.next()?)?, words.next()?, integer(words.next()?)?);
    // A flush has no place on the disk: 0 where it is issued, and on older kernels -1 where it ends.
    let empty = count == 0;
    let sector = if empty && sector == u64::MAX { 0 } else { sector };
    (plus == b"+").then_some(Request { device, sector, empty, op: op(rwbs) })
}

/// What `RWBS` says is done: the first letter, unless that is the F of a flush that goes before a write.
fn op(rwbs: &[u8]) -> &'static str {
    let rest = match rwbs {
        [b'F', rest @ ..] if matches!(rest.first(), Some(b'R' | b'W' | b'D' | b'E' | b'F')) => rest,
        all => all,
    };
    match rest.first() {
        Some(b'R') => "read",
        Some(b'W') => "write",
        Some(b'D' | b'E') => "discard",
        Some(b'F') => "flush",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernels_fields_are_read() {
        let check = |text: &str, device: (u64, u64), sector: u64, op: &str| {
            let request = read(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((request.device, request.sector, request.op), (device, sector, op), "{text}");
        };
        check("254,0 WS 4096 () 36348928 + 8 be,0,4 [fio]", (254, 0), 36_348_928, "write");
        check("254,0 RA () 36348928 + 8 be,0,4 [0]", (254, 0), 36_348_928, "read");
        check("8,0 WS 4096 () 1234 + 8 [kworker/u8:1 x]", (8, 0), 1234, "write");
        check("8,16 D 65536 () 77 + 128 none,0,0 [fstrim]", (8, 16), 77, "discard");
        check("8,0 FF 0 () 0 + 0 [kworker/0:1H]", (8, 0), 0, "flush");
        check("8,0 FF () 18446744073709551615 + 0 [0]", (8, 0), 0, "flush");
        check("259,3 FWFSM 4096 () 8 + 8 [jbd2/x]", (259, 3), 8, "write");
        check("8,0 N 252 (12 00 00 00 fc 00) 0 + 0 [udevd]", (8, 0), 0, "other");
    }

    #[test]
    fn anything_else_is_none() {
        for bad in [
            "",
            "8 W 1 () 1 + 8",
            "8,0 W 1 1 + 8",
            "8,0 W 1 () 1 - 8 [x]",
            "8,x W () 1 + 8",
            "8,0 W () -1 + 8",
        ] {
            assert_eq!(read(bad.as_bytes()), None, "{bad:?}");
        }
    }
}

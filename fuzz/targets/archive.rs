//! Whatever stands in an archive's file is walked to its end without a panic: every step is a member or
//! names the bytes that are damaged, and each begins where the one before it ended. It is a real archive with
//! bytes changed in it and others behind it, or any bytes.

#![no_main]

use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use dropsonde::model::{CollectorTime, HostClock, HostTime, Outcome, Reading, SweepId};
use dropsonde::store::StateDir;
use dropsonde::store::archive::{Entry, TarFile, encode_plain, encode_reading};
use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "what is asked of a host is of no interest here")]
#[path = "run.rs"]
mod run;

const BLOCK: usize = 512;

static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (probe, host) = (run::probe(), run::host());
    let reading = Reading {
        host: host.name,
        probe: probe.name.clone(),
        probe_hash: probe.hash,
        outcome: Outcome::Failed,
        detail: Some("script exited with 3".to_owned()),
        exit: Some(3),
        started: CollectorTime::from_unix_s(1_795_381_200),
        elapsed: Duration::from_millis(1_234),
        clock: Some(HostClock {
            boot_id: "c0ffee01".to_owned(),
            start: HostTime::from_unix_ns(1),
            end: HostTime::from_unix_ns(2),
            uptime_start_s: 1.0,
            uptime_end_s: 2.0,
        }),
        cpu: Some(Duration::from_millis(5)),
        stderr: "no such file".to_owned(),
        cursor: Some("1.0".to_owned()),
        wire: Bytes::from_static(b"not gzip, which nobody looks at here"),
        bytes_raw: 36,
    };
    let mut archive = Vec::new();
    encode_plain(&mut archive, &Entry::Plan, 1, b"{}", CollectorTime::from_unix_s(1_795_381_200));
    encode_reading(&mut archive, &reading, 2);
    archive
});

/// How many changes there are, each with its place and its byte, and what stands behind the archive; 255 is
/// nothing but that. A header that is changed has the checksum that it needs: it would else not be looked at.
fn changed(data: &[u8]) -> Vec<u8> {
    let Some((count, rest)) = data.split_first() else { return Vec::new() };
    if *count == u8::MAX {
        return rest.to_vec();
    }
    let mut archive = ARCHIVE.clone();
    let (changes, behind) = rest.split_at(rest.len().min(usize::from(*count) * 3));
    for change in changes.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
        if let Some(byte) = archive.get_mut(place) {
            *byte = change[2];
        }
    }
    archive.extend_from_slice(behind);
    for block in archive.chunks_exact_mut(BLOCK).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
    archive
}

fuzz_target!(|data: &[u8]| {
    let data = changed(data);
    let root = std::env::temp_dir().join(format!("dropsonde-fuzz.{}", std::process::id()));
    let state = StateDir::create(&root).expect("a folder");
    let sweep = SweepId::at(CollectorTime::from_unix_s(1_795_381_200), 7);
    let path = state.tar(&sweep);
    fs::create_dir_all(path.parent().expect("a day's folder")).expect("a folder");
    fs::write(&path, &data).expect("a file");
    let tar = TarFile::open(&state, &sweep).expect("it is there");
    let mut end = 0;
    for step in tar.walk(0, data.len() as u64) {
        match step.expect("the file can be read") {
            Ok(member) => {
                assert!(member.offset >= end && member.end <= data.len() as u64);
                end = member.end;
                let _ = tar.data(&member);
                if let Entry::Reading(host, probe) = &member.entry {
                    let _ = tar.reading_at(member.offset, host, probe);
                }
            }
            Err(damage) => {
                assert!(damage.end > damage.offset && damage.end <= data.len() as u64, "{damage:?}");
                end = damage.end;
            }
        }
    }
});

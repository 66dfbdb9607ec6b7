//! Whatever stands in an archive's file is walked to its end without a panic: every step is a member or
//! names the bytes that are damaged, and each begins where the one before it ended.

#![no_main]

use std::fs;

use dropsonde::model::{CollectorTime, SweepId};
use dropsonde::store::StateDir;
use dropsonde::store::archive::{Entry, TarFile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let root = std::env::temp_dir().join(format!("dropsonde-fuzz.{}", std::process::id()));
    let state = StateDir::create(&root).expect("a folder");
    let sweep = SweepId::at(CollectorTime::from_unix_s(1_795_381_200), 7);
    let path = state.tar(&sweep);
    fs::create_dir_all(path.parent().expect("a day's folder")).expect("a folder");
    fs::write(&path, data).expect("a file");
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

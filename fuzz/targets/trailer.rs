//! What stands where a trailer stands is read or refused without a panic, and never makes the output in
//! front of it longer than it was.

#![no_main]

use std::io::Write;

use dropsonde::wire::{Decoder, ExecEnd};
use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;

#[path = "run.rs"]
mod run;

fuzz_target!(|data: &[u8]| {
    // Output before the first NUL, and what claims to be the trailer's fields behind it.
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(0);
    let (output, fields) = data.split_at(at);
    let mut stream = GzEncoder::new(Vec::new(), Compression::none());
    let head = format!("\ndropsonde/1 {} ", run::NONCE);
    for part in [output, head.as_bytes(), fields.get(1..).unwrap_or(fields), b"\n"] {
        stream.write_all(part).expect("into memory");
    }
    let (probe, host) = (run::probe(), run::host());
    let mut decoder = Decoder::new(&run::request(&probe, &host));
    let hello = format!("dropsonde/1 {} gzip\n", run::TAG);
    let _ = decoder.stdout(hello.as_bytes());
    let _ = decoder.stdout(&stream.finish().expect("into memory"));
    let decoded = decoder.finish(ExecEnd::Exited(0));
    assert!(decoded.missing.iter().all(|lack| lack.seen.as_ref().is_none_or(|seen| seen.len() <= 40)));
    assert!(decoded.clock.is_none_or(|clock| clock.uptime_end_s.is_finite()));
});

//! Whatever a host sends, in pieces of any size, is decoded without a panic and within the run's caps.

#![no_main]

use dropsonde::wire::{Decoder, ExecEnd, Flow};
use libfuzzer_sys::fuzz_target;

#[path = "run.rs"]
mod run;

fuzz_target!(|data: &[u8]| {
    let Some((how, bytes)) = data.split_first() else { return };
    let probe = run::probe();
    let host = run::host();
    let request = run::request(&probe, &host);
    let mut decoder = Decoder::new(&request);
    let piece = usize::from(how >> 2) + 1;
    for piece in bytes.chunks(piece) {
        if decoder.stdout(piece) == Flow::Stop {
            break;
        }
    }
    let _ = decoder.stderr(bytes);
    let end = match how & 3 {
        0 => ExecEnd::Exited(0),
        1 => ExecEnd::NoStatus,
        2 => ExecEnd::TimedOut("deadline"),
        _ => ExecEnd::Lost("gone".to_owned()),
    };
    let decoded = decoder.finish(end);
    assert!(decoded.raw.len() as u64 <= probe.max_output.0);
    assert!(decoded.stderr.len() as u64 <= request.limits.max_stderr.0 * 4);
});

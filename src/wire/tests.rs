//! Both ends against each other and against garbage.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::served::{Payload, Refused};
use super::*;
use crate::model::*;

const TRAILER: &str = "10.00 10.50 0 - 0m0.010000s 0m0.020000s c0ffee01 - 10.52 1795395068.5";

fn probe(script: &str) -> Probe {
    Probe {
        timeout: Duration::from_secs(5),
        max_output: ByteSize(100_000),
        needs: vec![Need::Tool("perf".to_owned()), Need::File("$PROC/stat".to_owned())],
        ..Probe::new(ProbeName::new("probe").unwrap(), script)
    }
}

fn host() -> Host {
    Host {
        address: String::new(),
        proc_root: Some("/host/proc".to_owned()),
        ..Host::new(HostName::new("host").unwrap(), "")
    }
}

fn request<'a>(probe: &'a Probe, host: &'a Host) -> Request<'a> {
    let limits = Limits {
        heartbeat: Duration::from_secs(15),
        grace: Duration::from_secs(1),
        max_wire: ByteSize(1 << 20),
        max_ratio: 100,
        max_stderr: ByteSize(100),
    };
    let (tag, nonce) = (RunTag::new([1; 16]), Nonce::new([2; 16]));
    Request {
        probe,
        host,
        tag,
        nonce,
        limits,
        cursor: Some("it's here"),
        become_root: false,
        only_check: false,
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What a host sends: a noisy profile, the marker, one stream with the trailer in it.
fn answer(output: &[u8], trailer: &str, packing: &str) -> Vec<u8> {
    let (tag, nonce) = (RunTag::new([1; 16]), Nonce::new([2; 16]));
    let whole = [output, format!("\ndropsonde/1 {nonce} {trailer}\n").as_bytes()].concat();
    let body = if packing == "gzip" { gzip(&whole) } else { whole };
    [format!("Welcome to \x1f host\n\ndropsonde/1 {tag} {packing}\n").into_bytes(), body].concat()
}

fn decode(pieces: &[&[u8]], end: ExecEnd) -> Decoded {
    let (probe, host) = (probe("true"), host());
    let mut decoder = Decoder::new(&request(&probe, &host));
    for piece in pieces {
        let _ = decoder.stdout(piece);
    }
    decoder.finish(end)
}

fn unpack(decoded: &Decoded) -> Vec<u8> {
    inflate_archived(&decoded.wire, decoded.raw.len() as u64, 1 << 20).unwrap()
}

#[test]
fn a_whole_answer_is_ok_with_gzip_and_without() {
    for packing in ["gzip", "raw"] {
        let decoded = decode(&[&answer(b"some output", TRAILER, packing)], ExecEnd::Exited(0));
        assert_eq!((decoded.outcome, decoded.detail.as_deref()), (Outcome::Ok, None));
        assert_eq!(decoded.raw, b"some output");
        assert_eq!(unpack(&decoded), b"some output");
        assert_eq!(decoded.exit, Some(0));
        assert_eq!(decoded.cpu, Some(Duration::from_millis(30)));
        assert_eq!(decoded.clock.unwrap().uptime_end_s, 10.5);
        assert_eq!(decoded.wire.get(..2), Some(&b"\x1f\x8b"[..]));
    }
}

#[test]
fn the_trailer_decides_and_the_channels_end_does_not() {
    let check = |trailer: &str, outcome: Outcome, words: &str| {
        let decoded = decode(&[&answer(b"x", trailer, "gzip")], ExecEnd::TimedOut("idle"));
        assert_eq!(decoded.outcome, outcome, "{trailer}");
        assert!(decoded.detail.unwrap_or_default().contains(words), "{trailer}");
    };
    check(TRAILER, Outcome::Ok, "");
    check(&TRAILER.replace(" 0 - ", " 3 - "), Outcome::Failed, "status 3");
    check(&TRAILER.replace(" 0 - ", " 137 - "), Outcome::Failed, "signal 9");
    check(&TRAILER.replace("10.50", "15.01"), Outcome::TimedOut, "deadline of 5s");
    check(&TRAILER.replace("10.50 0", "15.01 143"), Outcome::TimedOut, "deadline of 5s");
    check(&TRAILER.replace("10.50 0", "14.60 143"), Outcome::Failed, "signal 15");
    check(&TRAILER.replace("10.50 0", "14.60 1"), Outcome::Failed, "status 1");
    let lacking = TRAILER.replace(" 0 - ", " - - ").replace("c0ffee01 - ", "c0ffee01 ,1,2 ");
    check(&lacking, Outcome::Unsupported, "tool:perf, file:$PROC/stat");
    check(&lacking.replace(",1,2", ",3"), Outcome::Incomplete, "which is none");
    // What is asked for its version may hang: then nothing is known about the needs.
    check(&lacking.replace("10.50", "15.01"), Outcome::TimedOut, "what the probe needs");
    let busy = TRAILER.replace(" 0 - ", " - - ").replace("c0ffee01 - ", "c0ffee01 ,0=run ");
    check(&busy, Outcome::Skipped, "another run traces it");
    check(&busy.replace(",0=run", "-"), Outcome::Incomplete, "did not start the script");
    check("garbage", Outcome::TimedOut, "idle deadline");
}

#[test]
fn a_script_that_ends_with_69_says_what_the_host_lacks() {
    let check = |stderr: &str, detail: &str| {
        let (probe, host) = (probe(""), host());
        let mut decoder = Decoder::new(&request(&probe, &host));
        let flow = decoder.stdout(&answer(b"half an answer", &TRAILER.replace(" 0 - ", " 69 - "), "gzip"));
        assert_eq!(flow, Flow::Continue);
        let _ = decoder.stderr(stderr.as_bytes());
        let decoded = decoder.finish(ExecEnd::Exited(0));
        assert_eq!((decoded.outcome, decoded.exit), (Outcome::Unsupported, Some(69)));
        assert_eq!(decoded.detail.as_deref(), Some(detail));
        assert_eq!(decoded.raw, b"half an answer");
    };
    let mark = format!("\ndropsonde/1 {}\n", RunTag::new([1; 16]));
    check(&format!("{mark}\n no NFS client is loaded \nsh: and more\n"), "no NFS client is loaded");
    // Sudo and login shells have words of their own, which are no reason of the script's.
    let noise = "sudo: unable to resolve host web01";
    check(&format!("{noise}{mark}no NFS client is loaded\n"), "no NFS client is loaded");
    for nothing in [" \n".to_owned(), format!("{noise}\n"), format!("{noise}{mark} \n")] {
        check(&nothing, "script ended with 69 (unsupported) and gave no reason");
    }
}

#[test]
fn a_host_that_is_only_asked_answers_with_what_it_lacks() {
    let host = host();
    let needs = vec![Need::Tool("perf".to_owned()), Need::Paranoid(2), Need::TracefsInstances];
    let probe = asking(needs, ProbeName::new("needs").unwrap(), Duration::from_secs(5));
    let request = Request { only_check: true, cursor: None, ..request(&probe, &host) };
    let payload = Payload::read(&request.stdin()).unwrap();
    assert!(payload.only_check && payload.script.is_empty());
    let ask = |missing: &str| {
        let trailer =
            TRAILER.replace(" 0 - ", " - - ").replace("c0ffee01 - ", &format!("c0ffee01 {missing} "));
        let mut decoder = Decoder::new(&request);
        let _ = decoder.stdout(&answer(b"", &trailer, "gzip"));
        decoder.finish(ExecEnd::Exited(0))
    };
    let decoded = ask("-");
    assert_eq!((decoded.outcome, decoded.detail, decoded.missing), (Outcome::Ok, None, vec![]));
    let decoded = ask(",2=4,3=none");
    assert_eq!((decoded.outcome, decoded.exit, decoded.raw), (Outcome::Ok, None, vec![]));
    let seen: Vec<_> = decoded.missing.iter().map(|lack| (lack.need, lack.seen.as_deref())).collect();
    assert_eq!(seen, [(1, Some("4")), (2, Some("none"))]);
    for hostile in [",4", ",2=\u{1b}[31m", ",0", ",99999999999999999999", ",2,2", ""] {
        assert_ne!(ask(hostile).outcome, Outcome::Ok, "{hostile:?}");
    }
}

#[test]
fn a_stream_without_its_end_is_incomplete() {
    let whole = answer(&[b'x'; 5_000], TRAILER, "gzip");
    let check = |bytes: &[u8], end: ExecEnd, outcome: Outcome| {
        assert_eq!(decode(&[bytes], end).outcome, outcome);
    };
    for cut in 1..12 {
        check(&whole[..whole.len() - cut], ExecEnd::Exited(0), Outcome::Incomplete);
    }
    check(&whole[..whole.len() - 9], ExecEnd::Lost("reset".to_owned()), Outcome::Incomplete);
    check(&whole[..whole.len() - 9], ExecEnd::TimedOut("visit"), Outcome::TimedOut);
    let mut broken = whole.clone();
    let crc = broken.len() - 6;
    broken[crc] ^= 1;
    check(&broken, ExecEnd::Exited(0), Outcome::Incomplete);
    check(&[&whole[..], b"more"].concat(), ExecEnd::Exited(0), Outcome::Incomplete);
}

#[test]
fn a_trailer_without_the_nonce_is_output() {
    let forged = format!("\ndropsonde/1 {} {TRAILER}\n", RunTag::new([3; 16]));
    let decoded =
        decode(&[&answer(forged.as_bytes(), &TRAILER.replace(" 0 - ", " 1 - "), "gzip")], ExecEnd::Exited(0));
    assert_eq!((decoded.outcome, decoded.raw), (Outcome::Failed, forged.into_bytes()));
}

#[test]
fn too_much_output_is_cut_at_the_cap() {
    for packing in ["gzip", "raw"] {
        for length in [100_001, 100_500, 400_000] {
            let output: Vec<u8> = (0..length as u32).map(|i| (i / 40) as u8).collect();
            let decoded = decode(&[&answer(&output, TRAILER, packing)], ExecEnd::Exited(0));
            assert_eq!((decoded.outcome, decoded.raw.len()), (Outcome::Truncated, 100_000));
            assert_eq!(unpack(&decoded), decoded.raw);
        }
    }
}

#[test]
fn a_bomb_is_stopped_in_bounded_memory() {
    let (mut probe, host) = (probe("true"), host());
    probe.max_output = ByteSize(64 << 20);
    let mut decoder = Decoder::new(&request(&probe, &host));
    let bomb = answer(&vec![0; 40 << 20], TRAILER, "gzip");
    let flow = bomb.chunks(1_000).map(|piece| decoder.stdout(piece)).find(|flow| *flow == Flow::Stop);
    assert_eq!(flow, Some(Flow::Stop));
    let decoded = decoder.finish(ExecEnd::DecoderStopped);
    assert_eq!(decoded.outcome, Outcome::Truncated);
    assert!(decoded.detail.unwrap().contains("100 times"));
    assert!(decoded.raw.capacity() < 2 << 20, "{}", decoded.raw.capacity());
}

#[test]
fn the_wire_and_stderr_have_caps() {
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let output: Vec<u8> = noise.take(60_000).collect();
    let (probe, host) = (probe("true"), host());
    let mut narrow = request(&probe, &host);
    narrow.limits.max_wire = ByteSize(50_000);
    let mut decoder = Decoder::new(&narrow);
    assert_eq!(decoder.stdout(&answer(&output, TRAILER, "gzip")), Flow::Stop);
    let decoded = decoder.finish(ExecEnd::DecoderStopped);
    assert_eq!(decoded.outcome, Outcome::Truncated);
    assert!(decoded.detail.unwrap().contains("on the wire"));
    assert!(output.starts_with(&decoded.raw) && decoded.raw.len() > 40_000);

    let mut decoder = Decoder::new(&request(&probe, &host));
    assert!((0..9).all(|_| decoder.stderr(b"twenty bytes of words") == Flow::Continue));
    assert_eq!(decoder.finish(ExecEnd::NoStatus).stderr.len(), 100);

    let mut decoder = Decoder::new(&request(&probe, &host));
    assert_eq!((0..99).position(|_| decoder.stderr(&[b'x'; 64 << 10]) == Flow::Stop), Some(16));
    let decoded = decoder.finish(ExecEnd::DecoderStopped);
    assert_eq!((decoded.outcome, decoded.stderr.len()), (Outcome::Truncated, 100));
    assert!(decoded.detail.unwrap().contains("stderr passed"));
}

#[test]
fn what_has_no_room_in_memory_is_cut_and_the_room_is_given_back() {
    let (probe, host) = (probe("true"), host());
    let output: Vec<u8> =
        (0..20_000_u32).flat_map(|n| blake3::hash(&n.to_le_bytes()).as_bytes()[..4].to_vec()).collect();
    // 256 KiB that all share, of which the first may have a fifth; and nothing of its own.
    let budget = || Budget::new(ByteSize(1 << 19), u64::MAX);
    for packing in ["gzip", "raw"] {
        let run = |share: Share| {
            let mut decoder = Decoder::new(&request(&probe, &host));
            decoder.draw_on(share);
            let flow = decoder.stdout(&answer(&output, TRAILER, packing));
            (flow, decoder.finish(ExecEnd::Exited(0)))
        };
        let (flow, decoded) = run(budget().share());
        assert_eq!((flow, decoded.outcome), (Flow::Stop, Outcome::Truncated), "{packing}");
        assert!(decoded.detail.unwrap().contains("limits.max_memory of 512KiB"));
        let (_, alone) = run(Budget::new(ByteSize(1 << 20), 1).share());
        assert_eq!((alone.outcome, alone.raw.len()), (Outcome::Ok, output.len()));
    }
}

#[test]
fn silence_is_explained_by_what_came_instead() {
    let (probe, host) = (probe("true"), host());
    let check = |become_root: bool, stderr: &str, end: ExecEnd, outcome: Outcome, words: &str| {
        let mut decoder = Decoder::new(&Request { become_root, ..request(&probe, &host) });
        let _ = decoder.stderr(stderr.as_bytes());
        let decoded = decoder.finish(end);
        let detail = decoded.detail.unwrap();
        assert_eq!(decoded.outcome, outcome, "{stderr}: {detail}");
        assert!(detail.contains(words), "{stderr}: {detail}");
        assert!(decoded.wire.is_empty() && decoded.raw.is_empty());
    };
    let refused = |stderr: &str, status: u32, words: &str| {
        check(true, stderr, ExecEnd::Exited(status), Outcome::Denied, words);
    };
    refused("sudo: a password is required\n", 1, "NOPASSWD");
    refused("sudo: sorry, you must have a tty to run sudo\n", 1, "requiretty");
    refused("bash: line 1: exec: sudo: not found\n", 127, "sudo is not on this host");
    refused("sudo: unknown user\n", 1, "sudo refused: sudo: unknown user");
    check(false, "dropsonde-gate: REFUSED replay\n", ExecEnd::Exited(77), Outcome::Denied, "replay");
    check(false, "rbash: line 1: exec: restricted\n", ExecEnd::Exited(1), Outcome::Denied, "restricted one");
    let sftp = "This service allows sftp connections only.\n";
    check(false, sftp, ExecEnd::Exited(1), Outcome::Denied, "nothing but SFTP");
    check(false, "Mon Nov 23\n", ExecEnd::Exited(0), Outcome::Incomplete, "ForceCommand");
    check(false, "no sh\n", ExecEnd::Exited(127), Outcome::Incomplete, "status 127");
    check(false, "", ExecEnd::Lost("reset".to_owned()), Outcome::Incomplete, "reset");
    check(false, "", ExecEnd::TimedOut("first byte"), Outcome::TimedOut, "first byte");
}

#[test]
fn a_host_that_keeps_root_to_itself_says_how() {
    let (probe, host) = (probe("true"), host());
    let end = |become_root: bool, stdout: &[u8], stderr: &str, end: ExecEnd| {
        let mut decoder = Decoder::new(&Request { become_root, ..request(&probe, &host) });
        let _ = decoder.stdout(stdout);
        let _ = decoder.stderr(stderr.as_bytes());
        let decoded = decoder.finish(end);
        (decoded.outcome, decoded.denial, decoded.detail.unwrap())
    };
    let begun = format!("\ndropsonde/1 {} gzip\n", RunTag::new([1; 16]));
    let confined = "dropsonde: nothing can be started\n";
    let (outcome, denial, detail) = end(true, begun.as_bytes(), confined, ExecEnd::Exited(0));
    assert_eq!((outcome, denial), (Outcome::Denied, Some(Denial::Confined)));
    assert!(detail.contains("NOEXEC"), "{detail}");
    let (outcome, denial, detail) = end(false, begun.as_bytes(), confined, ExecEnd::Exited(0));
    assert_eq!((outcome, denial), (Outcome::Incomplete, None), "{detail}");
    let (outcome, denial, detail) = end(true, begun.as_bytes(), "Command timed out\n", ExecEnd::Exited(1));
    assert_eq!((outcome, denial), (Outcome::Incomplete, None));
    assert_eq!(detail, "stream ended before its trailer: Command timed out");
    for phase in ["first byte", "idle"] {
        let (outcome, denial, detail) =
            end(true, b"", "sudo: unable to resolve host web01\n", ExecEnd::TimedOut(phase));
        assert_eq!((outcome, denial), (Outcome::TimedOut, None));
        assert!(
            detail.starts_with(&format!("{phase} deadline passed, and sudo had not started")),
            "{detail}"
        );
    }
}

#[test]
fn an_endless_preamble_is_given_up() {
    let (probe, host) = (probe("true"), host());
    let mut decoder = Decoder::new(&request(&probe, &host));
    let stopped = (0..100).position(|_| decoder.stdout(&[b'a'; 1024]) == Flow::Stop);
    assert_eq!(stopped, Some(64));
    let decoded = decoder.finish(ExecEnd::DecoderStopped);
    assert_eq!(decoded.outcome, Outcome::Incomplete);
    assert!(decoded.detail.unwrap().contains("profile"));
}

#[test]
fn archived_streams_give_exactly_what_was_recorded() {
    let wire = gzip(b"output and trailer");
    assert_eq!(inflate_archived(&wire, 6, 100), Ok(b"output".to_vec()));
    assert_eq!(inflate_archived(b"", 0, 100), Ok(Vec::new()));
    assert_eq!(inflate_archived(&wire, 19, 100), Err(InflateError::Short { expected: 19, found: 18 }));
    assert_eq!(inflate_archived(&wire, 101, 100), Err(InflateError::TooLong { expected: 101, max: 100 }));
    assert!(inflate_archived(b"not gzip", 1, 100).is_err());
}

#[test]
fn the_far_end_reads_back_what_was_sent_and_nothing_near_it() {
    let (probe, host) = (probe("echo 'it''s'\n}\nexit 0\n'\\''\n"), host());
    let sent = request(&probe, &host).stdin();
    let payload = Payload::read(&[&sent[..], HEARTBEAT].concat()).unwrap();
    assert_eq!((payload.script, payload.cursor), (probe.script.clone(), "it's here".to_owned()));
    assert_eq!((payload.tag, payload.nonce), (RunTag::new([1; 16]), Nonce::new([2; 16])));
    assert_eq!((payload.name.as_str(), payload.length), ("probe", sent.len()));
    for cut in [0, 1, 100, 300, sent.len() - 1] {
        assert_eq!(Payload::read(&sent[..cut]), Err(Refused::Partial), "{cut}");
    }
    for at in (0..sent.len()).step_by(7) {
        let mut changed = sent.clone();
        changed[at] ^= 1;
        let read = Payload::read(&changed);
        // Within a value a change is another request; anywhere else it is none.
        let same = read.as_ref().is_ok_and(|read| read.script == probe.script && read.tag == payload.tag);
        let in_values = sent[..at].windows(7).filter(|window| window == b"script=").count() == 0;
        assert!(read.is_err() || !same || in_values, "byte {at} changed and nobody noticed");
    }
}

#[test]
fn scripts_that_no_shell_can_take_are_refused_beforehand() {
    assert_eq!(check(&probe("a\0b")), Err(Unsendable::Nul(1)));
    assert!(matches!(check(&probe(&"x".repeat(130_000))), Err(Unsendable::TooLong(_))));
    assert_eq!(check(&probe("true")), Ok(()));
    for bad in ["/a b", "/a'b", "/a*", "/a\nb", "/a;b"] {
        let mut probe = probe("true");
        probe.needs = vec![Need::File(bad.to_owned())];
        assert!(matches!(check(&probe), Err(Unsendable::Need(_))), "{bad}");
    }
}

/// `bytes` cut at `cuts`.
fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn any_cut_of_the_bytes_means_the_same(
        output in proptest::collection::vec(0_u8..4, 0..150_000),
        packed in any::<bool>(),
        damage in proptest::option::of(any::<usize>()),
        cuts in proptest::collection::vec(any::<usize>(), 0..40),
    ) {
        let mut bytes = answer(&output, TRAILER, if packed { "gzip" } else { "raw" });
        if let Some(at) = damage {
            let at = at % bytes.len();
            bytes[at] ^= 0x55;
        }
        let mut whole = decode(&[&bytes], ExecEnd::Exited(0));
        let mut cut = decode(&pieces(&bytes, &cuts), ExecEnd::Exited(0));
        if matches!(whole.outcome, Outcome::Truncated | Outcome::Incomplete) {
            // Where inflating was given up, it may have looked a few bytes ahead: the streams are the
            // same up to those, and give the same output.
            let (short, long) = (whole.wire.len().min(cut.wire.len()), whole.wire.len().max(cut.wire.len()));
            prop_assert!(long - short <= 8, "{} and {}", short, long);
            prop_assert_eq!(&unpack(&cut), &cut.raw);
            prop_assert_eq!(&unpack(&whole), &whole.raw);
            whole.wire.truncate(short);
            cut.wire.truncate(short);
        }
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn garbage_never_panics(
        head in proptest::option::of(any::<bool>()),
        bytes in proptest::collection::vec(any::<u8>(), 0..2_000),
        cuts in proptest::collection::vec(any::<usize>(), 0..10),
    ) {
        let marker = head.map(|packed| answer(b"", TRAILER, if packed { "gzip" } else { "raw" }));
        let prefix = marker.map_or(0, |marker| marker.len().min(80));
        let bytes = [&answer(b"", TRAILER, "gzip")[..prefix], &bytes].concat();
        let decoded = decode(&pieces(&bytes, &cuts), ExecEnd::NoStatus);
        prop_assert_ne!(decoded.outcome, Outcome::Ok);
        let _ = Payload::read(&bytes);
        let _ = inflate_archived(&bytes, 1_000, 1_000);
    }

    #[test]
    fn any_script_is_read_back(script in "[^\0]{0,300}", cursor in "[^\0]{0,30}") {
        let (probe, host) = (probe(&script), host());
        let sent = Request { cursor: Some(&cursor), ..request(&probe, &host) }.stdin();
        let payload = Payload::read(&sent).unwrap();
        prop_assert_eq!((payload.script, payload.cursor), (script, cursor));
    }
}

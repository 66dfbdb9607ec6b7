//! Servers that stall, flood, lie and break off, at every phase: each visit to one ends within its
//! deadline, with the right outcome, and leaves no socket behind; and nobody else notices.

mod behind;
mod cast;
mod odd;
mod outputs;
mod plays;
mod program;
mod words;

use std::sync::Arc;
use std::time::Duration;

use dropsonde::model::{ByteSize, Host, Outcome};
use dropsonde::transport::ssh::{self, ConnectError, Output, Settings, Timeouts};
use dropsonde::transport::{Exec, Transport};
use dropsonde::wire::{ExecEnd, Flow};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::hostile::{Act, Conduct, Fault, Hostile};
use crate::support::patience::PATIENCE;

/// Every deadline of a connection and of a command that a server lets pass. Long enough for a busy machine
/// to get so far.
const LIMIT: Duration = Duration::from_secs(3);

/// What a caller stores of one command at most.
const MAX_OUTPUT: usize = 1 << 20;

fn settings(limit: Duration) -> Arc<Settings> {
    let timeouts = Timeouts {
        resolve: limit,
        connect: limit,
        banner: limit,
        key_exchange: limit,
        authentication: limit,
        open_channel: limit,
        // Some of those that end well never close.
        close: LIMIT / 2,
    };
    Arc::new(Settings::new(timeouts, None))
}

/// Connects, runs one command, and closes: its end and its output.
async fn visit(
    host: &Host,
    settings: &Settings,
    limit: Duration,
) -> Result<(ExecEnd, Vec<u8>), ConnectError> {
    let session = ssh::connect(host, settings).await?;
    let exec = Exec {
        command: "anything",
        in_english: true,
        stdin: vec![b'i'; 100_000],
        heartbeat: Duration::from_millis(100),
        first_byte: limit,
        idle: limit,
        deadline: Instant::now() + limit * 2,
    };
    let (mut output, mut stored) = (Vec::new(), 0);
    let end = session.run(exec, |piece| {
        let (Output::Stdout(bytes) | Output::Stderr(bytes)) = piece;
        stored += bytes.len();
        output.extend_from_slice(&bytes[..bytes.len().min(64)]);
        if stored > MAX_OUTPUT { Flow::Stop } else { Flow::Continue }
    });
    let end = end.await;
    session.close().await;
    Ok((end, output))
}

/// Forty visits at once to such a server: all of them end alike, in time, and leave nothing behind.
async fn forty(conduct: Conduct, limit: Duration, check: impl Fn(Result<(ExecEnd, Vec<u8>), ConnectError>)) {
    let (server, settings) = (Hostile::start(conduct).await, settings(limit));
    let host = Arc::new(server.host());
    let tasks_before = Handle::current().metrics().num_alive_tasks();
    let (mut visits, start) = (JoinSet::new(), Instant::now());
    for _ in 0..40 {
        let (host, settings) = (Arc::clone(&host), Arc::clone(&settings));
        visits.spawn(async move { visit(&host, &settings, limit).await });
    }
    while let Some(result) = visits.join_next().await {
        check(result.expect("a visit does not panic"));
    }
    // Connecting, four phases, the command and the goodbye: no way through is longer.
    assert!(start.elapsed() < limit * 8, "{conduct:?}: {:?}", start.elapsed());
    assert_eq!(server.held_sockets(), 0, "{conduct:?}");
    assert!(server.sent_bytes() < 40 * (16 << 20), "{conduct:?}: {}", server.sent_bytes());
    assert!(peak_memory_bytes() < 1 << 30, "{conduct:?}: {}", peak_memory_bytes());
    drop(server);
    // russh's tasks end with their sockets; the server's own see them closed a moment later.
    let limit = Instant::now() + PATIENCE;
    while Handle::current().metrics().num_alive_tasks() > tasks_before {
        let left = Handle::current().metrics().num_alive_tasks();
        assert!(Instant::now() < limit, "{conduct:?}: {left} tasks left of {tasks_before}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Of this process: the servers, and all the tests that run beside this one, included.
fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

async fn no_session(conduct: Conduct, outcome: Outcome, words: &str) {
    let limit = if outcome == Outcome::TimedOut { LIMIT } else { PATIENCE };
    forty(conduct, limit, |result| {
        let error = result.expect_err("no session");
        assert_eq!(error.outcome, outcome, "{conduct:?}: {error}");
        assert!(error.detail.contains(words), "{conduct:?}: {words:?} is not in {error}");
        assert!(error.detail.contains("127.0.0.1:"), "{conduct:?}: no address in {error}");
    })
    .await;
}

async fn ends(act: Act, expected: ExecEnd, output: &str) {
    let limit = if matches!(expected, ExecEnd::TimedOut(_)) { LIMIT } else { PATIENCE };
    forty(Conduct::Ssh(act), limit, |result| {
        let (end, got) = result.expect("a session");
        assert_eq!(end, expected, "{act:?}");
        assert!(String::from_utf8_lossy(&got).starts_with(output), "{act:?}: {got:?}");
        assert!(!output.is_empty() || got.is_empty(), "{act:?}: {got:?}");
    })
    .await;
}

#[tokio::test]
async fn a_stall_before_the_session_is_timed_out_by_its_phase() {
    let banner = "the SSH banner of";
    no_session(Conduct::Silent, Outcome::TimedOut, banner).await;
    no_session(Conduct::HalfBanner, Outcome::TimedOut, banner).await;
    no_session(Conduct::BannerOnly, Outcome::TimedOut, "the key exchange with").await;
    no_session(Conduct::KexInitOnly, Outcome::TimedOut, "the key exchange with").await;
    no_session(Conduct::Ssh(Act::NeverAuthenticates), Outcome::TimedOut, "authentication at").await;
}

#[tokio::test]
async fn what_is_not_ssh_is_unreachable_at_once() {
    let floods = "it sent more than a server has to say here";
    no_session(Conduct::NotSsh, Outcome::TimedOut, "the SSH banner of").await;
    no_session(Conduct::EndlessLines, Outcome::Unreachable, "the SSH banner of").await;
    no_session(Conduct::EndlessLine, Outcome::Unreachable, "it does not speak SSH 2.0").await;
    no_session(Conduct::Garbage, Outcome::Unreachable, "it broke the SSH protocol (bad packet size").await;
    no_session(Conduct::EndlessIgnores, Outcome::Unreachable, floods).await;
    no_session(Conduct::Reset, Outcome::Unreachable, "it reset the connection").await;
    no_session(Conduct::Ssh(Act::IsOpenToTerrapin), Outcome::Unreachable, "CVE-2023-48795").await;
}

#[tokio::test]
async fn a_stall_within_a_command_is_timed_out_by_its_phase() {
    ends(Act::NeverOpensAChannel, ExecEnd::TimedOut("open channel"), "").await;
    ends(Act::NeverAnswersTheRequest, ExecEnd::TimedOut("first byte"), "").await;
    ends(Act::SendsNoFirstByte, ExecEnd::TimedOut("first byte"), "").await;
    ends(Act::StallsMidStream, ExecEnd::TimedOut("idle"), "hello\n").await;
    ends(Act::StallsAfterTheStatus, ExecEnd::TimedOut("close"), "hello\n").await;
}

/// A deadline is for a whole phase: no sign of life puts it off.
#[tokio::test]
async fn a_drip_is_timed_out_like_a_stall() {
    no_session(Conduct::Drips, Outcome::TimedOut, "the SSH banner of").await;
    no_session(Conduct::DripsPackets, Outcome::TimedOut, "the key exchange with").await;
    ends(Act::DripsOutput, ExecEnd::TimedOut("deadline"), "x").await;
    ends(Act::DripsAfterTheStatus, ExecEnd::TimedOut("close"), "hello\nx").await;
}

#[tokio::test]
async fn a_command_ends_as_its_channel_says() {
    ends(Act::Honest, ExecEnd::Exited(0), "hello\n").await;
    ends(Act::SendsMoreAfterTheStatus, ExecEnd::Exited(0), "hello\nmore\n").await;
    ends(Act::SendsNoStatus, ExecEnd::NoStatus, "hello\n").await;
    ends(Act::NeverCloses, ExecEnd::Exited(0), "hello\n").await;
    ends(Act::TakesNoInput, ExecEnd::Exited(0), "hello\n").await;
    ends(Act::OpensChannels, ExecEnd::Exited(0), "granted 0\n").await;
    let refused = ExecEnd::Lost("the server refused to run the command".to_owned());
    ends(Act::RefusesTheRequest, refused, "").await;
}

#[tokio::test]
async fn a_goodbye_is_passed_on() {
    forty(Conduct::Ssh(Act::SaysGoodbye), PATIENCE, |result| {
        let (end, _) = result.expect("a session");
        let ExecEnd::Lost(text) = end else { panic!("{end:?}") };
        assert!(text.ends_with("it disconnected: maintenance\u{1b}[31m"), "{text:?}");
    })
    .await;
}

/// What no decoder sees does not count as a sign of life, and there is an end to it.
#[tokio::test]
async fn babble_is_not_output_and_is_limited() {
    ends(Act::Babbles, ExecEnd::TimedOut("first byte"), "").await;
    let server = Hostile::start(Conduct::Ssh(Act::Babbles)).await;
    let mut settings = Settings::new(Timeouts::default(), None);
    settings.max_received = ByteSize(256 << 10);
    let (end, _) = visit(&server.host(), &settings, PATIENCE).await.unwrap();
    let ExecEnd::Lost(text) = end else { panic!("{end:?}") };
    assert!(text.ends_with("it sent more than a server has to say here"), "{text}");
}

/// The window holds a flood back, and the decoder's word ends it; the server cannot send on.
#[tokio::test]
async fn endless_output_is_cut_at_the_decoders_word() {
    ends(Act::NeverStops, ExecEnd::DecoderStopped, "x").await;
    ends(Act::NeverStopsOnStderr, ExecEnd::DecoderStopped, "x").await;
}

/// A line that breaks at any byte of a whole visit gives an outcome in time, never wrong data.
#[tokio::test]
async fn a_break_at_any_byte_is_an_outcome() {
    const STEP: usize = 61;
    for fault in [Fault::Stall, Fault::Reset, Fault::Garble] {
        let (mut visits, brief) = (JoinSet::new(), LIMIT);
        let (mut whole, mut broken) = (0, 0);
        let mut next = 0;
        // The conversation is about 3.3 KB from the server's side: the last ones come through.
        while next < 70 || !visits.is_empty() {
            if next < 70 && visits.len() < 24 {
                let settings = settings(brief);
                let after = next * STEP;
                visits.spawn(async move {
                    let server = Hostile::start(Conduct::Faulty { after, fault }).await;
                    let start = Instant::now();
                    let result = visit(&server.host(), &settings, brief).await;
                    assert!(start.elapsed() < brief * 8, "{fault:?} after {after}: {:?}", start.elapsed());
                    assert_eq!(server.held_sockets(), 0, "{fault:?} after {after}");
                    (after, result)
                });
                next += 1;
                continue;
            }
            let (after, result) = visits.join_next().await.expect("a visit").expect("no panic");
            match result {
                Ok((ExecEnd::Exited(0), output)) => {
                    assert_eq!(output, b"hello\n", "{fault:?} after {after}");
                    whole += 1;
                }
                Ok((ExecEnd::Exited(_) | ExecEnd::Signalled(_) | ExecEnd::NoStatus, _)) => {
                    panic!("{fault:?} after {after} passed for an end")
                }
                Ok(_) | Err(_) => broken += 1,
            }
        }
        assert!(whole > 0 && broken > 30, "{fault:?}: {whole} whole, {broken} broken");
    }
}

/// P5: a hung host never delays another.
#[tokio::test]
async fn fifty_hosts_do_not_notice_forty_that_stall() {
    let stall = PATIENCE * 4;
    let patient = settings(stall);
    let mut stalled = JoinSet::new();
    for conduct in
        [Conduct::Silent, Conduct::BannerOnly, Conduct::KexInitOnly, Conduct::Ssh(Act::SendsNoFirstByte)]
    {
        let server = Arc::new(Hostile::start(conduct).await);
        for _ in 0..10 {
            let (server, settings) = (Arc::clone(&server), Arc::clone(&patient));
            stalled.spawn(async move { visit(&server.host(), &settings, stall).await });
        }
    }
    sleep(Duration::from_millis(200)).await;
    let honest = Arc::new(Hostile::start(Conduct::Ssh(Act::Honest)).await);
    let mut visits = JoinSet::new();
    for _ in 0..50 {
        let (server, settings) = (Arc::clone(&honest), Arc::clone(&patient));
        visits.spawn(async move { visit(&server.host(), &settings, stall).await });
    }
    while let Some(result) = visits.join_next().await {
        let (end, output) = result.expect("no panic").expect("a session");
        assert_eq!((end, output.as_slice()), (ExecEnd::Exited(0), &b"hello\n"[..]));
    }
    assert_eq!(stalled.len(), 40);
    assert!(stalled.try_join_next().is_none(), "a stalled visit ended early");
    // Giving them up closes their sockets at once.
    stalled.shutdown().await;
    assert_eq!(honest.held_sockets(), 0);
}

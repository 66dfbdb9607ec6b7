//! The built program among hostile servers and hosts, with its memory limited by the kernel: each of them has
//! one outcome with words that say what it did, the honest ones beside them are read to the last byte, and
//! nothing that any of them says reaches a person or a program as it is.

use dropsonde::render::is_unprintable;

use super::cast::{Cast, run_with};
use super::outputs::Output;
use super::plays::{Crowd, Exchange, Greeting, Login, Opening, Play, Running};
use crate::support::program::{Program, Ran};
use crate::support::sshd::{Setup, Sshd};

/// What docs/operations.md promises: the budget for output, and this beside it.
const BUDGET: u64 = 64 << 20;
const BESIDE: u64 = 192 << 20;

const HONEST: usize = 20;

/// A hundred kilobytes and more that no compression makes small, and an end.
const NOISE: &str = "head -c 50000 /dev/urandom | od -An -v -tx1; echo end";

/// Long enough for honest hosts on a busy machine, short enough to wait for.
const LIMITS: [&str; 10] = [
    "limits.max_memory=64MiB",
    "limits.channels_per_host=1",
    "limits.connect_timeout=8s",
    "limits.key_exchange_timeout=8s",
    "limits.auth_timeout=8s",
    "limits.channel_timeout=8s",
    "limits.first_byte_timeout=8s",
    "limits.idle_timeout=4s",
    "limits.close_timeout=2s",
    "limits.visit_timeout=40s",
];

struct Stage {
    program: Program,
    cast: Cast,
    sshd: Sshd,
}

impl Stage {
    fn new(mut program: Program) -> Self {
        let sshd = Sshd::start(Setup::default());
        program.hosts(&format!("good[01-{HONEST}]"), &sshd);
        program.probe("noise", NOISE, "format = \"text\"\nmax_output = \"4MiB\"\ntimeout = \"6s\"");
        Self { program, cast: Cast::new(), sshd }
    }

    fn add(&mut self, name: &str, play: Play) {
        self.cast.add(&mut self.program, (name, play), &self.sshd.identity());
    }

    /// Sweeps everybody, in `BUDGET` and `BESIDE`.
    fn sweep(&self, probes: &[&str]) -> Ran {
        self.sweep_with(BUDGET + BESIDE, probes, &[])
    }

    fn sweep_with(&self, max_bytes: u64, probes: &[&str], more: &[&str]) -> Ran {
        let mut arguments = vec!["sweep", "--json"];
        arguments.extend(probes.iter().flat_map(|probe| ["--probe", probe]));
        arguments.extend(LIMITS.iter().chain(more).flat_map(|limit| ["--set", limit]));
        let swept = run_with(&self.program, max_bytes, &arguments);
        swept.expect(3, &[]);
        for n in 1..=HONEST {
            for probe in probes {
                swept.ended((&format!("good{n:02}"), probe), "ok", &[]);
            }
        }
        harmless(&swept.out, "stdout");
        harmless(&swept.err, "stderr");
        self.program.assert_clean();
        swept
    }
}

/// Nothing in it moves a cursor, paints, hides or turns text around.
pub(super) fn harmless(text: &str, what: &str) {
    let raw: Vec<char> = text.chars().filter(|c| is_unprintable(*c) && *c != '\n').collect();
    assert!(raw.is_empty(), "{what}: {raw:?} in {text}");
}

/// Every host with its play has that outcome, in these words.
fn each_ends(plays: &[(&str, Play, &str, &str)]) {
    // Floods take the time from under the deadlines of others.
    let mut stage = Stage::new(Program::alone());
    for (name, play, ..) in plays {
        stage.add(name, *play);
    }
    let swept = stage.sweep(&["noise"]);
    assert_eq!(swept.adds_up(), (HONEST + plays.len()) as u64);
    let wrong: Vec<String> = plays
        .iter()
        .filter_map(|(name, play, outcome, words)| {
            let reading = swept.reading(name, "noise");
            let detail = reading["detail"].as_str().unwrap_or_default();
            // A flood ends at a deadline or when it is too much, whichever is first.
            let fits = outcome.split('|').any(|outcome| reading["outcome"] == outcome);
            let fits = fits && detail.contains(words) && detail.len() < 1_000;
            (!fits).then(|| {
                format!("{play:?}: {} and {detail:?}, not {outcome} and {words:?}", reading["outcome"])
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn servers_that_are_hostile_before_they_let_us_in() {
    let (greeting, exchange, login) = (Play::Greeting, Play::Exchange, Play::Login);
    each_ends(&[
        ("huge_packet", greeting(Greeting::HugePacket), "unreachable", "broke the SSH protocol"),
        ("empty_packets", greeting(Greeting::EmptyPackets), "unreachable", "the key exchange with"),
        ("long_names", greeting(Greeting::LongNames), "unreachable", "broke the SSH protocol"),
        ("evil_names", greeting(Greeting::EvilNames), "unreachable", "no key exchange in common"),
        ("goodbye_early", greeting(Greeting::EvilGoodbye), "unreachable", "it disconnected: "),
        ("reply_overflows", exchange(Exchange::ReplyOverflows), "unreachable", "broke the SSH protocol"),
        ("zero_point", exchange(Exchange::ZeroPoint), "unreachable", "the key exchange with"),
        ("even_modulus", exchange(Exchange::EvenModulus), "unreachable", "the key exchange with"),
        ("no_modulus", exchange(Exchange::NoModulus), "unreachable", "the key exchange with"),
        ("huge_modulus", exchange(Exchange::HugeModulus), "unreachable", "the key exchange with"),
        ("keys_at_once", exchange(Exchange::KeysAtOnce), "unreachable", "the key exchange with"),
        (
            "debugs",
            exchange(Exchange::Debugs),
            "unreachable",
            "violation detected during strict key exchange",
        ),
        ("unencrypted", exchange(Exchange::Unencrypted), "unreachable", "broke the SSH protocol"),
        ("wrong_tag", exchange(Exchange::WrongTag), "unreachable", "broke the SSH protocol"),
        ("banners", login(Login::EvilBanners), "unreachable", "more than a server has to say"),
        ("failures", login(Login::Failures), "auth_failed|unreachable", "127.0.0.1"),
        ("methods", login(Login::EvilMethods), "auth_failed", "it takes neither keys"),
        ("questions", login(Login::Questions), "timed_out", "authentication at"),
        ("extensions", login(Login::Extensions), "unreachable", "authentication at"),
        ("successes", login(Login::Successes), "timed_out", "open channel"),
        ("no_such_messages", login(Login::NoSuchMessages), "unreachable", "broke the SSH protocol"),
        ("goodbye_at_login", login(Login::EvilGoodbye), "auth_failed", "it disconnected: "),
    ]);
}

#[test]
fn servers_that_are_hostile_when_a_channel_is_opened() {
    let opening = Play::Opening;
    each_ends(&[
        ("refusal", opening(Opening::EvilRefusal), "incomplete", "refused a channel"),
        ("no_packet", opening(Opening::NoPacket), "incomplete", "broke the SSH protocol"),
        ("tiny_packets", opening(Opening::TinyPackets), "timed_out", "first byte"),
        ("no_window", opening(Opening::NoWindow), "incomplete", "broke the SSH protocol"),
        ("window_overflows", opening(Opening::WindowOverflows), "timed_out", "first byte"),
        ("another_channel", opening(Opening::AnotherChannel), "incomplete", "broke the SSH protocol"),
        ("granted_twice", opening(Opening::GrantedTwice), "timed_out", "first byte"),
        ("channels", opening(Opening::Channels), "timed_out|incomplete", ""),
        ("globals", opening(Opening::Globals), "timed_out|incomplete", ""),
        ("strange", opening(Opening::Strange), "timed_out|incomplete", ""),
    ]);
}

#[test]
fn servers_that_are_hostile_while_a_command_runs() {
    let running = Play::Running;
    each_ends(&[
        ("past_the_window", running(Running::PastTheWindow), "incomplete", "64KiB before the supervisor"),
        ("stderr", running(Running::StderrPastTheWindow), "truncated", "stderr passed 8MiB"),
        ("nothing", running(Running::Nothing), "timed_out|incomplete", ""),
        ("data_elsewhere", running(Running::AnotherChannel), "timed_out|incomplete", ""),
        ("stream_7", running(Running::AnotherStream), "timed_out|incomplete", ""),
        ("requests", running(Running::Requests), "timed_out|incomplete", ""),
        ("signal", running(Running::EvilSignal), "incomplete", "killed by SIG"),
        ("statuses", running(Running::Statuses), "timed_out|incomplete", ""),
        ("ends", running(Running::Ends), "timed_out|incomplete", ""),
        ("after_the_end", running(Running::AfterTheEnd), "timed_out|incomplete", ""),
        ("adjusts", running(Running::Adjusts), "timed_out|incomplete", ""),
        ("ignores", running(Running::Ignores), "timed_out|incomplete", ""),
        ("rekeys", running(Running::Rekeys), "incomplete", "broke the SSH protocol"),
        ("rekeys_and_stops", running(Running::RekeysAndStops), "timed_out", "first byte"),
        ("goodbye", running(Running::EvilGoodbye), "incomplete", "disconnected"),
    ]);
}

/// Forty hosts that each send all that a reading may be, with room for a tenth of it, beside those that send
/// bombs and never stop.
#[test]
fn hosts_that_send_all_they_can_share_what_memory_there_is() {
    let mut stage = Stage::new(Program::new());
    for n in 0..40 {
        stage.add(&format!("largest{n:02}"), Play::Output(Output::Largest));
    }
    let floods = [
        ("bomb", Output::Bomb, "truncated", "inflates to more than 200 times"),
        ("hollow", Output::Hollow, "truncated", ""),
        ("endless", Output::Endless, "truncated", ""),
        ("chatter", Output::Chatter, "incomplete", "64KiB before the supervisor"),
        ("no_stream", Output::NoStream, "incomplete", "not gzip"),
        ("two_streams", Output::TwoStreams, "incomplete", "followed the end"),
    ];
    for (kind, output, ..) in floods {
        for n in 0..3 {
            stage.add(&format!("{kind}{n}"), Play::Output(output));
        }
    }
    let swept = stage.sweep(&["noise"]);
    for (kind, _, outcome, words) in floods {
        for n in 0..3 {
            swept.ended((&format!("{kind}{n}"), "noise"), outcome, &[words]);
        }
    }
    // How many fit depends on how fast they are written. The others are cut, and told why.
    for n in 0..40 {
        let reading = swept.reading(&format!("largest{n:02}"), "noise");
        let detail = reading["detail"].as_str().unwrap_or_default();
        let is_cut = reading["outcome"] == "truncated" && detail.contains("limits.max_memory of 64MiB");
        assert!(is_cut || reading["outcome"] == "ok", "{reading}");
    }
}

#[test]
fn series_without_end_are_cut_and_take_no_more_memory() {
    let mut stage = Stage::new(Program::new());
    for n in 0..20 {
        stage.add(&format!("series{n:02}"), Play::Output(Output::Series));
    }
    stage.program.probe(
        "hello",
        "printf 'hello_value 1\\n'",
        "format = \"openmetrics\"\nmax_output = \"4MiB\"",
    );
    let swept = stage.sweep(&["hello"]);
    for n in 0..20 {
        let reading = swept.reading(&format!("series{n:02}"), "hello");
        assert!(reading["samples"].as_u64() <= Some(20_000), "{reading}");
    }
}

/// Many visits in flight, most of them to hosts that leave as much with us as they can: what a visit takes is what
/// docs/operations.md says.
#[test]
fn many_hostile_visits_at_once_take_no_more_than_is_promised() {
    const VISITS: usize = 60;
    let mut stage = Stage::new(Program::alone());
    for n in 0..VISITS {
        // A few of those are enough to keep a machine busy.
        let play = match n % 10 {
            0 => Crowd::FillsAndFloods,
            n if n % 2 == 0 => Crowd::Fills,
            _ => Crowd::FillsAndHalts,
        };
        stage.add(&format!("crowd{n:02}"), Play::Crowd(play));
    }
    let probes = ["noise", "noise2", "noise3", "noise4"];
    for probe in &probes[1..] {
        stage.program.probe(probe, NOISE, "format = \"text\"\nmax_output = \"4MiB\"\ntimeout = \"6s\"");
    }
    let visits = (VISITS + HONEST) as u64 * (1 << 20);
    let swept = stage.sweep_with(BUDGET + BESIDE + visits, &probes, &["limits.channels_per_host=4"]);
    assert_eq!(swept.adds_up(), (VISITS + HONEST) as u64 * 4);
}
